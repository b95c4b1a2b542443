"""Counts and averages against NumPy and loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.kernels.ragged.ragged import flatten
from astrocast.kernels.traces.statistics import (
    average_traces,
    counts_around,
    counts_over_time,
)

times = hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(-5, 25))


@given(times, st.integers(0, 99))
def test_counts_over_time_are_histograms_per_group(found, seed):
    codes = np.random.default_rng(seed).integers(0, 3, len(found))
    edges = np.arange(0.0, 21, 4)
    counts = counts_over_time(found, codes, 3, edges)
    for group in range(3):
        # NumPy's last bin holds its right edge, ours does not
        chosen = found[(codes == group) & (found < edges[-1])]
        assert_array_equal(counts[:, group], np.histogram(chosen, edges)[0])


@given(times, hnp.arrays(np.float64, st.integers(1, 5), elements=st.floats(0, 20)))
def test_counts_around_stimuli_are_histograms_of_the_lag(found, stimuli):
    edges = np.array([-4.0, -1, 0, 3])
    expected = [
        [np.sum((found >= s + a) & (found < s + b)) for a, b in pairwise(edges)]
        for s in stimuli
    ]
    assert_array_equal(counts_around(found, stimuli, edges), expected)


def test_average_of_aligned_traces_is_that_of_a_matrix():
    rng = np.random.default_rng(2)
    traces = [rng.normal(100, 1, n).astype(np.float32) for n in rng.integers(3, 12, 40)]
    traces[0][1] = np.nan
    align = np.array([int(np.nanargmax(t)) for t in traces])
    codes = rng.integers(-1, 2, 40)
    average = average_traces(*flatten(traces), align, codes, 2)
    for group in range(2):
        matrix = np.full((40, average.frames.size), np.nan)
        for row, (trace, peak, code) in enumerate(
            zip(traces, align, codes, strict=True)
        ):
            if code == group:
                begin = -peak - average.frames[0]
                matrix[row, begin : begin + len(trace)] = trace
        n = (~np.isnan(matrix)).sum(axis=0)
        assert_array_equal(average.n[group], n)
        assert_allclose(
            average.mean[group][n > 0], np.nanmean(matrix[:, n > 0], axis=0)
        )
        assert_allclose(
            average.std[group][n > 1], np.nanstd(matrix[:, n > 1], axis=0, ddof=1)
        )
        assert np.isnan(average.mean[group][n == 0]).all()
