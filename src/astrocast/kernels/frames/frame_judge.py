"""Judge the frames of a long recording in stretches, in memory that does not grow.

Light, noise and contrast of a recording change over hours; what is usual is then best
told by the frames around. A recording of up to 24,900 frames is judged as a whole.
"""

from __future__ import annotations

from dataclasses import fields

from astrocast.kernels.frames.frame_quality import LONGEST, Flag, judge_frames
from astrocast.kernels.frames.frame_statistics import FrameStatistics

#: frames of a stretch, and frames before and after it that are looked at: a pulse of
#: light is shorter
STRETCH, AROUND = 1 << 14, 2 * LONGEST


class FrameJudge:
    """Takes the statistics of frames in order, and returns what is wrong with them.

    The result does not depend on how many frames are given at a time.

    Parameters
    ----------
    stretch
        Frames that are judged together.

    Examples
    --------
    >>> import numpy as np
    >>> from astrocast.kernels.frames.frame_statistics import measure_frames
    >>> frames = np.random.default_rng(0).normal(100, 5, (20, 16, 16))
    >>> frames[7] = 0
    >>> judge = FrameJudge()
    >>> judge.add(measure_frames(frames.astype(np.float32)))
    >>> [(flag.frame, flag.kind) for flag in judge.flags()]
    [(7, 'black')]
    """

    def __init__(self, stretch: int = STRETCH) -> None:
        self.stretch = stretch
        self._parts: list[FrameStatistics] = []
        #: number of the first frame that is held, of the first that is not judged yet,
        #: and of the frame after the last
        self._first = self._start = self._stop = 0
        self._flags: list[Flag] = []

    def add(self, part: FrameStatistics) -> None:
        """Add the statistics of the next frames."""
        self._parts.append(part)
        self._stop += len(part)
        # what is left at the end is at least half a stretch
        while self._stop - self._start >= self.stretch + self.stretch // 2 + AROUND:
            self._judge(self._start + self.stretch, AROUND)

    def flags(self) -> list[Flag]:
        """Return what is wrong with all frames; no frames may be added afterwards."""
        if self._stop > self._start:
            self._judge(self._stop, 0)
        return self._flags

    def _judge(self, stop: int, after: int) -> None:
        """Judge the frames up to ``stop``; keep those that the next ones need."""
        held = FrameStatistics.join(self._parts)
        seen = _cut(held, 0, stop + after - self._first)
        self._flags += [
            flag._replace(frame=flag.frame + self._first)
            for flag in judge_frames(seen)
            if self._start <= flag.frame + self._first < stop
        ]
        first = max(0, stop - AROUND)
        self._parts = [_cut(held, first - self._first, len(held))]
        self._first, self._start = first, stop


def _cut(stats: FrameStatistics, start: int, stop: int) -> FrameStatistics:
    """Return the statistics of some of the frames, as a copy."""
    return FrameStatistics(
        **{f.name: getattr(stats, f.name)[start:stop].copy() for f in fields(stats)}
    )
