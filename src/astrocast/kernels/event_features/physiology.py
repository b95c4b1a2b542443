"""Measure the time course of an event: onset, peak, end, rise, decay, area.

All times are in frames from the first frame of the trace, with fractions: a level is
crossed between two frames where the straight line between them crosses it. A crossing
that the trace does not contain is NaN, never the trace's edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.ragged.ragged import Floats, Offsets

#: the scale of the median of |x| to the standard deviation of a normal distribution
#: (its 75th percentile)
MEDIAN_TO_SIGMA = 0.6744897501960817
_LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Course:
    """Properties of time courses, one number per trace each.

    Times are in frames from the first frame of the trace.

    ``onset`` and ``offset`` are the crossings of 10% of the height before and after the
    peak; ``rise`` goes from 10% to 90%, ``decay`` from 90% to 10%; ``half_width`` from
    50% to 50%. ``height`` is the peak less the baseline, ``area`` the integral of the
    trace less the baseline over its frames (trapezoids), in the unit of the trace times
    frames.
    """

    baseline: NDArray[np.float64]
    peak: NDArray[np.float64]
    height: NDArray[np.float64]
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    rise: NDArray[np.float64]
    decay: NDArray[np.float64]
    half_width: NDArray[np.float64]
    area: NDArray[np.float64]


@njit(cache=True, nogil=True)
def _crossing(
    values: Floats, begin: int, end: int, peak: int, level: float, step: int
) -> float:
    """Return the first place, from the peak, where the trace falls to the level.

    NaN where it never does.

    ``values`` float (frames of all traces,); the trace is ``begin`` to ``end``.
    """
    k = peak
    while begin <= k + step < end:
        here, there = np.float64(values[k]), np.float64(values[k + step])
        if np.isnan(there):
            return np.nan
        if there <= level < here:
            return k + step * (here - level) / (here - there)
        k += step
    return np.nan


@njit(cache=True, nogil=True)
def _area(values: Floats, begin: int, end: int, baseline: float) -> float:
    """Return the integral of a trace above its baseline (trapezoids), float64.

    ``values`` float (frames of all traces,); the trace is ``begin`` to ``end``.
    """
    total = 0.0
    for k in range(begin, end - 1):
        pair = 0.5 * (np.float64(values[k]) + np.float64(values[k + 1])) - baseline
        if not np.isnan(pair):
            total += pair
    return total


@njit(cache=True, nogil=True)
def _courses(
    values: Floats,
    offsets: Offsets,
    baseline: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Fill ``out``, float64 (10, traces).

    ``values`` float (frames of all traces,), ``offsets`` int64 (traces + 1,),
    ``baseline`` float64 (traces,).
    """
    for i in range(offsets.size - 1):
        begin, end = offsets[i], offsets[i + 1]
        peak = -1
        low = np.inf
        for k in range(begin, end):
            if not np.isnan(values[k]):
                low = min(low, np.float64(values[k]))
                if peak < 0 or values[k] > values[peak]:
                    peak = k
        out[:, i] = np.nan
        if peak < 0:
            continue
        base = low if np.isnan(baseline[i]) else baseline[i]
        height = np.float64(values[peak]) - base
        out[0, i], out[1, i], out[2, i] = base, peak - begin, height
        out[9, i] = _area(values, begin, end, base)
        if height <= 0:
            continue
        for j in range(3):
            level = base + _LEVELS[j] * height
            out[3 + j, i] = _crossing(values, begin, end, peak, level, -1) - begin
            out[6 + j, i] = _crossing(values, begin, end, peak, level, 1) - begin


def time_courses(
    values: Floats, offsets: Offsets, baseline: NDArray[np.float64] | None = None
) -> Course:
    """Return onset, peak, offset, rise, decay, width, height and area of each trace.

    Parameters
    ----------
    values, offsets
        The traces, see `kernels.ragged`; NaN frames are skipped when looking for the
        peak and end a walk from it.
    baseline
        Level from which the height is counted, one per trace; None, or NaN for one
        trace: the minimum of the trace.

    Returns
    -------
    float64; NaN where a trace does not contain the crossing. Of several frames at the
    maximum the first is the peak.

    Notes
    -----
    The 10, 50 and 90% levels are the usual definitions of rise time and full width at
    half maximum; the same set is reported by AQuA (Wang et al. 2019,
    https://doi.org/10.1038/s41593-019-0492-2).

    >>> from astrocast.kernels.ragged.ragged import flatten
    >>> course = time_courses(*flatten([[0, 10, 5, 0]]))
    >>> (
    ...     float(course.peak[0]),
    ...     round(float(course.half_width[0]), 3),
    ...     round(float(course.rise[0]), 3),
    ... )
    (1.0, 1.5, 0.8)
    """
    n = offsets.size - 1
    out = np.empty((10, n), np.float64)
    _courses(
        values,
        offsets,
        np.full(n, np.nan) if baseline is None else baseline.astype(np.float64),
        out,
    )
    base, peak, height, up10, up50, up90, down10, down50, down90, area = out
    return Course(
        base,
        peak,
        height,
        up10,
        down10,
        up90 - up10,
        down10 - down90,
        down50 - up50,
        area,
    )


@njit(cache=True, nogil=True)
def _noise(values: Floats, offsets: Offsets, out: NDArray[np.float64]) -> None:
    """Write the noise level of each trace into ``out``, float64 (traces,).

    ``values`` float (frames of all traces,), ``offsets`` int64 (traces + 1,).
    """
    for i in range(offsets.size - 1):
        begin, end = offsets[i], offsets[i + 1]
        out[i] = np.nan
        if end - begin > 2:
            bends = np.abs(np.diff(np.diff(values[begin:end].astype(np.float64))))
            out[i] = np.nanmedian(bends)


def noise_level(values: Floats, offsets: Offsets) -> NDArray[np.float64]:
    """Return the standard deviation of the noise of each trace.

    From the change of its slope from frame to frame.

    The median of ``|x[t + 1] - 2 x[t] + x[t - 1]|`` of white noise is ``0.6745 *
    sqrt(6) * sigma``; a signal that rises and falls steadily does not change it, which
    a trace as short as its event needs. NaN for fewer than three frames.

    >>> from astrocast.kernels.ragged.ragged import flatten
    >>> noise = np.random.default_rng(0).normal(0, 2, 5000)
    >>> round(float(noise_level(*flatten([noise]))[0]), 1)
    2.0
    """
    out = np.empty(offsets.size - 1, np.float64)
    _noise(values, offsets, out)
    return out / (MEDIAN_TO_SIGMA * np.sqrt(6))
