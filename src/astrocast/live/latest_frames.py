"""The latest frames of a recording, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Metadata, Recording

#: smallest and largest number of frames in memory
LEAST_FRAMES, MOST_FRAMES = 256, 4096


class LatestFrames:
    """Stores the latest frames in memory of fixed size.

    Parameters
    ----------
    size
        Rows and columns of a frame.
    memory
        Largest number of bytes to use.
    """

    def __init__(self, size: tuple[int, int], memory: int) -> None:
        fits = memory // (4 * size[0] * size[1])
        self.keep = int(min(max(fits, LEAST_FRAMES), MOST_FRAMES))
        self._frames = np.zeros((self.keep, *size), np.float32)
        #: number of the next frame
        self.stop = 0
        #: number of the first frame since the start or the last `jump`
        self.begin = 0

    @property
    def first(self) -> int:
        """Number of the oldest frame in memory."""
        return max(self.begin, self.stop - self.keep)

    def add(self, frames: NDArray[np.float32]) -> None:
        """Add the next frames, (frame, row, column)."""
        for a in range(0, len(frames), self.keep):
            part = frames[a : a + self.keep]
            at = self.stop % self.keep
            head = min(len(part), self.keep - at)
            self._frames[at : at + head] = part[:head]
            self._frames[: len(part) - head] = part[head:]
            self.stop += len(part)

    def jump(self, frame: int) -> None:
        """Remove all frames; the next frame has this number."""
        self.stop = self.begin = frame

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return a copy of frames in memory."""
        if start < self.first or stop > self.stop:
            raise IndexError(
                f"frames {start}:{stop} are not in memory, which contains"
                f" {self.first}:{self.stop}"
            )
        at = np.arange(start, stop) % self.keep
        return self._frames[at]

    def view(
        self, origin: int, stop: int, metadata: Metadata | None = None
    ) -> FramesView:
        """Return frames ``origin`` to ``stop`` as a recording.

        Only frames in memory can be read.
        """
        return FramesView(self, origin, stop, metadata or Metadata())


class FramesView(Recording):
    """Frames ``origin`` to ``stop`` of the latest frames as a recording, float32."""

    def __init__(
        self, frames: LatestFrames, origin: int, stop: int, metadata: Metadata
    ) -> None:
        self._latest, self._origin = frames, origin
        rows, columns = frames._frames.shape[1:]
        self.shape = (stop - origin, rows, columns)
        self.dtype = np.dtype(np.float32)
        self.metadata = metadata

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        found = self._latest.read(start + self._origin, stop + self._origin)
        return np.ascontiguousarray(found[:, rows, columns])
