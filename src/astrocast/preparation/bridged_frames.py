"""Interpolate bad frames before the background is estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Recording
from astrocast.io.stores.frame_quality import frames_left_out
from astrocast.io.views import DerivedRecording
from astrocast.runtime.frame_quality import known_frame_quality


class BridgedRecording(DerivedRecording):
    """A recording, float32, whose bad frames are interpolated linearly over time.

    Otherwise a black frame would be the minimum of its window, and a flash of light
    would look like an event.

    Parameters
    ----------
    source
        The recording.
    bad
        bool (frame,): True for the bad frames; at least one frame must be good.
    """

    def __init__(self, source: Recording, bad: NDArray[np.bool_]) -> None:
        super().__init__(source, dtype=np.float32)
        self.bad = bad
        good, frames = np.flatnonzero(~bad), np.arange(len(bad))
        at = np.searchsorted(good, frames)
        self._after = good[np.minimum(at, len(good) - 1)]
        before = good[np.maximum(at - 1, 0)]
        # at the ends of the recording the nearest good frame is repeated
        self._before = np.where(at < len(good), before, good[-1])
        self._before = np.where(self._before > frames, self._after, self._before)

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        frames = self.source.read(start, stop, rows, columns)
        frames = frames.astype(np.float32)
        for t in np.flatnonzero(self.bad[start:stop]) + start:
            first, last = int(self._before[t]), int(self._after[t])
            share = np.float32((t - first) / (last - first) if last > first else 0)
            ends = [
                self.source.read(k, k + 1, rows, columns)[0].astype(np.float32)
                for k in (first, last)
            ]
            frames[t - start] = ends[0] + share * (ends[1] - ends[0])
        return frames


def bridge_bad_frames(recording: Recording) -> Recording:
    """Return the recording with its bad frames interpolated.

    The table stored beside the recording names the bad frames. Without such a table, or
    if it names no frame or all frames, the recording is returned unchanged.
    """
    bad = frames_left_out(known_frame_quality(recording), len(recording))
    if not bad.any() or bad.all():
        return recording
    return BridgedRecording(recording, bad)
