"""A cached result is used only for the same input; a damaged one is computed again."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from astrocast.analysis import Events, cache
from astrocast.analysis.cache import ResultCache, table_hash
from astrocast.events.array_columns import as_masks, as_traces


def counted(results):
    """A computation that says how often it was done."""

    def compute():
        results.append(1)
        return {"value": np.arange(3.0) + len(results)}

    return compute


def test_the_same_is_found_and_anything_else_is_not(tmp_path, monkeypatch):
    done = []
    inputs = {"table": "abc", "frames": (1, 2)}
    first = ResultCache(tmp_path, 1).arrays("extend", inputs, counted(done))
    assert_array_equal(
        ResultCache(tmp_path, 1).arrays("extend", dict(inputs), counted(done))["value"],
        first["value"],
    )
    assert len(done) == 1
    ResultCache(tmp_path, 2).arrays("extend", inputs, counted(done))
    ResultCache(tmp_path, 1).arrays("noise", inputs, counted(done))
    ResultCache(tmp_path, 1).arrays(
        "extend", inputs | {"frames": (1, 3)}, counted(done)
    )
    ResultCache(tmp_path, 1).arrays("extend", inputs | {"new": None}, counted(done))
    assert len(done) == 5
    monkeypatch.setattr(cache, "ALGORITHM_VERSION", cache.ALGORITHM_VERSION + 1)
    ResultCache(tmp_path, 1).arrays("extend", inputs, counted(done))
    assert len(done) == 6
    ResultCache(None, 1).arrays("extend", inputs, counted(done))
    assert len(done) == 7
    assert not list(tmp_path.glob("*.partial"))


def test_expensive_inputs_are_asked_for_only_where_results_are_stored(tmp_path):
    asked = []

    def content():
        asked.append(1)
        return "abc"

    ResultCache(None, 1).arrays("extend", {"video": content}, counted([]))
    assert not asked
    done = []
    ResultCache(tmp_path, 1).arrays("extend", {"video": content}, counted(done))
    ResultCache(tmp_path, 1).arrays("extend", {"video": "abc"}, counted(done))
    assert (len(asked), len(done)) == (1, 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-30],
        lambda b: b"",
        lambda b: b.replace(np.float64(2).tobytes(), np.float64(5).tobytes()),
        lambda b: b"PK" * 40,
    ],
)
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    done = []
    ResultCache(tmp_path, 1).arrays("extend", {}, counted(done))
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    again = ResultCache(tmp_path, 1).arrays("extend", {}, counted(done))
    stored = ResultCache(tmp_path, 1).arrays("extend", {}, counted(done))
    assert len(done) == 2
    for found in (again, stored):  # those of the second computation
        np.testing.assert_array_equal(found["value"], [2, 3, 4])


def a_table():
    return pd.DataFrame(
        {
            "z0": [1, 2],
            "v": [0.5, np.nan],
            "name": ["a", "bc"],
            "group": pd.Categorical(["x", "y"]),
            "objects": [[1, 2], np.array([3.0])],
            "trace": as_traces([[1.0, 2.0], [3.0]]),
            "mask": as_masks([np.ones((1, 2, 2), bool), np.zeros((1, 1, 3), bool)]),
        },
        index=[7, 8],
    )


CHANGES = {
    "a number": lambda t: t.assign(z0=[1, 3]),
    "a nan": lambda t: t.assign(v=[0.5, 0.0]),
    "a dtype": lambda t: t.assign(z0=np.array([1, 2], np.int32)),
    "a text": lambda t: t.assign(name=["a", "b"]),
    "where texts end": lambda t: t.assign(name=["ab", "c"]),
    "a category": lambda t: t.assign(group=pd.Categorical(["x", "x"])),
    "an object": lambda t: t.assign(objects=[[1, 3], np.array([3.0])]),
    "a value of a trace": lambda t: t.assign(trace=as_traces([[1.0, 2.5], [3.0]])),
    "where traces end": lambda t: t.assign(trace=as_traces([[1.0], [2.0, 3.0]])),
    "a voxel": lambda t: t.assign(
        mask=as_masks([np.ones((1, 2, 2), bool), np.array([[[0, 1, 0]]])])
    ),
    "the shape of a mask": lambda t: t.assign(
        mask=as_masks([np.ones((2, 1, 2), bool), np.zeros((1, 1, 3), bool)])
    ),
    "the index": lambda t: t.set_axis([7, 9]),
    "the order": lambda t: t.iloc[::-1],
    "the name of a column": lambda t: t.rename(columns={"v": "w"}),
    "a column more": lambda t: t.assign(new=1),
    "a row less": lambda t: t.iloc[:1],
}


@given(
    st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=1), st.booleans()
)
def test_no_change_of_a_table_goes_unnoticed(changes, copied):
    table = a_table()
    before = table_hash(table)
    assert table_hash(table.copy() if copied else a_table()) == before
    for change in changes:
        assert table_hash(CHANGES[change](table)) != before, change


@given(data=st.data())
@settings(max_examples=12)
def test_a_cached_result_is_always_that_of_a_fresh_computation(
    store, movie, tmp_path_factory, data
):
    """Tries to get a stale hit: change table, recording, seed and parameters in any
    order over one cache directory.
    """
    folder = tmp_path_factory.mktemp("cache")
    recording = movie.copy()
    events = Events(store, data=recording, cache_path=folder)
    for _ in range(data.draw(st.integers(1, 4))):
        what = data.draw(
            st.sampled_from(["filter", "trace", "recording", "seed", "nothing"])
        )
        if what == "filter":
            events.filter({"dz": (data.draw(st.integers(0, 6)), None)})
        elif what == "trace":
            events.normalize({0: ["subtract", {"mode": "first"}]})
        elif what == "recording":
            # changed in place: the cache is not informed
            recording[data.draw(st.integers(0, 39)), 3, 4] += 1
        elif what == "seed":
            events.seed += 1
        frames = data.draw(st.integers(0, 2))
        fresh = copy.copy(events)
        fresh.cache_path = None
        for call in (
            lambda e, frames=frames: (
                e.extend(frames, inplace=False)["trace"].array.flat
            ),
            lambda e: e.noise_traces().flat,
        ):
            assert_array_equal(call(events), call(fresh))
    assert list(folder.glob("*.npz"))


def test_physiology_comes_back_from_the_cache_as_it_was(store, tmp_path):
    first = Events(store, data="infer", cache_path=tmp_path).physiology("dF")
    (kept,) = tmp_path.glob("physiology-*.npz")
    written = kept.stat().st_mtime_ns
    again = Events(store, data="infer", cache_path=tmp_path).physiology("dF")
    assert kept.stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(
        first.select_dtypes("number"), again.select_dtypes("number")
    )
    assert (first["area_path"].array == again["area_path"].array).all()
