"""Vendors' formats: on files written by hand from the formats' layouts, and CZI on
files of Zeiss's own library too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import imagecodecs
import numpy as np
import pytest

from astrocast.errors import (
    AstrocastWarning,
    ChoiceError,
    DatasetNotFoundError,
    FormatError,
)
from astrocast.io import open_recording
from astrocast.io.formats.czi import axes_of, coordinates, decode_pixels, read_segment
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
            AstrocastWarning, match="states 9 frames but contains only the first 5"
        ),
        open_recording(tmp_path / "stopped.nd2", "green") as found,
    ):
        np.testing.assert_array_equal(found.to_array(), MOVIE[:, 0])
    files.write_nd2(tmp_path / "gap.nd2", MOVIE, absent=(2,))
    with pytest.raises(
        FormatError,
        match="states 5 frames but contains 4; missing before the last one: 2",
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


UNEVEN = np.array([0.0, 0.5, 1.0, 2.5, 3.0])


def check_uneven(metadata: object) -> None:
    assert metadata.frame_rate == pytest.approx(2.0)
    assert metadata.frame_times == pytest.approx(UNEVEN.tolist(), abs=1e-6)
    assert metadata.describe_steps() == (
        "uneven steps between frames: 0.5 to 1.5 s, median 0.5 s"
    )


def test_the_rate_is_the_median_step_of_the_time_stamps(
    tmp_path: Path, files: ModuleType
) -> None:
    for module in ("czifile", "liffile", "nd2"):
        pytest.importorskip(module)
    files.write_czi(tmp_path / "a.czi", MOVIE, times=UNEVEN)
    files.write_lif(tmp_path / "a.lif", {"one": MOVIE}, times=np.repeat(UNEVEN, 2))
    files.write_nd2(tmp_path / "a.nd2", MOVIE, times=1000 * UNEVEN)  # without delay
    for name in ("a.czi", "a.lif", "a.nd2"):
        with open_recording(tmp_path / name, channel=1) as found:
            check_uneven(found.metadata)
            np.testing.assert_array_equal(found.to_array(), MOVIE[:, 1])


@pytest.mark.parametrize("axis", ["S", "Z"])
def test_scenes_and_planes_of_czi(tmp_path: Path, files: ModuleType, axis: str) -> None:
    pytest.importorskip("czifile")
    several = np.stack([MOVIE, MOVIE + 5000, MOVIE + 9000])
    files.write_czi(tmp_path / "a.czi", several, axis=axis)
    kind = {"S": "position", "Z": "plane"}[axis]
    with pytest.raises(ChoiceError, match=f"3 {kind}s"):
        open_recording(tmp_path / "a.czi")
    for i in range(3):
        with open_recording(tmp_path / "a.czi", **{kind: i}, channel="red") as found:
            np.testing.assert_array_equal(found.to_array(), several[i, :, 1])
            assert found.metadata.channel_names == ("red",)


def test_czi_of_two_channels_and_one_moment(tmp_path: Path, files: ModuleType) -> None:
    pytest.importorskip("czifile")
    files.write_czi(tmp_path / "a.czi", MOVIE[:1])
    with pytest.raises(ChoiceError, match=r"ch0 \(green\), ch1 \(red\)"):
        open_recording(tmp_path / "a.czi")
    with open_recording(tmp_path / "a.czi", channel="red") as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE[:1, 1])


def test_images_of_lif_are_positions(tmp_path: Path, files: ModuleType) -> None:
    pytest.importorskip("liffile")
    files.write_lif(tmp_path / "a.lif", {"one": MOVIE, "two": MOVIE + 1})
    for chosen in ({"position": 1}, {"series": "two"}, {"loc": "two"}):
        with open_recording(tmp_path / "a.lif", channel=0, **chosen) as found:
            np.testing.assert_array_equal(found.to_array(), MOVIE[:, 0] + 1)
            assert found.choices["position"] == ("one", "two")


def test_subblocks_of_both_kinds_of_czifile_are_placed_alike() -> None:
    before = SimpleNamespace(axes="SCTYX0", start=(2, 1, 4, 0, 0, 0))
    since_2026 = SimpleNamespace(
        dims=("C", "T", "Y", "X", "S"), start=(1, 4, 0, 0, 0), scene_index=2
    )
    assert coordinates(before) == coordinates(since_2026)
    assert axes_of(since_2026) == ("C", "T", "Y", "X", "0")
    entry = SimpleNamespace(read_segment_data=lambda file: (file, "segment"))
    assert read_segment(entry, "file") == ("file", "segment")
    assert read_segment(SimpleNamespace(data_segment=lambda: 3), "file") == 3


def test_a_czifile_without_its_old_error_is_not_a_missing_extra(
    tmp_path: Path, files: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    czifile = pytest.importorskip("czifile")
    files.write_czi(tmp_path / "a.czi", MOVIE)
    monkeypatch.delattr(czifile, "SegmentNotFoundError", raising=False)
    check_two_channels(tmp_path / "a.czi", "green", "red")
