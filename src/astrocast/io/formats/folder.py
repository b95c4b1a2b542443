"""A folder of TIFF files as one recording."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import AstrocastWarning, FormatError, stack_level
from astrocast.io.formats.tiff import TiffRecording
from astrocast.io.naming import sort_naturally
from astrocast.io.recording import ALL, Recording

SUFFIXES = (".tif", ".tiff")


class FolderRecording(Recording):
    """Files of equal frames one after the other, in the order of the number in their
    names.
    """

    path: Path

    def __init__(self, path: Path, loc: str | None = None, sep: str = "_") -> None:
        files = [
            p
            for p in path.iterdir()
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        ]
        if not files:
            raise FormatError(
                f"the folder {path} has no TIFF file ({', '.join(SUFFIXES)}), and is no"
                " zarr or TileDB store"
            )
        self.path = path
        self.parts = [
            TiffRecording(p)
            for p in (sort_naturally(files, sep) if len(files) > 1 else files)
        ]
        self._check()
        first = self.parts[0]
        counts = [len(p) for p in self.parts]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self.shape = (int(self._starts[-1]), *first.shape[1:])
        self.dtype, self.metadata, self.channels = (
            first.dtype,
            first.metadata,
            first.channels,
        )

    def _check(self) -> None:
        """Refuse files that are no parts of one recording, and warn of one that is
        shorter than the others.
        """
        kinds = Counter((p.shape[1:], p.dtype.name, p.channels) for p in self.parts)
        if len(kinds) > 1:
            usual = kinds.most_common(1)[0][0]
            odd = next(
                p
                for p in self.parts
                if (p.shape[1:], p.dtype.name, p.channels) != usual
            )
            raise FormatError(
                f"the files of {self.path} differ: most have frames {usual[0]}"
                f" {usual[1]}, {odd.path.name} has {odd.shape[1:]} {odd.dtype}; move"
                " what does not belong out of the folder"
            )
        counts = [len(p) for p in self.parts]
        usual_count = Counter(counts).most_common(1)[0][0]
        odd_files = [
            f"{p.path.name} ({n})"
            for p, n in zip(self.parts[:-1], counts[:-1], strict=True)
            if n != usual_count
        ]
        if counts[-1] > usual_count:
            odd_files.append(f"{self.parts[-1].path.name} ({counts[-1]})")
        if odd_files:
            warnings.warn(
                f"files of {self.path} have {usual_count} frames each, but"
                f" {', '.join(odd_files)}: check that none is incomplete",
                AstrocastWarning,
                stacklevel=stack_level(),
            )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        return self.read_every(start, stop, 1, rows, columns)

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame, see `Recording.read_every`."""
        pieces = []
        for part, begin in zip(self.parts, self._starts[:-1].tolist(), strict=True):
            first = start if start >= begin else begin + (start - begin) % step
            end = min(stop, begin + len(part))
            if first < end:
                pieces.append(
                    part.read_every(first - begin, end - begin, step, rows, columns)
                )
        return (
            np.concatenate(pieces)
            if pieces
            else self.parts[0].read(0, 0, rows, columns)
        )

    def release(self) -> None:
        """Close all files until the next read."""
        for part in self.parts:
            part.release()

    def close(self) -> None:
        """Close all files."""
        for part in self.parts:
            part.close()
