"""Which voxels of a smoothed signal stand out, and how far: the only ones that are kept
of a block.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.noise_tails import translated
from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.parallel import spread

#: what stands out is worth at least this many standard deviations
_LEAST_HEIGHT = 0.5


def stand_out(
    smooth: NDArray[np.float32],
    noise: NDArray[np.float32],
    which: NDArray[np.int64],
    height: float,
    border: tuple[int, int, int, int] = (0, 0, 0, 0),
    pool: Executor | None = None,
) -> NDArray[np.bool_]:
    """Return the voxels of a signal that are higher than some standard deviations of
    its noise.

    Parameters
    ----------
    smooth
        Smoothed signal above the background, (frame, row, column), float32.
    noise
        Its standard deviation, (kind of frame, row, column), float32: frames at the
        ends of a recording are smoothed over fewer others.
    which
        Kind of each frame.
    height
        In standard deviations.
    border
        Pixels at the top, bottom, left and right in which nothing stands out.
    pool
        Threads to share the work with.

    Examples
    --------
    >>> stand_out(
    ...     np.array([[[1, 5]]], np.float32),
    ...     np.ones((1, 1, 2), np.float32),
    ...     np.zeros(1, np.int64),
    ...     2.5,
    ... )
    array([[[False,  True]]])
    """
    out = np.empty(smooth.shape, np.bool_)
    spread(
        pool, len(smooth), _mark, smooth, noise, which, np.float32(height), border, out
    )
    return out


@njit(cache=True, nogil=True)
def _mark(
    lo: int,
    hi: int,
    smooth: Any,
    noise: Any,
    which: Any,
    height: Any,
    border: Any,
    out: Any,
) -> None:
    _, rows, columns = smooth.shape
    top, bottom, left, right = border
    for t in range(lo, hi):
        out[t] = False
        for y in range(top, rows - bottom):
            line, limit, into = smooth[t, y], noise[which[t], y], out[t, y]
            for x in range(left, columns - right):
                into[x] = line[x] > height * limit[x]


def heights_on_runs(
    runs: Runs,
    smooth: NDArray[np.float32],
    noise: NDArray[np.float32],
    which: NDArray[np.int64],
    worth: tuple[NDArray[np.uint8], NDArray[np.float32], float],
    pool: Executor | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return signal and noise of the voxels on runs, run after run.

    Parameters
    ----------
    runs
        Of voxels that stand out.
    smooth, noise, which
        As for `stand_out`.
    worth
        Class of each pixel, (row, column), uint8, the table of each class (see
        `normal_heights`), and the height of the background. Noise that is not normal is
        called as much larger as makes a height as rare as it is.
    pool
        Threads to share the work with.
    """
    first = np.concatenate([[0], np.cumsum(runs.stop - runs.start, dtype=np.int64)])
    value, size = np.empty(first[-1], np.float32), np.empty(first[-1], np.float32)
    spread(
        pool,
        runs.shape[0] * runs.shape[1],
        _gather,
        (runs.start, runs.stop, runs.first),
        first,
        smooth,
        noise,
        which,
        (worth[0], worth[1], np.float32(worth[2])),
        value,
        size,
    )
    return value, size


@njit(cache=True, nogil=True)
def _gather(
    lo: int,
    hi: int,
    runs: Any,
    first: Any,
    smooth: Any,
    noise: Any,
    which: Any,
    worth: Any,
    value: Any,
    size: Any,
) -> None:
    rows = smooth.shape[1]
    start, stop, of_row = runs
    classes, tables, shift = worth
    for row in range(lo, hi):
        t, y = row // rows, row % rows
        for run in range(of_row[row], of_row[row + 1]):
            k = first[run]
            for x in range(start[run], stop[run]):
                signal = smooth[t, y, x]
                value[k] = signal
                height = translated(
                    signal / noise[which[t], y, x] - shift, tables[classes[y, x]]
                )
                size[k] = signal / max(height, np.float32(_LEAST_HEIGHT))
                k += 1
