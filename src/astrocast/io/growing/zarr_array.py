"""A zarr array that is still being written, on a local disk."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.growing.recording import GrowingRecording
from astrocast.io.naming import choose_dataset
from astrocast.io.recording import Metadata

#: errors that zarr raises for an incomplete store or chunk
HALF_WRITTEN = (ValueError, RuntimeError, KeyError, OSError, TypeError, EOFError)


class GrowingZarr(GrowingRecording):
    """A zarr array (frame, row, column) whose frames are written one by one.

    A program may write a chunk several times until it is full. A chunk is complete if a
    chunk of later frames exists, or if nothing has changed for some time.

    Parameters
    ----------
    path, clock, settle
        See `GrowingRecording`.
    loc
        Name of the array, for a store with several.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        settle: float = 2.0,
        loc: str | None = None,
    ) -> None:
        super().__init__(path, clock, settle)
        self.loc = loc
        self._array: Any = None
        self._folder = path
        self._chunks_done = 0

    def look(self) -> int:
        """Find new chunks; return the number of complete frames."""
        try:
            array = self._open()
        except HALF_WRITTEN:
            return self.frames
        if array is None:
            return 0
        if array.ndim != 3:
            raise FormatError(
                f"{self.path} has the shape {array.shape}; expected a zarr array with"
                " three axes: frame, row, column"
            )
        self._array = array
        rows, columns = array.shape[1:]
        self.check_same((rows, columns), np.dtype(array.dtype).newbyteorder("="))
        self.metadata = Metadata.from_attributes(dict(array.attrs))
        depth = (array.shards or array.chunks)[0]
        last = -(-array.shape[0] // depth)
        done = self._chunks_done
        # zarr does not store a chunk that contains only the fill value
        while done < last and (self._has_chunks(done) or self._has_any(done + 1)):
            done += 1
        settled = self.has_settled((done, array.shape[0], self._stamp(done - 1)))
        # a later chunk shows that those before it are complete
        later = done < last and self._has_any(done)
        whole = done if settled or later else max(done - 1, self._chunks_done)
        try:
            self.frames = self.without_empty(
                min(whole * depth, array.shape[0]), settled
            )
        except HALF_WRITTEN:
            return self.frames
        self._chunks_done = self.frames // depth
        return self.frames

    def _open(self) -> Any:
        import zarr

        names = ("zarr.json", ".zarray", ".zgroup")
        if not any((self.path / name).exists() for name in names):
            return None
        root = zarr.open(store=str(self.path), mode="r")
        if isinstance(root, zarr.Array):
            return root
        items: list[tuple[str, Any]] = list(root.members(max_depth=None))
        arrays = {
            name: item
            for name, item in items
            if isinstance(item, zarr.Array) and item.ndim == 3
        }
        if not arrays:
            return None
        name = choose_dataset(arrays, self.loc, self.path)
        self._folder = self.path / name
        return arrays[name]

    def _chunk_path(self, index: tuple[int, ...]) -> Path:
        return self._folder / str(self._array.metadata.encode_chunk_key(index))

    def _places(self) -> list[tuple[int, int]]:
        sizes = self._array.shards or self._array.chunks
        counts = [
            -(-n // c) for n, c in zip(self._array.shape[1:], sizes[1:], strict=True)
        ]
        return list(product(range(counts[0]), range(counts[1])))

    def _has_chunks(self, number: int) -> bool:
        return all(
            self._chunk_path((number, *place)).exists() for place in self._places()
        )

    def _has_any(self, number: int) -> bool:
        return any(
            self._chunk_path((number, *place)).exists() for place in self._places()
        )

    def _stamp(self, number: int) -> Any:
        """Return sizes and times of the chunks of a depth; they change with a write."""
        if number < 0:
            return None
        paths = [self._chunk_path((number, *place)) for place in self._places()]
        stats = [path.stat() for path in paths if path.exists()]
        return [(s.st_size, s.st_mtime_ns) for s in stats]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return complete frames, (frame, row, column)."""
        return np.ascontiguousarray(self._array[start:stop]).astype(
            self.dtype, copy=False
        )
