"""Bad frames that motion correction found make no events and hide none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astrocast.detection import Detector
from astrocast.detection.calibrated.bad_frames import (
    LONGEST_GAP,
    InterpolatedRecording,
    interpolate_bad_frames,
)
from astrocast.io import create_recording, open_recording
from astrocast.io.stores.event_map import open_event_map
from astrocast.io.stores.registration_store import (
    Registration,
    registration_path,
    write_registration,
)
from astrocast.simulation import Simulation, SimulationSettings, score, simulate


@pytest.fixture(scope="module")
def made() -> Simulation:
    return simulate(
        SimulationSettings(
            seed=11, frames=160, rows=72, columns=72, events=6, snr=4.0, motion=0.0
        )
    )


def found_in(folder: Path, movie: np.ndarray, bad: np.ndarray | None) -> np.ndarray:
    path = folder / "movie.h5"
    with create_recording(path, "mc/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    if bad is not None:
        shifts, template = (
            np.zeros((len(movie), 2), np.float32),
            movie.mean(0, dtype=np.float32),
        )
        known = Registration(
            shifts, template, {"bad_frame": bad}, (0, 0, 0, 0), None, {}
        )
        write_registration(registration_path(path, "mc/ch0"), known)
    with open_event_map(Detector(path).run("mc/ch0", method="calibrated")) as events:
        return events.to_array()


def test_dropped_frames_make_no_events_and_cut_none(
    tmp_path: Path, made: Simulation
) -> None:
    bad = np.zeros(len(made.movie), bool)
    onset, end = (
        int(f(np.flatnonzero((made.labels == 1).any(axis=(1, 2)))))
        for f in (np.min, np.max)
    )
    bad[[(onset + end) // 2, 60, 61, 100]] = True
    dropped = np.where(bad[:, None, None], 0, made.movie)
    folders = [tmp_path / name for name in ("whole", "told", "untold")]
    for folder in folders:
        folder.mkdir()
    whole, told = (
        found_in(folders[0], made.movie, None),
        found_in(folders[1], dropped, bad),
    )
    untold = found_in(folders[2], dropped, None)
    assert score(made.labels, whole).f1 == 1
    assert score(made.labels, told).f1 == 1
    assert told.max() == whole.max()
    # without a table of bad frames the detector finds them by itself
    assert score(made.labels, untold).f1 == 1


def test_nothing_is_told_of_a_long_gap(tmp_path: Path, made: Simulation) -> None:
    bad = np.zeros(len(made.movie), bool)
    bad[50 : 50 + LONGEST_GAP + 1] = True
    found = found_in(
        tmp_path, np.where(bad[:, None, None], 65535, made.movie).astype(np.uint16), bad
    )
    assert not found[bad].any()
    assert found[~bad].any()


def test_bad_frames_lie_between_their_neighbours_in_whatever_blocks() -> None:
    movie = np.arange(12, dtype=np.uint16)[:, None, None] * np.ones(
        (1, 3, 4), np.uint16
    )
    bad = np.isin(np.arange(12), [0, 3, 4, 11])
    recording = InterpolatedRecording(
        open_recording(np.where(bad[:, None, None], 999, movie)), bad
    )
    whole = recording.to_array()
    assert whole.dtype == np.float32
    assert whole[:, 0, 0].tolist() == [1, 1, *range(2, 11), 10]
    for start in range(12):
        for stop in range(start + 1, 13):
            np.testing.assert_array_equal(
                recording.read(start, stop), whole[start:stop]
            )
    np.testing.assert_array_equal(
        recording.read(2, 5, slice(1, 2), slice(0, 3)), whole[2:5, 1:2, :3]
    )


@pytest.mark.parametrize("bad", [None, np.zeros(8, bool), np.arange(8) < 3])
def test_what_cannot_be_is_not_mended(bad: np.ndarray | None) -> None:
    recording = open_recording(np.zeros((8, 4, 4), np.uint8))
    assert interpolate_bad_frames(recording, bad) == (recording, None)


#: name -> gain of the light of each frame (None: no light), frames
ALONE = {
    "eight frames a quarter brighter": (1.25, [10, 30, 50, 70, 84, 100, 110, 140]),
    "laser off for 14 frames": (None, [*range(72, 86)]),
    "twenty frames brighter": (1.25, [*range(66, 86)]),
}


@pytest.mark.parametrize("name", ALONE)
def test_the_detector_alone_finds_bad_frames(tmp_path: Path, name: str) -> None:
    """A raw file without a table of bad frames: four of four events, none false."""
    rng, size, t = np.random.default_rng(0), 64, np.arange(160)
    y, x = np.mgrid[:size, :size]
    still = 400 * (1 + 0.25 * np.sin(x / 5) * np.cos(y / 7)) + rng.normal(
        0, 15, y.shape
    )
    light, labels = np.repeat(still[None], len(t), 0), np.zeros((160, size, size), int)
    events = ((25, 16, 16), (60, 44, 20), (90, 20, 46), (120, 46, 46))
    for number, (peak, row, column) in enumerate(events, 1):
        rise, fall = np.exp(-((t - peak) ** 2) / 4), np.exp((peak - t) / 6)
        course = np.where(t < peak, rise, fall)[:, None, None]
        event = course * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 32)
        light += 300 * event
        labels[event > 0.3] = number
    movie = light + rng.normal(0, 12, light.shape)
    gain, frames = ALONE[name]
    if gain is None:
        movie[frames] = rng.normal(20, 4, (len(frames), size, size))
    else:
        movie[frames] *= gain
    found = found_in(tmp_path, np.rint(movie).astype(np.uint16), None)
    result = score(labels, found)
    assert (result.recall, result.precision) == (1, 1)
