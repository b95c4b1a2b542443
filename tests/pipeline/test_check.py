"""The check before a run accepts what a later step repairs, and nothing else."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io import open_recording
from astrocast.pipeline.check import check_recording
from astrocast.pipeline.run import read_contents, run_recording
from astrocast.pipeline.settings import RunSettings


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(0).normal(100, 5, (frames, 24, 24)).astype(np.float32)


def test_a_border_of_nan_in_every_frame_is_accepted_when_it_will_be_replaced() -> None:
    movie = noise(130)  # three blocks, each with NaN
    movie[:, 0] = np.nan
    described = check_recording(open_recording(movie), allow_invalid=True)
    assert described["shape"] == [130, 24, 24]
    with pytest.raises(InvalidValueError, match="3120 voxels that are NaN"):
        check_recording(open_recording(movie))


def test_a_recording_of_nan_is_refused_also_when_nan_will_be_replaced() -> None:
    nothing = np.full((10, 4, 4), np.nan, np.float32)
    with pytest.raises(InvalidValueError, match="no finite value"):
        check_recording(open_recording(nothing), allow_invalid=True)


def test_a_run_crops_a_border_of_nan(tmp_path: Path) -> None:
    path = tmp_path / "registered.h5"
    with h5py.File(path, "w") as file:
        movie = noise(60)
        movie[:, :2] = np.nan
        file["data/ch0"] = movie
    settings = RunSettings.checked(
        conversion={"nan_border": "crop", "loc_in": "data/ch0"},
        motion={"enabled": False},
    )
    result = run_recording(path, tmp_path / "run", settings)
    with open_recording(result.directory / "recording.h5", "data/ch0") as stored:
        np.testing.assert_array_equal(stored.to_array(), movie[:, 2:])


def test_the_report_of_a_damaged_run_gets_a_message(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"stages": ')
    with pytest.raises(FormatError, match="cannot be read"):
        read_contents(tmp_path)
