"""What is written is read back: every format, frames, metadata, any blocks; nothing
existing is harmed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.io import Metadata, create_recording, open_recording
from astrocast.io.formats.npy import sidecar

METADATA = Metadata((0.5, 0.25), 12.5, ("gcamp",), "2024-05-06T07:08:09")
LOSSLESS = ["h5", "tif", "zarr", "npy", "tdb"]


def movie_of(
    dtype: str = "uint16", shape: tuple[int, int, int] = (23, 17, 31)
) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, shape).astype(dtype)


def store(
    path: Path,
    movie: np.ndarray,
    loc: str = "data/ch0",
    step: int = 5,
    **options: object,
) -> Path:
    with create_recording(path, loc, movie.shape, movie.dtype, **options) as writer:  # type: ignore[arg-type]
        for start in range(0, len(movie), step):
            writer.write(start, movie[start : start + step])
    return path


def write_part(path: Path, movie: np.ndarray, error: Exception | None = None) -> None:
    with create_recording(
        path, "data/ch0", movie.shape, movie.dtype, overwrite=True
    ) as writer:
        writer.write(0, movie[:5])
        if error:
            raise error


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_frames_and_metadata_return(tmp_path: Path, suffix: str, dtype: str) -> None:
    movie = movie_of(dtype)
    path = store(
        tmp_path / f"a.{suffix}", movie, metadata=METADATA, attributes={"note": "kept"}
    )
    with open_recording(path) as found:
        assert found.shape == movie.shape
        assert found.dtype == movie.dtype
        assert found.metadata == METADATA
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(
            found.read(3, 19, slice(2, 11), slice(5, 30)), movie[3:19, 2:11, 5:30]
        )
        np.testing.assert_array_equal(found.read_every(2, 20, 3), movie[2:20:3])
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


@settings(max_examples=25)
@given(
    suffix=st.sampled_from(["h5", "zarr", "tdb"]),
    chunks=st.tuples(st.integers(1, 30), st.integers(1, 20), st.integers(1, 40)),
    step=st.integers(1, 25),
)
def test_any_chunks_and_blocks(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    chunks: tuple[int, int, int],
    step: int,
) -> None:
    movie = movie_of()
    path = store(
        tmp_path_factory.mktemp("chunks") / f"a.{suffix}",
        movie,
        step=step,
        chunks=chunks,
    )
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), movie)


@pytest.mark.parametrize("compression", ["gzip", "szip", "lzf", "lz4", "zstd"])
def test_hdf5_compression(tmp_path: Path, compression: str) -> None:
    movie = np.zeros((40, 64, 64), np.uint16)
    path = store(tmp_path / "a.h5", movie, compression=compression)
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), movie)
    assert path.stat().st_size < movie.nbytes / 4


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd", None])
def test_zarr_chunks_are_those_that_zarr_writes(
    tmp_path: Path, compression: str | None
) -> None:
    movie = movie_of()
    path = store(tmp_path / "a.zarr", movie, chunks=(8, 8, 16), compression=compression)
    ours = zarr.open(store=str(path), mode="r")["data/ch0"]
    assert ours.metadata.zarr_format == 3
    assert "crc32c" in str(ours.metadata.codecs).lower()
    slow = zarr.create_array(
        str(tmp_path / "b.zarr"),
        shape=movie.shape,
        dtype=movie.dtype,
        chunks=(8, 8, 16),
        compressors=ours.compressors,
    )
    slow[:] = movie
    np.testing.assert_array_equal(ours[:], movie)
    # what zarr wrote, read without it
    with open_recording(tmp_path / "b.zarr") as found:
        assert found._direct is not None  # type: ignore[attr-defined] # the point of the test
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(found.read(5, 18), movie[5:18])
        np.testing.assert_array_equal(found.read(5, 18, slice(3, 9)), movie[5:18, 3:9])
    chunks = [
        (path / "data/ch0/c/1/2/1").read_bytes(),
        (tmp_path / "b.zarr/c/1/2/1").read_bytes(),
    ]
    if compression == "gzip":  # bytes 4 to 8 are the time, the last 4 a checksum of all
        chunks = [chunk[:4] + chunk[8:-4] for chunk in chunks]
    assert chunks[0] == chunks[1]


@pytest.mark.parametrize("change", ["truncate", "flip"])
def test_damaged_zarr_chunk_is_an_error_not_a_crash(
    tmp_path: Path, change: str
) -> None:
    path = store(tmp_path / "a.zarr", movie_of(), chunks=(8, 8, 16))
    chunk = path / "data/ch0/c/1/1/1"
    content = bytearray(chunk.read_bytes())
    if change == "truncate":
        content = content[: len(content) // 2]
    else:
        content[-9] ^= 255
    chunk.write_bytes(content)
    with open_recording(path) as found, pytest.raises(FormatError, match="damaged"):
        found.to_array()


def test_reads_zarr_v2_and_arrays_without_group(tmp_path: Path) -> None:
    movie = movie_of()
    old = zarr.create_array(
        str(tmp_path / "v2"),
        shape=movie.shape,
        dtype=movie.dtype,
        chunks=(5, 9, 9),
        zarr_format=2,
    )
    old[:] = movie
    # a store is recognised without a suffix
    with open_recording(tmp_path / "v2") as found:
        np.testing.assert_array_equal(found.to_array(), movie)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_reads_ome_zarr(tmp_path: Path, version: str) -> None:
    movie = movie_of(shape=(6, 8, 10))
    both = np.stack([movie, movie + 1000], axis=1)[:, :, None]  # t, c, z, y, x
    group = zarr.open_group(
        str(tmp_path / "a.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3
    )
    array = group.create_array(
        "0", shape=both.shape, dtype=both.dtype, chunks=(2, 1, 1, 8, 8)
    )
    array[:] = both
    axes = [
        {"name": "t", "unit": "second"},
        {"name": "c"},
        {"name": "z"},
        {"name": "y", "unit": "micrometer"},
        {"name": "x", "unit": "micrometer"},
    ]
    datasets = [
        {
            "path": "0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.5, 1, 1, 0.3, 0.2]}
            ],
        }
    ]
    description = {
        "multiscales": [{"axes": axes, "datasets": datasets}],
        "omero": {"channels": [{"label": "green"}, {"label": "red"}]},
    }
    group.attrs.update(description if version == "0.4" else {"ome": description})
    with open_recording(tmp_path / "a.zarr", "red") as found:
        np.testing.assert_array_equal(found.to_array(), movie + 1000)
        np.testing.assert_array_equal(
            found.read(2, 5, slice(1, 4)), movie[2:5, 1:4] + 1000
        )
        assert found.metadata.pixel_size == (0.3, 0.2)
        assert found.metadata.frame_rate == 2.0
    with pytest.raises(DatasetNotFoundError, match=r"ch0 \(green\), ch1 \(red\)"):
        open_recording(tmp_path / "a.zarr")


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_video_is_close_to_what_was_written(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("av")
    grid = np.mgrid[0:12, 0:33, 0:45]
    movie = (
        120 + 80 * np.sin(grid[1] / 9 + grid[0] / 5) * np.cos(grid[2] / 11)
    ).astype(np.uint8)
    path = store(tmp_path / f"a.{suffix}", movie, metadata=Metadata(frame_rate=12.5))
    with open_recording(path) as found:
        assert found.metadata.frame_rate == 12.5
        rows, columns = movie.shape[1:]
        read = found.to_array()[:, :rows, :columns].astype(float)
        assert np.abs(read - movie).mean() < 6
        np.testing.assert_array_equal(found.read(4, 6)[:, :rows, :columns], read[4:6])


def test_hdf5_file_gains_datasets_while_it_is_read(tmp_path: Path) -> None:
    movie = movie_of()
    path = store(tmp_path / "a.h5", movie, chunks=(4, 8, 8), compression="lz4")
    with open_recording(path, "data/ch0") as source:
        source.read(0, 2)
        with create_recording(path, "mc/ch0", movie.shape, movie.dtype) as writer:
            for start, block in source.blocks(6):
                writer.write(start, block)
        np.testing.assert_array_equal(source.read(20, 23), movie[20:])
    with open_recording(path, "mc") as copied:
        np.testing.assert_array_equal(copied.to_array(), movie)
    with pytest.raises(DatasetNotFoundError, match="data/ch0, mc/ch0"):
        open_recording(path, "df")


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_nothing_existing_is_overwritten_unasked_or_harmed_by_an_error(
    tmp_path: Path, suffix: str
) -> None:
    movie = movie_of()
    path = store(tmp_path / f"a.{suffix}", movie)
    with pytest.raises(OutputExistsError, match="another"):
        store(path, movie + 1)
    with pytest.raises(RuntimeError, match="power cut"):
        write_part(path, movie + 1, RuntimeError("power cut"))
    with pytest.raises(InvalidValueError, match="5 of 23 frames"):
        write_part(path, movie + 1)
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), movie)
    store(path, movie + 1, overwrite=True)
    with open_recording(path) as found:
        np.testing.assert_array_equal(found.to_array(), movie + 1)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_reading_changes_no_byte(tmp_path: Path, suffix: str) -> None:
    path = store(tmp_path / f"a.{suffix}", movie_of())

    def content() -> dict[str, str]:
        files = (
            [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        )
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    before = content()
    with open_recording(path) as found:
        found.to_array()
    assert content() == before


@pytest.mark.parametrize("dtype", [">u2", "<f4", ">f8"])
@pytest.mark.parametrize("chunks", [None, (4, 8, 8)])
def test_hdf5_written_by_others(
    tmp_path: Path, dtype: str, chunks: tuple[int, int, int] | None
) -> None:
    movie = movie_of().astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("some/where", data=movie, chunks=chunks)
    found = open_recording(tmp_path / "a.h5")
    assert found.dtype.isnative
    for _ in range(2):
        np.testing.assert_array_equal(found.to_array(), movie)
        np.testing.assert_array_equal(found.read(3, 9, slice(2, 5)), movie[3:9, 2:5])
        found.release()


def test_paths_that_are_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFoundError, match="check the path"):
        open_recording(tmp_path / "missing.h5")
    for name in ("a.h5", "a.tif", "a.npy", "a.mp4"):
        (tmp_path / name).write_bytes(b"this is a text about something else" * 20)
        with pytest.raises(FormatError, match=name):
            open_recording(tmp_path / name)
    (tmp_path / "a.docx").write_bytes(b"text")
    with pytest.raises(FormatError, match=r"known are .*\.h5"):
        open_recording(tmp_path / "a.docx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no TIFF file"):
        open_recording(tmp_path / "empty")
    with pytest.raises(InvalidValueError, match="4 dimensions"):
        open_recording(np.zeros((2, 3, 4, 5)))
    np.save(tmp_path / "four.npy", np.zeros((2, 3, 4, 5)))
    with pytest.raises(InvalidValueError, match="4 dimensions"):
        open_recording(tmp_path / "four.npy")
    with h5py.File(tmp_path / "four.h5", "w") as file:
        file["x"] = np.zeros((2, 3, 4, 5))
    with pytest.raises(InvalidValueError, match="4 dimensions"):
        open_recording(tmp_path / "four.h5")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["x"] = np.zeros((4, 5))
    with pytest.raises(DatasetNotFoundError, match="no 3-D dataset"):
        open_recording(tmp_path / "two.h5")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_folder_that_cannot_be_written(tmp_path: Path, suffix: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="closed"):
        store(closed / f"a.{suffix}", movie_of())


def test_output_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        create_recording(tmp_path / "no" / "a.h5", "data/ch0", (2, 2, 2), "uint8")
    with pytest.raises(FormatError, match="cannot be written"):
        create_recording(tmp_path / "a.czi", None, (2, 2, 2), "uint8")
    with pytest.raises(InvalidValueError, match="gzip, szip, lzf, lz4, zstd"):
        create_recording(
            tmp_path / "a.h5", "data/ch0", (2, 2, 2), "uint8", compression="rar"
        )
    with pytest.raises(OutputError, match="Free some space"):
        create_recording(tmp_path / "a.npy", None, (10**7, 10**4, 10**3), "float64")
    assert list(tmp_path.iterdir()) == []


def test_metadata_beside_a_numpy_file_are_whole_or_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npy"
    with create_recording(path, None, (1, 2, 2), "uint8", metadata=METADATA) as writer:
        writer.write(0, np.zeros((1, 2, 2), "uint8"))
    before = sidecar(path).read_bytes()

    def write_half(to: Path, text: str, encoding: str) -> int:
        to.write_bytes(text.encode(encoding)[: len(text) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", write_half)
    writer = create_recording(
        path, None, (1, 2, 2), "uint8", metadata=METADATA, overwrite=True
    )
    writer.write(0, np.ones((1, 2, 2), "uint8"))
    with pytest.raises(OutputError, match="disk full"):
        writer.commit()
    assert sidecar(path).read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"a.npy", "a.npy.json"}
