"""Conversion of dtypes: against exact integers, for every pair of types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.errors import InvalidValueError
from astrocast.kernels.frames.convert import saturate

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float16", "float32", "float64"]


@given(
    value=st.floats(allow_nan=False, width=64),
    source=st.sampled_from(FLOATS),
    target=st.sampled_from(INTEGERS),
)
def test_floats_saturate_as_exact_numbers_do(
    value: float, source: str, target: str
) -> None:
    with np.errstate(over="ignore"):
        stored = np.array([value]).astype(source)
    limits = np.iinfo(target)
    exact = float(stored[0])
    if np.isinf(exact):
        expected = limits.max if exact > 0 else limits.min
    else:
        expected = min(max(round(exact), int(limits.min)), int(limits.max))
    found, clipped = saturate(stored, target)
    assert found.dtype == target
    assert int(found[0]) == expected
    assert clipped == (np.isinf(exact) or round(exact) != expected)


@given(
    value=st.integers(-(2**63), 2**64 - 1),
    source=st.sampled_from(INTEGERS),
    target=st.sampled_from(INTEGERS),
)
def test_integers_saturate_as_exact_numbers_do(
    value: int, source: str, target: str
) -> None:
    held = np.iinfo(source)
    value = min(max(value, int(held.min)), int(held.max))
    limits = np.iinfo(target)
    expected = min(max(value, int(limits.min)), int(limits.max))
    found, clipped = saturate(np.array([value], source), target)
    assert int(found[0]) == expected
    assert clipped == (value != expected)


def test_the_largest_int32_and_what_lies_beyond() -> None:
    # float32 holds 2**31 and 2**31 - 128, not 2**31 - 1
    values = np.array([2**31, 2**31 - 128, -(2**31), -(2**31) - 256], np.float32)
    found, clipped = saturate(values, np.int32)
    assert found.tolist() == [2**31 - 1, 2**31 - 128, -(2**31), -(2**31)]
    assert clipped == 2


def test_nan_is_refused_where_it_cannot_be_held_and_passes_where_it_can() -> None:
    values = np.array([1.0, np.nan])
    for target in ("int16", "bool"):
        with pytest.raises(InvalidValueError, match="1 values are NaN"):
            saturate(values, target)
    assert np.isnan(saturate(values, "float32")[0][1])


def test_a_bool_is_true_from_one_half_on() -> None:
    found, clipped = saturate(np.array([-1.0, 0.49, 0.5, 7.0]), bool)
    assert found.tolist() == [False, False, True, True]
    assert clipped == 0
