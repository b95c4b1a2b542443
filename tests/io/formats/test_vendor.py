"""Vendors' formats: on files written by hand from the formats' layouts, and CZI on
files of Zeiss's own library too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import imagecodecs
import numpy as np
import pytest

from astrocast.errors import AstrocastWarning, DatasetNotFoundError, FormatError
from astrocast.io import open_recording
from astrocast.io.formats.czi import decode_pixels
from astrocast.io.registry import open_interleaved

MOVIE = np.random.default_rng(4).integers(0, 4000, (5, 2, 6, 8)).astype(np.uint16)


@pytest.fixture(scope="module")
def files() -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "vendor_files", Path(__file__).with_name("vendor_files.py")
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def check_two_channels(
    path: Path,
    green: str,
    red: str,
    pixel: tuple[float, float] = (0.5, 0.25),
    rate: float | None = 4.0,
) -> None:
    with open_interleaved(path, channels=2) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE.reshape(10, 6, 8))
        np.testing.assert_array_equal(
            found.read(3, 7, slice(1, 4), slice(2, 7)),
            MOVIE.reshape(10, 6, 8)[3:7, 1:4, 2:7],
        )
        assert found.metadata.pixel_size == pytest.approx(pixel)
        assert found.metadata.frame_rate == (rate and pytest.approx(rate))
        assert found.metadata.channel_names == (green, red)
    with open_recording(path, red) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE[:, 1])


def test_czi(tmp_path: Path, files: ModuleType) -> None:
    pytest.importorskip("czifile")
    files.write_czi(tmp_path / "a.czi", MOVIE)
    check_two_channels(tmp_path / "a.czi", "green", "red")
    with open_recording(tmp_path / "a.czi", "ch0") as found:
        assert found.metadata.acquisition_time == "2024-01-02T03:04:05"
    whole = (tmp_path / "a.czi").read_bytes()
    (tmp_path / "cut.czi").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut\.czi"):
        open_recording(tmp_path / "cut.czi", "ch0").to_array()


def test_lif(tmp_path: Path, files: ModuleType) -> None:
    pytest.importorskip("liffile")
    files.write_lif(tmp_path / "a.lif", {"series 1": MOVIE})
    check_two_channels(tmp_path / "a.lif", "Green", "Red")
    files.write_lif(
        tmp_path / "b.lif", {"series 1": MOVIE, "series 2": MOVIE[:, :1] + 1}
    )
    with open_recording(tmp_path / "b.lif", "series 2") as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE[:, 0] + 1)
    with pytest.raises(DatasetNotFoundError, match=r"0 \(series 1\), 1 \(series 2\)"):
        open_recording(tmp_path / "b.lif")
    whole = (tmp_path / "a.lif").read_bytes()
    (tmp_path / "cut.lif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut\.lif"):
        open_recording(tmp_path / "cut.lif", "ch0").to_array()


def test_nd2(tmp_path: Path, files: ModuleType) -> None:
    pytest.importorskip("nd2")
    path = tmp_path / "a.nd2"
    files.write_nd2(path, MOVIE)
    check_two_channels(path, "green", "red", pixel=(0.25, 0.25))
    with open_recording(path, "ch0") as found:
        assert found.metadata.acquisition_time == "2/1/2024  3:04:05 AM"
    whole = path.read_bytes()
    contents = {
        "is a damaged ND2 file": whole[: len(whole) // 2],
        "cannot be read as ND2": b"no ND2 file at all" * 100,
    }
    for complaint, content in contents.items():
        (tmp_path / "bad.nd2").write_bytes(content)
        with pytest.raises(FormatError, match=rf"bad\.nd2 {complaint}"):
            open_recording(tmp_path / "bad.nd2")


def test_nd2_of_an_acquisition_that_was_stopped(
    tmp_path: Path, files: ModuleType
) -> None:
    pytest.importorskip("nd2")
    files.write_nd2(tmp_path / "stopped.nd2", MOVIE, announced=9)
    with (
        pytest.warns(
            AstrocastWarning, match="announces 9 frames and holds the first 5"
        ),
        open_recording(tmp_path / "stopped.nd2", "green") as found,
    ):
        np.testing.assert_array_equal(found.to_array(), MOVIE[:, 0])
    files.write_nd2(tmp_path / "gap.nd2", MOVIE, absent=(2,))
    with pytest.raises(
        FormatError,
        match="announces 5 frames and holds 4; missing before its last one: 2",
    ):
        open_recording(tmp_path / "gap.nd2", "green")


@pytest.mark.parametrize(
    "compression",
    [
        "uncompressed:",
        "zstd0:ExplicitLevel=3",
        "zstd1:ExplicitLevel=3",
        "zstd1:ExplicitLevel=3;PreProcess=HiLoByteUnpack",
    ],
)
def test_czi_of_the_makers_own_library(tmp_path: Path, compression: str) -> None:
    pytest.importorskip("czifile")
    czi = pytest.importorskip(
        "pylibCZIrw.czi", reason="Zeiss's library is not there for this Python"
    )
    path = tmp_path / "zeiss.czi"
    with czi.create_czi(str(path), compression_options=compression) as document:
        for t, channels in enumerate(MOVIE):
            for c, plane in enumerate(channels):
                document.write(data=plane[..., None], plane={"C": c, "T": t, "Z": 0})
        document.write_metadata(
            "zeiss",
            channel_names={0: "green", 1: "red"},
            scale_x=0.25e-6,
            scale_y=0.5e-6,
            scale_z=1e-6,
        )
    check_two_channels(path, "green", "red", rate=None)


def test_czi_pixels_that_are_damaged_or_of_an_unknown_kind() -> None:
    packed = imagecodecs.zstd_encode(MOVIE.tobytes())
    assert np.array_equal(decode_pixels(packed, 5, MOVIE.dtype), MOVIE.ravel())
    assert np.array_equal(
        decode_pixels(imagecodecs.lzw_encode(MOVIE.tobytes()), 2, MOVIE.dtype),
        MOVIE.ravel(),
    )
    with pytest.raises(RuntimeError, match="ZSTD"):
        decode_pixels(packed[: len(packed) // 2], 5, MOVIE.dtype)
    with pytest.raises(FormatError, match="number 77"):
        decode_pixels(packed, 77, MOVIE.dtype)
