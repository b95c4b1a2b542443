"""Ragged kernels against a loop over traces."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.kernels.ragged import ragged, resizing

values_32 = st.one_of(st.floats(-1e3, 1e3, width=32), st.just(float("nan")))
traces = st.lists(
    hnp.arrays(np.float32, st.integers(1, 9), elements=values_32),
    min_size=1,
    max_size=8,
)

ORACLE = {
    "first": lambda t: t[0],
    "mean": lambda t: np.nanmean(t, dtype=np.float64),
    "median": np.nanmedian,
    "min": np.nanmin,
    "min_abs": lambda t: np.nanmin(np.abs(t)),
    "max": np.nanmax,
    "max_abs": lambda t: np.nanmax(np.abs(t)),
    "std": lambda t: np.nanstd(t, dtype=np.float64),
}


@given(traces, st.sampled_from(ragged.MODES))
def test_a_statistic_per_trace_is_that_of_numpy(items, mode):
    values, offsets = ragged.flatten(items)
    before = values.copy()
    with warnings.catch_warnings():
        # NumPy warns of traces that are all NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = [ORACLE[mode](t) for t in items]
    assert_allclose(
        ragged.reduce_each(values, offsets, mode), expected, rtol=1e-5, atol=1e-5
    )
    assert_array_equal(values, before)


@given(traces)
def test_flatten_and_split_are_inverse(items):
    for found, expected in zip(
        ragged.split(*ragged.flatten(items)), items, strict=True
    ):
        assert_array_equal(found, expected)


@given(traces)
def test_transposing_twice_keeps_every_value_at_its_position(items):
    values, offsets = ragged.flatten(items)
    turned = ragged.split(*ragged.by_position(values, offsets))
    for position, row in enumerate(turned):
        assert_array_equal(row, [t[position] for t in items if len(t) > position])


@given(
    traces, st.sampled_from(resizing.PAD_MODES), st.integers(0, 7), st.integers(0, 7)
)
def test_padding_is_that_of_numpy(items, mode, before, after):
    items = [np.nan_to_num(t) for t in items]
    values, offsets = ragged.flatten(items)
    lengths = np.diff(offsets) + before + after
    found = ragged.split(
        *resizing.resize(values, offsets, lengths, np.full(len(items), before), mode)
    )
    for padded, trace in zip(found, items, strict=True):
        assert_allclose(
            padded,
            np.pad(trace.astype(np.float64), (before, after), mode=mode),
            rtol=1e-5,
            atol=1e-4,
        )


@given(traces, st.integers(0, 12), st.integers(-4, 4))
def test_cutting_keeps_the_middle(items, length, lead):
    values, offsets = ragged.flatten(items)
    n = len(items)
    cut = ragged.split(
        *resizing.resize(values, offsets, np.full(n, length), np.full(n, lead), "edge")
    )
    for found, trace in zip(cut, items, strict=True):
        expected = [trace[min(max(k - lead, 0), len(trace) - 1)] for k in range(length)]
        assert_array_equal(found, np.array(expected, np.float32))


@given(traces)
def test_interpolation_is_numpy_interp(items):
    values, offsets = ragged.flatten(items)
    for found, trace in zip(
        ragged.split(ragged.interpolate_nan(values, offsets), offsets),
        items,
        strict=True,
    ):
        known = ~np.isnan(trace)
        frames = np.arange(len(trace))
        expected = (
            np.interp(frames, frames[known], trace[known]) if known.any() else trace
        )
        assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@given(traces)
def test_difference_is_numpy_diff(items):
    values, offsets = ragged.flatten(items)
    for found, trace in zip(
        ragged.split(ragged.difference(values, offsets), offsets), items, strict=True
    ):
        assert_array_equal(found, np.concatenate([[0], np.diff(trace)]))


@given(traces, st.data())
def test_placing_puts_each_trace_at_its_start(items, data):
    frames = 10
    starts = np.array([data.draw(st.integers(-3, frames)) for _ in items])
    matrix = ragged.place(*ragged.flatten(items), starts, frames)
    expected = np.full((len(items), frames), np.nan, np.float32)
    for row, (trace, start) in enumerate(zip(items, starts, strict=True)):
        for k, value in enumerate(trace):
            if 0 <= start + k < frames:
                expected[row, start + k] = value
    assert_array_equal(matrix, expected)


@given(traces, st.data())
def test_taking_traces(items, data):
    chosen = np.array(
        data.draw(st.lists(st.integers(-1, len(items) - 1), max_size=6)), np.int64
    )
    found = ragged.split(*ragged.take(*ragged.flatten(items), chosen))
    for trace, index in zip(found, chosen, strict=True):
        assert_array_equal(trace, items[index] if index >= 0 else [])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_integers_become_float32_and_float64_stays(dtype):
    values, _ = ragged.flatten([np.arange(3, dtype=dtype)])
    assert values.dtype == (np.float64 if dtype == np.float64 else np.float32)


def test_no_traces_at_all():
    values, offsets = ragged.flatten([])
    assert ragged.reduce_each(values, offsets, "mean").shape == (0,)
    assert ragged.place(values, offsets, np.empty(0, np.int64), 4).shape == (0, 4)
    assert ragged.by_position(values, offsets)[1].tolist() == [0]
