"""A few cases of each campaign; ``make torture`` runs many."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")


@pytest.fixture(scope="module")
def campaigns():
    # the tests are imported file by file: name the folder of this package
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    yield import_module("torture.campaigns")
    sys.path.pop(0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:TileDB is a multithreading:UserWarning")
def test_damaged_files_give_the_same_pixels_or_one_clear_error(campaigns) -> None:
    report = campaigns.damage_files(0, seed=3, least=30)
    assert report.faults == []
    assert sum(report.counts.values()) == 30


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:TileDB is a multithreading:UserWarning")
def test_a_killed_command_goes_on_to_the_same_result(campaigns) -> None:
    report = campaigns.kill_commands(0, seed=5, names=("delta",))
    assert report.faults == []
