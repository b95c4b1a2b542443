"""NumPy and dask arrays as recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    RecordingWriter,
    check_block,
    check_movie_shape,
)


class ArrayRecording(Recording):
    """A NumPy array (in memory or memory-mapped) as a recording."""

    def __init__(
        self,
        array: NDArray[Any],
        metadata: Metadata | None = None,
        path: Path | None = None,
    ) -> None:
        self.array = array
        self.shape = check_movie_shape(array.shape, str(path) if path else "the array")
        self.dtype = array.dtype
        self.metadata = metadata or Metadata()
        self.path = path

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a copy, see `Recording.read`."""
        return np.array(self.array[start:stop, rows, columns], order="C", copy=True)


class DaskRecording(Recording):
    """A dask array as a recording; each read computes the frames it needs."""

    def __init__(self, array: Any, metadata: Metadata | None = None) -> None:
        self.array = array
        self.shape = check_movie_shape(tuple(array.shape), "the dask array")
        self.dtype = np.dtype(array.dtype)
        self.metadata = metadata or Metadata()
        self.chunk_frames = int(array.chunks[0][0])

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Compute and return the block, see `Recording.read`."""
        return np.ascontiguousarray(self.array[start:stop, rows, columns].compute())


class ArrayWriter(RecordingWriter):
    """Write to a NumPy array in memory: ``writer.array``."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self.array: NDArray[Any] = np.empty(shape, dtype)

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Copy the block into the array."""
        check_block(self, start, block)
        self.array[start : start + len(block)] = block

    def commit(self) -> None:
        """Do nothing: the array is complete."""

    def discard(self) -> None:
        """Release the array."""
        self.array = np.empty((0, 0, 0), self.dtype)
