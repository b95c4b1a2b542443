"""Regions of a mask that grows: compared with scipy's labels of the whole mask."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from astrocast.kernels.masks.runs import find_runs, list_voxels
from astrocast.kernels.segmentation.open_regions import (
    OpenRegions,
    add_frames,
    close_regions,
)

masks = st.builds(
    lambda seed, shape, share: np.random.default_rng(seed).random(shape) < share,
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 12), st.integers(1, 7), st.integers(1, 12)),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0]),
)


def grow(mask, cuts, close=None):
    """Return the region of each voxel, and in which block each region finished."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(mask)}), len(mask)]
    state, number = OpenRegions(), np.zeros(mask.size, np.int64)
    finished: dict[int, int] = {}
    for a, b in pairwise(edges):
        runs = find_runs(mask[a:b])
        state, growth = add_frames(state, runs)
        for old, new in growth.joined.tolist():
            assert old not in finished
            number[number == old] = new
        own = list_voxels(runs) + a * mask[0].size
        number[own] = np.repeat(growth.number, runs.stop - runs.start)
        for region in growth.finished.tolist():
            assert region not in finished
            finished[region] = b
        if close is not None and b == close:
            state = close_regions(state, state.open)
    return number.reshape(mask.shape), finished, state


@given(mask=masks, cuts=st.lists(st.integers(1, 11), max_size=5))
def test_regions_are_those_of_the_whole_mask(mask, cuts):
    number, finished, state = grow(mask, cuts)
    expected, n = ndimage.label(mask)
    assert ((number > 0) == mask).all()
    pairs = np.unique(np.stack([number[mask], expected[mask]]), axis=1)
    assert pairs.shape[1] == n == len(np.unique(number[mask]))
    # a region is finished unless it has a voxel in the last frame
    last = set(np.unique(number[-1])) - {0}
    assert set(state.open.tolist()) == last
    assert set(finished) == set(np.unique(number[mask]).tolist()) - last


@given(mask=masks, cuts=st.lists(st.integers(1, 11), max_size=5))
def test_a_region_finishes_with_the_block_in_which_it_ends(mask, cuts):
    number, finished, _ = grow(mask, cuts)
    edges = [0, *sorted({c for c in cuts if 0 < c < len(mask)}), len(mask)]
    for region, block_end in finished.items():
        end = np.flatnonzero((number == region).any(axis=(1, 2)))[-1] + 1
        # the first block that has a last frame without it
        assert block_end == min(e for e in edges if e > end)


@given(mask=masks, close=st.integers(1, 11))
def test_closed_regions_do_not_go_on(mask, close):
    close = min(close, len(mask))
    number, _, _ = grow(mask, [close], close)
    before, n = ndimage.label(mask[:close])
    after, m = ndimage.label(mask[close:]) if close < len(mask) else (None, 0)
    assert len(np.unique(number[mask])) == n + m
    assert len(np.unique(number[:close][before > 0])) == n
    if after is not None:
        assert len(np.unique(number[close:][after > 0])) == m
