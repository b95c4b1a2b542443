"""Slow changes of the scene with few time courses: focus, slow motion, vessels.

When the focus drifts or the tissue moves slowly, all structures change: some pixels
become brighter, others darker, and all follow the same few slow time courses. An event
makes the pixels of one place brighter. So courses are estimated from all pixels
together, without events, and only those are used whose pattern extends over the field
and has both signs. Each pixel is then fitted by these courses.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: pixels along the side of a bin, from which courses are estimated
_BIN = 3
#: shortest period of a slow course, in steps of frames, and most cosines
_PERIOD, _MOST_COSINES = 10, 12
#: most courses, and least variance of one over that of noise
_MOST, _EXCESS = 3, 1.5
#: least share of the bins over which a pattern extends, and least share of its power in
#: the weaker sign
_SPREAD, _BALANCE = 0.2, 0.3
#: limit of the value of a bin, in standard deviations of the noise of a cosine, so that
#: no event dominates
_CUT = 5.0
#: strength of the prior that a pixel does not follow a course, in steps
_PRIOR = 2.0


def slow_courses(
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the slow courses that many pixels follow, (course, step).

    Parameters
    ----------
    values
        Means of steps of frames less the level of each pixel, (step, row, column),
        float32.
    noise
        Standard deviation of the means, (row, column), float32.

    Returns
    -------
    numpy.ndarray
        float32, of mean 0 and mean square 1; an empty array where there are none.
    """
    n = len(values)
    count = min(2 * n // _PERIOD, _MOST_COSINES)
    none = np.empty((0, n), np.float32)
    if count < 1:
        return none
    t = (np.arange(n) + 0.5) / n
    waves = np.sqrt(2 / n) * np.cos(np.pi * np.arange(1, count + 1)[:, None] * t)
    part = _cosines_of_bins(values, noise, waves)
    if part.shape[1] < 4 * count:
        return none
    power, vectors = np.linalg.eigh(part @ part.T / part.shape[1])
    found = []
    for k in np.argsort(-power)[:_MOST]:
        pattern = vectors[:, k] @ part
        square = pattern**2
        wide = square.sum() ** 2 / ((square**2).sum() * len(pattern))
        up = square[pattern > 0].sum() / square.sum()
        # noise alone is spread over a third of the bins
        if power[k] > _EXCESS and wide > _SPREAD and _BALANCE < up < 1 - _BALANCE:
            found.append(vectors[:, k] @ waves * np.sqrt(n))
    return np.array(found, np.float32).reshape(len(found), n)


def _cosines_of_bins(
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    waves: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the cosine coefficients of each bin over their noise, (cosine, bin)."""
    n, rows, columns = values.shape
    high, wide = rows // _BIN, columns // _BIN
    inner = values[:, : high * _BIN, : wide * _BIN]
    shape = (n, high, _BIN, wide, _BIN)
    level = noise[: high * _BIN, : wide * _BIN].reshape(shape[1:]).mean((1, 3)) / _BIN
    bins = inner.reshape(shape).mean((2, 4)) / level
    part = waves @ bins.reshape(n, -1).astype(np.float64)
    # a bin with large coefficients is scaled down as a whole: its course stays the same
    size = np.sqrt((part**2).mean(axis=0))
    return np.asarray(part * np.minimum(1, _CUT / np.maximum(size, 1e-30)))


def fit_courses(
    values: NDArray[np.float32],
    quiet: NDArray[np.uint8],
    courses: NDArray[np.float32],
    pool: Executor | None = None,
) -> NDArray[np.float32]:
    """Return the weight of each course in each pixel, float32 (course, row, column).

    Parameters
    ----------
    values
        As for `slow_courses`.
    quiet
        1 where no event is, 0 elsewhere, uint8, of the same shape.
    courses
        (course, step), float32.
    pool
        Threads to share the work with.
    """
    k = len(courses)
    out = np.zeros((k, *values.shape[1:]), np.float32)
    run_in_threads(pool, values.shape[1], _fit_rows, values, quiet, courses, out)
    return out


@njit(cache=True, nogil=True)
def _fit_rows(
    lo: int, hi: int, values: Any, quiet: Any, courses: Any, out: Any
) -> None:
    """Fit rows ``lo`` to ``hi``: least squares over quiet steps, with a constant.

    ``values`` float32 and ``quiet`` uint8 are (step, row, column), ``courses`` float32
    (course, step), ``out`` float32 (course, row, column).
    """
    n, _, columns = values.shape
    k = len(courses)
    matrix, right = np.empty((k + 1, k + 1)), np.empty(k + 1)
    row = np.empty(k + 1)
    for y in range(lo, hi):
        for x in range(columns):
            matrix[:] = 0
            right[:] = 0
            for i in range(k):
                matrix[i, i] = _PRIOR
            matrix[k, k] = 1e-3
            for t in range(n):
                if quiet[t, y, x]:
                    for i in range(k):
                        row[i] = courses[i, t]
                    row[k] = 1.0
                    for i in range(k + 1):
                        right[i] += row[i] * values[t, y, x]
                        for j in range(k + 1):
                            matrix[i, j] += row[i] * row[j]
            found = np.linalg.solve(matrix, right)
            for i in range(k):
                out[i, y, x] = found[i]


def add_courses(
    values: NDArray[np.float32],
    weights: NDArray[np.float32],
    courses: NDArray[np.float32],
    sign: float,
) -> None:
    """Add ``sign`` times the fitted courses to values (step, row, column), in place."""
    for weight, course in zip(weights, courses, strict=True):
        for t in range(len(values)):
            values[t] += np.float32(sign * course[t]) * weight
