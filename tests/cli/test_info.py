"""``astrocast info`` lists channels, planes, positions; every command takes one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from astrocast.cli.app import main
from astrocast.io import open_recording

MOVIE = np.random.default_rng(4).integers(100, 4000, (40, 2, 2, 24, 24))
MOVIE = MOVIE.astype(np.uint16)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, MOVIE, imagej=True, metadata={"axes": "TZCYX"})
    return path


def test_choices_are_listed(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(stack)]) == 0
    said = capsys.readouterr().out
    assert "planes (choose with --plane): 0, 1" in said
    assert "channels (choose with --channel): 0 (ch0), 1 (ch1)" in said
    assert main(["info", str(stack), "--z", "1"]) == 0
    said = capsys.readouterr().out
    assert "40 frames in each of 2 channels, 24 x 24 pixels, uint16" in said
    assert "dataset: plane=1" in said
    assert main(["info", str(stack), "--plane", "5"]) == 0
    assert "no plane '5'" in capsys.readouterr().out


def test_times_and_alternating_channels_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    movie = np.random.default_rng(1).normal(300, 20, (30, 16, 16))
    movie[1::2] += 200
    path = tmp_path / "a.ome.tif"
    times = [t + 0.5 * (t > 10) for t in range(30)]
    tifffile.imwrite(
        path,
        movie.astype(np.uint16),
        photometric="minisblack",
        metadata={
            "axes": "TYX",
            "Plane": {"DeltaT": times, "DeltaTUnit": ["s"] * 30},
        },
    )
    assert main(["info", str(path)]) == 0
    said = capsys.readouterr().out
    assert "frame_rate: 1.0" in said
    assert "uneven steps between frames: 1 to 1.5 s, median 1 s" in said
    assert "perhaps two channels alternate" in said


@pytest.mark.parametrize("how", ["options", "address"])
def test_commands_choose(stack: Path, tmp_path: Path, how: str) -> None:
    chosen = (
        ["--plane", "1", "--channel", "0"]
        if how == "options"
        else ["--loc", "plane=1,channel=0"]
    )
    expected = MOVIE[:, 1, 0]
    out = tmp_path / "out.h5"
    assert main(["convert", str(stack), "-o", str(out), *chosen]) == 0
    with open_recording(out, "data/ch0") as found:
        np.testing.assert_array_equal(found.to_array(), expected)
    delta = ["--set", "window=10", "--set", "baseline=minimum"]
    assert main(["delta", str(stack), "-o", str(out), *chosen, *delta]) == 0
    with open_recording(out, "df/ch0") as found:
        assert found.shape == (40, 24, 24)
    assert main(["convert", str(stack), "-o", str(tmp_path / "no.h5")]) == 2
