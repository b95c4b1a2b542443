"""What is left of an event behind frames that are left out is not another event."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.detection.calibrated.gaps import GapRemainders
from astrocast.detection.calibrated.segment import calibrated_labels
from astrocast.io import open_recording

PIXELS = 100


def voxels(frames: range, pixels: range) -> np.ndarray:
    return np.array([t * PIXELS + p for t in frames for p in pixels])


@pytest.mark.parametrize(
    ("frames", "pixels", "peak", "expected"),
    [
        (range(40, 45), range(10, 20), 20.0, True),
        (range(40, 45), range(10, 20), 80.0, False),  # as high: another event
        (range(40, 45), range(60, 70), 20.0, False),  # elsewhere
        (range(48, 55), range(10, 20), 20.0, False),  # begins in plain sight
        (range(41, 44), range(15, 25), 20.0, True),  # half of it is where the event was
    ],
)
def test_what_is_left_behind_a_gap(
    frames: range, pixels: range, peak: float, expected: bool
) -> None:
    unknown = np.zeros(80, bool)
    unknown[32:40] = True
    gaps = GapRemainders(unknown, PIXELS)
    assert not gaps.is_remainder(voxels(range(20, 30), range(10, 20)), 100.0)
    assert gaps.is_remainder(voxels(frames, pixels), peak) is expected


def test_an_event_long_before_the_gap_leaves_nothing() -> None:
    unknown = np.zeros(80, bool)
    unknown[32:40] = True
    gaps = GapRemainders(unknown, PIXELS)
    gaps.is_remainder(voxels(range(5, 12), range(10, 20)), 100.0)
    assert not gaps.is_remainder(voxels(range(40, 45), range(10, 20)), 20.0)


def test_a_flash_within_the_decay_of_an_event() -> None:
    """8 frames are brighter by 10 %; the event decays from before to after them."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:48, :48]
    tissue = 400 * (1 + 0.25 * np.sin(x / 5) * np.cos(y / 7))
    t = np.arange(110)
    course = np.where(t < 50, np.exp(-((t - 50) ** 2) / 4.0), np.exp(-(t - 50) / 10.0))
    spot = np.exp(-((y - 24) ** 2 + (x - 20) ** 2) / 32)
    movie = tissue + 300 * course[:, None, None] * spot
    movie += rng.normal(0, 10, movie.shape)
    movie[62:70] *= 1.1
    frames = np.rint(movie).astype(np.uint16)
    labels, confidence = calibrated_labels(open_recording(frames))
    assert len(confidence) == 1
    assert labels[50, 24, 20] == 1
