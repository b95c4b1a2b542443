"""The memory limit makes blocks smaller and changes no result."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.cli.app import main
from astrocast.detection import Detector
from astrocast.errors import InvalidValueError
from astrocast.io import open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.preparation import MotionCorrection
from astrocast.runtime.blocks import frames_per_block
from astrocast.runtime.memory import (
    LEAST_BYTES,
    MEMORY_VARIABLE,
    limiting_memory,
    memory_limit,
    read_size,
    scale_to_memory,
)
from astrocast.simulation import SimulationSettings, write_simulation


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GB", 10**9),
        (" 1.5 gb ", 1_500_000_000),
        ("800 MiB", 800 << 20),
        ("2g", 2 * 10**9),
        ("700000000", 700_000_000),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert read_size(text) == size


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_one_error(text: str) -> None:
    try:
        size = read_size(text)
    except InvalidValueError:
        return
    assert size >= 0
    assert any(c.isdigit() for c in text)


def test_blocks_follow_the_limit() -> None:
    movie = open_recording(np.zeros((900, 512, 512), np.uint8))
    whole = frames_per_block(movie)
    assert memory_limit() is None
    with limiting_memory("1GB"):
        small = frames_per_block(movie)
        with limiting_memory("100GB"):
            assert frames_per_block(movie) == whole
        assert frames_per_block(movie) == small
    assert 2 < small < whole == frames_per_block(movie)
    assert MEMORY_VARIABLE not in os.environ


def test_a_limit_that_no_run_fits_into_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        pytest.raises(InvalidValueError, match="100 MB is too small"),
        limiting_memory("100MB"),
    ):
        pass
    assert MEMORY_VARIABLE not in os.environ
    monkeypatch.setenv(MEMORY_VARIABLE, "much")
    with pytest.raises(InvalidValueError, match="'much' is not a size"):
        scale_to_memory(10)


@pytest.mark.parametrize("place", [0, 1, 4])
def test_the_option_is_understood_wherever_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int
) -> None:
    words = ["-q", "info", "--loc", "data/ch0", str(tmp_path / "none.h5")]
    for option in (["--memory", "1MB"], ["--memory=1MB"]):
        assert main([*words[:place], *option, *words[place:]]) == 2
        assert "limit of 1 MB is too small" in capsys.readouterr().err
    assert main([*words, "--memory"]) == 2
    assert "requires an argument" in capsys.readouterr().err
    assert MEMORY_VARIABLE not in os.environ


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 frames of 96 x 96 pixels."""
    path = tmp_path_factory.mktemp("memory") / "movie.h5"
    settings = SimulationSettings(
        seed=9, frames=120, rows=96, columns=96, events=5, motion=1.0
    )
    write_simulation(settings, path, truth=False)
    return path


def run(
    movie: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    with monkeypatch.context() as patch:
        if small:  # the smallest share of the memory, and blocks of a few frames
            patch.setenv(MEMORY_VARIABLE, str(LEAST_BYTES))
            patch.setattr("astrocast.runtime.blocks.BLOCK_BYTES", 2 << 20)
            patch.setattr("astrocast.preparation.baselines.CACHED_BYTES", 1 << 20)
            for name in ("stretch.BLOCK_VOXELS", "candidates._BLOCK_VOXELS"):
                patch.setattr(f"astrocast.detection.calibrated.{name}", 1 << 20)
        assert main(["-q", "run", str(movie), "-o", str(folder)]) == 0


def test_a_run_with_little_memory_has_the_same_result(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for small in (False, True):
        run(movie, tmp_path / str(small), monkeypatch, small)
    stores = [tmp_path / str(s) / "recording.ch0.roi" for s in (False, True)]
    one, other = ((store / "events.csv").read_text() for store in stores)
    assert one == other
    with open_event_map(stores[0]) as one_map, open_event_map(stores[1]) as other_map:
        np.testing.assert_array_equal(one_map.to_array(), other_map.to_array())
    for loc in ("mc/ch0", "df/ch0"):
        paths = [store.parent / "recording.h5" for store in stores]
        with (
            open_recording(paths[0], loc) as first,
            open_recording(paths[1], loc) as same,
        ):
            np.testing.assert_array_equal(first.to_array(), same.to_array())


class _Stop(BaseException):
    """A process that ends in the middle."""


def test_an_interrupted_stage_goes_on_with_another_limit(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated = "astrocast.detection.calibrated.candidates."
    found = {}
    for kind in ("whole", "interrupted"):
        store = tmp_path / f"{kind}.roi"
        with monkeypatch.context() as patch:
            if kind == "interrupted":
                patch.setattr(calibrated + "_BLOCK_VOXELS", 1 << 18)
                patch.setattr(calibrated + "_store_candidates", _stop)
                with pytest.raises(_Stop):
                    Detector(movie, store).run("data/ch0", method="calibrated")
        Detector(movie, store).run("data/ch0", method="calibrated")
        found[kind] = (store / "events.csv").read_text()
    assert found["whole"] == found["interrupted"]


def _stop(*_: object) -> None:
    raise _Stop


def test_motion_of_blocks_of_another_size_is_not_taken(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = "astrocast.preparation.motion_estimate."
    whole = MotionCorrection()
    whole.run(movie, "data/ch0")
    with monkeypatch.context() as patch:
        patch.setattr(stage + "block_frames", lambda *_: 20)
        patch.setattr(stage + "repair_motion", _stop)
        with pytest.raises(_Stop):
            MotionCorrection(tmp_path).run(movie, "data/ch0")
    again = MotionCorrection(tmp_path)
    again.run(movie, "data/ch0")
    assert len(again.shifts) == len(whole.shifts)
    np.testing.assert_allclose(again.shifts, whole.shifts, atol=1e-6)
