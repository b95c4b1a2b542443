"""Candidates that are divided side by side: nested boxes stay together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from astrocast.kernels.calibrated.independent import independent_groups


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 200))
def test_nested_boxes_share_a_group_and_groups_are_as_large_as_asked(
    seed: int, count: int, least: int
) -> None:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 12, (count, 3))
    low = low[np.argsort(low[:, 0], kind="stable")]
    high = low + rng.integers(1, 8, (count, 3))
    area = rng.integers(1, 60, count)
    group = independent_groups(low, high, area, least)
    for i in range(count):
        for j in range(count):
            if (low[j] >= low[i]).all() and (high[j] <= high[i]).all():
                assert group[i] == group[j]
    # numbered from 0 without gaps, and all but the last hold about what is asked for
    assert sorted(set(group.tolist())) == list(range(group.max() + 1))
    sizes = np.bincount(group, weights=area)
    assert sizes[:-1].sum() >= least * (len(sizes) - 1)


def test_a_group_is_closed_after_the_voxels_asked_for() -> None:
    low = np.array([[3 * i, 0, 0] for i in range(6)])
    group = independent_groups(low, low + 2, np.full(6, 10), 20)
    assert group.tolist() == [0, 0, 1, 1, 2, 2]
