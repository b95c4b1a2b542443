"""A few cases of each campaign; ``make torture`` runs many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")

TESTS = Path(__file__).resolve().parents[1]


def campaign(call: str) -> dict[str, Any]:
    """Run a campaign in a process of its own: children are forked before any thread."""
    code = (
        "import json, warnings; warnings.simplefilter('ignore')\n"
        "from torture import campaigns, damage, races\n"
        f"report = {call}\n"
        "print(json.dumps([report.faults, sum(report.counts.values())]))"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    faults, cases = json.loads(done.stdout.splitlines()[-1])
    return {"faults": faults, "cases": cases}


def test_damaged_files_give_the_same_pixels_or_one_clear_error() -> None:
    assert campaign("damage.damage_files(0, seed=3, least=44)") == {
        "faults": [],
        "cases": 44,
    }


def test_a_killed_command_goes_on_to_the_same_result() -> None:
    found = campaign("campaigns.kill_commands(0, seed=5, names=('delta',))")
    assert found["faults"] == []
    assert found["cases"] > 0


def test_two_processes_on_one_output_give_the_result_of_one() -> None:
    found = campaign("races.race_commands(0, seed=2, names=('detect',))")
    assert found == {"faults": [], "cases": 1}
