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
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.noise_moments import gain_of_mean
from astrocast.kernels.calibrated.noise_variance import NoiseLine, robust_line
from astrocast.kernels.calibrated.quiet import (
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
#: pixels along the side of a tile: for the course that all share, and for local drift
_COMMON_TILE, _DRIFT_TILE = 8, 16
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

    @property
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
    course, slope = _common_course(means)
    rest = means - course[:, None, None] * slope
    level = _low_level(rest, noise)
    rest -= level
    texture = Texture.of(level, noise * noise)
    steady, _ = without_shake(rest, texture, pool)
    counted = np.ones(len(rest), np.bool_)
    if field_active is not None:
        counted = ~np.logical_or.reduceat(field_active, steps[:-1])
    patterns = find_patterns(steady, noise, counted, pool)
    if len(patterns):
        patterns.add_to(rest, -1)
        correction = _low_level(rest, noise)
        level += correction
        rest -= correction
    drift = np.zeros(_tile_shape(rest), np.float32)
    for round_, limit in enumerate(_OUT):
        texture = Texture.of(level, noise * noise)
        steady, _ = without_shake(_subtract_tiles(rest, drift, pool), texture, pool)
        # leaving out high values only would bias the mean below zero, so later rounds
        # leave out low ones too; in the first round the level may be too high, and the
        # values below it have to pull it down
        quiet = find_quiet(steady, noise, limit, round_ > 0, pool)
        correction = mean_of_quiet(steady, quiet, pool)
        level += correction
        rest -= correction
        steady -= correction
        drift = drift + _drift(steady, quiet)
    excess = _excess(_subtract_tiles(rest, drift, pool), texture, noise, pool)
    # add the parts that were subtracted, into an array that is not needed any more
    levels = _subtract_tiles(np.zeros_like(rest), -drift, pool)
    levels += level
    levels += course[:, None, None] * slope
    return Background(levels, steps, variance, excess, line, patterns)


def _tile_shape(values: NDArray[Any]) -> tuple[int, int, int]:
    n, rows, columns = values.shape
    return n, -(-rows // _DRIFT_TILE), -(-columns // _DRIFT_TILE)


def tile_means(values: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Return the means of square tiles, (frame, tile row, tile column).

    Tiles at the edges may be smaller.
    """
    rows, columns = (
        np.arange(0, values.shape[1], side),
        np.arange(0, values.shape[2], side),
    )
    sums = np.add.reduceat(
        np.add.reduceat(values, rows, axis=1, dtype=np.float32),
        columns,
        axis=2,
        dtype=np.float32,
    )
    high = np.diff(np.append(rows, values.shape[1]))
    wide = np.diff(np.append(columns, values.shape[2]))
    return np.asarray(sums / (high[:, None] * wide).astype(np.float32))


def _common_course(
    means: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the time course common to all tiles, and its amplitude in each pixel.

    Shapes (step,) and (row, column).

    Bleaching takes a share of the light, and the camera's offset is unknown: the
    amplitude of a tile is a linear function of its level.
    """
    tiles = tile_means(means, _COMMON_TILE).reshape(len(means), -1).astype(np.float64)
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
    rest: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    n = len(rest)
    k = int(_QUANTILE * (n - 1))
    low = np.partition(rest, k, axis=0)[k]
    # the expected value of that rank among n normal values (Blom 1958, Statistical
    # Estimates and Transformed Variables)
    below = NormalDist().inv_cdf((k + 0.625) / (n + 0.25))
    return np.asarray(low - np.float32(below) * noise, np.float32)


def _subtract_tiles(
    values: NDArray[np.float32], tiles: NDArray[np.float32], pool: Executor | None
) -> NDArray[np.float32]:
    """Return ``values`` minus tile values, interpolated between tile centres."""
    out = np.empty_like(values)
    run_in_threads(
        pool, len(values), _less_tiles, values, tiles, np.float32(_DRIFT_TILE), out
    )
    return out


@njit(cache=True, nogil=True)
def _less_tiles(lo: int, hi: int, values: Any, tiles: Any, side: Any, out: Any) -> None:
    """Write rows ``lo`` to ``hi`` of values minus interpolated tiles into ``out``.

    All float32: ``values`` and ``out`` (step, row, column), ``tiles`` (step, tile row,
    tile column).
    """
    _, rows, columns = values.shape
    wide = tiles.shape[2]
    left, share = _between_middles(columns, wide, side)
    up, part = _between_middles(rows, tiles.shape[1], side)
    line = np.empty(wide, np.float32)
    for k in range(lo, hi):
        for y in range(rows):
            i = up[y]
            i1 = min(i + 1, tiles.shape[1] - 1)
            for j in range(wide):
                line[j] = tiles[k, i, j] + part[y] * (tiles[k, i1, j] - tiles[k, i, j])
            source, into = values[k, y], out[k, y]
            for x in range(columns):
                j = left[x]
                into[x] = source[x] - (
                    line[j] + share[x] * (line[min(j + 1, wide - 1)] - line[j])
                )


@njit(cache=True, nogil=True)
def _between_middles(n: int, count: int, side: Any) -> Any:
    """Return, for each of ``n`` pixels, the tile centre before it and the distance.

    The distance is a fraction of the way to the next centre.

    int64 (n,) and float32 (n,).
    """
    before, share = np.empty(n, np.int64), np.empty(n, np.float32)
    for x in range(n):
        at = min(
            max((x + np.float32(0.5)) / side - np.float32(0.5), np.float32(0)),
            np.float32(count - 1),
        )
        before[x] = min(int(at), max(count - 2, 0))
        share[x] = at - np.float32(before[x])
    return before, share


def _drift(
    values: NDArray[np.float32], quiet: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the slow local change of the background.

    Means of tiles, smoothed over neighbouring tiles and steps.
    """
    from scipy.ndimage import gaussian_filter

    sums = tile_means(values * quiet, _DRIFT_TILE)
    share = tile_means(quiet, _DRIFT_TILE)
    width = 2.0, 0.7, 0.7
    # where events cover everything for long, the tiles around decide
    above, below = (
        gaussian_filter(sums, width, mode="nearest"),
        gaussian_filter(share, width, mode="nearest"),
    )
    return np.asarray(above / np.maximum(below, 0.02), np.float32)


def _excess(
    values: NDArray[np.float32],
    texture: Texture,
    noise: NDArray[np.float32],
    pool: Executor | None,
) -> NDArray[np.float32]:
    """Return the fluctuation of means below zero, in units of the noise.

    Events do not contribute, as they are above zero.
    """
    steady, _ = without_shake(values, texture, pool)
    smooth = np.empty_like(steady)
    run_in_threads(pool, len(steady), box_means, steady, smooth)
    found = np.ones(steady.shape[1:], np.float32)
    run_in_threads(
        pool, steady.shape[1], _lower_spread, smooth, box_noise(noise), found
    )
    even = np.empty((1, *found.shape), np.float32)
    box_means(0, 1, found[None], even)
    # the error of an estimate from that few steps is not an excess
    doubt = 2 * _SPREAD_OF_EXCESS / np.sqrt(len(values))
    return np.maximum(even[0] - np.float32(doubt), np.float32(1))


@njit(cache=True, nogil=True)
def _lower_spread(lo: int, hi: int, smooth: Any, noise: Any, out: Any) -> None:
    """Write the spread of values below zero over the noise into ``out``.

    Rows ``lo`` to ``hi``; all float32: ``smooth`` (step, row, column), ``noise`` and
    ``out`` (row, column).
    """
    n, _, columns = smooth.shape
    below = np.empty(n, np.float32)
    for y in range(lo, hi):
        for x in range(columns):
            m = 0
            for k in range(n):
                if smooth[k, y, x] < 0:
                    below[m] = -smooth[k, y, x]
                    m += 1
            # the median of few values is too uncertain
            out[y, x] = (
                np.median(below[:m]) / (np.float32(0.6745) * noise[y, x])
                if m >= _FEW
                else np.float32(1)
            )
