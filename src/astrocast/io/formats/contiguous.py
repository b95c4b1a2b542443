"""Read frames that are stored one after the other without compression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.recording import ALL, Metadata, Recording


class ContiguousFrames:
    """Read blocks of an array that starts at a given byte of a file.

    The file is opened for each read, and never for writing.
    """

    def __init__(
        self, path: Path, offset: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        self.path, self.offset, self.shape, self.stored = path, offset, shape, dtype
        need = offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        size = path.stat().st_size
        if size < need:
            frame = shape[1] * shape[2] * dtype.itemsize
            raise FormatError(
                f"{path} is truncated: {shape[0]} frames need {need} bytes, but the"
                f" file has {size} ({max(0, size - offset) // frame} whole frames)."
                " Copy it again from the microscope"
            )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block in the machine's byte order."""
        if (rows, columns) == (ALL, ALL):
            frame = self.shape[1] * self.shape[2] * self.stored.itemsize
            block: NDArray[Any] = np.empty((stop - start, *self.shape[1:]), self.stored)
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.offset + start * frame)
                read_fully(file, block.reshape(-1).view(np.uint8).data, self.path)
        else:
            mapped = np.memmap(self.path, self.stored, "r", self.offset, self.shape)
            block = np.array(mapped[start:stop, rows, columns], order="C", copy=True)
        return (
            block
            if self.stored.isnative
            else block.astype(self.stored.newbyteorder("="))
        )


def read_fully(file: Any, view: memoryview, path: Path) -> None:
    """Fill ``view`` from the file; one call of the system may read only a part."""
    done = 0
    while done < len(view):
        n = file.readinto(view[done:])
        if not n:
            raise FormatError(
                f"{path} ended while it was read; it is damaged, or was changed at the"
                " same time"
            )
        done += n


class ContiguousRecording(Recording):
    """A file with a header and one contiguous array."""

    def __init__(
        self,
        path: Path,
        offset: int,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        metadata: Metadata | None = None,
    ) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype.newbyteorder("=")
        self.metadata = metadata or Metadata()
        self._frames = ContiguousFrames(path, offset, shape, dtype)

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        return self._frames.read(start, stop, rows, columns)
