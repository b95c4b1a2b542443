"""Opening a recording names everything that is wrong with it, in one message."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from astrocast.cli.app import main
from astrocast.errors import (
    AstrocastError,
    AstrocastWarning,
    FormatError,
    OutputError,
)
from astrocast.io import create_recording, open_recording
from astrocast.io.recording import Metadata
from astrocast.io.writing.files import check_space


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_half_and_long_floats_are_read_as_those_that_kernels_know(dtype: type) -> None:
    movie = np.linspace(0, 1000, 6 * 4 * 4).reshape(6, 4, 4).astype(dtype)
    with open_recording(movie) as found:
        assert found.dtype in (np.float32, np.float64)
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(found.read(1, 3, slice(0, 2)), movie[1:3, :2])


@pytest.mark.parametrize("suffix", ["npy", "h5", "zarr"])
@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_half_and_long_floats_go_through_a_conversion(
    tmp_path: Path, dtype: type, suffix: str
) -> None:
    movie = np.linspace(0, 1000, 12 * 20 * 20).reshape(12, 20, 20).astype(dtype)
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, movie)
    elif suffix == "h5":
        with h5py.File(path, "w") as file:
            file["data/ch0"] = movie
    elif dtype is np.longdouble:
        pytest.skip("zarr has no long double")
    else:
        zarr.create_array(str(path), data=movie)
    target = tmp_path / "b.h5"
    assert main(["-q", "convert", str(path), "-o", str(target)]) == 0
    with open_recording(target) as found:
        assert found.dtype in (np.float32, np.float64)
        np.testing.assert_array_equal(found.to_array(), movie)


@pytest.mark.parametrize("suffix", ["h5", "zarr", "tif"])
def test_a_damaged_chunk_names_its_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"named.{suffix}"
    movie = np.random.default_rng(1).integers(0, 900, (9, 32, 32)).astype(np.uint16)
    if suffix == "tif":
        tifffile.imwrite(
            path, movie, compression="lzw", photometric="minisblack", rowsperstrip=32
        )
        with tifffile.TiffFile(path) as file:
            at = file.pages[4].dataoffsets[0]
        damaged = path
    else:
        with create_recording(
            path, "data/ch0", movie.shape, movie.dtype, chunks=(3, 32, 32)
        ) as writer:
            writer.write(0, movie)
    if suffix == "zarr":
        damaged, at = path / "data" / "ch0" / "c" / "1" / "0" / "0", 8
    elif suffix == "h5":
        with h5py.File(path) as file:
            at = file["data/ch0"].id.get_chunk_info(1).byte_offset
        damaged = path
    content = bytearray(damaged.read_bytes())
    content[at : at + 40] = bytes(40)
    damaged.write_bytes(content)
    with (
        open_recording(path) as found,
        pytest.raises(FormatError, match=rf"named\.{suffix}"),
    ):
        found.to_array()


def test_too_little_room_is_said_in_numbers(tmp_path: Path) -> None:
    need = shutil.disk_usage(tmp_path).free
    with pytest.raises(OutputError) as caught:
        check_space(tmp_path, need, tmp_path / "a.h5")
    assert not re.search(r"\b0(\.0)? [kMGT]?B\b", str(caught.value))
    assert "are free" in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 4, 4), complex),
        np.zeros((5, 4, 4), "S3"),
        np.zeros((5, 4, 4), "datetime64[s]"),
        np.zeros((5, 4, 4), [("a", "i4")]),
        np.full((5, 4, 4), None),
    ],
)
def test_what_is_no_number_is_refused(array: np.ndarray) -> None:
    with pytest.raises(AstrocastError, match="expected integers or floating-point"):
        open_recording(array)


@pytest.mark.parametrize("kind", [h5py.string_dtype(), "S4", [("x", "i4")], "c8"])
def test_a_dataset_that_holds_no_numbers_is_refused_by_name(tmp_path, kind) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("ch0", (3, 4, 4), kind)
    with pytest.raises(
        AstrocastError, match=r"a\.h5:ch0 has the dtype .*not a real number"
    ):
        open_recording(tmp_path / "a.h5", "ch0")


def test_a_header_that_claims_more_than_the_file_can_hold_is_refused(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("ch0", (4000, 2**20, 4000), "u2", chunks=(1, 64, 64))
    with pytest.raises(FormatError):
        open_recording(tmp_path / "a.h5", "ch0")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    array = np.broadcast_to(np.zeros((), complex), (2**31, 1, 2**25))
    with pytest.raises(FormatError) as caught:
        open_recording(array)
    for part in ("frames", "at most 16777216 a side", "complex128"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_rate", float("nan")),
        ("frame_rate", -3.0),
        ("frame_rate", "fast"),
        ("pixel_size", [1.0, float("inf")]),
        ("pixel_size", [1.0]),
        ("channel_names", 7),
    ],
)
def test_metadata_that_makes_no_sense_is_left_out_with_a_warning(name, value) -> None:
    with pytest.warns(AstrocastWarning, match=f"{name} in the file"):
        assert Metadata.from_attributes({name: value}) == Metadata()


def test_a_warning_points_at_the_callers_line() -> None:
    with pytest.warns(AstrocastWarning) as caught:
        Metadata.from_attributes({"frame_rate": -1.0})
    assert Path(caught[0].filename) == Path(__file__)
