"""Detection of frames as they arrive, compared with that of the whole recording."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.detection.calibrated.segment import calibrated_events
from astrocast.io.memory import ArrayRecording
from astrocast.live.detector import LiveDetector
from astrocast.live.latest_frames import LatestFrames
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.live import LiveSettings
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import Simulator
from astrocast.simulation.scoring import score

FRAMES = 450


@pytest.fixture(scope="module")
def movie():
    settings = SimulationSettings(
        snr=2.0, seed=3120, frames=FRAMES, rows=48, columns=48, events=16
    )
    return np.asarray(Simulator(settings).movie(0, FRAMES)).astype(np.float32)


def detect(movie, size, bad=None, memory=16):
    live = LiveSettings(learn=128, window=256, refresh=64, frame_memory=memory)
    detector = LiveDetector(movie.shape[1:], 4, 5, CalibratedSettings(), live, None)
    bad = np.zeros(len(movie), np.bool_) if bad is None else bad
    found, when = [], []
    for a in range(0, len(movie), size):
        new = detector.push(movie[a : a + size], bad[a : a + size])
        found += new
        when += [detector.received] * len(new)
    new = detector.finish()
    detector.close()
    return found + new, when + [detector.received] * len(new)


def voxels(found):
    return [e.layers.voxels for e in found]


def test_live_and_whole_detection_agree(movie):
    whole = calibrated_events(ArrayRecording(movie))
    found, _ = detect(movie, 10)
    assert score(whole, voxels(found)).f1 >= 0.9


def test_events_do_not_depend_on_how_many_frames_come_at_a_time(movie):
    one, _ = detect(movie, 7)
    other, _ = detect(movie, 64)
    assert len(one) == len(other) > 8
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.layers.voxels, b.layers.voxels)
        assert (a.height, a.peak, a.kind) == (b.height, b.peak, b.kind)


def test_no_event_is_reported_twice_or_before_its_end(movie):
    found, when = detect(movie, 4)
    at = voxels(found)
    for number, (event, seen) in enumerate(zip(at, when, strict=True)):
        assert event[-1] // 48**2 < seen
        for other in at[:number]:
            shared = len(np.intersect1d(event, other, assume_unique=True))
            assert shared <= 0.3 * min(len(event), len(other))


def test_nothing_is_found_in_a_long_run_of_bad_frames(movie):
    bad = np.zeros(FRAMES, np.bool_)
    bad[300:340] = True
    held = movie.copy()
    held[300:340] = movie[299]
    found, _ = detect(held, 16, bad)
    frames = np.unique(np.concatenate(voxels(found)) // 48**2)
    assert not np.isin(np.arange(304, 340), frames).any()


def test_an_event_without_end_is_cut_at_the_frames_in_memory(movie):
    lit = np.concatenate([movie, movie[::-1], movie])[:900].copy()
    # from frame 400 on something is bright for ever
    lit[400:, 20:26, 20:26] += 60 * movie.std()
    live = LiveSettings(learn=128, window=4096, refresh=4096, frame_memory=16)
    detector = LiveDetector((48, 48), 4, 5, CalibratedSettings(), live, None)
    detector.latest = LatestFrames((48, 48), 1)  # 256 frames
    detector.noise.frames = detector.latest
    found = detector.push(lit, np.zeros(len(lit), np.bool_)) + detector.finish()
    detector.close()
    assert detector.cut >= 1
    longest = max(int(np.ptp(v // 48**2)) for v in voxels(found))
    assert longest <= 256
    assert len(detector.open.at) == 0


def test_latest_frames_are_a_window():
    frames = np.random.default_rng(0).random((900, 3, 4)).astype(np.float32)
    latest = LatestFrames((3, 4), 1)
    assert latest.keep == 256
    for a in range(0, 900, 70):
        latest.add(frames[a : a + 70])
        first = latest.first
        np.testing.assert_array_equal(
            latest.read(first, latest.stop), frames[first : latest.stop]
        )
    assert (latest.first, latest.stop) == (644, 900)
    view = latest.view(600, 900)
    assert view.shape == (300, 3, 4)
    np.testing.assert_array_equal(view.read(50, 60), frames[650:660])
    with pytest.raises(IndexError, match="contains 644:900"):
        latest.read(643, 650)
    latest.jump(2000)
    assert (latest.first, latest.stop) == (2000, 2000)
