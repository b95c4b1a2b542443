"""Noise of each pixel, from the differences of neighbouring frames."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: median of the squared difference of two standard normal values, 2 * 0.6745² (rounded
#: as in the definition)
_MEDIAN_SQUARED_STEP = 0.9133


def estimate_noise_map(
    frames: NDArray[np.float32], pool: Executor | None = None
) -> NDArray[np.float64]:
    """Return the standard deviation of each pixel's noise.

    Parameters
    ----------
    frames
        Whole time courses, float32 (frame, row, column). Differences with a value that
        is not finite are left out.
    pool
        Threads that share the work.

    Returns
    -------
    numpy.ndarray
        float64 (row, column), in the unit of the recording:
        sqrt(median over time of (x[t + 1] - x[t])² / 0.9133). NaN for pixels without a
        finite difference. Fluctuations slower than a frame do not count as noise.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 3, (2000, 1, 1)).astype(np.float32)
    >>> round(float(estimate_noise_map(noise)[0, 0]))
    3
    """
    out = np.full(frames.shape[1:], np.nan)
    run_in_threads(pool, frames.shape[1], _row_noise, np.ascontiguousarray(frames), out)
    return out


@njit(cache=True, nogil=True)
def _row_noise(lo: int, hi: int, frames: Any, out: Any) -> None:
    """Write the noise of rows ``lo`` to ``hi - 1`` into ``out``, float64 (row, column).

    ``frames``: float32 (frame, row, column).
    """
    n, _, columns = frames.shape
    steps = np.empty(max(n - 1, 0), np.float64)
    for y in range(lo, hi):
        for x in range(columns):
            k = 0
            for t in range(n - 1):
                step = np.float64(frames[t + 1, y, x]) - np.float64(frames[t, y, x])
                if np.isfinite(step):
                    steps[k] = step * step
                    k += 1
            if k:
                out[y, x] = np.sqrt(np.median(steps[:k]) / _MEDIAN_SQUARED_STEP)
