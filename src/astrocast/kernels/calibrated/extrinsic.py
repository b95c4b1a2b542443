"""Fluctuations that are not detector noise, measured below the background.

Fluctuations from outside the cells (focus drift, a pulsating vessel, diffuse light,
residual motion) lower the signal as often as they raise it; an event only raises it. So
the values below the background show the size of such fluctuations in each pixel,
independent of events. Symmetry is essential: the level of each pixel must be estimated
with the same limits above and below.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: squares are summed as whole numbers, in this fraction of 1, so that the sum does not
#: depend on how frames are grouped
_UNIT = float(1 << 16)
#: a height counts at most this much
_MOST = 64.0
#: pixels over which squares are averaged: what is narrow, and what is wide
_NARROW, _WIDE = 1.0, 3.0
#: expected standard deviations by which a variance must exceed that of noise to count
_SURE = 1.5


def add_low_squares(
    smooth: NDArray[np.float32],
    noise: NDArray[np.float32],
    which: NDArray[np.int64],
    shift: float,
    sums: NDArray[np.int64],
    pool: Executor | None = None,
) -> None:
    """Add the squared heights of values below the background to ``sums``.

    Parameters
    ----------
    smooth
        Smoothed signal above the background, (frame, row, column), float32.
    noise
        Standard deviation of its noise, (kind of frame, row, column), float32.
    which
        Kind of each frame, int64.
    shift
        Height of the background itself, in standard deviations.
    sums
        (row, column), int64, see `extrinsic_ratio`; changed in place.
    pool
        Threads to share the work with.
    """
    run_in_threads(
        pool, smooth.shape[1], _add_low, smooth, noise, which, np.float32(shift), sums
    )


@njit(cache=True, nogil=True)
def _add_low(
    lo: int, hi: int, smooth: Any, noise: Any, which: Any, shift: Any, sums: Any
) -> None:
    """Add rows ``lo`` to ``hi``; arguments as for `add_low_squares`."""
    n, _, columns = smooth.shape
    most, unit = np.float32(_MOST), np.float32(_UNIT)
    for y in range(lo, hi):
        total = sums[y]
        for t in range(n):
            line, spread_ = smooth[t, y], noise[which[t], y]
            for x in range(columns):
                z = min(max(shift - line[x] / spread_[x], np.float32(0)), most)
                total[x] += np.int64(z * z * unit)


def extrinsic_ratio(
    sums: NDArray[np.int64], n_frames: int, independent: float
) -> NDArray[np.float32]:
    """Return by which factor fluctuations exceed the noise in each pixel, at least 1.

    Parameters
    ----------
    sums
        From `add_low_squares`, (row, column).
    n_frames
        Frames that were added.
    independent
        Number of independent values among the frames of a pixel. A variance that
        exceeds that of the noise by no more than chance allows does not count.

    Returns
    -------
    numpy.ndarray
        float32, (row, column): twice the mean square of what is below the background
        is the variance of a symmetric fluctuation; averaged over neighbours within 1
        and within 3 pixels, the larger.

    Examples
    --------
    >>> sums = np.full((20, 20), 100 * 65536 // 2)
    >>> float(extrinsic_ratio(sums, 100, 20.0).max())
    1.0
    >>> float(extrinsic_ratio(4 * sums, 100, 1e6)[10, 10].round(2))
    2.0
    """
    from scipy.ndimage import gaussian_filter

    variance = 2 * sums.astype(np.float64) / _UNIT / max(n_frames, 1)
    largest = np.ones(variance.shape)
    for width in (_NARROW, _WIDE):
        # the smoothed signal is correlated within about the width of a Gaussian of 1.5
        # pixels
        places = max(4 * np.pi * width**2 / (4 * np.pi * 1.5**2 / 2), 1.0)
        doubt = _SURE * np.sqrt(5 / (independent * places))
        pooled = gaussian_filter(variance, width, mode="nearest")
        # fades in: an excess of twice the uncertainty counts fully
        surplus = np.clip((pooled - 1) / doubt - 1, 0, 1)
        largest = np.maximum(largest, 1 + surplus * (pooled - 1))
    return np.sqrt(largest).astype(np.float32)
