"""Named axes: any order of them, in every format that holds arrays of many axes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.errors import ChoiceError, FormatError, InvalidValueError
from astrocast.io import open_recording
from astrocast.io.formats.axes import read_layout
from astrocast.io.selection import Selection, split_address

SIZES = {"T": 5, "C": 2, "Z": 3, "P": 2, "Y": 4, "X": 6}


def array_of(axes: str, dtype: str = "uint16") -> np.ndarray:
    shape = [SIZES[a] for a in axes]
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def movie_in(array: np.ndarray, axes: str, **at: int) -> np.ndarray:
    """Return frames (T, Y, X) by plain indexing."""
    index = tuple(slice(None) if a in "TYX" else at[a] for a in axes)
    kept = [a for a in axes if a in "TYX"]
    return array[index].transpose([kept.index(a) for a in "TYX"])


def named(axes: str, at: dict[str, int]) -> dict[str, int]:
    words = {"C": "channel", "Z": "plane", "P": "position"}
    return {words[a]: i for a, i in at.items() if a in axes}


@settings(max_examples=80, deadline=None)
@given(
    axes=st.sampled_from(["TYX", "TCYX", "TZYX", "TCZYX", "PTCZYX", "TPYX"]).flatmap(
        st.permutations
    ),
    at=st.fixed_dictionaries({a: st.integers(0, SIZES[a] - 1) for a in "CZP"}),
    cut=st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 3)),
)
def test_any_order_of_axes_gives_the_same_movie(
    axes: list[str], at: dict[str, int], cut: tuple[int, int, int]
) -> None:
    order = "".join(axes)
    array = array_of(order)
    expected = movie_in(array, order, **at)
    found = open_recording(array, axes=order, **named(order, at))
    np.testing.assert_array_equal(found.to_array(), expected)
    start, stop, step = cut
    stop = max(start, stop)
    np.testing.assert_array_equal(
        found.read_every(start, stop, step, slice(1, 3), slice(0, 6, 2)),
        expected[start:stop:step, 1:3, ::2],
    )
    assert found.to_array().flags.c_contiguous


@pytest.mark.parametrize(
    "axes", [*["".join(p) for p in itertools.permutations("TCYX")][:8], "TZCYX"]
)
@pytest.mark.parametrize("kind", ["h5", "chunked.h5", "zarr", "npy", "F.npy", "dask"])
def test_axes_named_by_the_user(tmp_path: Path, axes: str, kind: str) -> None:
    array = array_of(axes, "int16")
    path: Any = tmp_path / f"a.{kind}"
    if kind.endswith("h5"):
        with h5py.File(path, "w") as file:
            chunks = True if kind.startswith("chunked") else None
            file.create_dataset("stack", data=array, chunks=chunks)
    elif kind == "zarr":
        zarr.save_array(str(path), array)
    elif kind == "dask":
        path = da.from_array(array, chunks=2)
    else:
        np.save(path, np.asfortranarray(array) if kind.startswith("F") else array)
    with pytest.raises((InvalidValueError, FormatError), match="axes="):
        open_recording(path)
    at = {"C": 1, "Z": 2}
    with open_recording(path, axes=axes, **named(axes, at)) as found:
        np.testing.assert_array_equal(found.to_array(), movie_in(array, axes, **at))
    if kind != "dask":  # the address opens the same again
        with open_recording(path, found.loc) as again:
            np.testing.assert_array_equal(again.to_array(), movie_in(array, axes, **at))


def test_axes_named_by_the_file(tmp_path: Path) -> None:
    array = array_of("TZYX")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = array
        for i, label in enumerate(("time", "plane", "height", "width")):
            file["x"].dims[i].label = label
        file["y"] = array.transpose(2, 3, 1, 0)
        file["y"].attrs["axes"] = "YXZT"
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("z", data=array, dimension_names=["t", "z", "y", "x"])
    for path, loc in (("a.h5", "x"), ("a.h5", "y"), ("a.zarr", "z")):
        with pytest.raises(ChoiceError, match="3 planes"):
            open_recording(tmp_path / path, loc)
        with open_recording(tmp_path / path, f"{loc},plane=1") as found:
            np.testing.assert_array_equal(found.to_array(), array[:, 1])


def test_what_cannot_be_named_is_refused() -> None:
    array = array_of("TZYX")
    for axes in ("TZY", "TTYX", "QZYX", "TZYZ"):
        with pytest.raises((InvalidValueError, FormatError), match="axes"):
            open_recording(array, axes=axes)
    with pytest.raises(ChoiceError, match="no plane 3: 0, 1, 2"):
        open_recording(array, axes="TZYX", plane=3)
    with pytest.raises(ChoiceError, match="single plane"):
        open_recording(array[:, 0], plane=2)
    with pytest.raises(InvalidValueError, match="missing is 'no'"):
        open_recording(array, axes="TZYX", missing="no")
    with pytest.raises(InvalidValueError, match="depth is not a valid choice"):
        open_recording(array, axes="TZYX", depth=1)


def test_positions_are_never_taken_as_frames() -> None:
    with pytest.raises(ChoiceError, match="5 positions"):
        read_layout("PYX", (5, 4, 4), "a file")
    assert read_layout("ZYX", (5, 4, 4), "a file").frames == 5  # a stack is a movie
    assert read_layout("ZYX", (5, 4, 4), "a file", Selection(plane=1)).frames == 1
    with pytest.raises(ChoiceError, match="5 planes"):
        read_layout("ZYX", (5, 4, 4), "a file", stacks=True)
    lone = read_layout("CYX", (3, 4, 4), "a file")
    assert (lone.frames, lone.channels) == (1, 3)
    assert read_layout("CYX", (50, 4, 4), "a file").frames == 50


@pytest.mark.parametrize(
    ("loc", "rest", "stated"),
    [
        (None, None, {}),
        ("data/ch0", "data/ch0", {}),
        ("plane=2", None, {"plane": "2"}),
        (
            "data/x,z=1,scene=left side",
            "data/x",
            {"plane": "1", "position": "left side"},
        ),
        ("a=1,b", "a=1,b", {}),
    ],
)
def test_addresses(loc: str | None, rest: str | None, stated: dict) -> None:
    assert split_address(loc) == (rest, stated)
