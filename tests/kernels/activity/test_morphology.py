from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.errors import InvalidValueError
from astrocast.kernels.activity.morphology import fill_small_holes, remove_small_objects

sys.path.insert(0, str(Path(__file__).parents[2] / "detection"))
from plain_detection import clean  # the oracle beside the tests of the detection

OPERATIONS = {"holes": fill_small_holes, "objects": remove_small_objects}
what = st.sampled_from(sorted(OPERATIONS))
masks = st.builds(
    lambda seed, shape, share: np.random.default_rng(seed).random(shape) < share,
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 8), st.integers(1, 9), st.integers(1, 11)),
    st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]),
)


@given(
    mask=masks,
    name=what,
    size=st.sampled_from([0, 1, 2, 5, 12, 40]),
    depth=st.integers(0, 3),
    c=st.integers(1, 3),
)
def test_equals_scikit_image_on_each_window(mask, name, size, depth, c):
    before = mask.copy()
    expected = mask if size <= 1 else clean(mask, size, depth, c, name)
    np.testing.assert_array_equal(OPERATIONS[name](mask, size, depth, c), expected)
    np.testing.assert_array_equal(mask, before)


@given(mask=masks, name=what, depth=st.integers(0, 2), block=st.integers(1, 5))
def test_blocks_with_a_halo_give_the_whole(mask, name, depth, block):
    whole = OPERATIONS[name](mask, 8, depth)
    for start in range(0, len(mask), block):
        stop = min(start + block, len(mask))
        a, b = max(0, start - depth), min(len(mask), stop + depth)
        part = OPERATIONS[name](mask[a:b], 8, depth, 1, slice(start - a, stop - a))
        np.testing.assert_array_equal(part, whole[start:stop])


def test_does_not_depend_on_threads():
    mask = np.random.default_rng(0).random((12, 20, 30)) < 0.4
    with ThreadPoolExecutor(3) as pool:
        for operation in OPERATIONS.values():
            np.testing.assert_array_equal(
                operation(mask, 20, pool=pool), operation(mask, 20)
            )


def test_what_is_no_connectivity_or_depth_is_refused():
    with pytest.raises(InvalidValueError, match="connectivity"):
        fill_small_holes(np.zeros((1, 2, 2), bool), 3, connectivity=4)
    with pytest.raises(InvalidValueError, match="depth"):
        fill_small_holes(np.zeros((1, 2, 2), bool), 3, depth=-1)
