"""A running percentile as a baseline."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.baseline.rolling_minimum import check_window
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads


def rank_of(size: int, percentile: float) -> int:
    """Return the index of the percentile among ``size`` sorted values.

    As in `scipy.ndimage.percentile_filter`.
    """
    if not 0 <= percentile <= 100:
        raise InvalidValueError(
            f"percentile is {percentile!r}; expected a number from 0 to 100"
        )
    return min(size - 1, int(size * percentile / 100.0))


def running_percentile(
    frames: NDArray[Any],
    window: int,
    percentile: float,
    *,
    inner: slice = slice(None),
    pool: Executor | None = None,
) -> NDArray[np.float32]:
    """Return the running percentile of each pixel.

    Over the frames ``t - window`` to ``t + window``.

    The ends of the recording are repeated. Equal to `scipy.ndimage.percentile_filter`
    of that size along time with mode ``nearest``. The cost per voxel grows with the
    window, slowly: a sorted window is kept for each pixel, one value leaves it and one
    enters.

    Parameters
    ----------
    frames
        Movie (frame, row, column) of any real dtype without NaN; not changed.
    window
        Frames on each side, at least 1.
    percentile
        0 to 100.
    inner
        Frames of the result; the others only serve as context (a halo).
    pool
        Threads that share the pixels.

    Returns
    -------
    ndarray
        float32 (frame, row, column).
    """
    check_window(window)
    first, last, _ = inner.indices(len(frames))
    flat = np.ascontiguousarray(frames).reshape(len(frames), -1)
    result = np.empty((last - first, flat.shape[1]), np.float32)
    rank = rank_of(2 * int(window) + 1, percentile)
    run_in_threads(pool, flat.shape[1], _pixels, flat, int(window), rank, first, result)
    return result.reshape(last - first, *frames.shape[1:])


@njit(nogil=True, cache=True)
def _pixels(lo, hi, frames, window, rank, first, result):  # type: ignore[no-untyped-def] # numba infers
    """Write the running percentile of pixels ``lo`` to ``hi`` into ``result``.

    ``frames`` float32 (frame, pixel), ``first`` the frame of the first row of
    ``result``, float32 (frame, pixel).
    """
    n = frames.shape[0]
    count = 2 * window + 1
    course = np.empty(n, frames.dtype)
    ordered = np.empty(count, frames.dtype)
    for p in range(lo, hi):
        for t in range(n):
            course[t] = frames[t, p]
        for i in range(count):
            ordered[i] = course[min(max(first - window + i, 0), n - 1)]
        ordered.sort()
        result[0, p] = ordered[rank]
        for t in range(first + 1, first + result.shape[0]):
            _replace(
                ordered, course[max(t - 1 - window, 0)], course[min(t + window, n - 1)]
            )
            result[t - first, p] = ordered[rank]


@njit(nogil=True, cache=True)
def _replace(ordered, leaving, entering):  # type: ignore[no-untyped-def] # numba infers
    """Take one value out of a sorted array and put another in.

    ``ordered`` float32 (window,), ascending, changed in place.
    """
    if leaving == entering:
        return
    i = np.searchsorted(ordered, leaving)
    while i + 1 < ordered.size and ordered[i + 1] < entering:
        ordered[i] = ordered[i + 1]
        i += 1
    while i > 0 and ordered[i - 1] > entering:
        ordered[i] = ordered[i - 1]
        i -= 1
    ordered[i] = entering
