"""What every growing recording looks like, wherever it is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.recording import Metadata

#: frames that are looked at at a time where a file has its full size from the start
LOOK_AHEAD = 64


class GrowingRecording(ABC):
    """A recording (frame, row, column) that a microscope is still writing.

    Only complete frames are counted and read. Nothing is ever written.

    Parameters
    ----------
    path
        What is watched.
    clock
        Returns the time in seconds; a test passes one of its own.
    settle
        What does not change for this long is taken for complete, seconds.
    """

    metadata: Metadata = Metadata()
    #: rows and columns, known from the first frame on
    size: tuple[int, int] | None = None
    dtype: np.dtype[Any] | None = None

    def __init__(
        self, path: Path, clock: Callable[[], float], settle: float = 2.0
    ) -> None:
        self.path, self.clock, self.settle = path, clock, settle
        #: complete frames so far
        self.frames = 0
        #: frames that the files lack; the frame before stands for each
        self.missing: set[int] = set()
        self._seen: Any = None
        self._since = clock()

    @abstractmethod
    def look(self) -> int:
        """Look at the disk once; return the number of complete frames."""

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return complete frames ``start`` to ``stop``, (frame, row, column)."""

    def has_settled(self, state: Any) -> bool:
        """Return whether what is on disk is the same as ``settle`` seconds ago."""
        now = self.clock()
        if state != self._seen:
            self._seen, self._since = state, now
        return now - self._since >= self.settle

    def without_empty(self, frames: int, settled: bool) -> int:
        """Return how many of ``frames`` frames hold a picture.

        A program may give a file its full size first: what it has not written yet is 0.
        An empty frame counts once a later one holds a picture. The last frame before
        empty ones may be half written; it counts when another follows, or when nothing
        changed for a while.
        """
        good = self.frames
        while good < frames:
            block = self.read(good, min(good + LOOK_AHEAD, frames))
            full = np.flatnonzero(block.reshape(len(block), -1).any(axis=1))
            if not len(full):
                return self._before_empty(good, settled)
            good += int(full[-1]) + 1
            if full[-1] < len(block) - 1:
                return self._before_empty(good, settled)
        return good

    def _before_empty(self, good: int, settled: bool) -> int:
        return good if settled else max(good - 1, self.frames)

    def check_same(self, size: tuple[int, int], dtype: np.dtype[Any]) -> None:
        """Take over size and dtype of the first frame; refuse another afterwards."""
        if self.size is None:
            self.size, self.dtype = size, dtype
        elif (self.size, self.dtype) != (size, dtype):
            raise FormatError(
                f"{self.path} has frames of {self.size} {self.dtype}, and then of"
                f" {size} {dtype}: they are not one recording"
            )

    def close(self) -> None:  # noqa: B027 - most hold nothing open
        """Release what is open."""
