"""Runs of voxels that may have several labels: each against plain arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.kernels.event_features.event_shapes import EventRuns, pack_runs
from astrocast.kernels.masks.runs import (
    Runs,
    find_runs,
    label_runs_of_volume,
    list_runs,
    list_voxels,
    merge_runs,
    paint_over,
    select_in_runs,
)

SHAPE = (3, 4, 9)
seeds = st.integers(0, 10**6)


def painted(runs: Runs, labels: np.ndarray, label: int) -> np.ndarray:
    """Return the mask of one label, run by run."""
    out = np.zeros(runs.shape, bool)
    for run, (t, y) in enumerate(zip(runs.frame(), runs.row(), strict=True)):
        if labels[run] == label:
            assert not out[t, y, runs.start[run] : runs.stop[run]].any()
            out[t, y, runs.start[run] : runs.stop[run]] = True
    return out


def in_raster_order(runs: Runs) -> bool:
    line = np.repeat(np.arange(len(runs.first) - 1), np.diff(runs.first))
    at = line * runs.shape[2] + runs.start
    return bool(np.all(np.diff(at) >= 0)) and runs.first[-1] == len(runs)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_listed_runs_are_the_voxels_of_each_label(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = {n: rng.random(SHAPE) < 0.4 for n in (2, 5, 6)}
    voxels = np.concatenate([np.flatnonzero(m) for m in masks.values()])
    labels = np.concatenate([np.full(m.sum(), n, np.int32) for n, m in masks.items()])
    mixed = rng.permutation(len(voxels))
    runs, found = list_runs(voxels[mixed], labels[mixed], SHAPE)
    assert in_raster_order(runs)
    for n, mask in masks.items():
        np.testing.assert_array_equal(painted(runs, found, n), mask)
    # as few runs as there can be
    assert len(runs) == sum(len(find_runs(m)) for m in masks.values())


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_merged_layers_hold_the_runs_of_both(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shown, labels = label_runs_of_volume(rng.integers(0, 3, SHAPE).astype(np.int32))
    below = rng.random(SHAPE) < 0.3
    hidden, hidden_labels = list_runs(
        np.flatnonzero(below), np.full(below.sum(), 7, np.int32), SHAPE
    )
    runs, found = merge_runs(shown, labels, hidden, hidden_labels)
    assert in_raster_order(runs)
    for n in (1, 2):
        np.testing.assert_array_equal(
            painted(runs, found, n), painted(shown, labels, n)
        )
    np.testing.assert_array_equal(painted(runs, found, 7), below)


def test_no_voxels_are_no_runs() -> None:
    runs, labels = list_runs(np.empty(0, np.int64), np.empty(0, np.int32), SHAPE)
    assert len(runs) == len(labels) == len(list_voxels(runs)) == 0
    assert len(runs.first) == SHAPE[0] * SHAPE[1] + 1


def test_voxels_of_runs_are_those_of_the_mask() -> None:
    mask = np.random.default_rng(1).random(SHAPE) < 0.5
    np.testing.assert_array_equal(list_voxels(find_runs(mask)), np.flatnonzero(mask))


def test_packed_runs_are_packed_masks() -> None:
    rng = np.random.default_rng(2)
    masks = [rng.random(SHAPE) < share for share in (0.5, 0.0, 0.9)]
    low = np.array([[4, 2, 1], [0, 0, 0], [9, 9, 9]])
    columns: list[list[int]] = [[], [], [], []]
    first = [0]
    for mask, origin in zip(masks, low, strict=True):
        runs = find_runs(mask)
        parts = (
            runs.frame() + origin[0],
            runs.row() + origin[1],
            runs.start + origin[2],
            runs.stop + origin[2],
        )
        for column, part in zip(columns, parts, strict=True):
            column.extend(part.tolist())
        first.append(len(columns[0]))
    bits, offsets = pack_runs(
        EventRuns(*(np.array(c) for c in columns), np.array(first)), low, low + SHAPE
    )
    for n, mask in enumerate(masks):
        expected = np.packbits(mask, axis=None, bitorder="little")
        np.testing.assert_array_equal(bits[offsets[n] : offsets[n + 1]], expected)


@given(seeds)
@settings(max_examples=20)
def test_wanted_voxels_of_runs_are_those_of_the_painted_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(SHAPE) < 0.7
    wanted = rng.random(mask.sum()) < 0.6
    expected = mask.copy()
    expected[mask] = wanted
    found, truth = select_in_runs(find_runs(mask), wanted), find_runs(expected)
    np.testing.assert_array_equal(found.start, truth.start)
    np.testing.assert_array_equal(found.stop, truth.stop)
    np.testing.assert_array_equal(found.first, truth.first)


def test_runs_are_painted_over_what_is_there() -> None:
    rng = np.random.default_rng(3)
    mask, volume = rng.random(SHAPE) < 0.4, rng.integers(0, 5, SHAPE, np.int32)
    expected = np.where(mask, -1, volume)
    paint_over(find_runs(mask), -1, volume)
    np.testing.assert_array_equal(volume, expected)
