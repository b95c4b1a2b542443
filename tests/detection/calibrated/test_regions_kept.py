"""Regions that cannot become events are left out early; the events are the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.detection.calibrated import candidates
from astrocast.detection.calibrated.segment import calibrated_events
from astrocast.io.memory import ArrayRecording


@pytest.fixture
def recording() -> ArrayRecording:
    """Noise, and 10 spots of 8 frames, some of which cross the ends of blocks."""
    rng = np.random.default_rng(8)
    movie = rng.normal(100, 6, (160, 40, 40)).astype(np.float32)
    y, x = np.mgrid[:40, :40]
    for t in range(4, 150, 15):
        row, column = rng.integers(8, 32, 2)
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 12)
        movie[t : t + 8] += 60 * spot.astype(np.float32)
    return ArrayRecording(movie)


def test_events_are_those_of_all_regions(
    recording: ArrayRecording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_BLOCK_VOXELS", 32 * 40 * 40)
    found = calibrated_events(recording)
    choose = candidates.regions_to_keep
    share = []

    def keep_all(
        runs: object, labels: object, count: int, *rest: object
    ) -> NDArray[np.bool_]:
        share.append((count, int(choose(runs, labels, count, *rest).sum())))
        return np.arange(count + 1) > 0

    monkeypatch.setattr(candidates, "regions_to_keep", keep_all)
    every = calibrated_events(recording)
    assert len(found) == len(every) >= 8
    for one, other in zip(found, every, strict=True):
        np.testing.assert_array_equal(one, other)
    total, kept = np.sum(share, axis=0)
    assert kept < total  # regions were left out


def test_a_region_at_the_end_of_a_block_stays() -> None:
    from astrocast.kernels.masks.runs import find_runs
    from astrocast.kernels.segmentation.labelling import label_runs

    rng = np.random.default_rng(1)
    volume = rng.random((6, 9, 9)) < 0.15
    height = rng.uniform(0, 6, volume.shape).astype(np.float32)
    runs = find_runs(volume)
    labels, count = label_runs(runs)
    kept = candidates.regions_to_keep(runs, labels, count, height[volume], 5.0)
    expected, n = ndimage.label(volume)
    ends = np.zeros(volume.shape, bool)
    ends[[0, -1]] = True
    wanted = {k for k in range(1, n + 1) if ((height >= 5) | ends)[expected == k].any()}
    assert kept.sum() == len(wanted)
