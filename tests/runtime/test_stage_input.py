"""Single stages refuse files that need a conversion first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from astrocast.cli.app import main
from astrocast.detection import Detector
from astrocast.errors import InvalidValueError
from astrocast.io import create_recording
from astrocast.preparation import Delta, Input, MotionCorrection
from astrocast.runtime.stage_input import open_stage_input


def two_channels() -> np.ndarray:
    movie = np.random.default_rng(1).normal(300, 20, (30, 16, 16))
    movie[1::2] += 200
    return movie.astype(np.uint16)


def test_two_channels_that_alternate_are_refused_by_each_stage(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, two_channels(), photometric="minisblack")
    stages = (
        lambda: MotionCorrection().run(path),
        lambda: Delta(path).run(4),
        lambda: Detector(path, tmp_path / "a.roi").run(),
    )
    for stage in stages:
        with pytest.raises(InvalidValueError, match="check_channels=False"):
            stage()
    assert Delta(path).run(4, check_channels=False).shape == (30, 16, 16)
    assert Delta(two_channels()).run(4).shape == (30, 16, 16)  # arrays are taken


def test_commands_ask_and_can_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, two_channels(), photometric="minisblack")
    call = ["delta", str(path), "-o", str(tmp_path / "d.h5")]
    assert main(call) == 2
    assert "--one-channel" in capsys.readouterr().err
    assert main([*call, "--one-channel"]) == 0


def test_own_results_are_not_asked_about(tmp_path: Path) -> None:
    target = tmp_path / "a.h5"
    Input().run(two_channels(), target, dtype="uint16", check_channels=False)
    with open_stage_input(target, "data/ch0") as recording:
        assert len(recording) == 30
    (tmp_path / "a.ch0.frames.csv").unlink()  # the attribute is there still
    with open_stage_input(target, "data/ch0") as recording:
        assert len(recording) == 30


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_values_too_large_for_float32_are_refused(tmp_path: Path, dtype: str) -> None:
    movie = np.random.default_rng(2).normal(300, 20, (20, 16, 16)).astype(dtype)
    movie[11, 3, 4] = 2e15
    with create_recording(tmp_path / "a.npy", None, movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    stages = (
        lambda: MotionCorrection().run(tmp_path / "a.npy"),
        lambda: Delta(tmp_path / "a.npy").run(4).compute(),
        lambda: Detector(tmp_path / "a.npy", tmp_path / "a.roi").run(),
    )
    for stage in stages:
        with pytest.raises(InvalidValueError, match=r"2e\+15.*divide"):
            stage()


def test_infinity_is_left_to_the_stage(tmp_path: Path) -> None:
    movie = np.ones((30, 8, 8), np.float32)
    movie[2, 1, 1], movie[3, 1, 1] = np.inf, np.nan
    np.save(tmp_path / "a.npy", movie)
    with open_stage_input(tmp_path / "a.npy") as recording:
        np.testing.assert_array_equal(recording.to_array(), movie)
