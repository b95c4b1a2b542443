"""Hills, which of them are one event, and how far an event reaches."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from astrocast.kernels.calibrated.extent import (
    event_extents,
    laplacian,
    peak_height,
    sharpness_of,
)
from astrocast.kernels.segmentation.merge_hills import join_hills
from astrocast.kernels.segmentation.watershed import find_hills

SHAPE = (16, 32, 40)


def hills_of(
    volume: np.ndarray, prominence: float = 2.0, noise: float = 0.02, foot: float = 0.1
):
    voxels = np.flatnonzero(volume > 0.05).astype(np.int64)
    values = volume.ravel()[voxels].astype(np.float32)
    spread = np.full(len(values), noise, np.float32)
    hills = find_hills(voxels, values, spread, volume.shape, prominence, foot)
    return voxels, values, spread, hills


def extent_of(
    volume: np.ndarray, inside: np.ndarray, share: float, height: float = 0.0
) -> np.ndarray:
    """Return the extent of one event, bool, among the voxels ``inside``."""
    voxels = np.flatnonzero(inside)
    values = volume.ravel()[voxels].astype(np.float32)
    found = event_extents(
        voxels,
        (values, laplacian(voxels, values, volume.shape)),
        (np.arange(len(voxels)), np.array([0, len(voxels)])),
        sharpness_of(np.array([height])),
        share,
        volume.shape,
    )
    out = np.zeros(volume.shape, bool)
    out.ravel()[found.voxels] = True
    assert np.all(np.diff(found.voxels) > 0)
    return out


def events_of(volume: np.ndarray) -> np.ndarray:
    voxels, values, spread, hills = hills_of(volume)
    event = join_hills(hills, values, spread, (0.04, 0.2), (0.5, 4.5))
    out = np.zeros(volume.shape, np.int32)
    out.ravel()[voxels] = event[hills.hill]
    return out


def blob(
    t: float, y: float, x: float, long: float = 3.0, wide: float = 4.0
) -> np.ndarray:
    z, r, c = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return np.exp(
        -((z - t) ** 2) / (2 * long**2) - ((r - y) ** 2 + (c - x) ** 2) / (2 * wide**2)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_every_strict_local_maximum_is_a_hill_when_nothing_is_a_bump(seed: int) -> None:
    """With prominence 0 the hills are the watershed's catchments: one per local
    maximum, each connected.
    """
    volume = np.random.default_rng(seed).permutation(5 * 6 * 7).reshape(5, 6, 7) + 1.0
    voxels, values, _, hills = hills_of(volume, prominence=0.0, foot=0.0)
    cross = ndimage.generate_binary_structure(3, 1)
    summits = np.flatnonzero(ndimage.maximum_filter(volume, footprint=cross) == volume)
    np.testing.assert_array_equal(np.sort(voxels[hills.summit]), summits)
    labels = np.zeros(volume.shape, int)
    labels.ravel()[voxels] = hills.hill
    assert labels.min() > 0
    assert all(ndimage.label(labels == n)[1] == 1 for n in range(1, labels.max() + 1))
    # hills are numbered from the highest summit down
    assert np.all(np.diff(values[hills.summit]) < 0)


def test_a_bump_of_noise_is_no_hill() -> None:
    volume = blob(8, 16, 20) + np.random.default_rng(0).normal(0, 0.01, SHAPE)
    voxels, _, _, hills = hills_of(volume, prominence=6.0, noise=0.01)
    assert set(hills.hill[volume.ravel()[voxels] > 0.3]) == {1}
    _, _, _, bumps = hills_of(volume, prominence=0.0, noise=0.01)
    assert len(bumps.summit) > len(hills.summit) + 3


def test_two_sources_that_meet_are_two_events() -> None:
    found = events_of(np.maximum(blob(8, 16, 13), 0.8 * blob(9, 16, 26)))
    assert len(np.unique(found[found > 0])) == 2
    assert found[8, 16, 13] != found[9, 16, 26]


def test_an_event_that_travels_is_one() -> None:
    z, r, c = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    moving = (
        np.exp(-((r - 16) ** 2 + (c - 8 - 1.5 * z) ** 2) / 32)
        * np.clip(z / 3, 0, 1)
        * np.clip((15 - z) / 3, 0, 1)
    )
    noisy = (
        moving
        + ndimage.gaussian_filter(np.random.default_rng(1).normal(size=SHAPE), 1.5)
        * 0.25
    )
    found = events_of(noisy)
    assert len(np.unique(found[moving > 0.5])) == 1


def test_bumps_in_the_long_tail_of_an_event_are_no_events() -> None:
    """The tail lies far below the foot and far above the noise; its only summits are
    bumps of noise.
    """
    z, r, c = np.mgrid[:60, :20, :24]
    tail = 100 * np.exp(-z / 12) * np.exp(-((r - 10) ** 2 + (c - 12) ** 2) / 60)
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.normal(size=z.shape), 1.5)
    noisy = tail + noise / noise.std()
    assert (noisy[30:50, 10, 12] > 0.5).all()
    later = noisy + 25 * np.exp(
        -((z - 50) ** 2) / 18 - ((r - 10) ** 2 + (c - 12) ** 2) / 30
    )
    for volume, count in ((noisy, 1), (later, 2)):
        voxels = np.flatnonzero(volume > 2.5).astype(np.int64)
        values = volume.ravel()[voxels].astype(np.float32)
        spread = np.ones(len(values), np.float32)
        hills = find_hills(voxels, values, spread, volume.shape, 2.0, 0.12)
        event = join_hills(hills, values, spread, (0.04, 0.2), (0.5, 4.5))[hills.hill]
        high = [
            n for n in np.unique(event[event > 0]) if values[event == n].max() > 5.5
        ]
        assert len(high) == count


def test_neighbours_do_not_reach_around_the_edge_of_the_frame() -> None:
    volume = np.zeros((1, 4, 6))
    volume[0, 1, 5], volume[0, 2, 0] = 1.0, 0.9
    assert len(hills_of(volume, prominence=0.0)[3].summit) == 2


def test_the_extent_is_the_largest_part_above_the_share_without_holes() -> None:
    volume = blob(8, 16, 20)
    volume[8, 16, 22] = 0  # a hole
    volume[2, 2, 2] = 0.9  # apart
    inside = extent_of(volume, volume >= 0.1, 0.25)
    assert inside[8, 16, 22]
    assert not inside[2, 2, 2]
    truth = blob(8, 16, 20) >= 0.25
    # the peak is a mean of the highest voxels, so the share is of a little less than
    # the summit
    assert (inside & truth).sum() / (inside | truth).sum() > 0.85


def test_the_laplacian_is_that_of_scipy_where_all_neighbours_are_known() -> None:
    volume = np.random.default_rng(4).normal(size=(7, 8, 9)).astype(np.float32)
    found = laplacian(np.arange(volume.size), volume.ravel(), volume.shape).reshape(
        volume.shape
    )
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(found[inner], ndimage.laplace(volume)[inner], atol=1e-5)
    some = np.flatnonzero(np.random.default_rng(5).random(volume.size) < 0.6)
    known = np.zeros(volume.size, bool)
    known[some] = True
    whole = ndimage.minimum_filter(
        known.reshape(volume.shape), footprint=ndimage.generate_binary_structure(3, 1)
    )
    sparse = laplacian(some, volume.ravel()[some], volume.shape)
    at = whole.ravel()[some] & np.isin(
        some, np.flatnonzero(np.pad(np.ones((5, 6, 7), bool), 1))
    )
    assert at.sum() > 5
    np.testing.assert_allclose(
        sparse[at], ndimage.laplace(volume).ravel()[some[at]], atol=1e-5
    )


def test_the_extent_of_a_high_event_is_told_more_exactly() -> None:
    """A spot that rises at once, travels and decays: smoothed, it begins too early and
    is too wide.
    """
    z, r, c = np.mgrid[:40, :40, :40]
    spot = np.exp(-((r - 20) ** 2 + (c - 8 - z / 2) ** 2) / 18)
    clean = np.where(z >= 12, spot * np.exp(-np.maximum(z - 12, 0) / 6), 0)
    truth = clean >= 0.25
    smooth = ndimage.gaussian_filter(clean, 1.5).astype(np.float32)

    def overlap(height: float) -> float:
        inside = extent_of(smooth, smooth > 0.02, 0.3, height)
        return float((inside & truth).sum() / (inside | truth).sum())

    assert overlap(100) > overlap(50) > overlap(10) + 0.01
    assert overlap(20) == overlap(10)


def test_holes_are_those_that_scipy_fills() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        volume = rng.random((6, 9, 8)) < 0.75
        found = extent_of(volume.astype(np.float32), np.ones_like(volume), 0.5)
        regions, _ = ndimage.label(volume, np.ones((3, 3, 3)))
        largest = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
        np.testing.assert_array_equal(found, ndimage.binary_fill_holes(largest))


def test_the_peak_is_the_mean_of_the_highest_values() -> None:
    values = np.random.default_rng(0).permutation(1000).astype(np.float32)
    assert peak_height(values) == np.arange(980, 1000).mean()
    assert peak_height(values[:5]) == values[:5].mean()


def test_a_hill_in_the_tail_of_another_is_compared_with_it() -> None:
    """The third value is below the foot of the first; the fifth rises 2 above the place
    where the two meet.
    """
    line = np.array([100, 60, 10, 7, 9, 7, 6], np.float32)
    found = find_hills(np.arange(7), line, np.ones(7, np.float32), (1, 1, 7), 1.0, 0.12)
    assert found.hill.tolist() == [1, 1, 0, 2, 2, 2, 2]
    assert found.basin.tolist() == [1, 1, 1, 2, 2, 2, 2]
    # they touch only below the first one's foot
    assert found.links.tolist() == [[2, 3]]
    bump = find_hills(np.arange(7), line, np.ones(7, np.float32), (1, 1, 7), 3.0, 0.12)
    assert len(bump.summit) == 1
