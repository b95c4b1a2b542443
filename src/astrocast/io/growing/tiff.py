"""A TIFF file, or a folder of TIFF files, that a microscope is still writing."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import AstrocastError, AstrocastWarning, stack_level
from astrocast.io.formats.folder import SUFFIXES
from astrocast.io.growing.recording import GrowingRecording
from astrocast.io.growing.tiff_pages import PageChain
from astrocast.io.naming import number_after
from astrocast.io.recording import Metadata


def read_metadata(path: Path) -> Metadata:
    """Return the metadata of a TIFF file; empty if the file cannot be read."""
    from astrocast.io.formats.tiff_source import find_source
    from astrocast.io.selection import Selection

    try:
        return find_source(path, Selection()).metadata
    except AstrocastError:
        return Metadata()


class GrowingTiff(GrowingRecording):
    """A TIFF file to which pages are added."""

    def __init__(
        self, path: Path, clock: Callable[[], float], settle: float = 2.0
    ) -> None:
        super().__init__(path, clock, settle)
        self._chain = PageChain(path)

    def look(self) -> int:
        """Find new pages; return the number of complete frames."""
        if not self.path.exists():
            return 0
        whole = self._chain.look()
        if not whole:
            return 0
        key = self._chain.pages[0]
        if self.size is None:
            self.metadata = read_metadata(self.path)
        self.check_same(key.size, key.stored.newbyteorder("="))
        settled = self.has_settled((whole, self.path.stat().st_mtime_ns))
        self.frames = self.without_empty(whole, settled)
        return self.frames

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return complete frames, (frame, row, column)."""
        return self._chain.read(start, stop).astype(self.dtype, copy=False)

    def close(self) -> None:
        """Close the file."""
        self._chain.close()


class GrowingFolder(GrowingRecording):
    """A folder to which TIFF files with one or several pages are added.

    Files are read in the order of the number in their names. If a file is incomplete,
    or a number is missing, later files wait for it. If nothing has changed for some
    time, it is skipped with a warning.

    Parameters
    ----------
    path, clock, settle
        See `GrowingRecording`.
    sep
        Files are sorted by the number after the last ``sep``.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        settle: float = 2.0,
        sep: str = "_",
    ) -> None:
        super().__init__(path, clock, settle)
        self.sep = sep
        #: files read so far, and the first frame of each
        self._files: list[PageChain] = []
        self._first: list[int] = []
        self._number: int | None = None
        self._step = 1
        self._waiting: dict[int, Path] = {}
        self._known: set[str] = set()

    def look(self) -> int:
        """Find new files and pages; return the number of complete frames."""
        if not self.path.is_dir():
            return 0
        self._list_files()
        if self._files:
            self._count_last()
        while (following := self._following()) is not None:
            if not self._take(*following):
                break
        return self.frames

    def _list_files(self) -> None:
        """Add the new files of the folder to the waiting files."""
        for path in self._new_paths():
            self._known.add(path.name)
            number = number_after(path, self.sep)
            if self._number is not None and number <= self._number:
                warnings.warn(
                    f"{path.name} was written after files with larger numbers; the live"
                    " analysis skips it",
                    AstrocastWarning,
                    stacklevel=stack_level(),
                )
                continue
            self._waiting[number] = path
        if self._number is None and len(self._waiting) > 1:
            self._step = min(b - a for a, b in pairwise(sorted(self._waiting)))

    def _new_paths(self) -> Iterator[Path]:
        for path in self.path.iterdir():
            new = path.name not in self._known and not path.name.startswith(".")
            if new and path.suffix.lower() in SUFFIXES:
                yield path

    def _following(self) -> tuple[int, Path] | None:
        """Return number and path of the next file; None if it has to be waited for."""
        if not self._waiting:
            return None
        number = min(self._waiting)
        expected = None if self._number is None else self._number + self._step
        if expected is not None and number != expected:
            if not self.has_settled((self.frames, tuple(sorted(self._waiting))[:8])):
                return None
            warnings.warn(
                f"{self.path} has no file with the number {expected}; the live analysis"
                f" continues with {number}",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
        return number, self._waiting[number]

    def _take(self, number: int, path: Path) -> bool:
        """Add a file if it contains a complete frame, or skip it if it is damaged.

        Returns whether the next file can be tried.
        """
        chain = PageChain(path)
        count = chain.look()
        if not count:
            later = len(self._waiting) > 1
            if not (later and self.has_settled((path, path.stat().st_size))):
                return False
            warnings.warn(
                f"{path.name} is not a complete TIFF file, but later files exist; the"
                " live analysis skips it",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
            self._waiting.pop(number)
            self._number = number
            return True
        key = chain.pages[0]
        if self.size is None:
            self.metadata = read_metadata(path)
        self.check_same(key.size, key.stored.newbyteorder("="))
        if self._files:
            self._files[-1].close()
        self._files.append(chain)
        self._first.append(self.frames)
        self._waiting.pop(number)
        self._number = number
        self.frames += count
        return True

    def _count_last(self) -> None:
        """Count the frames again, because the last file may have grown."""
        chain = self._files[-1]
        count = chain.look()
        self.frames = self._first[-1] + count

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return complete frames, (frame, row, column)."""
        assert self.size is not None
        assert self.dtype is not None
        block = np.empty((stop - start, *self.size), self.dtype)
        at = start
        while at < stop:
            i = bisect_right(self._first, at) - 1
            end = self._first[i + 1] if i + 1 < len(self._first) else self.frames
            end = min(end, stop)
            first = self._first[i]
            block[at - start : end - start] = self._files[i].read(
                at - first, end - first
            )
            at = end
        return block

    def close(self) -> None:
        """Close the files."""
        for chain in self._files[-1:]:
            chain.close()
