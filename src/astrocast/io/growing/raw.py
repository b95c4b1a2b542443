"""Raw binary files and ``.npy``: frames one after the other, uncompressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.formats.contiguous import ContiguousFrames, ContiguousRecording
from astrocast.io.growing.recording import GrowingRecording
from astrocast.io.recording import Metadata, Recording, as_dtype


@dataclass(frozen=True)
class RawLayout:
    """Layout of a raw binary file.

    Parameters
    ----------
    rows, columns
        Size of a frame, pixels; at least 1.
    dtype
        dtype of a pixel, with its byte order: ``<u2``.
    offset
        Bytes before the first frame; at least 0.

    Raises
    ------
    InvalidValueError
        A size or the offset is too small, or the dtype is not a real number.
    """

    rows: int
    columns: int
    dtype: str = "<u2"
    offset: int = 0

    def __post_init__(self) -> None:
        """Check all fields at once."""
        problems = [
            f"{name} is {value}, but must be at least {least}"
            for name, value, least in (
                ("rows", self.rows, 1),
                ("columns", self.columns, 1),
                ("offset", self.offset, 0),
            )
            if value < least
        ]
        if problems:
            raise InvalidValueError(
                f"layout of a raw binary file: {'; '.join(problems)}"
            )
        as_dtype(self.dtype)

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype in the file."""
        return as_dtype(self.dtype)

    def frames_in(self, size: int) -> int:
        """Return the number of whole frames in a file of ``size`` bytes."""
        frame = self.rows * self.columns * self.stored.itemsize
        return max(0, size - self.offset) // frame


def open_raw(
    path: Path, layout: RawLayout, metadata: Metadata | None = None
) -> Recording:
    """Open a complete raw binary file; bytes after the last whole frame are ignored."""
    frames = layout.frames_in(path.stat().st_size)
    if not frames:
        raise FormatError(
            f"{path} is smaller than one frame of {layout.rows} x {layout.columns}"
            f" {layout.dtype}; check rows, columns, dtype and offset"
        )
    shape = (frames, layout.rows, layout.columns)
    return ContiguousRecording(path, layout.offset, shape, layout.stored, metadata)


class GrowingRaw(GrowingRecording):
    """A raw binary file that grows, or that has its full size from the start."""

    def __init__(
        self,
        path: Path,
        layout: RawLayout,
        clock: Callable[[], float],
        settle: float = 2.0,
    ) -> None:
        super().__init__(path, clock, settle)
        self.layout = layout

    def look(self) -> int:
        """Return the number of complete frames, from the size of the file."""
        if not self.path.exists():
            return 0
        stat = self.path.stat()
        self.size = self.layout.rows, self.layout.columns
        self.dtype = self.layout.stored.newbyteorder("=")
        settled = self.has_settled((stat.st_size, stat.st_mtime_ns))
        whole = self.layout.frames_in(stat.st_size)
        self.frames = self.without_empty(whole, settled)
        return self.frames

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return complete frames, (frame, row, column)."""
        shape = (stop, self.layout.rows, self.layout.columns)
        stored = self.layout.stored
        return ContiguousFrames(self.path, self.layout.offset, shape, stored).read(
            start, stop
        )


def npy_layout(path: Path) -> RawLayout:
    """Return the layout of a ``.npy`` file, from its header."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
        offset = file.tell()
    if len(shape) != 3 or fortran:
        raise FormatError(
            f"{path} has shape {shape}{' in Fortran order' if fortran else ''};"
            " expected (frame, row, column) in C order"
        )
    return RawLayout(int(shape[1]), int(shape[2]), dtype.str, offset)
