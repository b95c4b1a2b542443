"""Watching a recording while a pretended microscope writes it.

The clock moves only when the watcher sleeps. Each sleep lets the microscope write as
many frames as it records in that time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray

from astrocast.errors import AstrocastError, InvalidValueError, OutputError
from astrocast.io.growing.raw import RawLayout
from astrocast.io.stores.event_table import read_events
from astrocast.live import LiveSettings, Watcher
from astrocast.pipeline.settings import RunSettings
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import Simulator

RATE = 10.0


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    settings = SimulationSettings(
        snr=4.0, seed=3107, frames=320, rows=48, columns=48, events=14
    )
    return Simulator(settings)


@pytest.fixture(scope="module")
def movie(simulator) -> NDArray[Any]:
    found = np.asarray(simulator.movie(0, 320))
    return np.clip(found, 0, 65535).astype(np.uint16)


@dataclass
class Microscope:
    """Writes frames as time passes.

    ``write``: called with (first frame, frames) for those that are due.
    """

    movie: NDArray[Any]
    write: Callable[[int, NDArray[Any]], None]
    rate: float = RATE
    now: float = 0.0
    written: int = 0
    #: called at each sleep, with the time
    at_sleep: list[Callable[[float], None]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = min(len(self.movie), int(self.now * self.rate))
        if due > self.written:
            self.write(self.written, self.movie[self.written : due])
            self.written = due
        for act in self.at_sleep:
            act(self.now)


def write_folder(folder: Path) -> Callable[[int, NDArray[Any]], None]:
    folder.mkdir(exist_ok=True)

    def write(first: int, frames: NDArray[Any]) -> None:
        for t, frame in enumerate(frames, start=first):
            tifffile.imwrite(folder / f"img_{t:05d}.tif", frame)

    return write


def write_raw(path: Path) -> Callable[[int, NDArray[Any]], None]:
    def write(first: int, frames: NDArray[Any]) -> None:
        with path.open("ab") as file:
            file.write(frames.tobytes())

    return write


LIVE = LiveSettings(learn=128, window=256, idle=3.0, frame_memory=16)


def make(path, movie, write, settings=None, live=LIVE, **options):
    microscope = Microscope(movie, write)
    settings = settings or RunSettings(frame_rate=RATE)
    watcher = Watcher(
        path,
        path.with_suffix(".out"),
        settings,
        live,
        clock=microscope.clock,
        sleep=microscope.sleep,
        **options,
    )
    return watcher, microscope


@pytest.fixture(scope="module")
def watched(movie, tmp_path_factory):
    """A raw file that was watched to its end, with the events of the callback."""
    path = tmp_path_factory.mktemp("raw") / "movie.raw"
    watcher, microscope = make(
        path, movie, write_raw(path), raw=RawLayout(48, 48, "<u2")
    )
    heard, tables = [], []

    def hear(event):
        heard.append((microscope.now, microscope.written, event))
        text = (watcher.directory / "live" / "events.csv").read_text(encoding="utf-8")
        tables.append(text.count("\n") - 1)

    return watcher.run(hear), heard, tables


def test_live_and_full_analysis_agree(watched):
    result, heard, _ = watched
    assert result.agreement["f1"] >= 0.95
    assert result.agreement["live"] == len(heard) == result.state.events >= 8
    stored = json.loads((result.live / "agreement.json").read_text(encoding="utf-8"))
    assert stored == result.agreement


def test_events_are_reported_soon_after_their_end(watched):
    _, heard, _ = watched
    # those in the frames that are learned from wait until these are there
    later = [e for now, _, e in heard if e.stop / RATE > LIVE.learn / RATE]
    assert len(later) >= 4
    assert max(e.latency for e in later) <= 2.0
    # no event is reported before its last frame is written
    assert all(event.stop <= written for _, written, event in heard)


def test_rows_are_in_the_table_before_the_next_events_come(watched):
    _, heard, tables = watched
    # a batch is measured after all its callbacks
    assert tables == sorted(tables)
    assert tables[-1] >= len(heard) - 4


def test_live_table_has_the_columns_of_the_full_one(watched):
    result, _, _ = watched
    live = pd.read_csv(result.live / "events.csv")
    full = pd.read_csv(result.full.store / "events.csv")
    assert list(live.columns) == list(full.columns)
    assert len(live) == result.state.events
    # of the same events, the numbers are nearly the same
    pairs = live.merge(full, on="z0", suffixes=("", "_full"))
    pairs = pairs[(pairs["x0"] - pairs["x0_full"]).abs() <= 2]
    assert len(pairs) >= 5
    for name in ("v_area", "peak_df", "f0", "x_px", "y_px"):
        np.testing.assert_allclose(
            pairs[name].median(), pairs[f"{name}_full"].median(), rtol=0.15
        )
    stored = read_events(result.live, ["mask", "trace", "z0", "z1"])
    assert all(
        len(t) == b - a
        for t, a, b in zip(stored["trace"], stored["z0"], stored["z1"], strict=True)
    )


def test_state_says_how_it_went(watched):
    result, _, _ = watched
    state = json.loads((result.live / "state.json").read_text(encoding="utf-8"))
    assert state["status"] == "complete"
    assert state["frames"] == state["done"] == 320
    assert sum(state["rates"]) == state["events"]
    assert state["skipped"] == []
    assert "F1" in result.summary()
    json.dumps(result.values())


def test_table_of_bad_frames_is_that_of_a_recording(movie, tmp_path):
    broken = movie.copy()
    broken[200] = 0
    path = tmp_path / "movie.raw"
    live = LIVE.model_copy(update={"analyse": False})
    watcher, _ = make(
        path, broken, write_raw(path), live=live, raw=RawLayout(48, 48, "<u2")
    )
    result = watcher.run()
    text = (result.live / "frames.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0].endswith(": 320")
    assert any(line.startswith("200,black") for line in text.splitlines())


def test_a_second_watcher_is_refused(movie, tmp_path):
    path = tmp_path / "stack"
    live = LIVE.model_copy(update={"analyse": False})
    watcher, microscope = make(path, movie[:140], write_folder(path), live=live)
    refused = []

    def try_another(now):
        if not refused:
            other, _ = make(path, movie, write_folder(path), live=live)
            with pytest.raises(OutputError, match="another process"):
                other.run()
            refused.append(now)

    microscope.at_sleep.append(try_another)
    watcher.run()
    assert refused


def test_a_killed_watch_begins_anew(movie, tmp_path):
    path = tmp_path / "movie.raw"
    live = LIVE.model_copy(update={"analyse": False})
    watcher, microscope = make(
        path, movie, write_raw(path), live=live, raw=RawLayout(48, 48, "<u2")
    )

    def die(now):
        if microscope.written > 250:
            raise RuntimeError("killed")

    microscope.at_sleep.append(die)
    with pytest.raises(RuntimeError, match="killed"):
        watcher.run()
    first = pd.read_csv(watcher.directory / "live" / "events.csv")
    assert len(first)
    assert not (watcher.directory / "live" / "events.parquet").exists()
    microscope.at_sleep.clear()
    again = Watcher(
        path,
        watcher.directory,
        RunSettings(frame_rate=RATE),
        live,
        raw=RawLayout(48, 48, "<u2"),
        clock=microscope.clock,
        sleep=microscope.sleep,
    )
    result = again.run()
    table = pd.read_csv(result.live / "events.csv")
    assert len(table) >= len(first)
    assert table["event_id"].is_unique
    boxes = table[["z0", "x0", "y0"]]
    assert not boxes.duplicated().any()


def test_a_stop_file_ends_the_watch(movie, tmp_path):
    path = tmp_path / "movie.raw"
    live = LIVE.model_copy(update={"analyse": False, "idle": 1e6})
    watcher, microscope = make(
        path, movie, write_raw(path), live=live, raw=RawLayout(48, 48, "<u2")
    )

    def stop(now):
        if microscope.written > 150:
            (watcher.directory / "live" / "stop").touch()

    microscope.at_sleep.append(stop)
    result = watcher.run()
    assert 150 < result.state.frames < 320
    assert result.state.done == result.state.frames


def test_frames_are_left_out_when_it_falls_behind(movie, tmp_path, caplog):
    path = tmp_path / "movie.raw"
    live = LIVE.model_copy(update={"analyse": False, "most_behind": 5.0})
    watcher, microscope = make(
        path, movie, write_raw(path), live=live, raw=RawLayout(48, 48, "<u2")
    )

    def stall(now):
        # the computer was busy for 9 seconds
        if microscope.written == 200:
            microscope.now += 9

    microscope.at_sleep.append(stall)
    result = watcher.run()
    assert len(result.state.skipped) == 1
    first, stop = result.state.skipped[0]
    assert first == 200
    assert 280 <= stop < 300
    assert result.state.done == 320
    text = (result.live / "frames.csv").read_text(encoding="utf-8")
    assert text.count("too slow") == stop - first
    message = f"it skips frames {first} to {stop - 1}"
    assert message in caplog.text
    stored = json.loads((result.live / "state.json").read_text(encoding="utf-8"))
    assert stored["skipped"] == [[first, stop]]
    assert any(message in said for said in stored["messages"])
    assert "skipped" in result.summary()


def test_settings_that_cannot_be_followed_are_refused(tmp_path):
    settings = RunSettings.checked(frame_rate=10.0, conversion={"rescale": 0.5})
    with pytest.raises(InvalidValueError, match=r"conversion\.rescale"):
        Watcher(tmp_path / "a.tif", tmp_path / "out", settings).run()
    assert not (tmp_path / "out").exists()


def test_an_output_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(AstrocastError, match="not the output of a run"):
        Watcher(tmp_path / "a.tif", tmp_path).run()


def test_a_recording_without_a_frame_rate_is_refused(movie, tmp_path):
    path = tmp_path / "movie.raw"
    watcher, _ = make(
        path, movie, write_raw(path), settings=RunSettings(), raw=RawLayout(48, 48)
    )
    with pytest.raises(InvalidValueError, match="--frame-rate"):
        watcher.run()


def test_an_error_of_the_callback_ends_the_watch(movie, tmp_path):
    path = tmp_path / "movie.raw"
    watcher, _ = make(path, movie, write_raw(path), raw=RawLayout(48, 48))

    def fail(event):
        raise ValueError("the laser does not answer")

    with pytest.raises(ValueError, match="the laser"):
        watcher.run(fail)
