"""Slow local change of a background: means of tiles, interpolated between centres."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.residual_motion import Texture, without_shake
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: pixels along the side of a tile, at most 16: see `_sum_lines`
DRIFT_TILE = 16


def count_tiles(shape: tuple[int, ...], side: int) -> tuple[int, int, int]:
    """Return the shape of the tiles of values (step, row, column)."""
    n, rows, columns = shape
    return n, -(-rows // side), -(-columns // side)


def tile_means(
    values: NDArray[Any], side: int, pool: Executor | None = None
) -> NDArray[np.float32]:
    """Return the means of square tiles, (step, tile row, tile column).

    Tiles at the edges may be smaller. ``values``: (step, row, column), float32;
    ``side``: at most 16.
    """
    return _means(values, np.ones((1, 1, 1), np.uint8), side, pool)


def _means(
    values: NDArray[Any], counted: NDArray[np.uint8], side: int, pool: Executor | None
) -> NDArray[np.float32]:
    """Return the means of values times ``counted``, of one step or of each."""
    out = np.empty(count_tiles(values.shape, side), np.float32)
    run_in_threads(pool, len(values), _mean_tiles, values, counted, side, out)
    rows, columns = values.shape[1:]
    high = np.diff(np.append(np.arange(0, rows, side), rows))
    wide = np.diff(np.append(np.arange(0, columns, side), columns))
    return np.asarray(out / (high[:, None] * wide).astype(np.float32))


def estimate_drift(
    values: NDArray[np.float32], quiet: NDArray[np.uint8], pool: Executor | None = None
) -> NDArray[np.float32]:
    """Return the slow local change of quiet values, (step, tile row, tile column).

    Means of tiles, smoothed over neighbouring tiles and steps.

    ``values`` float32 and ``quiet`` uint8 are (step, row, column).
    """
    from scipy.ndimage import gaussian_filter

    sums = _means(values, quiet, DRIFT_TILE, pool)
    share = _means(quiet, np.ones((1, 1, 1), np.uint8), DRIFT_TILE, pool)
    width = 2.0, 0.7, 0.7
    # where events cover everything for long, the tiles around decide
    above, below = (
        gaussian_filter(sums, width, mode="nearest"),
        gaussian_filter(share, width, mode="nearest"),
    )
    return np.asarray(above / np.maximum(below, 0.02), np.float32)


def steady_values(
    values: NDArray[np.float32],
    drift: NDArray[np.float32],
    texture: Texture,
    out: NDArray[np.float32],
    pool: Executor | None,
) -> NDArray[np.float32]:
    """Return values minus drift and the effect of small displacements, in ``out``.

    Parameters
    ----------
    values
        Means minus the level, (step, row, column), float32.
    drift
        Of each tile, (step, tile row, tile column), float32.
    texture
        Of the level, with the noise of the means.
    out
        Filled, float32, as ``values``.
    pool
        Threads to share the work with.
    """
    run_in_threads(pool, len(values), _subtract, values, drift, out)
    without_shake(out, texture, pool, out)
    return out


def add_drift(
    drift: NDArray[np.float32],
    level: NDArray[np.float32],
    course: NDArray[np.float32],
    slope: NDArray[np.float32],
    out: NDArray[np.float32],
    pool: Executor | None,
) -> NDArray[np.float32]:
    """Return level + drift + course x slope, (step, row, column), in ``out``.

    ``level`` and ``slope`` are (row, column), ``course`` (step,), ``drift`` (step, tile
    row, tile column); all float32.
    """
    run_in_threads(pool, len(out), _add_up, -drift, level, course, slope, out)
    return out


@njit(cache=True, nogil=True)
def _subtract(lo: int, hi: int, values: Any, drift: Any, out: Any) -> None:
    """Write steps ``lo`` to ``hi`` less their drift into ``out``.

    Arguments as for `steady_values`.
    """
    for k in range(lo, hi):
        _less_tiles(values[k], drift[k], out[k])


@njit(cache=True, nogil=True)
def _add_up(
    lo: int, hi: int, fall: Any, level: Any, course: Any, slope: Any, out: Any
) -> None:
    """Write steps ``lo`` to ``hi`` into ``out``; ``fall`` is minus the drift.

    Other arguments as for `add_drift`.
    """
    _, rows, columns = out.shape
    for k in range(lo, hi):
        out[k] = 0
        _less_tiles(out[k], fall[k], out[k])
        factor = course[k]
        for y in range(rows):
            into, still, follows = out[k, y], level[y], slope[y]
            for x in range(columns):
                into[x] = (into[x] + still[x]) + factor * follows[x]


@njit(cache=True, nogil=True)
def _less_tiles(values: Any, tiles: Any, out: Any) -> None:
    """Write values minus interpolated tiles into ``out``, which may be ``values``.

    All float32: ``values`` and ``out`` (row, column), ``tiles`` (tile row, tile
    column).
    """
    rows, columns = values.shape
    high, wide = tiles.shape
    left, share = _between_middles(columns, wide)
    up, part = _between_middles(rows, high)
    line, rise = np.empty(wide, np.float32), np.empty(columns, np.float32)
    for y in range(rows):
        above, below = tiles[up[y]], tiles[min(up[y] + 1, high - 1)]
        for j in range(wide):
            line[j] = above[j] + part[y] * (below[j] - above[j])
        for x in range(columns):
            j = left[x]
            rise[x] = line[j] + share[x] * (line[min(j + 1, wide - 1)] - line[j])
        source, into = values[y], out[y]
        for x in range(columns):
            into[x] = source[x] - rise[x]


@njit(cache=True, nogil=True)
def _between_middles(n: int, count: int) -> Any:
    """Return, for each of ``n`` pixels, the tile centre before it and the distance.

    The distance is a fraction of the way to the next centre.

    int64 (n,) and float32 (n,).
    """
    side = np.float32(DRIFT_TILE)
    before, share = np.empty(n, np.int64), np.empty(n, np.float32)
    for x in range(n):
        at = min(
            max((x + np.float32(0.5)) / side - np.float32(0.5), np.float32(0)),
            np.float32(count - 1),
        )
        before[x] = min(int(at), max(count - 2, 0))
        share[x] = at - np.float32(before[x])
    return before, share


@njit(cache=True, nogil=True)
def _mean_tiles(
    lo: int, hi: int, values: Any, counted: Any, side: int, out: Any
) -> None:
    """Write the sums of tiles of values x ``counted`` into ``out``.

    Steps ``lo`` to ``hi``; ``values`` float32 or uint8 and ``counted`` uint8 are (step,
    row, column), or (1, 1, 1) where all count; ``out`` float32 (step, tile row, tile
    column).
    """
    _, rows, columns = values.shape
    all_count = counted.shape[1] == 1
    lines = np.empty((side, columns), np.float32)
    sums = np.empty((1, columns), np.float32)
    turned = np.empty((side, 1), np.float32)
    one = np.empty((1, 1), np.float32)
    for k in range(lo, hi):
        for i in range(out.shape[1]):
            high = min(side, rows - i * side)
            for h in range(high):
                source, into = values[k, i * side + h], lines[h]
                if all_count:
                    for x in range(columns):
                        into[x] = source[x]
                else:
                    share = counted[k, i * side + h]
                    for x in range(columns):
                        into[x] = source[x] * share[x]
            _sum_lines(lines, high, sums[0])
            for j in range(out.shape[2]):
                wide = min(side, columns - j * side)
                for h in range(wide):
                    turned[h, 0] = sums[0, j * side + h]
                _sum_lines(turned, wide, one[0])
                out[k, i, j] = one[0, 0]


@njit(cache=True, nogil=True)
def _sum_lines(lines: Any, n: int, out: Any) -> None:
    """Write the sum of the first ``n`` lines, at most 16, into ``out``.

    ``lines`` float32 (line, column), ``out`` float32 (column,). The order of the
    additions is that of `numpy.add.reduceat`: the first, and the pairwise sum of the
    others.
    """
    columns = len(out)
    if n < 9:
        out[:] = 0
        first = 1
    else:
        for x in range(columns):
            out[x] = ((lines[1, x] + lines[2, x]) + (lines[3, x] + lines[4, x])) + (
                (lines[5, x] + lines[6, x]) + (lines[7, x] + lines[8, x])
            )
        first = 9
    for h in range(first, n):
        line = lines[h]
        for x in range(columns):
            out[x] += line[x]
    line = lines[0]
    for x in range(columns):
        out[x] = line[x] + out[x]
