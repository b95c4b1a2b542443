"""Tests of two groups against scipy and plain counting."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from astrocast.kernels.inference.groups import (
    expanded_interval,
    hedges_g,
    holm_correction,
    judge_by_t,
    permutation_p,
    resample_means,
    welch,
)


def test_permutations_are_counted_exactly():
    a, b = np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 2.5])
    values = np.concatenate([a, b])
    hits = 0
    for chosen in combinations(range(6), 3):
        left = values[list(chosen)]
        right = np.delete(values, chosen)
        hits += abs(left.mean() - right.mean()) >= abs(a.mean() - b.mean()) - 1e-12
    rng = np.random.default_rng(0)
    assert permutation_p(a, b, 1000, rng) == pytest.approx(hits / 20)


def test_welch_is_that_of_the_textbook():
    a, b = np.array([3.0, 4.0, 5.5, 4.2]), np.array([1.0, 2.0, 2.5])
    difference, low, high, p = welch(a, b)
    va, vb = a.var(ddof=1) / 4, b.var(ddof=1) / 3
    freedom = (va + vb) ** 2 / (va**2 / 3 + vb**2 / 2)
    error = np.sqrt(va + vb)
    assert p == pytest.approx(2 * stats.t.sf(difference / error, freedom))
    half = stats.t.ppf(0.975, freedom) * error
    assert (low, high) == pytest.approx((difference - half, difference + half))
    assert welch(np.ones(3), np.ones(3))[3] == 1.0


def test_interval_and_p_agree():
    low, high, p = judge_by_t(2.0, 1.0, 8)
    assert (low < 0 < high) == (p > 0.05)
    low, high, p = judge_by_t(3.0, 1.0, 8)
    assert (low < 0 < high) == (p > 0.05)


def test_effect_size_is_corrected_for_few_animals():
    rng = np.random.default_rng(0)
    draws = [hedges_g(rng.normal(1, 1, 4), rng.normal(0, 1, 4)) for _ in range(4000)]
    assert np.mean(draws) == pytest.approx(1.0, abs=0.06)
    assert np.isnan(hedges_g(np.ones(2), np.zeros(2)))


def test_the_bootstrap_spreads_as_animals_and_events_do():
    rng = np.random.default_rng(0)
    tree = [[rng.normal(level, 1, 30)] for level in rng.normal(0, 2, 40)]
    means = resample_means(tree, 600, rng)
    levels = [recordings[0].mean() for recordings in tree]
    expected = np.sqrt(np.var(levels) / 40 + 1 / (30 * 40))
    assert np.std(means) == pytest.approx(expected, rel=0.15)


def test_animals_count_the_same_however_many_recordings_they_have():
    """One animal of three recordings at 3, one of one recording at 0: 0, 1.5 or 3."""
    rng = np.random.default_rng(1)
    tree = [[np.full(5, 3.0)] * 3, [np.zeros(40)]]
    means = resample_means(tree, 4000, rng)
    assert set(np.unique(means)) == {0.0, 1.5, 3.0}
    assert means.mean() == pytest.approx(1.5, abs=0.07)


def test_recordings_are_drawn_anew_within_the_animal():
    """Recordings at 0 and 2: variance of a mean of two drawn recordings is 1 / 2."""
    rng = np.random.default_rng(2)
    tree = [[np.zeros(4), np.full(4, 2.0)]] * 2
    means = resample_means(tree, 6000, rng)
    # two animals are averaged
    assert means.var() == pytest.approx(0.25, rel=0.08)


def test_the_interval_holds_the_truth_in_95_percent_with_few_animals():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(400):
        trees = [[[v] for v in rng.normal(0, 1, (5, 1))] for _ in range(2)]
        draws = np.subtract(*(resample_means(tree, 400, rng) for tree in trees))
        low, high = expanded_interval(draws, 5, 5)
        held.append(low <= 0 <= high)
    # the plain percentiles hold it in about 88 %
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize("tests", [1, 2, 12])
def test_the_correction_of_holm_is_that_of_statsmodels(tests: int):
    multitest = pytest.importorskip(
        "statsmodels.stats.multitest", reason="needs the extra `study`"
    )
    p = np.random.default_rng(tests).uniform(0, 0.3, tests) ** 2
    p[-1] = p[0]
    expected = multitest.multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm_correction(p), expected)
