"""Opening a recording names everything that is wrong with it, in one message."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.errors import AstrocastError, AstrocastWarning, FormatError
from astrocast.io import open_recording
from astrocast.io.recording import Metadata


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_half_and_long_floats_are_read_as_those_that_kernels_know(dtype: type) -> None:
    movie = np.linspace(0, 1000, 6 * 4 * 4).reshape(6, 4, 4).astype(dtype)
    with open_recording(movie) as found:
        assert found.dtype in (np.float32, np.float64)
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(found.read(1, 3, slice(0, 2)), movie[1:3, :2])


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
    with pytest.raises(AstrocastError, match=r"a\.h5:ch0 holds .*not a real number"):
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
