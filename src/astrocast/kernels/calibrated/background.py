"""Estimate the background of a stretch of frames: level, bleaching, drift, motion.

Everything is estimated from means over a few frames (steps). The first level of a pixel
is a low quantile of its means, corrected for the bias that noise gives to a quantile.
It holds even for a pixel that is active most of the time. Then means that stand out
above the level are left out, and the level is the mean of the rest, which has no bias
and little noise.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.drift import (
    DRIFT_TILE,
    add_drift,
    count_tiles,
    estimate_drift,
    steady_values,
    tile_means,
)
from astrocast.kernels.calibrated.noise_moments import gain_of_mean
from astrocast.kernels.calibrated.noise_variance import NoiseLine, robust_line
from astrocast.kernels.calibrated.quiet import (
    QuietArrays,
    box_means,
    box_noise,
    find_quiet,
    mean_of_quiet,
)
from astrocast.kernels.calibrated.residual_motion import Texture, without_shake
from astrocast.kernels.calibrated.shared_patterns import Patterns, find_patterns
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: frames that are averaged
STEP = 8
#: quantile of a pixel's means that is its first level
_QUANTILE = 0.15
#: pixels along the side of a tile, for the course that all share
_COMMON_TILE = 8
#: standard deviations above the level from which a mean is left out, round by round:
#: the first level is noisy, so the first limit is wide, as nothing that is left out
#: comes back
_OUT = 4.0, 3.5, 3.0
#: standard deviation of what white noise shows as its excess, times the root of the
#: number of steps (simulated)
_SPREAD_OF_EXCESS = 0.61
#: fewest means below zero from which their spread is estimated
_FEW = 5


@dataclass(frozen=True)
class Background:
    """The background of a stretch of a recording.

    Parameters
    ----------
    levels
        Background at the middle of each step of frames without the patterns, (step,
        row, column), float32.
    steps
        First frame of each step and the end of the last, counted from the stretch's
        first frame, (step + 1,).
    variance
        Variance of the noise of one frame, (row, column), float32.
    excess
        Standard deviation of slow fluctuations over that of the noise, (row, column);
        at least 1.
    line
        Noise as a function of brightness.
    patterns
        What many pixels share of the change of the levels: focus, vessels.
    """

    levels: NDArray[np.float32]
    steps: NDArray[np.int64]
    variance: NDArray[np.float32]
    excess: NDArray[np.float32]
    line: NoiseLine
    patterns: Patterns

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """Background averaged over the stretch, (row, column)."""
        return np.asarray(self.levels.mean(axis=0), np.float32)


def step_edges(n_frames: int) -> NDArray[np.int64]:
    """Return the first frame of each step of a stretch, and its end.

    The last step includes the remaining frames.

    Examples
    --------
    >>> step_edges(34).tolist()
    [0, 8, 16, 24, 34]
    """
    length = max(1, min(STEP, n_frames // 4))
    edges = np.arange(0, n_frames + 1, length, dtype=np.int64)
    edges[-1] = n_frames
    return edges


def estimate_background(
    means: NDArray[np.float32],
    steps: NDArray[np.int64],
    line: NoiseLine,
    pool: Executor | None = None,
    correlation: tuple[float, float] = (0.0, 0.0),
    field_active: NDArray[np.bool_] | None = None,
) -> Background:
    """Return the background of a stretch of a recording.

    Parameters
    ----------
    means
        Mean of the frames of each step, (step, row, column), float32, finite.
    steps
        Edges of the steps, see `step_edges`.
    line
        Noise of a frame.
    pool
        Threads to share the work with.
    correlation
        Of the noise of a pixel with that one and two frames later.
    field_active
        Frames in which the whole field is active, bool, (frame,): patterns that pixels
        share are not taken from them.
    """
    variance = line.variance(
        np.median(means, axis=0) if len(means) < 8 else means.mean(axis=0)
    )
    length = float(np.diff(steps).mean())
    noise = np.sqrt(variance / np.float32(length)) * np.float32(
        gain_of_mean(correlation, length)
    )
    course, slope = _common_course(means, pool)
    # two arrays as large as the means, used again and again: new memory is costly
    rest = np.multiply(course[:, None, None], slope)
    np.subtract(means, rest, out=rest)
    level = _low_level(rest, noise, pool)
    rest -= level
    texture = Texture.of(level, noise * noise)
    steady, _ = without_shake(rest, texture, pool)
    counted = np.ones(len(rest), np.bool_)
    if field_active is not None:
        counted = ~np.logical_or.reduceat(field_active, steps[:-1])
    patterns = find_patterns(steady, noise, counted, pool)
    if len(patterns):
        patterns.add_to(rest, -1)
        correction = _low_level(rest, noise, pool)
        level += correction
        rest -= correction
    even = box_noise(noise)
    drift = np.zeros(count_tiles(rest.shape, DRIFT_TILE), np.float32)
    arrays = QuietArrays(rest.shape)
    for round_, limit in enumerate(_OUT):
        texture = Texture.of(level, noise * noise)
        steady_values(rest, drift, texture, steady, pool)
        # leaving out high values only would bias the mean below zero, so later rounds
        # leave out low ones too; in the first round the level may be too high, and the
        # values below it have to pull it down
        quiet = find_quiet(steady, even, limit, round_ > 0, pool, arrays)
        correction = mean_of_quiet(steady, quiet, pool)
        level += correction
        rest -= correction
        steady -= correction
        drift = drift + estimate_drift(steady, quiet, pool)
    steady_values(rest, drift, texture, steady, pool)
    excess = _excess(steady, even, arrays.smooth, pool)
    levels = add_drift(drift, level, course, slope, steady, pool)
    return Background(levels, steps, variance, excess, line, patterns)


def _common_course(
    means: NDArray[np.float32], pool: Executor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the time course common to all tiles, and its amplitude in each pixel.

    Shapes (step,) and (row, column).

    Bleaching takes a share of the light, and the camera's offset is unknown: the
    amplitude of a tile is a linear function of its level.
    """
    small = tile_means(means, _COMMON_TILE, pool)
    tiles = small.reshape(len(means), -1).astype(np.float64)
    middle = np.median(tiles, axis=0)
    follows = np.ones(len(middle))
    course = np.zeros(len(means))
    line = 0.0, 1.0
    for _ in range(3):
        apart = tiles - middle
        course = np.median(apart / follows, axis=1)
        course -= np.median(course)
        power = (course * course).sum()
        if power <= 0:
            break
        line = (
            robust_line(middle, course @ apart / power)
            if len(middle) > 2
            else (0.0, 1.0)
        )
        follows = line[0] * middle + line[1]
        follows = np.maximum(follows, 0.2 * max(float(np.median(follows)), 1e-6))
        follows /= follows.mean()
        middle = np.median(tiles - np.outer(course, follows), axis=0)
    mean = means.mean(axis=0)
    slope = np.maximum(line[0] * mean + line[1], 0)
    return course.astype(np.float32), (slope / max(float(slope.mean()), 1e-6)).astype(
        np.float32
    )


def _low_level(
    rest: NDArray[np.float32], noise: NDArray[np.float32], pool: Executor | None
) -> NDArray[np.float32]:
    """Return the level of each pixel from a low quantile of its values, float32."""
    n = len(rest)
    k = int(_QUANTILE * (n - 1))
    low = np.empty(rest.shape[1:], np.float32)
    run_in_threads(pool, len(low), _take_rank, rest, k, low)
    # the expected value of that rank among n normal values (Blom 1958, Statistical
    # Estimates and Transformed Variables)
    below = NormalDist().inv_cdf((k + 0.625) / (n + 0.25))
    return np.asarray(low - np.float32(below) * noise, np.float32)


@njit(cache=True, nogil=True)
def _courses_of_row(values: Any, y: int, out: Any) -> None:
    """Copy a row of values (step, row, column) into ``out`` (column, step), float32.

    Courses of pixels lie far apart in memory, at distances at which they displace each
    other in the cache; lines of a row do not.
    """
    for k in range(len(values)):
        line = values[k, y]
        for x in range(len(line)):
            out[x, k] = line[x]


@njit(cache=True, nogil=True)
def _take_rank(lo: int, hi: int, values: Any, rank: int, out: Any) -> None:
    """Write the value of a rank (from 0) of each course into ``out``.

    Rows ``lo`` to ``hi``; ``values`` float32 (step, row, column), finite; ``out``
    float32 (row, column).
    """
    n, _, columns = values.shape
    # the lowest values so far, in order; each new one moves up to its place
    lowest = np.empty((rank + 1, columns), np.float32)
    moving = np.empty(columns, np.float32)
    for y in range(lo, hi):
        lowest[:] = np.inf
        for k in range(n):
            moving[:] = values[k, y]
            for place in lowest[: k + 1]:
                for x in range(columns):
                    low = min(place[x], moving[x])
                    moving[x] = max(place[x], moving[x])
                    place[x] = low
        out[y] = lowest[rank]


def _excess(
    steady: NDArray[np.float32],
    even: NDArray[np.float32],
    smooth: NDArray[np.float32],
    pool: Executor | None,
) -> NDArray[np.float32]:
    """Return the fluctuation of means below zero, in units of the noise.

    Events do not contribute, as they are above zero. ``even``: from `box_noise`;
    ``smooth``: filled, as ``steady``.
    """
    run_in_threads(pool, len(steady), box_means, steady, smooth)
    found = np.ones(steady.shape[1:], np.float32)
    run_in_threads(pool, steady.shape[1], _lower_spread, smooth, even, found)
    pooled = np.empty((1, *found.shape), np.float32)
    box_means(0, 1, found[None], pooled)
    # the error of an estimate from that few steps is not an excess
    doubt = 2 * _SPREAD_OF_EXCESS / np.sqrt(len(steady))
    return np.maximum(pooled[0] - np.float32(doubt), np.float32(1))


@njit(cache=True, nogil=True)
def _lower_spread(lo: int, hi: int, smooth: Any, noise: Any, out: Any) -> None:
    """Write the spread of values below zero over the noise into ``out``.

    Rows ``lo`` to ``hi``; all float32: ``smooth`` (step, row, column), ``noise`` and
    ``out`` (row, column).
    """
    n, _, columns = smooth.shape
    courses = np.empty((columns, n), np.float32)
    below = np.empty(n, np.float32)
    for y in range(lo, hi):
        _courses_of_row(smooth, y, courses)
        for x in range(columns):
            m = 0
            for k in range(n):
                if courses[x, k] < 0:
                    below[m] = -courses[x, k]
                    m += 1
            # the median of few values is too uncertain
            out[y, x] = (
                np.median(below[:m]) / (np.float32(0.6745) * noise[y, x])
                if m >= _FEW
                else np.float32(1)
            )
