from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from astrocast.kernels.masks.runs import find_runs, label_runs_of_volume, paint_runs
from astrocast.kernels.segmentation.labelling import (
    face_pairs,
    join_labels,
    label,
    label_runs,
)

masks = st.builds(
    lambda seed, shape, share: np.random.default_rng(seed).random(shape) < share,
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 9), st.integers(1, 8), st.integers(1, 20)),
    st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]),
)


@given(mask=masks)
def test_equals_scipy_number_by_number(mask):
    labels, n = label(mask)
    expected, m = ndimage.label(mask)
    assert n == m
    np.testing.assert_array_equal(labels, expected)


@given(mask=masks, size=st.integers(1, 5))
def test_blocks_joined_over_their_faces_give_the_whole(mask, size):
    blocks = [mask[a : a + size] for a in range(0, len(mask), size)]
    found = [find_runs(b) for b in blocks]
    numbered, n, pairs = [], 0, [np.empty((0, 2), np.int64)]
    for runs in found:
        labels, k = label_runs(runs)
        numbered.append(labels.astype(np.int64) + n)
        n += k
    for i in range(1, len(blocks)):
        before, after = find_runs(blocks[i - 1][-1:]), find_runs(blocks[i][:1])
        pairs.append(
            face_pairs(
                before,
                numbered[i - 1][-len(before) or len(numbered[i - 1]) :],
                after,
                numbered[i][: len(after)],
            )
        )
    final, count = join_labels(n, np.concatenate(pairs))
    expected, m = ndimage.label(mask)
    assert count == m
    volume = np.concatenate(
        [
            paint_runs(r, final[labels])
            for r, labels in zip(found, numbered, strict=True)
        ]
    )
    np.testing.assert_array_equal(volume, expected)


@given(mask=masks)
def test_runs_hold_the_whole_mask(mask):
    runs = find_runs(mask)
    np.testing.assert_array_equal(
        paint_runs(runs, np.ones(len(runs), np.int32)).astype(bool), mask
    )
    assert (runs.stop > runs.start).all()
    at = list(zip(runs.frame(), runs.row(), runs.start, strict=True))
    assert at == sorted(at)


@given(seed=st.integers(0, 1000))
def test_runs_of_a_label_volume_hold_every_label(seed):
    volume = np.random.default_rng(seed).integers(0, 3, (3, 4, 9)).astype(np.int32)
    runs, labels = label_runs_of_volume(volume)
    np.testing.assert_array_equal(paint_runs(runs, labels), volume)


def test_two_hundred_thousand_regions_keep_their_numbers():
    # more than 16 bits, in a chain of blocks whose faces join every second one
    n = 200_001
    pairs = np.stack([np.arange(1, n - 1, 2), np.arange(3, n + 1, 2)], 1)
    final, count = join_labels(n, pairs)
    assert count == n // 2 + 1
    assert final.dtype == np.int32
    assert final[200_000] == count
