"""Find peaks in the time course of each pixel, as `scipy.signal.find_peaks` does."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: time courses that are copied together: two cache lines of a frame
_TILE = 32


@dataclass(frozen=True)
class PeakCriteria:
    """Definition of a peak, as the arguments of `scipy.signal.find_peaks`.

    Parameters
    ----------
    prominence
        Minimum prominence: height above the higher of the two minima that separate the
        peak from higher values.
    width
        Minimum width at ``rel_height``, in frames.
    rel_height
        Height at which the width is measured, below the maximum, as a fraction of the
        prominence: 1 is the foot of the peak.
    wlen
        Window around the maximum, in frames, in which the minima are searched; None:
        the whole time course.
    plateau_size
        Minimum number of equal frames at the maximum; None: any.
    """

    prominence: float
    width: float
    rel_height: float
    wlen: int | None = None
    plateau_size: int | None = None

    def __post_init__(self) -> None:
        if self.wlen is not None and self.wlen <= 1:
            raise InvalidValueError(
                f"wlen is {self.wlen!r}; expected at least 2 frames, or None for all"
            )
        if self.rel_height < 0:
            raise InvalidValueError(
                f"rel_height is {self.rel_height!r}; expected a fraction of the"
                " prominence, 0 or more"
            )

    @property
    def reach(self) -> int | None:
        """Frames on either side of its maximum that belong to a peak; None: all."""
        return None if self.wlen is None else math.ceil(self.wlen) // 2

    @property
    def halo(self) -> int | None:
        """Frames before and after a frame that its result depends on; None: all.

        A frame is active because of a peak at most `reach` frames away, which depends
        on values at most `reach` frames from its maximum. A plateau longer than the
        window has no prominence, so its full length does not matter.
        """
        return None if self.reach is None else 2 * self.reach


def peak_mask(
    frames: NDArray[np.float32],
    criteria: PeakCriteria,
    inner: slice = slice(None),
    pool: Executor | None = None,
    floors: NDArray[np.float32] | None = None,
) -> NDArray[np.bool_]:
    """Mark the frames in which each pixel is part of a peak of its time course.

    Parameters
    ----------
    frames
        Block of a recording, (frame, row, column), float32, finite.
    criteria
        Definition of a peak.
    inner
        Frames to return. With ``criteria.halo`` further frames on either side (fewer
        only at the ends of the recording) the result equals that of the whole
        recording.
    pool
        Threads that share the work.
    floors
        float32 (frame,): voxels at or below the floor of their frame may stay unmarked.
        Saves work where a later step needs values above the floor anyway.

    Returns
    -------
    numpy.ndarray
        bool, the frames of ``inner``. A peak is active from ``int(left)`` up to but not
        including ``int(right)``, the interpolated positions at ``rel_height``.

    Notes
    -----
    Peaks are those of `scipy.signal.find_peaks` of the time course in double precision:
    https://docs.scipy.org/doc/scipy/reference/generated/scipy.signal.find_peaks.html

    Examples
    --------
    >>> course = np.array([0, 0, 1, 5, 9, 5, 1, 0, 0], np.float32).reshape(-1, 1, 1)
    >>> peak_mask(course, PeakCriteria(prominence=2, width=2, rel_height=0.9))[
    ...     :, 0, 0
    ... ].astype(int)
    array([0, 1, 1, 1, 1, 1, 0, 0, 0])
    """
    start, stop, _ = inner.indices(len(frames))
    reach = criteria.reach if criteria.reach is not None else len(frames)
    summits = slice(max(0, start - reach), min(len(frames), stop + reach))
    return mark_peaks(frames, criteria, summits, pool, floors)[start:stop]


def mark_peaks(
    frames: NDArray[np.float32],
    criteria: PeakCriteria,
    summits: slice = slice(None),
    pool: Executor | None = None,
    floors: NDArray[np.float32] | None = None,
    out: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Mark the frames of those peaks whose maximum lies in ``summits``.

    The marks of consecutive ``summits``, combined by "or", equal those of the whole
    recording, so that a stream tests each peak once. ``frames`` must extend
    ``criteria.reach`` frames beyond ``summits`` on either side, or to the ends of the
    recording.

    Parameters
    ----------
    frames, criteria, pool, floors
        As for `peak_mask`.
    summits
        Frames whose peaks are marked.
    out
        Array to which marks are added, bool; None: a new one.

    Returns
    -------
    numpy.ndarray
        ``out``, bool, of the shape of ``frames``.
    """
    first, last, _ = summits.indices(len(frames))
    out = np.zeros(frames.shape, np.bool_) if out is None else out
    reach = criteria.reach if criteria.reach is not None else len(frames)
    low = (
        np.full(len(frames), -np.inf, np.float32)
        if floors is None
        else _lowest_within(floors, reach)
    )
    limits = (
        float(criteria.prominence),
        float(criteria.width),
        float(criteria.rel_height),
    )
    bounds = (first, last, reach, int(criteria.plateau_size or 0))
    run_in_threads(
        pool,
        frames.shape[1],
        _mark_rows,
        np.ascontiguousarray(frames),
        low,
        limits,
        bounds,
        out.view(np.uint8),
    )
    return out


def _lowest_within(floors: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Return the lowest floor within ``reach`` of each frame, float32 (frame,).

    A peak below it cannot make any of its frames active and may be skipped.
    """
    n = len(floors)
    if reach >= n:
        return np.full(n, floors.min(), np.float32)
    padded = np.pad(floors, reach, constant_values=np.inf)
    return (
        np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
        .min(axis=1)
        .astype(np.float32)
    )


@njit(cache=True, nogil=True)
def _mark_rows(
    lo: int, hi: int, frames: Any, low: Any, limits: Any, bounds: Any, out: Any
) -> None:
    """Mark peaks in rows ``lo`` to ``hi - 1`` of frames, float32 (frame, row, column).

    ``low``: float32 (frame,), maxima below it are skipped; ``limits``: prominence,
    width, rel_height; ``bounds``: first and last + 1 maximum, reach, plateau size;
    ``out``: uint8, shape of ``frames``, set to 1.
    """
    n, _, columns = frames.shape
    courses = np.empty((_TILE, n), np.float32)
    marks = np.zeros((_TILE, n), np.uint8)
    candidates = np.zeros((n + 7) // 8 * 8, np.uint8)
    packed = candidates.view(np.uint64)
    for y in range(lo, hi):
        for left in range(0, columns, _TILE):
            tile = min(_TILE, columns - left)
            for t in range(n):
                for k in range(tile):
                    courses[k, t] = frames[t, y, left + k]
            marked = False
            for k in range(tile):
                _summits(courses[k], low, bounds, candidates)
                marked |= _mark_course(
                    courses[k], candidates, packed, limits, bounds, marks[k]
                )
            if marked:
                for t in range(n):
                    for k in range(tile):
                        out[t, y, left + k] |= marks[k, t]
                marks[:] = 0


@njit(cache=True, nogil=True)
def _mark_course(
    course: Any, candidates: Any, packed: Any, limits: Any, bounds: Any, marks: Any
) -> bool:
    """Mark the peaks of a course, float32 (frame,), in ``marks``, uint8 (frame,).

    ``candidates``: uint8 (frame,), 1 at possible maxima; ``packed``: the same memory as
    uint64. Returns whether anything was marked.
    """
    marked = False
    for word in range(len(packed)):
        if packed[word] == 0:  # eight frames at once
            continue
        for t in range(word * 8, word * 8 + 8):
            if candidates[t]:
                marked |= _mark_peak(course, t, limits, bounds, marks)
    return marked


@njit(cache=True, nogil=True)
def _summits(course: Any, low: Any, bounds: Any, candidates: Any) -> None:
    """Set ``candidates``, uint8 (frame,), to 1 where the course stops rising.

    These are all local maxima, and starts of plateaus which may not be maxima. A
    plateau that is not wider than the window starts at most ``reach`` frames before the
    first wanted maximum. ``course``, ``low``: float32 (frame,).
    """
    first, last, reach, _ = bounds
    for t in range(max(1, first - reach), min(last, len(course) - 1)):
        v = course[t]
        candidates[t] = np.uint8(
            (course[t - 1] < v) & (course[t + 1] <= v) & (v > low[t])
        )


@njit(cache=True, nogil=True)
def _mark_peak(course: Any, begin: int, limits: Any, bounds: Any, marks: Any) -> bool:
    """Mark the peak whose plateau starts at ``begin``; return whether it is one.

    ``course``: float32 (frame,); ``marks``: uint8 (frame,).
    """
    n = len(course)
    first, last, reach, plateau = bounds
    top = course[begin]
    end = begin
    while end + 1 < n - 1 and course[end + 1] == top:
        end += 1
    peak = (begin + end) // 2
    if (
        course[end + 1] >= top
        or end - begin + 1 < plateau
        or peak < first
        or peak >= last
    ):
        return False
    prominence, width, rel_height = limits
    left, left_low = _valley(course, peak, -1, max(peak - reach, 0) - 1)
    if np.float64(top) - np.float64(left_low) < prominence:
        return False  # the higher minimum decides, so the other cannot help
    right, right_low = _valley(course, peak, 1, min(peak + reach, n - 1) + 1)
    height = np.float64(top) - np.float64(max(left_low, right_low))
    if height < prominence:
        return False
    level = np.float64(top) - height * rel_height
    rise = _crossing(course, peak, -1, left, level)
    fall = _crossing(course, peak, 1, right, level)
    if fall - rise < width:
        return False
    for t in range(int(rise), int(fall)):
        marks[t] = 1
    return int(fall) > int(rise)


@njit(cache=True, nogil=True)
def _valley(course: Any, peak: int, step: int, end: int) -> Any:
    """Return index and value of the minimum between the peak and a higher value.

    ``course``: float32 (frame,); ``step`` is -1 (left) or 1 (right), up to ``end``.
    """
    top = course[peak]
    low, base = top, peak
    i = peak
    while i != end and course[i] <= top:
        if course[i] < low:
            low, base = course[i], i
        i += step
    return base, low


@njit(cache=True, nogil=True)
def _crossing(course: Any, peak: int, step: int, base: int, level: float) -> float:
    """Return where the course crosses ``level`` between peak and base, interpolated.

    ``course`` float32 (frame,); ``base`` and ``level`` are heights, ``step`` -1 or 1.
    """
    i = peak
    while i != base and level < course[i]:
        i += step
    v = np.float64(course[i])
    if v < level:
        return i - step * (level - v) / (np.float64(course[i - step]) - v)
    return np.float64(i)
