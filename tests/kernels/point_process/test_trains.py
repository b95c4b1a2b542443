"""Dependence of trains: fast equals a plain loop, and a truth is recovered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.kernels.point_process.trains import (
    follow_counts,
    shift_p_value,
    train_dependence,
)


def plain_counts(first, then, frames, lag):
    counts = np.zeros(frames)
    for shift in range(frames):
        moved = {(t + shift) % frames for t in then}
        for onset in first:
            steps = range(lag[0], lag[1] + 1)
            counts[shift] += any((onset + step) % frames in moved for step in steps)
    return counts


@given(
    st.lists(st.integers(0, 39), max_size=8),
    st.lists(st.integers(0, 39), max_size=8),
    st.integers(-3, 3),
    st.integers(0, 4),
)
def test_all_shifts_at_once_equal_a_loop(first, then, low, width):
    lag = (low, low + width)
    a, b = np.array(first, np.int64), np.array(then, np.int64)
    counts = follow_counts(a, b, 40, lag)
    np.testing.assert_allclose(counts, plain_counts(first, then, 40, lag), atol=1e-9)


def test_a_train_that_follows_is_found_with_its_delay_and_direction():
    rng = np.random.default_rng(3)
    frames = 2000
    leader = np.sort(rng.choice(frames - 10, 40, replace=False))
    follower = leader + 4
    alone = np.sort(rng.choice(frames, 40, replace=False))
    found = train_dependence([leader, follower, alone], frames, (1, 6))
    assert found["count"][0, 1] == 40
    assert found["delay"][0, 1] == 4
    assert found["q"][0, 1] < 0.01
    others = [(1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]
    assert all(found["q"][pair] > 0.05 for pair in others)


def test_independent_trains_give_five_percent():
    rng = np.random.default_rng(11)
    p = []
    for _ in range(300):
        a = np.sort(rng.choice(500, 12, replace=False))
        b = np.sort(rng.choice(500, 12, replace=False))
        p.append(shift_p_value(follow_counts(a, b, 500, (0, 20)), 20))
    # counts are whole numbers: the test may be too careful, never too bold
    assert np.mean(np.array(p) <= 0.05) <= 0.08


def test_a_train_without_events_depends_on_nothing():
    none = np.zeros(0, np.int64)
    found = train_dependence([none, np.array([3])], 20, (0, 2))
    assert np.isnan(found["q"]).all()
    assert shift_p_value(np.ones(3), 2) == pytest.approx(1.0)
