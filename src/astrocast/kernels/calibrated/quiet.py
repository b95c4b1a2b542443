"""Find quiet voxels: means over steps of frames in which no event stands out."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: half of the side of the square that is averaged before a mean is judged
BOX = 2


def box_noise(noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the noise of the mean over the square around each pixel, (row, column).

    Pixels at the edges count repeatedly.
    """
    rows, columns = (_box_weights(n) ** 2 for n in noise.shape)
    return np.asarray(np.sqrt(rows @ noise**2 @ columns.T), np.float32)


def _box_weights(n: int) -> NDArray[np.float32]:
    weights = np.zeros((n, n), np.float32)
    for j in range(-BOX, BOX + 1):
        np.add.at(
            weights,
            (np.arange(n), np.clip(np.arange(n) + j, 0, n - 1)),
            np.float32(1 / (2 * BOX + 1)),
        )
    return weights


class QuietArrays:
    """Arrays that are filled in each round; new memory would take longer.

    Parameters
    ----------
    shape
        Of the values, (step, row, column).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.smooth = np.empty(shape, np.float32)
        self.high, self.quiet = np.empty(shape, np.uint8), np.empty(shape, np.uint8)


def find_quiet(
    values: NDArray[np.float32],
    even: NDArray[np.float32],
    limit: float,
    both: bool,
    pool: Executor | None,
    arrays: QuietArrays | None = None,
) -> NDArray[np.uint8]:
    """Return 1 where no mean stands out nearby in space and time, uint8.

    Means that are ``limit`` standard deviations above the level stand out, and those as
    far below too where ``both``.

    Parameters
    ----------
    values
        (step, row, column), float32.
    even
        Standard deviation of the mean over a square, from `box_noise`, (row, column).
    arrays
        Used for intermediate values and the result; None: new ones.
    """
    arrays = arrays or QuietArrays(values.shape)
    smooth, out, quiet = arrays.smooth, arrays.high, arrays.quiet
    run_in_threads(pool, len(values), box_means, values, smooth)
    scale = _low_spread(smooth, even)
    if both:
        np.abs(smooth, out=smooth)
    run_in_threads(
        pool, len(values), _near_high, smooth, np.float32(limit) * even, scale, out
    )
    run_in_threads(pool, len(values), _no_neighbour_in_time, out, quiet)
    return quiet


@njit(cache=True, nogil=True)
def box_means(lo: int, hi: int, values: Any, out: Any) -> None:
    """Write the mean over the square around each pixel into ``out``.

    Steps ``lo`` to ``hi`` of (step, row, column), float32; edge pixels are repeated.
    """
    _, rows, columns = values.shape
    wide = np.empty(columns + 2 * BOX, np.float32)
    line = wide[BOX : BOX + columns]
    for k in range(lo, hi):
        for y in range(rows):
            line[:] = 0
            for j in range(-BOX, BOX + 1):
                source = values[k, min(max(y + j, 0), rows - 1)]
                for x in range(columns):
                    line[x] += source[x]
            wide[:BOX] = line[0]
            wide[BOX + columns :] = line[columns - 1]
            into = out[k, y]
            for x in range(columns):
                total = np.float32(0)
                for j in range(2 * BOX + 1):
                    total += wide[x + j]
                into[x] = total / np.float32((2 * BOX + 1) ** 2)


def _low_spread(
    smooth: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the spread of each step's box means, relative to white noise; at least 1.

    Interpolation by a motion correction correlates the noise of neighbours, so their
    mean is noisier than frame-to-frame differences suggest. The spread is taken from
    low values, where no event reaches: half and one and a half deviations below.
    """
    apart = (
        slice(None),
        slice(None, None, 2 * BOX + 1),
        slice(None, None, 2 * BOX + 1),
    )
    heights = (smooth[apart] / noise[apart[1:]]).reshape(len(smooth), -1)
    low, middle = np.quantile(heights, (0.0668, 0.3085), axis=1)
    return np.maximum(middle - low, 1).astype(np.float32)


@njit(cache=True, nogil=True)
def _near_high(lo: int, hi: int, smooth: Any, limit: Any, scale: Any, out: Any) -> None:
    """Mark what is above a limit, and the square around it; uint8 (step, row, column).

    ``smooth`` float32 (step, row, column), ``limit`` (row, column), ``scale`` (step,).
    """
    _, rows, columns = smooth.shape
    for k in range(lo, hi):
        out[k] = 0
        for y in range(rows):
            for x in range(columns):
                if smooth[k, y, x] > limit[y, x] * scale[k]:
                    out[
                        k,
                        max(y - BOX, 0) : min(y + BOX + 1, rows),
                        max(x - BOX, 0) : min(x + BOX + 1, columns),
                    ] = 1


@njit(cache=True, nogil=True)
def _no_neighbour_in_time(lo: int, hi: int, high: Any, quiet: Any) -> None:
    """Write 1 where neither a step nor its neighbours are marked; uint8."""
    n, rows, columns = high.shape
    for k in range(lo, hi):
        before, after = high[max(k - 1, 0)], high[min(k + 1, n - 1)]
        for y in range(rows):
            for x in range(columns):
                quiet[k, y, x] = 1 - (before[y, x] | high[k, y, x] | after[y, x])


def mean_of_quiet(
    values: NDArray[np.float32], quiet: NDArray[np.uint8], pool: Executor | None
) -> NDArray[np.float32]:
    """Return the mean of the quiet steps of each pixel, 0 where there are few.

    ``values`` float32 and ``quiet`` uint8 are (step, row, column).
    """
    out = np.empty(values.shape[1:], np.float32)
    run_in_threads(
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
    """Write the mean of quiet steps of rows ``lo`` to ``hi`` into ``out``, float32."""
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
