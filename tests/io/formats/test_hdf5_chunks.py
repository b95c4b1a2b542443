"""Chunks written straight into the file are those that HDF5 would have written."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.io import create_recording
from astrocast.io.formats import hdf5_chunks

MOVIE = np.random.default_rng(3).integers(0, 60000, (21, 19, 33)).astype(np.uint16)


def write(path: Path, loc: str = "data/ch0") -> None:
    with create_recording(
        path, loc, MOVIE.shape, MOVIE.dtype, chunks=(4, 8, 16)
    ) as writer:
        for start in range(0, len(MOVIE), 5):
            writer.write(start, MOVIE[start : start + 5])


@pytest.mark.parametrize("straight", [True, False])
def test_both_ways_store_the_movie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, straight: bool
) -> None:
    used: list[bool] = []
    store = hdf5_chunks.AllocatedChunks._write_straight
    monkeypatch.setattr(
        hdf5_chunks.AllocatedChunks,
        "_write_straight",
        lambda *a: (used.append(True), store(*a))[1],
    )
    if not straight:
        monkeypatch.setattr(hdf5_chunks, "chunk_places", lambda dataset: {})
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["data/ch0"][:], MOVIE)
    assert bool(used) == straight


@pytest.mark.parametrize("userblock", [0, 512])
def test_a_file_with_other_data_keeps_it(tmp_path: Path, userblock: int) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=userblock) as file:
        file["other"] = MOVIE
        file["chunked"] = file.create_dataset("c", data=MOVIE, chunks=(3, 5, 7))
    write(path)
    write(path, "data/ch1")
    with h5py.File(path) as file:
        for name in ("other", "c", "data/ch0", "data/ch1"):
            assert np.array_equal(file[name][:], MOVIE), name


def test_places_are_distinct_and_inside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write(path)
    with h5py.File(path) as file:
        dataset = file["data/ch0"]
        places = sorted(hdf5_chunks.chunk_places(dataset).values())
    size = 4 * 8 * 16 * 2
    assert len(places) == 6 * 3 * 3
    assert min(np.diff(places)) >= size
    assert places[-1] + size <= path.stat().st_size
