"""Array columns behave as pandas columns do, and give back what was put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from astrocast.errors import InvalidTypeError, InvalidValueError
from astrocast.events.array_columns import (
    FootprintArray,
    MaskArray,
    TraceArray,
    as_masks,
    as_traces,
)

traces = st.lists(
    hnp.arrays(np.float32, st.integers(1, 6), elements=st.floats(-9, 9, width=32)),
    min_size=1,
    max_size=6,
)
masks = st.lists(
    hnp.arrays(bool, st.tuples(*[st.integers(1, 4)] * 3)), min_size=1, max_size=6
)
KINDS = [
    (TraceArray, traces),
    (MaskArray, masks),
    (FootprintArray, masks.map(lambda m: [a[0] for a in m])),
]


def same(column, items):
    assert len(column) == len(items)
    for found, item in zip(column, items, strict=True):
        assert_array_equal(found, item)


@pytest.mark.parametrize(("kind", "strategy"), KINDS)
def test_a_table_filters_sorts_joins_and_copies_them(kind, strategy):
    @given(strategy, st.data())
    def check(items, data):
        n = len(items)
        table = pd.DataFrame(
            {"number": np.arange(n), "array": kind._from_sequence(items)}
        )
        same(table["array"], items)
        kept = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        same(table[kept]["array"], [i for i, k in zip(items, kept, strict=True) if k])
        same(table.sort_values("number", ascending=False)["array"], items[::-1])
        same(pd.concat([table, table.iloc[:1]])["array"], [*items, items[0]])
        assert table["array"].map(np.size).tolist() == [i.size for i in items]
        assert table["array"].dtype.name == kind._dtype.name
        copied = table.copy()
        copied.at[0, "array"] = items[-1]
        same(copied["array"], [items[-1], *items[1:]])
        same(table["array"], items)

    check()


@pytest.mark.parametrize(("kind", "strategy"), KINDS)
def test_missing_elements_are_empty(kind, strategy):
    column = kind._from_sequence([None])
    assert column.isna().tolist() == [True]
    taken = column.take([0, -1], allow_fill=True)
    assert taken.isna().tolist() == [True, True]
    with pytest.raises(IndexError, match="outside the column"):
        column.take([3])
    with pytest.raises(IndexError, match="row 1 is outside"):
        column[1]


def test_a_deep_copy_shares_nothing():
    column = TraceArray._from_sequence([np.ones(3, np.float32)])
    copied = pd.DataFrame({"trace": column}).copy()
    copied["trace"].array[0][:] = 5
    assert_array_equal(column[0], 1)


@given(traces, masks)
def test_parquet_holds_what_the_table_held(some_traces, some_masks):
    import pyarrow as pa

    traces_back = pa.array(TraceArray._from_sequence(some_traces)).to_pylist()
    same([np.array(t, np.float32) for t in traces_back], some_traces)
    packed = pa.array(MaskArray._from_sequence(some_masks)).to_pylist()
    assert packed == [
        np.packbits(m, axis=None, bitorder="little").tobytes() for m in some_masks
    ]


def test_wrong_shapes_and_sorting_are_refused():
    with pytest.raises(InvalidValueError, match="3 axes"):
        as_masks([np.ones((2, 2), bool)])
    with pytest.raises(InvalidTypeError, match="column of arrays"):
        pd.DataFrame({"trace": as_traces([[1.0]])}).groupby("trace").size()


def test_they_are_shown_by_their_shape():
    text = repr(
        pd.DataFrame(
            {"mask": as_masks([np.ones((2, 3, 4), bool)]), "trace": as_traces([[1, 2]])}
        )
    )
    assert "2x3x4 bool" in text
    assert "2 float32" in text


def test_equality_is_by_content():
    column = as_traces([[1.0, np.nan], [2.0]])
    assert (column == as_traces([[1.0, np.nan], [3.0]])).tolist() == [True, False]
