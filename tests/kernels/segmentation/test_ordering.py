"""Orders of voxels are those of numpy's stable sorts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocast.kernels.segmentation.ordering import (
    order_by_group,
    order_from_highest,
    unique_values,
)

values = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=50)
@given(arrays(np.float32, st.integers(0, 40), elements=values))
def test_from_the_highest_down_as_a_stable_sort(found: np.ndarray) -> None:
    expected = np.argsort(-found, kind="stable")
    np.testing.assert_array_equal(order_from_highest(found), expected)


def test_equal_values_remain_in_their_order_among_many() -> None:
    found = np.random.default_rng(0).normal(0, 3, 20_000).astype(np.float32).round(1)
    np.testing.assert_array_equal(
        order_from_highest(found), np.argsort(-found, kind="stable")
    )


def test_members_of_groups_are_in_the_order_of_the_list() -> None:
    group = np.random.default_rng(1).integers(0, 7, 500).astype(np.int32)
    order, first = order_by_group(group, 9)
    np.testing.assert_array_equal(order, np.argsort(group, kind="stable"))
    np.testing.assert_array_equal(np.diff(first), np.bincount(group, minlength=9))


@settings(max_examples=50)
@given(arrays(np.int64, st.integers(0, 40), elements=st.integers(-9, 9)))
def test_different_values_are_those_of_numpy(found: np.ndarray) -> None:
    before = found.copy()
    np.testing.assert_array_equal(unique_values(found), np.unique(found))
    np.testing.assert_array_equal(found, before)
