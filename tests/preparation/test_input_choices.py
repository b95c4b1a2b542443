"""Conversion with a choice of channel or plane, of interleaved channels, of broken
frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from astrocast.errors import AstrocastWarning, ChoiceError, InvalidValueError
from astrocast.io import create_recording, open_recording
from astrocast.io.memory import ArrayRecording
from astrocast.io.recording import Metadata
from astrocast.io.stores.frame_quality import read_frame_quality
from astrocast.preparation import Input
from astrocast.runtime import frame_quality


def stack_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4000, shape).astype(np.uint16)


def convert(source: object, **how: object) -> np.ndarray:
    found = Input().run(source, in_memory=True, **{"dtype": "uint16", **how})
    return found["data/ch0"]


def test_plane_position_and_channel_are_chosen(tmp_path: Path) -> None:
    movie = stack_of(6, 3, 2, 8, 9)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TZCYX"})
    np.testing.assert_array_equal(convert(path, plane=1, channel=1), movie[:, 1, 1])
    both = Input().run(path, channels=2, plane=2, dtype="uint16", in_memory=True)
    np.testing.assert_array_equal(both["data/ch1"], movie[:, 2, 1])
    with pytest.raises(ChoiceError, match="3 planes"):
        convert(path, channels=2)
    array = stack_of(2, 6, 8, 9)
    np.testing.assert_array_equal(convert(array, axes="PTYX", position=1), array[1])
    np.testing.assert_array_equal(
        convert(path, loc_in="plane=1,channel=0"), movie[:, 1, 0]
    )


def test_two_channels_that_alternate_are_asked_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    movie = rng.normal(300, 20, (30, 16, 16))
    movie[1::2] += 200
    movie = movie.astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", movie, photometric="minisblack")
    for source in (movie, tmp_path / "a.tif"):
        with pytest.raises(
            InvalidValueError, match=r"channels=2 .*check_channels=False"
        ):
            convert(source)
        np.testing.assert_array_equal(convert(source, check_channels=False), movie)
        found = Input().run(source, channels=2, dtype="uint16", in_memory=True)
        np.testing.assert_array_equal(found["data/ch1"], movie[1::2])


def test_a_border_that_is_not_numbers(tmp_path: Path) -> None:
    movie = np.random.default_rng(2).normal(100, 5, (12, 20, 24)).astype(np.float32)
    broken = movie.copy()
    broken[4, :3] = np.nan
    broken[7, :, 22:] = np.nan
    with pytest.raises(InvalidValueError, match="are NaN"):
        convert(broken)
    source = ArrayRecording(broken, Metadata(frame_rate=5.0))
    with pytest.warns(AstrocastWarning, match="rows 3 to 19 and columns 0 to 21"):
        found = convert(source, nan_border="crop", dtype="float32")
    np.testing.assert_array_equal(found, movie[:, 3:, :22])
    filled = convert(broken, nan_border="fill", dtype="float32")
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[0], movie[0])
    assert filled[4, 0, 0] == pytest.approx(movie[4, 3:].mean(), rel=1e-5)
    broken[3, 5:15, 5:15] = np.nan
    with pytest.raises(InvalidValueError, match=r"less than half.*nan_border='fill'"):
        convert(broken, nan_border="crop")


def test_frames_that_are_not_pictures_are_stored(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pages = rng.normal(500, 20, (40, 24, 24)) + 200 * rng.random((24, 24))
    pages[12] = pages[11]
    pages[20] = 0
    folder = tmp_path / "frames"
    folder.mkdir()
    for t, page in enumerate(pages.astype(np.uint16)):
        if t not in (30, 31):
            tifffile.imwrite(folder / f"x_{t:03d}.tif", page)
    target = tmp_path / "a.h5"
    with pytest.warns(AstrocastWarning, match="2 are missing: 30, 31"):
        Input().run(folder, target, dtype="uint16", missing="blank")
    table = read_frame_quality(target, "data/ch0")
    kinds = dict(zip(table["frame"], table["kind"], strict=True))
    assert kinds == {12: "repeated", 20: "black", 30: "missing", 31: "missing"}
    assert (table.loc[table["kind"] == "missing", "severity"] >= 0.5).all()
    assert table.attrs["frames"] == 40


def test_nothing_found_is_stored_and_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = np.random.default_rng(4).normal(500, 20, (20, 16, 16)).astype(np.uint16)
    target = tmp_path / "a.h5"
    Input().run(pages, target, dtype="uint16")
    table = read_frame_quality(target, "data/ch0")
    assert table is not None
    assert (len(table), table.attrs["frames"]) == (0, 20)

    def measure(recording: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(frame_quality, "find_frame_quality", measure)
    with open_recording(target, "data/ch0") as recording:
        assert len(frame_quality.frame_quality_of(recording)) == 0


def test_numbers_of_numpy_and_a_size_of_one() -> None:
    movie = stack_of(12, 8, 9)
    for rescale in (1, np.int64(1), 1.0):
        np.testing.assert_array_equal(convert(movie, rescale=rescale), movie)
    for rescale in (np.float32(0.5), (np.int64(4), np.int32(4)), np.array([4, 4])):
        assert convert(movie, rescale=rescale).shape == (12, 4, 4)
    found = convert(movie, z_slice=(np.int64(2), np.uint8(6)), channels=np.int32(1))
    np.testing.assert_array_equal(found, movie[2:6])
    with pytest.raises(InvalidValueError, match="not mixed"):
        convert(movie, rescale=(np.int64(4), 0.5))


@pytest.mark.parametrize("suffix", ["h5", "zarr", "npy", "tif"])
def test_uneven_times_are_carried(tmp_path: Path, suffix: str) -> None:
    frames = 9000  # more than one attribute of HDF5 holds
    steps = np.where(np.arange(frames) % 10 == 3, 0.3, 0.1)
    times = np.concatenate([[0], np.cumsum(steps[1:])])
    metadata = Metadata().with_times(times + 17.0)
    assert metadata.frame_rate == pytest.approx(10.0)
    path, movie = tmp_path / f"a.{suffix}", np.zeros((frames, 2, 2), np.uint8)
    with create_recording(
        path, "data/ch0", movie.shape, movie.dtype, metadata=metadata
    ) as writer:
        writer.write(0, movie)
    with open_recording(
        path, "data/ch0" if suffix in ("h5", "zarr") else None
    ) as found:
        np.testing.assert_allclose(found.metadata.frame_times, times, atol=1e-6)
        assert found.metadata.frame_rate == pytest.approx(10.0)
    source = ArrayRecording(movie, metadata)
    out = Input().run(
        source, tmp_path / "b.h5", z_slice=(10, 30), dtype="uint8", check_channels=False
    )
    with open_recording(out["data/ch0"]) as found:
        expected = times[10:30] - times[10]
        np.testing.assert_allclose(found.metadata.frame_times, expected)
