"""The interface of growing recordings, independent of the file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.recording import Metadata

#: number of frames that are checked at a time for being empty
LOOK_AHEAD = 64


class GrowingRecording(ABC):
    """A recording (frame, row, column) that a microscope is still writing.

    Only complete frames are counted and read. The file is never changed.

    Parameters
    ----------
    path
        File or folder.
    clock
        Function that returns the time in seconds.
    settle
        A file is complete if it has not changed for this time, seconds.
    """

    metadata: Metadata = Metadata()
    #: rows and columns; None before the first frame
    size: tuple[int, int] | None = None
    dtype: np.dtype[Any] | None = None

    def __init__(
        self, path: Path, clock: Callable[[], float], settle: float = 2.0
    ) -> None:
        self.path, self.clock, self.settle = path, clock, settle
        #: number of complete frames so far
        self.frames = 0
        #: frames that are missing in the files; each is replaced by the one before
        self.missing: set[int] = set()
        self._seen: Any = None
        self._since = clock()

    @abstractmethod
    def look(self) -> int:
        """Check the disk once; return the number of complete frames."""

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return complete frames ``start`` to ``stop``, (frame, row, column)."""

    def has_settled(self, state: Any) -> bool:
        """Return whether the state on disk is the same as ``settle`` seconds ago."""
        now = self.clock()
        if state != self._seen:
            self._seen, self._since = state, now
        return now - self._since >= self.settle

    def without_empty(self, frames: int, settled: bool) -> int:
        """Return how many of the first ``frames`` frames are written.

        Some programs create a file with its full size; frames that are not yet written
        are then 0. A frame of 0 counts as written if a later frame is not 0. The last
        frame before empty ones may be incomplete: it counts if another one follows, or
        if nothing has changed for some time (``settled``).
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
        """Store size and dtype of the first frame; raise an error if they change."""
        if self.size is None:
            self.size, self.dtype = size, dtype
        elif (self.size, self.dtype) != (size, dtype):
            raise FormatError(
                f"{self.path} contains frames of {self.size} {self.dtype} and later of"
                f" {size} {dtype}: they are not one recording"
            )

    def close(self) -> None:  # noqa: B027 - most hold nothing open
        """Close the files."""
