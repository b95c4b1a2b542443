"""Estimate the background of a stretch of frames: level, bleaching, drift, motion.

All of it is taken from means over a few frames. A low quantile of these, corrected for
what noise alone makes of it, is the first guess of each pixel's level. It holds for a
pixel that is active most of the time; then what stands out of it is left out and the
level is the mean of the rest, so it has no bias left and little noise.
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
from astrocast.kernels.calibrated.residual_motion import Texture, without_shake
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import spread

#: frames that are averaged
STEP = 8
#: quantile of a pixel's means that is its first level
_QUANTILE = 0.15
#: pixels along the side of a tile: for the course that all share, and for local drift
_COMMON_TILE, _DRIFT_TILE = 8, 16
#: standard deviations above the level from which a mean is left out, round by round:
#: the first level is noisy, and what is left out because of that would never come back
_OUT = 4.0, 3.5, 3.0
#: half of the side of the square that is averaged before a mean is judged
_BOX = 2
#: standard deviation of what white noise shows as its excess, times the root of the
#: number of steps (simulated)
_SPREAD_OF_EXCESS = 0.61
#: of fewer means below zero their spread is not told
_FEW = 5


@dataclass(frozen=True)
class Background:
    """The background of a stretch of a recording.

    Parameters
    ----------
    levels
        Background at the middle of each step of frames, (step, row, column), float32.
    steps
        First frame of each step and the end of the last, counted from the stretch's
        first frame, (step + 1,).
    variance
        Variance of the noise of one frame, (row, column), float32.
    excess
        By how much slow fluctuations exceed that noise, as a factor of its standard
        deviation, (row, column); at least 1.
    line
        Noise as a function of brightness.
    """

    levels: NDArray[np.float32]
    steps: NDArray[np.int64]
    variance: NDArray[np.float32]
    excess: NDArray[np.float32]
    line: NoiseLine

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
    drift = np.zeros(_tile_shape(rest), np.float32)
    for round_, limit in enumerate(_OUT):
        texture = Texture.of(level, noise * noise)
        steady, _ = without_shake(_subtract_tiles(rest, drift, pool), texture, pool)
        # what is left out on one side only leaves the mean of noise below zero; in the
        # first round the level may still be too high, and what is below it is to pull
        # it down
        quiet = _quiet(steady, noise, limit, round_ > 0, pool)
        correction = _mean_of_quiet(steady, quiet, pool)
        level += correction
        rest -= correction
        steady -= correction
        drift = drift + _drift(steady, quiet)
    excess = _excess(_subtract_tiles(rest, drift, pool), texture, noise, pool)
    # what was taken away is put together again, in place of what is not needed any more
    levels = _subtract_tiles(np.zeros_like(rest), -drift, pool)
    levels += level
    levels += course[:, None, None] * slope
    return Background(levels, steps, variance, excess, line)


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

    Bleaching takes a share of the light, whatever the camera's offset: how much a tile
    follows is a line of its level.
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
    # where a value of that rank among so many is expected (Blom 1958, Statistical
    # Estimates and Transformed Variables)
    below = NormalDist().inv_cdf((k + 0.625) / (n + 0.25))
    return np.asarray(low - np.float32(below) * noise, np.float32)


def _subtract_tiles(
    values: NDArray[np.float32], tiles: NDArray[np.float32], pool: Executor | None
) -> NDArray[np.float32]:
    """Return ``values`` minus tile values, interpolated between tile centres."""
    out = np.empty_like(values)
    spread(pool, len(values), _less_tiles, values, tiles, np.float32(_DRIFT_TILE), out)
    return out


@njit(cache=True, nogil=True)
def _less_tiles(lo: int, hi: int, values: Any, tiles: Any, side: Any, out: Any) -> None:
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


def _box_noise(noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the noise of the mean over the square around each pixel.

    At the edges pixels count repeatedly.
    """
    rows, columns = (_box_weights(n) ** 2 for n in noise.shape)
    return np.asarray(np.sqrt(rows @ noise**2 @ columns.T), np.float32)


def _box_weights(n: int) -> NDArray[np.float32]:
    weights = np.zeros((n, n), np.float32)
    for j in range(-_BOX, _BOX + 1):
        np.add.at(
            weights,
            (np.arange(n), np.clip(np.arange(n) + j, 0, n - 1)),
            np.float32(1 / (2 * _BOX + 1)),
        )
    return weights


def _quiet(
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    limit: float,
    both: bool,
    pool: Executor | None,
) -> NDArray[np.uint8]:
    """Return a mask of quiet voxels, uint8 (step, row, column).

    Neither they nor their neighbours in space and time exceed the background.

    ``limit``: standard deviations above the background (with ``both`` also below it)
    from which a voxel is not quiet.
    """
    smooth = np.empty_like(values)
    spread(pool, len(values), _box_means, values, smooth)
    out = np.empty(values.shape, np.uint8)
    even = _box_noise(noise)
    scale = _low_spread(smooth, even)
    if both:
        np.abs(smooth, out=smooth)
    spread(pool, len(values), _near_high, smooth, np.float32(limit) * even, scale, out)
    quiet = np.empty(values.shape, np.uint8)
    spread(pool, len(values), _no_neighbour_in_time, out, quiet)
    return quiet


@njit(cache=True, nogil=True)
def _box_means(lo: int, hi: int, values: Any, out: Any) -> None:
    _, rows, columns = values.shape
    line = np.empty(columns, np.float32)
    for k in range(lo, hi):
        for y in range(rows):
            line[:] = 0
            for j in range(-_BOX, _BOX + 1):
                source = values[k, min(max(y + j, 0), rows - 1)]
                for x in range(columns):
                    line[x] += source[x]
            for x in range(columns):
                total = np.float32(0)
                for j in range(-_BOX, _BOX + 1):
                    total += line[min(max(x + j, 0), columns - 1)]
                out[k, y, x] = total / np.float32((2 * _BOX + 1) ** 2)


def _low_spread(
    smooth: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the deviation of each step's means over squares, at least 1.

    In units of that of white noise.

    Interpolation by a motion correction makes the noise of neighbours alike: their mean
    has more of it than steps from frame to frame tell. It is taken from low values,
    where no event reaches: half and one and a half deviations below.
    """
    apart = (
        slice(None),
        slice(None, None, 2 * _BOX + 1),
        slice(None, None, 2 * _BOX + 1),
    )
    heights = (smooth[apart] / noise[apart[1:]]).reshape(len(smooth), -1)
    low, middle = np.quantile(heights, (0.0668, 0.3085), axis=1)
    return np.maximum(middle - low, 1).astype(np.float32)


@njit(cache=True, nogil=True)
def _near_high(lo: int, hi: int, smooth: Any, limit: Any, scale: Any, out: Any) -> None:
    _, rows, columns = smooth.shape
    for k in range(lo, hi):
        out[k] = 0
        for y in range(rows):
            for x in range(columns):
                if smooth[k, y, x] > limit[y, x] * scale[k]:
                    out[
                        k,
                        max(y - _BOX, 0) : min(y + _BOX + 1, rows),
                        max(x - _BOX, 0) : min(x + _BOX + 1, columns),
                    ] = 1


@njit(cache=True, nogil=True)
def _no_neighbour_in_time(lo: int, hi: int, high: Any, quiet: Any) -> None:
    n, rows, columns = high.shape
    for k in range(lo, hi):
        before, after = high[max(k - 1, 0)], high[min(k + 1, n - 1)]
        for y in range(rows):
            for x in range(columns):
                quiet[k, y, x] = 1 - (before[y, x] | high[k, y, x] | after[y, x])


def _mean_of_quiet(
    values: NDArray[np.float32], quiet: NDArray[np.uint8], pool: Executor | None
) -> NDArray[np.float32]:
    out = np.empty(values.shape[1:], np.float32)
    spread(
        pool,
        values.shape[1],
        _quiet_means,
        values,
        quiet,
        max(3, len(values) // 10),
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _quiet_means(
    lo: int, hi: int, values: Any, quiet: Any, least: int, out: Any
) -> None:
    n, _, columns = values.shape
    for y in range(lo, hi):
        total = np.zeros(columns, np.float32)
        count = np.zeros(columns, np.float32)
        for k in range(n):
            for x in range(columns):
                total[x] += values[k, y, x] * quiet[k, y, x]
                count[x] += quiet[k, y, x]
        for x in range(columns):
            out[y, x] = total[x] / count[x] if count[x] >= least else np.float32(0)


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
    spread(pool, len(steady), _box_means, steady, smooth)
    found = np.ones(steady.shape[1:], np.float32)
    spread(pool, steady.shape[1], _lower_spread, smooth, _box_noise(noise), found)
    even = np.empty((1, *found.shape), np.float32)
    _box_means(0, 1, found[None], even)
    # what an estimate from that few steps may differ by is no excess
    doubt = 2 * _SPREAD_OF_EXCESS / np.sqrt(len(values))
    return np.maximum(even[0] - np.float32(doubt), np.float32(1))


@njit(cache=True, nogil=True)
def _lower_spread(lo: int, hi: int, smooth: Any, noise: Any, out: Any) -> None:
    n, _, columns = smooth.shape
    below = np.empty(n, np.float32)
    for y in range(lo, hi):
        for x in range(columns):
            m = 0
            for k in range(n):
                if smooth[k, y, x] < 0:
                    below[m] = -smooth[k, y, x]
                    m += 1
            # of few values a median says little
            out[y, x] = (
                np.median(below[:m]) / (np.float32(0.6745) * noise[y, x])
                if m >= _FEW
                else np.float32(1)
            )
