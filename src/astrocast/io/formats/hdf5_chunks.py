"""Write allocated chunks of HDF5 directly to the file, in several threads.

Only one thread at a time can use the HDF5 library, and h5py holds the interpreter's
lock during this time. If a dataset is not compressed and its space was allocated at
creation, the offsets of its chunks are known, and they are written without the library.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.io.writing.early_sync import EarlySync
from astrocast.io.writing.slabs import store_chunks


class AllocatedChunks:
    """Write the chunks of an uncompressed dataset.

    Parameters
    ----------
    path
        The file, flushed after the dataset was created.
    dataset
        The dataset, with early allocation and without filters; it has to stay open
        until all chunks are written.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        self.dataset, self.chunk = dataset, tuple(dataset.chunks)
        self._places = chunk_places(dataset)
        self._file = path.open("r+b", buffering=0) if self._places else None
        self._sync = EarlySync(self._file.fileno()) if self._file else None

    @property
    def straight(self) -> bool:
        """Whether chunks are written without the library."""
        return self._file is not None

    def write(self, first: int, slab: NDArray[Any]) -> None:
        """Write the chunks of a slab that starts at a chunk."""
        if self._file is None:
            # the library allows only one thread
            store_chunks(first, slab, self.chunk, self._write_through, threads=1)
        else:
            store_chunks(first, slab, self.chunk, self._write_straight)
            assert self._sync is not None
            self._sync.wrote(slab.nbytes)

    def write_beside(
        self, dataset: h5py.Dataset, first: int, values: NDArray[Any]
    ) -> None:
        """Write a few values of another, contiguous dataset of the file."""
        assert self._file is not None
        place = dataset.id.get_offset() + first * dataset.dtype.itemsize
        content = np.ascontiguousarray(values, dataset.dtype).tobytes()
        os.pwrite(self._file.fileno(), content, place)

    def finish(self) -> None:
        """Wait until all writes have reached the disk."""
        if self._sync is not None:
            self._sync.wait()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None and self._sync is not None:
            self._sync.close()
            self._file.close()

    def _write_through(self, index: tuple[int, int, int], chunk: NDArray[Any]) -> None:
        self.dataset.id.write_direct_chunk(
            tuple(i * c for i, c in zip(index, self.chunk, strict=True)), chunk
        )

    def _write_straight(self, index: tuple[int, int, int], chunk: NDArray[Any]) -> None:
        assert self._file is not None
        view, place = chunk.reshape(-1).view(np.uint8).data, self._places[index]
        done = 0
        while done < len(view):  # one call may write only a part
            done += os.pwrite(self._file.fileno(), view[done:], place + done)


def chunk_places(dataset: h5py.Dataset) -> dict[tuple[int, ...], int]:
    """Return the byte offset of each chunk in the file, by chunk index.

    Empty if the offsets are not reliable.
    """
    # older libraries do not return offsets, Windows has no pwrite, and libraries count
    # offsets in files with a user block differently
    if (
        not hasattr(os, "pwrite")
        or not hasattr(dataset.id, "chunk_iter")
        or dataset.file.userblock_size
    ):
        return {}
    size = int(np.prod(dataset.chunks, dtype=np.int64)) * dataset.dtype.itemsize
    places: dict[tuple[int, ...], int] = {}

    def note(chunk: Any) -> None:
        if (
            chunk.byte_offset is not None
            and chunk.size == size
            and chunk.filter_mask == 0
        ):
            index = tuple(
                o // c for o, c in zip(chunk.chunk_offset, dataset.chunks, strict=True)
            )
            places[index] = int(chunk.byte_offset)

    dataset.id.chunk_iter(note)
    wanted = np.prod(
        [-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)],
        dtype=np.int64,
    )
    return places if len(places) == wanted else {}
