"""Coactivity equals a plain loop; synchrony is found where there is some."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from astrocast.kernels.point_process.synchrony import (
    coactivity,
    neighbour_followers,
    synchrony,
)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 25)), max_size=10),
)
def test_coactivity_equals_a_loop(events):
    frames = 20
    start = np.array([s for s, _ in events], np.int64)
    stop = start + np.array([d for _, d in events], np.int64)
    weight = np.arange(1.0, len(events) + 1)
    plain = np.zeros(frames)
    for begin, end, w in zip(start, stop, weight, strict=True):
        for frame in range(begin, begin + min(end - begin, frames)):
            plain[frame % frames] += w
    np.testing.assert_allclose(coactivity(start, stop, weight, frames), plain)


def independent(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    unit = np.repeat(np.arange(10), 8)
    return np.sort(rng.integers(0, 400, len(unit))), unit


def test_units_that_fire_together_are_synchronous():
    rng = np.random.default_rng(2)
    common = np.sort(rng.integers(0, 400, 8))
    start = (common[None, :] + rng.integers(0, 3, (10, 8))).ravel()
    unit = np.repeat(np.arange(10), 8)
    observed, null = synchrony(start, start + 5, unit, 400, 200, 0)
    assert observed > null.max()


def test_independent_units_are_not_often():
    rng = np.random.default_rng(5)
    p = []
    for i in range(60):
        start, unit = independent(rng)
        observed, null = synchrony(start, start + 5, unit, 400, 99, i)
        p.append((1 + np.sum(null >= observed)) / 100)
    assert np.mean(np.array(p) <= 0.05) <= 0.15


def test_followers_equal_a_loop():
    rng = np.random.default_rng(1)
    onset = rng.integers(0, 30, 40).astype(float)
    place = rng.uniform(0, 20, (40, 2))
    plain = [
        [i, j]
        for i in range(40)
        for j in range(40)
        if 1 <= onset[j] - onset[i] <= 4 and np.hypot(*(place[i] - place[j])) <= 6
    ]
    assert neighbour_followers(onset, place, (1, 4), 6).tolist() == sorted(plain)
