"""Responses to stimuli: counts equal a plain loop, a truth is recovered."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.point_process.stimulus import (
    bootstrap_band,
    peri_stimulus_counts,
    response_jitter_test,
    responses,
)


def test_counts_equal_a_loop():
    rng = np.random.default_rng(0)
    onset, trigger = rng.uniform(0, 100, 80), np.arange(10.0, 90, 20)
    edges = np.arange(-5.0, 10.5, 2.5)
    counts = peri_stimulus_counts(onset, trigger, edges)
    for i, t in enumerate(trigger):
        for j in range(len(edges) - 1):
            low, high = t + edges[j], t + edges[j + 1]
            assert counts[i, j] == sum(low <= o < high for o in onset)


def test_latency_and_probability_of_a_response():
    trigger = np.array([10.0, 30.0, 50.0, 70.0])
    onset = np.array([12.0, 13.0, 29.0, 51.5, 80.0])
    latency = responses(onset, trigger, (0, 5))
    np.testing.assert_allclose(latency, [2.0, np.nan, 1.5, np.nan])
    assert np.isnan(responses(np.zeros(0), trigger, (0, 5))).all()


def test_a_response_is_found_and_chance_is_not():
    rng = np.random.default_rng(4)
    trigger = np.arange(20.0, 400, 40)
    locked = np.concatenate([trigger + 2, rng.uniform(0, 400, 10)])
    p, _ = response_jitter_test(locked, trigger, (0, 5), 400, 499, 0)
    assert p == pytest.approx(0.002)
    chance = [
        response_jitter_test(rng.uniform(0, 400, 20), trigger, (0, 5), 400, 99, i)[0]
        for i in range(100)
    ]
    assert np.mean(np.array(chance) <= 0.05) <= 0.11


def test_the_band_holds_the_mean():
    counts = np.random.default_rng(0).poisson(2.0, (200, 3))
    low, high = bootstrap_band(counts, 500, 0.95, 1)
    mean = counts.mean(axis=0)
    assert ((low < mean) & (mean < high)).all()
    np.testing.assert_allclose(high - low, 2 * 1.96 * np.sqrt(2 / 200), rtol=0.2)
