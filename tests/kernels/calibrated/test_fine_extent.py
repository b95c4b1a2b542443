"""Extents of small events are those before smoothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.calibrated.extent import Extents, event_extents
from astrocast.kernels.calibrated.fine_extent import fine_extents

SHAPE = (40, 26, 26)
SHARE, SIGMA = 0.3, 1.5


def small_event(radius: float) -> np.ndarray:
    """An event that stays in place: a disc with a soft edge, a rise and a decay."""
    row, column = np.indices(SHAPE[1:])
    disc = np.hypot(row - 12.6, column - 12.3) < radius
    footprint = ndimage.gaussian_filter(disc.astype(float), 0.5)
    t = np.arange(SHAPE[0]) - 12.0
    rise, decay = np.clip(t / 3, 0, 1), np.exp(-np.maximum(t - 6, 0) / 5)
    course = rise * decay
    return course[:, None, None] * footprint / footprint.max()


def extents_of(event: np.ndarray, snr: float, seed: int) -> tuple[Extents, Extents]:
    """Return the extents before and after they are refined."""
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    single = (event + noise / snr).astype(np.float32)
    smooth = ndimage.gaussian_filter(single, SIGMA)
    at = np.arange(single.size)
    # a hill is what lies above the noise
    hill = np.flatnonzero(smooth.ravel() > 1.5 * 0.08 / snr)
    members = (np.arange(len(hill)), np.array([0, len(hill)]))
    value = smooth.ravel()[hill]
    signal = (value, np.zeros_like(value))
    zero = np.zeros(1, np.float32)
    first = event_extents(at[hill], signal, members, zero, SHARE, SHAPE)
    before = (single.ravel()[hill], np.full(len(hill), 1 / snr, np.float32))
    every = np.ones(1, np.bool_)
    share = 0.83 * SHARE
    return first, fine_extents(at[hill], before, members, first, every, share, SHAPE)


def area(voxels: np.ndarray) -> int:
    return len(np.unique(voxels % (SHAPE[1] * SHAPE[2])))


@pytest.mark.parametrize("snr", [1.5, 8.0])
@pytest.mark.parametrize("radius", [2.2, 3.2])
def test_small_events_have_their_true_extent(radius: float, snr: float) -> None:
    event = small_event(radius)
    true = np.flatnonzero(event.ravel() >= 0.25)
    ratios, overlaps, wide = [], [], []
    for seed in range(16):
        first, found = extents_of(event, snr, seed)
        own = found.of(0)
        ratios.append(area(own) / area(true))
        wide.append(area(first.of(0)) / area(true))
        overlaps.append(len(np.intersect1d(own, true)) / len(np.union1d(own, true)))
    assert np.median(wide) > 1.35
    assert 0.7 < np.median(ratios) < 1.35
    assert np.median(overlaps) > 0.55
