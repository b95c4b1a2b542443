"""TIFF in its dialects, whole and damaged, alone and in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from astrocast.errors import (
    AstrocastWarning,
    ChoiceError,
    DatasetNotFoundError,
    FormatError,
)
from astrocast.io import open_recording
from astrocast.io.naming import sort_naturally
from astrocast.io.registry import open_interleaved


def movie_of(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 4000, shape).astype(dtype)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"imagej": True},
        {"ome": True},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"tile": (16, 16)},
        {"rowsperstrip": 5},
    ],
    ids=str,
)
def test_stacks_of_every_kind(tmp_path: Path, options: dict) -> None:
    movie = movie_of(9, 32, 40)
    tifffile.imwrite(tmp_path / "a.tif", movie, photometric="minisblack", **options)
    with open_recording(tmp_path / "a.tif") as found:
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(
            found.read(2, 7, slice(3, 20), slice(8, 33)), movie[2:7, 3:20, 8:33]
        )
        np.testing.assert_array_equal(found.read_every(1, 9, 3), movie[1::3])


def test_pages_written_one_by_one(tmp_path: Path) -> None:
    movie = movie_of(5, 12, 14)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for frame in movie:
            tiff.write(frame, metadata=None, description="frame of its own")
    with open_recording(tmp_path / "a.tif") as found:
        np.testing.assert_array_equal(found.to_array(), movie)


@pytest.mark.parametrize("order", ["TCYX", "CTYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_channels_alternate_whatever_their_order(
    tmp_path: Path, order: str, compression: str | None
) -> None:
    movie = movie_of(6, 2, 10, 12)
    stored = movie if order == "TCYX" else movie.swapaxes(0, 1)
    names = {"Channel": {"Name": ["green", "red"]}}
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        stored,
        photometric="minisblack",
        compression=compression,
        metadata={"axes": order, **names},
    )
    with open_interleaved(tmp_path / "a.ome.tif", channels=2) as found:
        np.testing.assert_array_equal(found.to_array(), movie.reshape(12, 10, 12))
        assert found.metadata.channel_names == ("green", "red")
    with open_recording(tmp_path / "a.ome.tif", "red") as found:
        np.testing.assert_array_equal(found.to_array(), movie[:, 1])
    with pytest.raises(DatasetNotFoundError, match="green"):
        open_recording(tmp_path / "a.ome.tif")


def test_metadata_of_ome(tmp_path: Path) -> None:
    metadata = {
        "axes": "TYX",
        "PhysicalSizeX": 250.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.5,
        "PhysicalSizeYUnit": "µm",
        "TimeIncrement": 40.0,
        "TimeIncrementUnit": "ms",
        "AcquisitionDate": "2024-01-02T03:04:05",
    }
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        movie_of(4, 8, 8),
        photometric="minisblack",
        metadata=metadata,
    )
    with open_recording(tmp_path / "a.ome.tif") as found:
        assert found.metadata.pixel_size == (0.5, 0.25)
        assert found.metadata.frame_rate == 25.0
        assert found.metadata.acquisition_time == "2024-01-02T03:04:05"


def test_metadata_of_imagej(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        movie_of(4, 8, 8),
        imagej=True,
        resolution=(4.0, 2.0),
        datetime="2024:01:02 03:04:05",
        metadata={"axes": "TYX", "unit": "um", "finterval": 0.2},
    )
    with open_recording(tmp_path / "a.tif") as found:
        assert found.metadata.pixel_size == (0.5, 0.25)
        assert found.metadata.frame_rate == pytest.approx(5.0)
        assert found.metadata.acquisition_time == "2024-01-02T03:04:05"


def test_metadata_of_scanimage(tmp_path: Path) -> None:
    header = (
        "SI.VERSION_MAJOR = 2020\nSI.hChannels.channelSave ="
        " [1;2]\nSI.hChannels.channelName = {'GFP' 'RFP'}\nSI.hRoiManager.scanFrameRate"
        " = 30.5\n"
    )
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for i, frame in enumerate(movie_of(4, 8, 8, dtype="int16")):
            tiff.write(
                frame,
                metadata=None,
                software=header,
                description=f"frameNumbers = {i}\nepoch = [2024 1 2 3 4 5.5]\n",
                resolution=(1e4 / 0.25, 1e4 / 0.5),
                resolutionunit="CENTIMETER",
            )
    with open_interleaved(tmp_path / "a.tif", channels=2) as found:
        assert found.shape == (4, 8, 8)
        assert found.metadata.frame_rate == 30.5
        assert found.metadata.pixel_size == pytest.approx((0.5, 0.25))
        assert found.metadata.acquisition_time == "2024-01-02T03:04:05.500000"
        assert found.metadata.channel_names == ("GFP", "RFP")


@pytest.mark.parametrize("kind", ["contiguous", "pages", "compressed", "imagej"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_truncated_file_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    movie = movie_of(20, 32, 32)
    path = tmp_path / "a.tif"
    if kind == "pages":
        with tifffile.TiffWriter(path) as tiff:
            for frame in movie:
                tiff.write(frame, metadata=None)
    else:
        options = {
            "contiguous": {},
            "compressed": {"compression": "zlib"},
            "imagej": {"imagej": True},
        }[kind]
        tifffile.imwrite(path, movie, photometric="minisblack", **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    size = path.stat().st_size
    # what is missing is the directory of pages that ImageJ itself does not read
    if kind == "imagej" and share > 0.9:
        np.testing.assert_array_equal(open_recording(path).to_array(), movie)
    else:
        with pytest.raises(
            FormatError, match=r"a\.tif.*(truncated|damaged|cannot be read)"
        ):
            open_recording(path).to_array()
    assert path.stat().st_size == size


def test_what_is_no_movie_is_refused(tmp_path: Path) -> None:
    cases = {
        "colour": (
            movie_of(4, 8, 8, 3, dtype="uint8"),
            {"photometric": "rgb"},
            "not colour",
        ),
        "volume": (
            movie_of(3, 4, 8, 8),
            {"imagej": True, "metadata": {"axes": "TZYX"}},
            "has 4 planes: 0, 1, 2, 3",
        ),
        "four": (movie_of(3, 4, 8, 8), {"photometric": "minisblack"}, "several axes"),
        "complex": (
            movie_of(3, 8, 8).astype("complex64"),
            {"photometric": "minisblack"},
            "real numbers",
        ),
    }
    for name, (movie, options, message) in cases.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", movie, **options)
        with pytest.raises((FormatError, ChoiceError), match=message):
            open_recording(tmp_path / f"{name}.tif")
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as tiff:
        tiff.write(movie_of(8, 8), metadata=None)
        tiff.write(movie_of(9, 8), metadata=None)
    with pytest.raises(FormatError, match="2 image series"):
        open_recording(tmp_path / "mixed.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_file_that_was_written_page_by_page(
    tmp_path: Path, compression: str | None
) -> None:
    movie = movie_of(7, 16, 20)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for frame in movie:
            tiff.write(frame, compression=compression)
    with open_recording(tmp_path / "a.tif") as found:
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(found.read(2, 5, slice(3, 9)), movie[2:5, 3:9])


def test_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    movie = movie_of(24, 8, 9)
    for i in range(12):
        tifffile.imwrite(tmp_path / f"rec_a_{i}.tif", movie[2 * i : 2 * i + 2])
    with open_recording(tmp_path) as found:
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(found.read(3, 18, slice(2, 5)), movie[3:18, 2:5])
        np.testing.assert_array_equal(found.read_every(1, 23, 5), movie[1:23:5])


def test_separator_decides_which_number_counts() -> None:
    names = [Path("a-10_1.tif"), Path("a-2_2.tif")]
    assert sort_naturally(names, "_") == names
    assert sort_naturally(names[::-1], "_") == names
    with pytest.raises(FormatError, match="number after '-'"):
        sort_naturally(names, "-")
    assert sort_naturally([Path("a-10.tif"), Path("a-9.tif")], "-")[0].name == "a-9.tif"
    with pytest.raises(FormatError, match="same number"):
        sort_naturally([Path("a_1.tif"), Path("b_01.tif")], "_")


def test_folder_of_files_that_do_not_belong_together(tmp_path: Path) -> None:
    for i in range(3):
        tifffile.imwrite(
            tmp_path / f"a_{i}.tif", movie_of(4, 8, 8), photometric="minisblack"
        )
    tifffile.imwrite(tmp_path / "a_3.tif", movie_of(4, 8, 9), photometric="minisblack")
    with pytest.raises(FormatError, match=r"a_3\.tif has \(8, 9\)"):
        open_recording(tmp_path)
    tifffile.imwrite(
        tmp_path / "a_3.tif", movie_of(4, 8, 8, dtype="uint8"), photometric="minisblack"
    )
    with pytest.raises(FormatError, match="uint8"):
        open_recording(tmp_path)


def test_folder_warns_of_a_short_file_but_not_of_a_short_last_one(
    tmp_path: Path,
) -> None:
    for i, n in enumerate((4, 4, 4, 2)):
        tifffile.imwrite(
            tmp_path / f"a_{i}.tif", movie_of(n, 8, 8), photometric="minisblack"
        )
    assert open_recording(tmp_path).shape == (14, 8, 8)
    tifffile.imwrite(tmp_path / "a_1.tif", movie_of(3, 8, 8), photometric="minisblack")
    with pytest.warns(AstrocastWarning, match=r"a_1\.tif \(3\)"):
        assert open_recording(tmp_path).shape == (13, 8, 8)


def test_real_recordings(shared) -> None:
    with open_recording(shared("data/single_astrocyte.tif")) as found:
        assert found.shape == (100, 512, 512)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(
            found.read(7, 9), tifffile.imread(found.path)[7:9]
        )
    with open_recording(shared("data/sample_1.tiff")) as found:
        assert found.shape == (75, 100, 100)
