"""The probability of events: rises with height, falls with decoys like them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from astrocast.kernels.calibrated.event_probability import (
    decoy_share,
    event_probability,
)

HEIGHTS = st.lists(st.floats(3, 60), min_size=1, max_size=30)


@given(HEIGHTS)
def test_higher_events_are_at_least_as_likely(heights: list[float]) -> None:
    height = np.sort(heights)
    for cut in (False, True):
        found = event_probability(height, np.full(len(height), cut))
        assert (np.diff(found) >= 0).all()
        assert ((found > 0) & (found < 1)).all()


def test_an_event_that_the_recording_cuts_is_less_likely() -> None:
    whole, cut = event_probability(np.array([7.0, 7.0]), np.array([False, True]))
    assert cut < whole


def test_decoys_are_counted_as_a_plain_loop_counts_them() -> None:
    rng = np.random.default_rng(1)
    height, decoys = rng.uniform(5, 12, 40), rng.uniform(5, 8, 15)
    voxels, sizes = rng.integers(8, 5000, 40), rng.integers(8, 5000, 15)
    found = decoy_share(height, voxels, decoys, sizes, 0.5)

    def alike(k: int, heights: np.ndarray, others: np.ndarray) -> int:
        size = int(np.log(voxels[k]) / np.log(4))
        near = [abs(int(np.log(v) / np.log(4)) - size) <= 1 for v in others]
        return int((np.array(near) & (heights >= 0.8 * height[k])).sum())

    for k, share in enumerate(found):
        expected = alike(k, decoys, sizes) / 0.5 / (alike(k, height, voxels) + 1)
        assert share == min(expected, 1)


def test_decoys_far_below_an_event_do_not_count() -> None:
    share = decoy_share(
        np.array([5.5, 30.0]), np.array([90, 90]), np.full(9, 6.0), np.full(9, 90), 1.0
    )
    assert share.tolist() == [1, 0]


def test_without_decoys_nothing_is_taken_off() -> None:
    none = np.empty(0)
    assert decoy_share(np.array([6.0]), np.array([9]), none, none, 1.0).tolist() == [0]
