"""Normalisation steps against a loop over traces."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.kernels.ragged import ragged
from astrocast.kernels.ragged.normalize import (
    Mode,
    Name,
    Step,
    apply_step,
    apply_steps,
    statistic,
)

traces = st.lists(
    hnp.arrays(np.float32, st.integers(1, 9), elements=st.floats(-100, 100, width=32)),
    min_size=1,
    max_size=6,
)
OF_ARRAY = {
    "first": lambda a: a[0],
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "min_abs": lambda a: np.abs(a).min(),
    "max": np.max,
    "max_abs": lambda a: np.abs(a).max(),
    "std": np.std,
}
OVER = {"std_mean": np.mean, "std_median": np.median, "std_max": np.max}


def slow_statistic(items, mode, population_wide, rows):
    items = [t.astype(np.float64) for t in items]
    if not rows:
        items = [
            np.array([t[k] for t in items if len(t) > k])
            for k in range(max(map(len, items)))
        ]
    if mode in OVER:
        return np.full(len(items), OVER[mode]([t.std() for t in items]))
    if population_wide:
        pool = [t[0] for t in items] if mode == "first" else np.concatenate(items)
        return np.full(
            len(items), np.mean(pool) if mode == "first" else OF_ARRAY[mode](pool)
        )
    return np.array([OF_ARRAY[mode](t) for t in items])


@given(traces, st.sampled_from(get_args(Mode)), st.booleans(), st.booleans())
def test_every_statistic(items, mode, population_wide, rows):
    found = statistic(*ragged.flatten(items), mode, population_wide, rows)
    assert_allclose(
        found, slow_statistic(items, mode, population_wide, rows), rtol=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("rows", [True, False])
def test_division_by_a_statistic(rows):
    items = [np.array([2.0, 4.0]), np.array([1.0, 8.0, 3.0])]
    values, offsets = ragged.flatten(items)
    found, zeros = apply_step(values, offsets, Step("divide", mode="max", rows=rows))
    divisor = [[4, 4], [8, 8, 8]] if rows else [[2, 8], [2, 8, 3]]
    assert zeros == 0
    assert_allclose(found, np.concatenate(items) / np.concatenate(divisor))


def test_a_divisor_of_zero_leaves_its_trace_and_is_counted():
    values, offsets = ragged.flatten([np.zeros(3), np.array([1.0, 2.0])])
    found, zeros = apply_step(values, offsets, Step("divide", mode="max"))
    assert zeros == 1
    assert_array_equal(found, [0, 0, 0, 0.5, 1])


def test_min_max_and_mean_std():
    values, offsets = ragged.flatten([np.array([1.0, 3.0, 5.0])])
    assert_allclose(apply_step(values, offsets, Step("min_max"))[0], [0, 0.5, 1])
    assert_allclose(
        apply_step(values, offsets, Step("mean_std"))[0],
        np.array([-2, 0, 2]) / np.sqrt(8 / 3),
    )


def test_imputing_a_fixed_value_or_a_line():
    values, offsets = ragged.flatten([np.array([1.0, np.nan, 3.0])])
    assert_array_equal(
        apply_step(values, offsets, Step("impute_nan", fixed_value=-1))[0], [1, -1, 3]
    )
    assert_array_equal(apply_step(values, offsets, Step("impute_nan"))[0], [1, 2, 3])


def test_nan_is_left_out_of_statistics_and_stays():
    values, offsets = ragged.flatten([np.array([np.nan, 2.0, 4.0])])
    for wide in (True, False):
        found, _ = apply_step(
            values, offsets, Step("subtract", mode="mean", population_wide=wide)
        )
        assert_array_equal(found, [np.nan, -1, 1])


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(get_args(Name)),
        st.sampled_from(get_args(Mode)),
        population_wide=st.booleans(),
        rows=st.booleans(),
    ),
    max_size=4,
)


@given(traces, steps, st.booleans())
def test_steps_done_together_are_steps_done_one_by_one(items, steps, threads):
    values, offsets = ragged.flatten(items)
    before = values.copy()
    with ThreadPoolExecutor(2) as pool:
        found, zeros = apply_steps(values, offsets, steps, pool if threads else None)
    expected, count = values, 0
    for step in steps:
        expected, more = apply_step(expected, offsets, step)
        count += more
    assert_array_equal(found, expected)
    assert zeros == count
    assert_array_equal(values, before)
