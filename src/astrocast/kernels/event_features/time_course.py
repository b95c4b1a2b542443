"""Height and times of an event from its trace over a fixed footprint.

The trace begins before the event and goes on after it. Its local baseline is a line
through the frames without an event. The time course is the closest one that only rises
before the peak and only falls after it (isotonic regression on either side), so noise
makes neither the first crossing of a level too early nor the last one too late.

All times are in frames from the first frame of the trace, with fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.ragged.ragged import Floats, Offsets

#: levels, as a share of the peak, at which times are taken
LEVELS = (0.1, 0.5, 0.9)
#: frames around the event that are not used for its baseline: rise and decay continue
#: beyond the frames in which it is above the noise. A share of its duration is added
_GUARD_BEFORE, _GUARD_AFTER, _GUARD_SHARE = 4, 8, 0.5
#: context frames further from their median than this many standard deviations are not
#: baseline
_CLIP = 2.5
#: frames next to the peak belong to its top while they are within this many standard
#: deviations of the highest
_TOP = 1.5
#: fewest frames of baseline for a constant, and on each side for a line
_FEWEST, _FEWEST_SIDE = 3, 6
_MAD = 1.4826


@dataclass(frozen=True)
class EventCourses:
    """Time courses of events, one number per event, float64.

    Parameters
    ----------
    baseline
        Local baseline at the peak, in the unit of the trace.
    baseline_frames
        Frames it was estimated from; 0: the minimum of the trace was taken.
    noise
        Standard deviation of the trace's noise from frame to frame.
    height
        Peak above the baseline.
    peak, onset, offset
        Frame of the peak, and where 10% of the height is crossed before and after it.
    rise, decay, half_width
        From 10% to 90% before the peak, from 90% to 10% after it, from 50% to 50%.
    area
        Integral above the baseline from onset to offset; unit of the trace x frames.
        Where one of them is not in the trace, up to its end.
    """

    baseline: NDArray[np.float64]
    baseline_frames: NDArray[np.float64]
    noise: NDArray[np.float64]
    height: NDArray[np.float64]
    peak: NDArray[np.float64]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    rise: NDArray[np.float64]
    decay: NDArray[np.float64]
    half_width: NDArray[np.float64]
    area: NDArray[np.float64]


def event_courses(
    values: Floats,
    offsets: Offsets,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
) -> EventCourses:
    """Return height and times of each event.

    Parameters
    ----------
    values, offsets
        Traces with context, see `kernels.ragged`; NaN frames are left out.
    begin, end
        First frame of each event and the one after its last, counted from the first
        frame of its trace, int64, (events,).

    Returns
    -------
    EventCourses
        NaN where the trace does not contain what was asked for: an event that is
        active in the first frame of the recording has no onset.

    Notes
    -----
    The height is the mean over the top of the event: the frames next to the highest
    one that are within 1.5 standard deviations of the noise of it. A single highest
    frame would be too high by about one standard deviation for events with a plateau.
    The isotonic regression is the pool-adjacent-violators algorithm (Barlow et al.
    1972, Statistical Inference under Order Restrictions).

    Examples
    --------
    >>> from astrocast.kernels.ragged.ragged import flatten
    >>> trace = [0.0] * 20 + [5, 10, 5] + [0.0] * 20
    >>> found = event_courses(*flatten([trace]), np.array([20]), np.array([23]))
    >>> float(found.height[0]), float(found.half_width[0])
    (10.0, 2.0)
    """
    n = offsets.size - 1
    out = np.full((11, n), np.nan)
    _courses(values, offsets, begin.astype(np.int64), end.astype(np.int64), out)
    return EventCourses(*out)


@njit(cache=True, nogil=True)
def _courses(values: Any, offsets: Any, begin: Any, end: Any, out: Any) -> None:
    """Fill ``out`` float64 (11, events) with the fields of `EventCourses`.

    ``values`` float (frames of all traces,), ``offsets`` int64 (events + 1,), ``begin``
    and ``end`` int64 (events,).
    """
    for e in range(offsets.size - 1):
        trace = values[offsets[e] : offsets[e + 1]].astype(np.float64)
        if begin[e] < end[e] and not np.isnan(trace[begin[e] : end[e]]).all():
            _course(trace, begin[e], end[e], out[:, e])


@njit(cache=True, nogil=True)
def _course(trace: Any, begin: int, end: int, out: Any) -> None:
    """Fill ``out`` float64 (11,) for one trace float64 (frames,), changed in place."""
    noise = _trace_noise(trace, begin - _GUARD_BEFORE, end + _GUARD_AFTER)
    if np.isnan(noise):
        noise = _trace_noise(trace, 0, 0)
    level, slope, used = _local_baseline(trace, begin, end, noise)
    for t in range(len(trace)):
        trace[t] -= level + slope * t
    peak, height, first, last = _top(trace, begin, end, noise)
    out[0], out[1], out[2] = level + slope * peak, used, noise
    out[3], out[4] = height, peak
    if not height > 0:
        return
    up = _crossings(trace, first, -1, height)
    down = _crossings(trace, last, 1, height)
    out[5], out[6] = up[0], down[0]
    out[7], out[8], out[9] = up[2] - up[0], down[0] - down[2], down[1] - up[1]
    out[10] = _integral(trace, up[0], down[0])


@njit(cache=True, nogil=True)
def _trace_noise(trace: Any, begin: int, end: int) -> float:
    """Return the noise of a trace from its second differences.

    The standard deviation of a trace float64 (frames,): 1.4826 median(abs(x[t+1] - 2
    x[t] + x[t-1])) / sqrt(6).

    Frames from ``begin`` to ``end`` are left out: the event itself is curved. NaN where
    fewer than eight are left, or three where none is left out.
    """
    bends = np.empty(max(len(trace) - 2, 0))
    n = 0
    for t in range(1, len(trace) - 1):
        bend = trace[t + 1] - 2 * trace[t] + trace[t - 1]
        if not np.isnan(bend) and not begin <= t < end:
            bends[n] = abs(bend)
            n += 1
    if n < (8 if end > begin else 3):
        return np.nan
    return _MAD * np.median(bends[:n]) / np.sqrt(6.0)


@njit(cache=True, nogil=True)
def _local_baseline(trace: Any, begin: int, end: int, noise: float) -> Any:
    """Return level at frame 0, slope per frame and number of frames of the baseline.

    ``trace`` float64 (frames,); frames in and close to the event are not used, nor
    those that stand out of the others.
    """
    guard = int(_GUARD_SHARE * (end - begin))
    frames = np.empty(len(trace))
    heights = np.empty(len(trace))
    n = 0
    for t in range(len(trace)):
        outside = t < begin - _GUARD_BEFORE or t >= end + _GUARD_AFTER + guard
        if outside and not np.isnan(trace[t]):
            frames[n], heights[n] = t, trace[t]
            n += 1
    if n < _FEWEST:
        return np.nanmin(trace), 0.0, 0
    level, slope = np.median(heights[:n]), 0.0
    for _ in range(4):
        away = heights[:n] - level - slope * frames[:n]
        spread = max(_MAD * np.median(np.abs(away)), noise if noise == noise else 0.0)
        keep = np.abs(away) <= _CLIP * spread
        if keep.sum() < _FEWEST:
            break
        x, y = frames[:n][keep], heights[:n][keep]
        before = (x < begin).sum()
        slope = 0.0
        if before >= _FEWEST_SIDE and len(x) - before >= _FEWEST_SIDE:
            centred = x - x.mean()
            slope = (centred * y).sum() / (centred * centred).sum()
        level = y.mean() - slope * x.mean()
        used = keep.sum()
    return level, slope, used


@njit(cache=True, nogil=True)
def _top(trace: Any, begin: int, end: int, noise: float) -> Any:
    """Return peak frame, height, first and last frame of the top of a trace.

    Of a trace float64 (frames,) above baseline; the height is the mean over the top.
    """
    peak = _highest_frame(trace, begin, end)
    # the top grows to both sides while frames do not differ from its mean by more than
    # noise makes; two frames in a row that do end it
    tolerance = _TOP * (noise if noise == noise else 0.0)
    first, last, total, n = peak, peak, trace[peak], 1
    grown = True
    while grown:
        grown = False
        for step in (-1, 1):
            edge = first if step < 0 else last
            for reach in (1, 2):
                t = edge + step * reach
                if not begin <= t < end or np.isnan(trace[t]):
                    break
                if trace[t] >= total / n - tolerance:
                    for k in range(1, reach + 1):
                        total += trace[edge + step * k]
                        n += 1
                    first, last = min(first, t), max(last, t)
                    grown = True
                    break
    return peak, total / n, first, last


@njit(cache=True, nogil=True)
def _highest_frame(trace: Any, begin: int, end: int) -> int:
    """Return the highest of the frames next to the maximum of the smoothed trace.

    The trace, float64 (frames,), is smoothed over three frames (weights 1, 2, 1).
    """
    peak, best = begin, -np.inf
    for t in range(begin, end):
        total, weight = 0.0, 0.0
        for k in range(max(t - 1, 0), min(t + 2, len(trace))):
            if not np.isnan(trace[k]):
                w = 2.0 if k == t else 1.0
                total += w * trace[k]
                weight += w
        if weight > 0 and not np.isnan(trace[t]) and total / weight > best:
            peak, best = t, total / weight
    highest = peak
    for t in range(max(begin, peak - 1), min(end, peak + 2)):
        if trace[t] > trace[highest]:
            highest = t
    return highest


@njit(cache=True, nogil=True)
def _crossings(trace: Any, peak: int, step: int, height: float) -> Any:
    """Return where the time course falls to `LEVELS` of the height, float64 (3,).

    Walking from the peak in the direction ``step``; NaN where the trace ends before.

    The course is the non-increasing one closest to the trace: blocks of frames with a
    common mean, joined by straight lines from the last frame of one to the next.
    """
    room = len(trace) - peak if step > 0 else peak + 1
    mean, weight = np.empty(room), np.empty(room)
    near, far = np.empty(room), np.empty(room)
    blocks = 0
    for k in range(room):
        value = trace[peak + step * k]
        if np.isnan(value):
            continue
        mean[blocks], weight[blocks], near[blocks], far[blocks] = value, 1.0, k, k
        blocks += 1
        while blocks > 1 and mean[blocks - 1] >= mean[blocks - 2]:
            a, b = blocks - 2, blocks - 1
            total = weight[a] + weight[b]
            mean[a] = (mean[a] * weight[a] + mean[b] * weight[b]) / total
            weight[a], far[a] = total, far[b]
            blocks -= 1
    out = np.full(3, np.nan)
    for j in range(3):
        level = LEVELS[j] * height
        for b in range(blocks):
            if mean[b] <= level:
                away = near[b]
                if b > 0:
                    part = (mean[b - 1] - level) / (mean[b - 1] - mean[b])
                    away = far[b - 1] + part * (near[b] - far[b - 1])
                out[j] = peak + step * away
                break
    return out


@njit(cache=True, nogil=True)
def _integral(trace: Any, onset: float, offset: float) -> float:
    """Return the sum of a trace float64 (frames,) from onset to offset (frames)."""
    first = 0 if np.isnan(onset) else int(np.floor(onset))
    last = len(trace) - 1 if np.isnan(offset) else int(np.ceil(offset))
    total = 0.0
    for t in range(max(first, 0), min(last, len(trace) - 1) + 1):
        if not np.isnan(trace[t]):
            total += trace[t]
    return total
