"""Frames that hold no picture: dropped, saturated, arrived in part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Recording
from astrocast.io.views import DerivedRecording

#: longest run of bad frames that is interpolated
LONGEST_GAP = 4
#: a larger share of bad frames says that they were judged wrongly rather than that the
#: recording is so bad
MOST_BAD = 0.25


class InterpolatedRecording(DerivedRecording):
    """A recording whose bad frames are interpolated, float32.

    Linearly between the good frames around them.

    A dropped frame lies far below all others. It would pull down the mean of the frames
    around it, beside which these then stand out everywhere.

    Parameters
    ----------
    source
        The recording.
    bad
        Which of its frames are bad, bool, (frames,); at least one is good.
    """

    def __init__(self, source: Recording, bad: NDArray[np.bool_]) -> None:
        super().__init__(source, dtype=np.float32)
        self.bad = bad
        good = np.flatnonzero(~bad)
        after = np.minimum(np.searchsorted(good, np.arange(len(bad))), len(good) - 1)
        #: nearest good frame from each frame on, and up to it; at the ends of the
        #: recording the same one
        self._next = good[after]
        self._previous = np.where(
            self._next > np.arange(len(bad)), good[np.maximum(after - 1, 0)], self._next
        )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        frames = self.source.read(start, stop, rows, columns).astype(
            np.float32, copy=False
        )
        for t in np.flatnonzero(self.bad[start:stop]) + start:
            before, after = int(self._previous[t]), int(self._next[t])
            share = np.float32((t - before) / (after - before) if after > before else 0)
            ends = [
                self._good(k, frames, start, rows, columns) for k in (before, after)
            ]
            frames[t - start] = ends[0] + share * (ends[1] - ends[0])
        return frames

    def _good(
        self,
        t: int,
        frames: NDArray[np.float32],
        start: int,
        rows: slice,
        columns: slice,
    ) -> NDArray[Any]:
        if start <= t < start + len(frames):
            return frames[t - start]
        return self.source.read(t, t + 1, rows, columns)[0].astype(np.float32)


def interpolate_bad_frames(
    recording: Recording, bad: NDArray[np.bool_] | None
) -> tuple[Recording, NDArray[np.bool_] | None]:
    """Return a recording with bad frames interpolated, and frames without result.

    Parameters
    ----------
    recording
        The recording.
    bad
        Frames that motion correction flagged, bool, (frames,); None where nothing is
        known.

    Returns
    -------
    recording, unknown
        The recording itself and None where no frame is bad, or too many to believe it.
    """
    if bad is None or not bad.any() or bad.mean() > MOST_BAD:
        return recording, None
    # runs of bad frames: where they begin and end
    edges = np.flatnonzero(
        np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8))
    )
    unknown = np.zeros(len(bad), np.bool_)
    for begin, end in edges.reshape(-1, 2):
        unknown[begin:end] = end - begin > LONGEST_GAP
    return InterpolatedRecording(recording, bad), unknown
