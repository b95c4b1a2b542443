"""Uneven times of a recording become the times of its events."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from astrocast.analysis.sources import Source
from astrocast.analysis.times import add_times
from astrocast.io.recording import Metadata

TIMES = [0.0, 0.5, 1.0, 2.5, 3.0]


@pytest.mark.parametrize("z_slice", [None, (1, 4)])
def test_times_that_detection_noted(z_slice: tuple[int, int] | None) -> None:
    source = Source(Path("a.roi"), "a", None, z_slice, (5, 1, 1))
    metadata = Metadata().with_times(TIMES)
    vars(source)["meta"] = {"input": {"metadata": metadata.to_attributes()}}
    table = pd.DataFrame({"z0": [1, 2], "z1": [3, 4]})
    timed = add_times(table, source.frame_times(), None)
    assert timed["t0"].tolist() == [0.5, 1.0]
    assert timed["t1"].tolist() == [2.5, 3.0]
    even = Metadata().with_times([0.0, 0.5, 1.0])
    vars(source)["meta"] = {"input": {"metadata": even.to_attributes()}}
    assert source.frame_times() is None
