"""ImageJ: calibration, frame interval, pixel size, stacks behind one directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from astrocast.errors import ChoiceError, FormatError
from astrocast.io import open_recording

MOVIE = (np.arange(20 * 6 * 8).reshape(20, 6, 8) * 7 - 2000).astype(np.int16)


def write(path: Path, movie: np.ndarray, lines: str, **options: object) -> None:
    text = f"ImageJ=1.53t\nimages={len(movie)}\nframes={len(movie)}\n{lines}"
    tifffile.imwrite(
        path,
        movie,
        metadata=None,
        photometric="minisblack",
        description=text,
        **options,
    )


def test_signed_values_that_are_stored_as_unsigned(tmp_path: Path) -> None:
    stored = (MOVIE.astype(np.int32) + 32768).astype(np.uint16)
    write(tmp_path / "a.tif", stored, "c0=-32768.0\nc1=1.0\nvunit=gray value\n")
    with open_recording(tmp_path / "a.tif") as found:
        assert found.dtype == np.int16
        np.testing.assert_array_equal(found.to_array(), MOVIE)
        np.testing.assert_array_equal(
            found.read_every(1, 20, 3, slice(2, 5)), MOVIE[1::3, 2:5]
        )


@pytest.mark.parametrize(
    ("lines", "terms"),
    [
        ("c0=5.0\nc1=0.25\n", (5, 0.25)),
        ("cf=1\nc0=1\nc1=2\nc2=0.5\n", (1, 2, 0.5)),
    ],
)
def test_other_calibrations_are_applied(
    tmp_path: Path, lines: str, terms: tuple
) -> None:
    stored = MOVIE.view(np.uint16) % 500
    write(tmp_path / "a.tif", stored, lines)
    expected = sum(t * stored.astype(float) ** i for i, t in enumerate(terms))
    with open_recording(tmp_path / "a.tif") as found:
        np.testing.assert_allclose(found.to_array(), expected, rtol=1e-6)
        assert found.remarks == ("calibration of ImageJ is applied",)


def test_no_calibration_and_one_that_is_not_known(tmp_path: Path) -> None:
    stored = MOVIE.view(np.uint16)
    for lines in ("", "cf=20\nc0=3\nc1=2\n", "c0=0\nc1=1\n"):
        write(tmp_path / "a.tif", stored, lines)
        with open_recording(tmp_path / "a.tif") as found:
            np.testing.assert_array_equal(found.to_array(), stored)
    write(tmp_path / "a.tif", stored, "cf=7\nc0=3\nc1=2\nc2=1\nc3=1\n")
    with pytest.raises(FormatError, match="function 7 of ImageJ"):
        open_recording(tmp_path / "a.tif")


def test_the_speed_of_playing_is_not_the_frame_rate(tmp_path: Path) -> None:
    for lines, rate in (
        ("fps=7.0\n", None),
        ("fps=7.0\nfinterval=0.5\n", 2.0),
        ("finterval=500\ntunit=ms\n", 2.0),
        ("finterval=0\n", None),
    ):
        write(tmp_path / "a.tif", MOVIE.view(np.uint16), lines)
        with open_recording(tmp_path / "a.tif") as found:
            assert found.metadata.frame_rate == rate


def test_one_pixel_a_micron_is_the_default_and_not_a_size(tmp_path: Path) -> None:
    for per_unit, unit, size in (
        ((1, 1), "micron", None),
        ((2, 4), "micron", (0.25, 0.5)),
        ((2, 4), "pixel", None),
        ((2, 4), "\\u00B5m", (0.25, 0.5)),
    ):
        write(
            tmp_path / "a.tif",
            MOVIE.view(np.uint16),
            f"unit={unit}\n",
            resolution=per_unit,
        )
        with open_recording(tmp_path / "a.tif") as found:
            assert found.metadata.pixel_size == size


def test_planes_of_a_hyperstack(tmp_path: Path) -> None:
    movie = np.arange(4 * 3 * 2 * 6 * 8, dtype=np.uint16).reshape(4, 3, 2, 6, 8)
    tifffile.imwrite(tmp_path / "a.tif", movie, imagej=True, metadata={"axes": "TZCYX"})
    with pytest.raises(ChoiceError, match="3 planes") as caught:
        open_recording(tmp_path / "a.tif")
    assert caught.value.choices == {
        "plane": ("0", "1", "2"),
        "channel": ("ch0", "ch1"),
    }
    with open_recording(tmp_path / "a.tif", plane=2, channel=1) as found:
        np.testing.assert_array_equal(found.to_array(), movie[:, 2, 1])
