"""Two channels in one run, and what suggest shows against what a run finds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis import Events
from astrocast.errors import InvalidValueError
from astrocast.io import create_recording
from astrocast.io.recording import Metadata
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.event_table import read_events
from astrocast.pipeline.preview import preview
from astrocast.pipeline.run import RunResult, read_contents, run_recording
from astrocast.pipeline.settings import RunSettings, read_configuration

FRAMES, SIZE = 120, 48


def flash(row: int, column: int, onset: int, height: float) -> np.ndarray:
    """An event of 6 pixels radius that rises in 3 frames and decays in 6."""
    y, x = np.mgrid[:SIZE, :SIZE]
    t = np.arange(FRAMES) - onset
    course = np.where(t < 3, np.clip((t + 1) / 4, 0, 1), np.exp(-(t - 3) / 6))
    place = np.exp(-np.log(4) * (np.hypot(y - row, x - column) / 6) ** 3)
    return height * course[:, None, None] * place


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interleaved channels: one event is in both, two frames later in the second; one
    is in the first channel only.
    """
    rng = np.random.default_rng(4)
    first = 200 + flash(14, 14, 40, 120) + flash(34, 32, 80, 120)
    second = 200 + flash(14, 14, 42, 120)
    both = np.empty((2 * FRAMES, SIZE, SIZE))
    both[::2], both[1::2] = first, second
    path = tmp_path_factory.mktemp("movie") / "two.h5"
    known = Metadata(frame_rate=5.0, pixel_size=(0.5, 0.5))
    frames = rng.poisson(both).astype(np.uint16)
    with create_recording(
        path, "data/raw", frames.shape, frames.dtype, metadata=known
    ) as w:
        w.write(0, frames)
    return path


@pytest.fixture(scope="module")
def result(movie: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    settings = RunSettings.checked(
        channel=("ch0", "ch1"),
        conversion={"channels": 2, "loc_in": "data/raw", "offset": 0},
        motion={"enabled": False},
    )
    return run_recording(movie, tmp_path_factory.mktemp("run") / "out", settings)


def test_each_channel_has_its_events(result: RunResult) -> None:
    assert result.events_of == {"ch0": 2, "ch1": 1}
    assert result.events == 3
    assert "events of ch1: 1" in result.summary()
    assert len(Events(result.stores["ch1"])) == 1


def test_the_event_in_both_channels_is_a_coincidence(result: RunResult) -> None:
    pairs = pd.read_csv(result.directory / "coincidences.csv")
    assert pairs[["event_a", "event_b"]].to_numpy().tolist() == [[1, 1]]
    assert pairs["onset_lag_s"][0] == pytest.approx(2 / 5, abs=0.15)
    assert pairs["share_of_a"][0] > 0.4


def test_the_report_shows_both_channels(result: RunResult) -> None:
    page = (result.directory / "report.html").read_text(encoding="utf-8")
    for text in (
        "How large? (ch0)",
        "How large? (ch1)",
        "ch0 and ch1",
        'id="size-ch1"',
    ):
        assert text in page
    contents = read_contents(result.directory)
    assert [content.channel for content in contents] == ["ch0", "ch1"]


def test_a_run_of_several_channels_asks_which_events(result: RunResult) -> None:
    with pytest.raises(InvalidValueError, match=r"several channels.*ch1\.roi"):
        Events(result.directory)


@pytest.fixture(scope="module")
def long_movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """560 frames, of which suggest looks at 512; one event is before them."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE]
    # structure for the registration to hold on to
    tissue = 200 + 60 * np.sin(x / 3) * np.sin(y / 4 + x / 9)
    light = np.broadcast_to(tissue, (560, SIZE, SIZE)).copy()
    light[:FRAMES] += flash(14, 14, 5, 120)
    light[200 : 200 + FRAMES] += flash(34, 32, 40, 120)
    light[400 : 400 + FRAMES] += flash(20, 30, 40, 120)
    path = tmp_path_factory.mktemp("raw") / "long.npy"
    np.save(path, rng.poisson(light).astype(np.uint16))
    return path


def test_a_run_with_the_suggested_file_gives_what_suggest_showed(
    long_movie: Path, tmp_path: Path
) -> None:
    before = sorted(long_movie.parent.iterdir())
    found = preview(long_movie)
    file = tmp_path / "long.suggested.yaml"
    file.write_text(found.configuration(), encoding="utf-8")
    settings = read_configuration(file, [])
    assert settings == found.settings
    result = run_recording(long_movie, tmp_path / "run", settings)
    assert result.events == found.events == 2
    assert found.frames == (24, 536)
    assert sorted(long_movie.parent.iterdir()) == before
    assert len(Events(result.directory)) == 2
    # to the event: every row and every voxel
    pd.testing.assert_frame_equal(read_events(result.store), found.table)
    with open_event_map(result.store) as event_map:
        shown = (event_map.to_array() > 0).sum(axis=0)
    np.testing.assert_array_equal(shown, found.footprints)
    assert 100 < (found.footprints > 0).sum() < SIZE * SIZE
