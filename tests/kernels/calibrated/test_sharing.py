"""Overlap of two events, each a footprint times a time course, with a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.calibrated.overlap import (
    SharedVoxels,
    give_back,
    layer_events,
    shared_voxels,
)
from astrocast.kernels.segmentation.merge_hills import join_hills
from astrocast.kernels.segmentation.watershed import find_hills

SHAPE = (30, 20, 32)
LEVEL = 0.3


def event(
    onset: float,
    column: float,
    decay: float = 5.0,
    wide: float = 4.0,
    height: float = 1.0,
) -> np.ndarray:
    """An event that rises in three frames and decays exponentially, at rest, (frame,
    row, column).
    """
    t, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    course = np.clip((t - onset) / 3, 0, 1) * np.exp(
        -np.maximum(t - onset - 3, 0) / decay
    )
    return (
        height * course * np.exp(-((y - 10) ** 2 + (x - column) ** 2) / (2 * wide**2))
    )


def travelling(onset: float, column: float) -> np.ndarray:
    t, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    centre = column + 1.2 * (t - onset)
    return np.exp(-((y - 10) ** 2 + (x - centre) ** 2) / 18) * (
        (t >= onset) & (t < onset + 14)
    )


def share(
    events: list[np.ndarray], noise: float = 0.01
) -> tuple[list[np.ndarray], dict[int, SharedVoxels], list[np.ndarray]]:
    """Return the exclusive extents, what is shared, and the truth: each event's voxels
    above the level.

    The hills of the sum are the basins, and there are as many events as there should
    be, in the order given."""
    truth = np.stack(events)
    seen = (
        truth.sum(axis=0) + np.random.default_rng(0).normal(0, noise, SHAPE)
    ).astype(np.float32)
    voxels = np.flatnonzero(seen > 3 * noise)
    values, spread = seen.ravel()[voxels], np.full(len(voxels), noise, np.float32)
    hills = find_hills(voxels, values, spread, SHAPE, 8.0, 0.12)
    event = join_hills(hills, values, spread, (0.04, 0.2), (0.5, 4.5))[hills.hill]
    named = [int(event[np.searchsorted(voxels, e.argmax())]) for e in events]
    assert 0 not in named
    assert len(set(named)) == len(events)
    owner = np.zeros(len(voxels), np.int32)
    for n, name in enumerate(named, 1):
        owner[event == name] = n
    levels = {n: LEVEL * float(e.max()) for n, e in enumerate(events, 1)}
    extents = {
        n: voxels[(owner == n) & (values >= level)] for n, level in levels.items()
    }
    found = shared_voxels(
        voxels, values, spread, owner, extents, levels, owner[hills.links], SHAPE
    )
    return (
        [*extents.values()],
        found,
        [np.flatnonzero(e >= LEVEL * e.max()) for e in events],
    )


def volume(voxels: np.ndarray) -> np.ndarray:
    out = np.zeros(SHAPE, bool)
    out.ravel()[voxels] = True
    return out


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return len(np.intersect1d(a, b)) / len(np.union1d(a, b))


#: two events, and how well the first and the second are known at least, whose exclusive
#: extents overlap the truth less
PAIRS = {
    "beside and later": ([event(3, 11, decay=8), event(9, 19, height=1.5)], 0.65, 0.9),
    "in the tail of the first": (
        [event(3, 15, decay=10), event(15, 17, height=1.5)],
        0.9,
        0.93,
    ),
    "half over the first": ([event(3, 12, decay=10), event(12, 18)], 0.78, 0.9),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_what_is_hidden_below_a_neighbour_is_recovered(pair: str) -> None:
    events, before, after = PAIRS[pair]
    (first, _), found, truth = share(events)
    assert overlap(first, truth[0]) < before
    reached = found[1].voxels[found[1].reached]
    assert overlap(np.union1d(first, reached), truth[0]) > after
    assert np.isin(reached, truth[0]).mean() > 0.95
    model = events[0].ravel()[found[1].voxels]
    assert np.median(np.abs(found[1].model / model - 1)) < 0.15


@pytest.mark.parametrize("pair", PAIRS)
def test_a_voxel_that_is_high_through_another_is_given_back(pair: str) -> None:
    events, *_ = PAIRS[pair]
    extents, found, truth = share(events)
    seen = sum(events).ravel()
    kept = give_back(
        dict(enumerate(extents, 1)),
        {n: seen[e] for n, e in enumerate(extents, 1)},
        found,
        {n: LEVEL * e.max() for n, e in enumerate(events, 1)},
        {n: 0.75 * e.max() for n, e in enumerate(events, 1)},
        8,
        SHAPE,
    )
    assert overlap(kept[2], truth[1]) > overlap(extents[1], truth[1]) + 0.05
    assert np.isin(truth[1], kept[2]).mean() > 0.98
    assert ndimage.label(volume(kept[2]), np.ones((3, 3, 3)))[1] == 1


def test_an_event_of_which_too_little_would_be_left_stays_as_it_is() -> None:
    extents = {1: np.arange(20), 2: np.arange(20, 30)}
    strengths = {1: np.full(20, 9.0), 2: np.linspace(1, 2, 10)}
    shared = {1: SharedVoxels(np.arange(20, 30), np.full(10, 1.5), np.ones(10, bool))}
    levels, cores = {1: 3.0, 2: 0.6}, {1: 7.0, 2: 1.6}
    kept = give_back(extents, strengths, shared, levels, cores, 3, (1, 1, 30))
    assert kept[1].tolist() == list(range(20))
    assert kept[2].tolist() == list(range(26, 30))
    assert give_back(extents, strengths, shared, levels, cores, 5, (1, 1, 30))[
        2
    ].tolist() == list(range(20, 30))
    assert give_back(extents, strengths, {}, levels, cores, 3, (1, 1, 30))[
        2
    ].tolist() == list(range(20, 30))


def test_an_event_that_travels_claims_nothing_of_what_comes_after_it() -> None:
    _, found, _ = share([travelling(2, 5), event(14, 10)])
    assert 1 not in found


def test_events_that_do_not_overlap_share_nothing() -> None:
    extents, found, _ = share(
        [event(3, 8, decay=2.0, wide=3.0), event(16, 24, decay=2.0, wide=3.0)]
    )
    assert not any(s.reached.any() for s in found.values())
    assert all(map(len, extents))


def test_the_input_is_left_as_it_is_and_what_is_no_event_shares_nothing() -> None:
    one, two = event(4, 12), event(10, 18)
    seen = (one + two).astype(np.float32).ravel()
    owner = np.where(one > two, 1, 2).ravel()
    arrays = np.arange(seen.size), seen, np.full_like(seen, 0.02), owner
    kept = [a.copy() for a in arrays]
    extent = {1: np.flatnonzero((owner == 1) & (seen > LEVEL))}
    assert shared_voxels(*arrays, extent, {1: LEVEL}, np.array([[2, 1]]), SHAPE) == {}
    for now, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(now, before)


def plain_layers(
    extents, strengths, shared, cores
) -> dict[int, tuple[list[int], list[bool]]]:
    """`layer_events` voxel by voxel."""
    has: dict[int, dict[int, float]] = {}
    for n, extent in extents.items():
        for voxel, strength in zip(extent, strengths[n], strict=True):
            if np.isnan(strength):
                continue
            reach = max(
                (s.model[s.voxels == voxel].max(initial=0) for s in shared.values()),
                default=0,
            )
            has.setdefault(int(voxel), {})[n] = (
                np.inf if strength >= cores[n] else strength - reach
            )
    for n, s in shared.items():
        for voxel, model in zip(s.voxels[s.reached], s.model[s.reached], strict=True):
            has.setdefault(int(voxel), {})[n] = model
    for n in sorted(extents):
        for voxel in extents[n][np.isnan(strengths[n])]:
            has.setdefault(int(voxel), {n: 0.0})
    out = {n: ([], []) for n in extents}
    for voxel in sorted(has):
        strongest = max(has[voxel], key=lambda n: (has[voxel][n], -n))
        for n in has[voxel]:
            out[n][0].append(voxel)
            out[n][1].append(n != strongest)
    return out


@pytest.mark.parametrize("seed", range(5))
def test_layers_are_those_of_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, 4, 60)
    numbers = (1, 2, 3)
    holes = {n: rng.choice(60, 6, replace=False) for n in numbers}
    extents = {n: np.union1d(np.flatnonzero(owner == n), holes[n]) for n in numbers}
    strengths = {
        n: np.where(owner[extents[n]] == n, rng.random(len(extents[n])) + 0.3, np.nan)
        for n in numbers
    }
    shared = {}
    for n in (1, 3):
        others = np.setdiff1d(np.flatnonzero(owner != n), extents[n])
        voxels = np.sort(rng.choice(others, 15, replace=False))
        shared[n] = SharedVoxels(voxels, rng.random(15), rng.random(15) < 0.7)
    cores = dict.fromkeys(numbers, 1.1)
    expected = plain_layers(extents, strengths, shared, cores)
    found = layer_events(extents, strengths, shared, cores)
    for n in numbers:
        assert found[n].voxels.tolist() == expected[n][0]
        assert found[n].hidden.tolist() == expected[n][1]
    shown = np.concatenate([found[n].voxels[~found[n].hidden] for n in numbers])
    assert (
        len(np.unique(shown))
        == len(shown)
        == len(np.unique(np.concatenate([f.voxels for f in found.values()])))
    )


def test_every_event_is_seen_in_the_map() -> None:
    extents = {1: np.arange(5), 2: np.arange(5, 8)}
    strengths = {1: np.full(5, 9.0), 2: np.array([1.0, 2.0, 1.0])}
    found = layer_events(
        extents,
        strengths,
        {1: SharedVoxels(np.arange(5, 8), np.full(3, 5.0), np.ones(3, bool))},
        {1: 4.5, 2: 1.5},
    )
    assert found[1].voxels.tolist() == [*range(8)]
    assert found[2].hidden.tolist() == [True, False, True]
