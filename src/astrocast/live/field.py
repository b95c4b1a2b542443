"""Events of the whole field in the latest frames."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.field import Field
from astrocast.kernels.calibrated.field_course import FieldEvents, whole_field_events
from astrocast.kernels.calibrated.frame_course import tile_means_of_frames

#: most tiles along a side of the frame, as in the detection
_TILES = 20


class LiveField:
    """Means of tiles of the latest frames, and the events of the whole field in them.

    Parameters
    ----------
    size
        Rows and columns of a frame.
    window
        Number of frames in memory.
    share
        An event extends to tiles above this fraction of its peak.
    pool
        Threads that share the work.
    """

    def __init__(
        self, size: tuple[int, int], window: int, share: float, pool: Executor | None
    ) -> None:
        self.size, self.window, self.share, self.pool = size, window, share, pool
        self.side = max(1, -(-max(size) // _TILES))
        tiles = int(np.prod([-(-n // self.side) for n in size]))
        self._tiles = np.empty((0, tiles), np.float32)
        #: number of the first frame in memory
        self.first = 0
        self.found = FieldEvents([], np.zeros(0, np.float32), np.zeros(0))
        #: events that end before this frame were reported
        self._reported = 0

    def add(self, frames: NDArray[np.float32]) -> None:
        """Add the next frames, (frame, row, column)."""
        new = tile_means_of_frames(frames, self.side, self.pool)
        both = np.concatenate([self._tiles, new])
        kept = both[-self.window :]
        self.first += len(both) - len(kept)
        self._tiles = kept

    def jump(self, frame: int) -> None:
        """Remove all frames; the next frame has this number."""
        self._tiles, self.first = self._tiles[:0], frame
        self.found = FieldEvents([], np.zeros(0, np.float32), np.zeros(0))

    def judge(self) -> None:
        """Find the events of the whole field in the frames in memory."""
        self.found = whole_field_events(self._tiles, self.share)

    def activity(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the activity of the whole field in each frame, 0 outside events."""
        out = np.zeros(stop - start, np.float32)
        known = self.found.activity
        a, b = max(start, self.first), min(stop, self.first + len(known))
        if b > a:
            out[a - start : b - start] = known[a - self.first : b - self.first]
        return out

    def finished(self, before: int) -> list[tuple[NDArray[np.int64], float]]:
        """Return the events that ended before a frame, each event once.

        Returns
        -------
        list
            (voxels as flat indices in the recording, height of the event / height of
            the largest fluctuation that is not an event).
        """
        field = Field(self._tiles, self.side, self.size, np.zeros(0, np.bool_))
        events = []
        for mask, ratio in zip(self.found.mask, self.found.ratio, strict=True):
            begin = mask[0] + self.first
            end = begin + len(mask[1])
            if end > before or begin < self._reported:
                continue
            self._reported = end
            at = field.voxels(mask, mask[0], mask[0] + len(mask[1]))
            shift: Any = begin * self.size[0] * self.size[1]
            events.append((at + shift, float(ratio)))
        return events
