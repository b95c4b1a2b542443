"""Replace bad frames (dropped, saturated, incomplete) before the detection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Recording
from astrocast.io.views import DerivedRecording

#: longest run of bad frames that is interpolated between two good frames
LONGEST_GAP = 4
#: a longer run gets the noise of good frames at least this many frames away: closer
#: frames would appear twice within the reach of the smoothing
APART = 8
#: the level at each end of a longer run is the mean of this many good frames
LEVEL_FRAMES = 3
#: at an end of the recording one side is all there is: the level is then the median of
#: this many frames, as the noise of a few would be repeated in the whole run
ONE_SIDED = 15
#: the noise of a good frame is its difference from the mean of this many frames on each
#: side
AROUND = 2
#: if more than this fraction of frames is bad, the judgement is assumed to be wrong
MOST_BAD = 0.25


class InterpolatedRecording(DerivedRecording):
    """A recording whose bad frames are replaced, float32.

    A short run is interpolated linearly between the good frames before and after it. In
    a longer run the means of several good frames are interpolated, and the noise of
    other good frames is added, because interpolated frames have too little noise.

    A dropped frame is far darker than all others. It would lower the mean of the
    frames around it, so that these would look active.

    Parameters
    ----------
    source
        The recording.
    bad
        bool (frame,): True for bad frames; at least one frame must be good.
    """

    def __init__(self, source: Recording, bad: NDArray[np.bool_]) -> None:
        super().__init__(source, dtype=np.float32)
        self.bad = bad
        good = np.flatnonzero(~bad)
        after = np.minimum(np.searchsorted(good, np.arange(len(bad))), len(good) - 1)
        #: nearest good frame at or after each frame, and at or before it; at the ends
        #: of the recording both are the same frame
        self._next = good[after]
        self._previous = np.where(
            self._next > np.arange(len(bad)), good[np.maximum(after - 1, 0)], self._next
        )
        self._stand_in = stand_ins(bad)
        self._good_frames = good

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        frames = self.source.read(start, stop, rows, columns).astype(
            np.float32, copy=False
        )
        for t in np.flatnonzero(self.bad[start:stop]) + start:
            if self._stand_in[t] >= 0:
                continue
            before, after = int(self._previous[t]), int(self._next[t])
            share = np.float32((t - before) / (after - before) if after > before else 0)
            ends = [
                self._good(k, frames, start, rows, columns) for k in (before, after)
            ]
            frames[t - start] = ends[0] + share * (ends[1] - ends[0])
        for begin, end in bad_runs(self._stand_in >= 0):
            if begin < stop and end > start:
                inside = np.arange(max(begin, start), min(end, stop))
                level = self._level(inside, int(begin), int(end), rows, columns)
                frames[inside - start] = level + self._noise(inside, rows, columns)
        return frames

    def _level(
        self,
        inside: NDArray[np.intp],
        begin: int,
        end: int,
        rows: slice,
        columns: slice,
    ) -> NDArray[np.float32]:
        """Return the interpolated level of the frames ``inside`` a run of bad frames.

        ``begin``, ``end``: first frame of the run, and the frame after its last.
        """
        good = self._good_frames
        before, after = good[good < begin], good[good >= end]
        if not (len(before) and len(after)):
            near = before[-ONE_SIDED:] if len(before) else after[:ONE_SIDED]
            level = np.median(self._frames(near, rows, columns), axis=0)
            return np.asarray(np.repeat(level[None], len(inside), axis=0), np.float32)
        before, after = before[-LEVEL_FRAMES:], after[:LEVEL_FRAMES]
        ends = [self._frames(k, rows, columns).mean(axis=0) for k in (before, after)]
        share = ((inside - begin + 1) / (end - begin + 1))[:, None, None]
        return np.asarray(ends[0] + share * (ends[-1] - ends[0]), np.float32)

    def _noise(
        self, inside: NDArray[np.intp], rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Return the noise that the frames ``inside`` a run get, from good frames."""
        good, others = self._good_frames, self._stand_in[inside]
        out = np.empty(0, np.float32)
        # read the frames before and after the run separately: bad frames lie between
        for side in (others < inside, others > inside):
            if not side.any():
                continue
            before = others[side][0] < inside[0]
            near = good[good < inside[0]] if before else good[good > inside[-1]]
            rank = np.searchsorted(near, others[side])
            low = max(0, int(rank.min()) - AROUND)
            near = near[low : int(rank.max()) + AROUND + 1]
            values, rank = self._frames(near, rows, columns), rank - low
            if not out.size:
                out = np.empty((len(inside), *values.shape[1:]), np.float32)
            for k, r in zip(np.flatnonzero(side), rank, strict=True):
                around = values[max(0, r - AROUND) : r + AROUND + 1]
                scale = np.float32(np.sqrt(len(around) / max(1, len(around) - 1)))
                out[k] = scale * (values[r] - around.mean(axis=0))
        return out

    def _frames(
        self, numbers: NDArray[np.intp], rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """Return the frames with these (ascending) numbers, read in one piece."""
        first = int(numbers[0])
        values = self.source.read(first, int(numbers[-1]) + 1, rows, columns)
        return values[numbers - first].astype(np.float32)

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


def bad_runs(bad: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return (first frame, last frame + 1) of each run of bad frames, (run, 2)."""
    edges = np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8))
    return np.flatnonzero(edges).reshape(-1, 2)


def stand_ins(bad: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the good frame that replaces each frame of a long run; -1 elsewhere.

    int64 (frame,). The first half of a run gets frames before the run, in reverse
    order; the second half gets frames after it. If one side has too few good frames,
    they are repeated; if it has none, the other side fills the whole run.

    Examples
    --------
    >>> bad = np.zeros(40, bool)
    >>> bad[15:21] = True
    >>> stand_ins(bad)[14:22].tolist()
    [-1, 6, 5, 4, 31, 30, 29, -1]
    """
    out = np.full(len(bad), -1, np.int64)
    good = np.flatnonzero(~bad)
    for begin, end in bad_runs(bad):
        if end - begin <= LONGEST_GAP:
            continue
        sides = good[good < begin][::-1], good[good >= end]
        # use the nearest frames only if there are no others
        sides = tuple(s[APART:] if len(s) > APART else s for s in sides)
        middle = (begin + end) // 2
        if not (len(sides[0]) and len(sides[1])):
            middle = end if len(sides[0]) else begin
        first, last = np.arange(middle - begin), np.arange(end - middle)
        if len(first):
            out[begin:middle] = sides[0][first % len(sides[0])]
        if len(last):
            out[middle:end] = sides[1][last % len(sides[1])][::-1]
    return out


def interpolate_bad_frames(
    recording: Recording, bad: NDArray[np.bool_] | None
) -> tuple[Recording, NDArray[np.bool_] | None]:
    """Return a recording with bad frames replaced, and the frames without detection.

    Parameters
    ----------
    recording
        The recording.
    bad
        bool (frame,): bad frames; None if their quality is unknown.

    Returns
    -------
    recording, unknown
        The recording with replaced frames, and bool (frame,): frames of long runs, in
        which nothing is detected. The same recording and None if no frame is bad, or if
        more than `MOST_BAD` are.
    """
    if bad is None or not bad.any() or bad.mean() > MOST_BAD:
        return recording, None
    unknown = np.zeros(len(bad), np.bool_)
    for begin, end in bad_runs(bad):
        unknown[begin:end] = end - begin > LONGEST_GAP
    return InterpolatedRecording(recording, bad), unknown
