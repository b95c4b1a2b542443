"""NWB, MATLAB 7.3, suite2p and CaImAn: files as those programs lay them out."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.errors import DatasetNotFoundError, FormatError
from astrocast.io import open_recording

MOVIE = np.random.default_rng(7).integers(0, 999, (9, 5, 8)).astype(np.uint16)


def write_nwb(path: Path, data: np.ndarray, name: str = "movie", **extra) -> None:
    with h5py.File(path, "a") as file:
        file.require_group("acquisition")
        series = file["acquisition"].create_group(name)
        series.attrs["neurodata_type"] = extra.get("kind", "TwoPhotonSeries")
        series["data"] = data
        if "times" in extra:
            series["timestamps"] = np.asarray(extra["times"], float)
        else:
            series["starting_time"] = 0.0
            series["starting_time"].attrs["rate"] = 12.5
        if "dimension" in extra:
            series["dimension"] = np.asarray(extra["dimension"])
        plane = series.create_group("imaging_plane")
        plane["grid_spacing"] = np.array([0.5e-6, 0.25e-6])
        plane["grid_spacing"].attrs["unit"] = "meters"
        if "session_start_time" not in file:
            file["session_start_time"] = "2024-01-02T03:04:05"


def test_nwb(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    write_nwb(path, MOVIE.transpose(0, 2, 1))  # (frame, x, y), as the standard says
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE)
        assert found.loc == "acquisition/movie"
        assert found.metadata.frame_rate == 12.5
        assert found.metadata.pixel_size == pytest.approx((0.25, 0.5))
        assert found.metadata.acquisition_time == "2024-01-02T03:04:05"
    with open_recording(path, "acquisition/movie,axes=TYX") as found:
        assert found.shape == (9, 8, 5)
    write_nwb(path, MOVIE + 1, "second", dimension=[8, 5], kind="OnePhotonSeries")
    with pytest.raises(DatasetNotFoundError, match="acquisition/second"):
        open_recording(path)
    with open_recording(path, "acquisition/second") as found:  # rows first, it says
        np.testing.assert_array_equal(found.to_array(), MOVIE + 1)


def test_nwb_times_and_volumes(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    volume = np.stack([MOVIE, MOVIE + 1000], axis=-1).transpose(0, 2, 1, 3)
    write_nwb(path, volume, times=np.arange(9) * 0.2)
    with open_recording(path, plane=1) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE + 1000)
        assert found.metadata.frame_rate == pytest.approx(5)
        assert found.metadata.frame_times == ()


def test_nwb_of_this_packages_dependency(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    from datetime import UTC, datetime

    from pynwb.testing.mock.ophys import mock_ImagingPlane

    content = pynwb.NWBFile("a", "b", datetime(2024, 1, 2, tzinfo=UTC))
    plane = mock_ImagingPlane(nwbfile=content)
    content.add_acquisition(
        pynwb.ophys.TwoPhotonSeries(
            name="movie",
            imaging_plane=plane,
            data=MOVIE.transpose(0, 2, 1),
            unit="n.a.",
            rate=4.0,
        )
    )
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as io:
        io.write(content)
    with open_recording(tmp_path / "a.nwb") as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE)
        assert found.metadata.frame_rate == 4.0


def test_matlab(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["movie"] = MOVIE.transpose(0, 2, 1)  # (row, column, frame) in MATLAB
        file["rate"] = np.array([[5.0]])
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE)
    with open_recording(path, axes="XYT") as found:  # in the order of MATLAB
        np.testing.assert_array_equal(found.to_array(), MOVIE.transpose(0, 2, 1))
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(600))
    with pytest.raises(FormatError, match=r"-v7\.3"):
        open_recording(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_suite2p(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(MOVIE.astype("<i2").tobytes())
    with pytest.raises(FormatError, match=r"ops\.npy"):
        open_recording(path)
    ops = {"look_one_level_down": False, "Ly": 5, "Lx": 8, "fs": 7.5, "nframes": 9}
    ops |= {"meanImg": np.zeros((5, 8)), "filelist": ["a.tif", "Lx"]}
    with (tmp_path / "ops.npy").open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(np.array(ops, object), file, protocol=protocol)
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE)
        assert found.metadata.frame_rate == 7.5
    path.write_bytes(MOVIE.astype("<i2").tobytes()[:-80])
    with pytest.raises(FormatError, match=r"8 frames, but ops\.npy states 9"):
        open_recording(path)


@pytest.mark.parametrize("order", ["F", "C"])
def test_caiman(tmp_path: Path, order: str) -> None:
    frames, rows, columns = MOVIE.shape
    # pixels x frames; the pixels of a frame in Fortran order
    pixels = MOVIE.reshape(frames, -1, order="C").astype("<f4")
    pixels = np.stack([f.ravel(order="F") for f in MOVIE.astype("<f4")], axis=1)
    name = f"memmap__d1_{rows}_d2_{columns}_d3_1_order_{order}_frames_{frames}_.mmap"
    (tmp_path / name).write_bytes(pixels.tobytes(order=order))
    with open_recording(tmp_path / name) as found:
        np.testing.assert_array_equal(found.to_array(), MOVIE)
        np.testing.assert_array_equal(
            found.read(2, 5, slice(1, 3), slice(2, 7)), MOVIE[2:5, 1:3, 2:7]
        )
    (tmp_path / "other.mmap").write_bytes(b"abc")
    with pytest.raises(FormatError, match="size in its name"):
        open_recording(tmp_path / "other.mmap")
