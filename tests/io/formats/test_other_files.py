"""All pixels come from the named file, as they were written."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from astrocast.errors import FormatError
from astrocast.io import create_recording, open_recording
from astrocast.io.access import allowing
from astrocast.io.formats.hdf5_checks import refuse_other_files
from astrocast.preparation import Input

MOVIE = np.random.default_rng(5).integers(1, 900, (12, 16, 16)).astype(np.uint16)


def linked(folder: Path, kind: str) -> Path:
    """A file whose dataset ``data/ch0`` has its pixels in another file."""
    with h5py.File(folder / "other.h5", "w") as other:
        other["raw"] = MOVIE
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["padding"] = np.arange(5000)
        if kind == "link":
            file["data/ch0"] = h5py.ExternalLink("other.h5", "/raw")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(MOVIE.shape, MOVIE.dtype)
            layout[:] = h5py.VirtualSource("other.h5", "raw", MOVIE.shape)
            file.create_virtual_dataset("data/ch0", layout)
        else:
            (folder / "pixels.raw").write_bytes(MOVIE.tobytes())
            file.create_dataset(
                "data/ch0",
                MOVIE.shape,
                MOVIE.dtype,
                external=[(str(folder / "pixels.raw"), 0, MOVIE.nbytes)],
            )
    return path


@pytest.mark.parametrize("kind", ["link", "virtual", "external"])
def test_other_files_are_refused_unless_allowed_and_then_read_right(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = linked(tmp_path, kind)
    with pytest.raises(FormatError, match="other_files=True"):
        open_recording(path, "data/ch0")
    found = Input().run(
        path, loc_in="data/ch0", dtype="uint16", in_memory=True, other_files=True
    )
    np.testing.assert_array_equal(found["data/ch0"], MOVIE)


@pytest.mark.parametrize(
    ("kind", "named"),
    [("link", "other.h5"), ("virtual", "other.h5"), ("external", "pixels.raw")],
)
def test_a_file_for_the_browser_may_read_no_other_file(
    tmp_path: Path, kind: str, named: str
) -> None:
    with pytest.raises(FormatError, match=rf"/data/ch0 (is|has) .*{named}"):
        refuse_other_files(linked(tmp_path, kind))
    inside = tmp_path / "inside.h5"
    with h5py.File(inside, "w") as file:
        file["raw"] = MOVIE
        file["data/ch0"] = h5py.SoftLink("/raw")
    refuse_other_files(inside)
    inside.write_bytes(b"no HDF5")
    with pytest.raises(FormatError, match="cannot be read as HDF5"):
        refuse_other_files(inside)


def test_a_virtual_dataset_without_its_source_is_refused(tmp_path: Path) -> None:
    path = linked(tmp_path, "virtual")
    (tmp_path / "other.h5").unlink()
    with (
        allowing(other_files=True),
        pytest.raises(FormatError, match=r"but other\.h5 does not exist"),
    ):
        open_recording(path, "data/ch0")


def test_a_link_within_the_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["raw"] = MOVIE
        file["data/ch0"] = h5py.SoftLink("/raw")
    with open_recording(path, "data/ch0") as movie:
        np.testing.assert_array_equal(movie.to_array(), MOVIE)


def test_a_zarr_that_lacks_a_chunk_is_refused_unless_the_fill_is_asked_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.zarr"
    with create_recording(
        path, "data/ch0", MOVIE.shape, MOVIE.dtype, chunks=(4, 8, 16)
    ) as writer:
        writer.write(0, MOVIE)
    (path / "data/ch0/c/1/0/0").unlink()
    with pytest.raises(FormatError, match=r"lacks 1 of 6 chunks.*missing_chunks=True"):
        open_recording(path, "data/ch0")
    expected = MOVIE.copy()
    expected[4:8, :8] = 0
    with allowing(missing_chunks=True):
        movie = open_recording(path, "data/ch0")
    np.testing.assert_array_equal(movie.to_array(), expected)


def test_a_zarr_of_others_that_lacks_a_chunk_is_refused(tmp_path: Path) -> None:
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=MOVIE.shape, dtype="u2", chunks=(4, 16, 16)
    )
    array[:8] = MOVIE[:8]
    with pytest.raises(FormatError, match="lacks 1 of 3 chunks"):
        open_recording(tmp_path / "a.zarr")


@pytest.mark.parametrize("chunks", [None, (4, 16, 16)])
def test_an_hdf5_dataset_that_was_not_written_is_refused(
    tmp_path: Path, chunks: tuple[int, int, int] | None
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("ch0", MOVIE.shape, MOVIE.dtype, chunks=chunks)
        if chunks:
            dataset[:8] = MOVIE[:8]
    with pytest.raises(FormatError, match=r"lacks 1 of 3 chunks|no frame was written"):
        open_recording(path, "ch0")


@pytest.mark.parametrize("compression", [None, "lz4"])
def test_a_changed_pixel_is_found_when_it_is_read(
    tmp_path: Path, compression: str | None
) -> None:
    path = tmp_path / "a.h5"
    with create_recording(
        path, "data/ch0", MOVIE.shape, "u2", chunks=(4, 8, 8), compression=compression
    ) as writer:
        writer.write(0, MOVIE)
    with h5py.File(path, "a") as file:
        file["data/ch0"][7, 3, 3] += 1
    with open_recording(path, "data/ch0") as movie:
        np.testing.assert_array_equal(movie.read(0, 7), MOVIE[:7])
        with pytest.raises(
            FormatError, match=r"frame 7 of .*a\.h5:data/ch0 does not match"
        ):
            movie.to_array()
    with h5py.File(path, "a") as file:  # what the message offers
        del file["checksums/data/ch0"]
    with open_recording(path, "data/ch0") as movie:
        assert movie.to_array()[7, 3, 3] == MOVIE[7, 3, 3] + 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
@pytest.mark.parametrize("name", ["pipe.tif", "pipe.h5", "pipe.npy"])
def test_a_named_pipe_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(FormatError, match="neither a file nor a folder"):
        open_recording(tmp_path / name)
