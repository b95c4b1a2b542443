"""Tail probabilities of smoothed noise where the noise of a voxel is not normal.

A smoothed voxel is a weighted sum of some hundred voxels. The distribution of single
voxels is measured in the recording; that of the sum follows from its characteristic
function (Gil-Pelaez 1951, https://doi.org/10.2307/2332598), up to the rare heights that
decide about events. Noise is not normal at low light, with electron multiplication,
with photomultipliers, and with bright spikes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.frames.smoothing import gaussian_weights

#: bins of the deviations of single voxels, in standard deviations
LOWEST, WIDTH, BINS = -12.0, 0.2, 400
#: heights of the smoothed noise in a table: first, step, number
FIRST, STEP, HEIGHTS = -6.0, 0.25, 73
#: share of the distribution of all classes in that of each class
_POOLED = 0.25
#: smaller probabilities are lost in rounding; normal noise reaches it at 7 standard
#: deviations
_RAREST = 1e-12
#: range of a sum beyond the farthest single value, in standard deviations, and its
#: highest frequency
_MARGIN, _FINEST = 12.0, 9.0


def histogram_of_noise(
    above: NDArray[np.float32],
    smooth: NDArray[np.float32],
    noise: tuple[NDArray[np.float32], NDArray[np.float32]],
    classes: NDArray[np.uint8],
    own: float,
    limit: float = 2.0,
) -> NDArray[np.int64]:
    """Return the histogram of distances from the background in quiet voxels.

    int64 (class, bin).

    Parameters
    ----------
    above, smooth
        Signal above the background of the same frames, and that smoothed, (frame, row,
        column), float32.
    noise
        Standard deviation of a voxel, and of a smoothed one, (row, column).
    classes
        Class of each pixel, (row, column), uint8.
    own
        Weight of a voxel in its own smoothed value. Whether a voxel is quiet is decided
        by its neighbours alone, so that high values of single voxels are counted.
    limit
        Largest height of the neighbours, in standard deviations.
    """
    counts = np.zeros((int(classes.max()) + 1, BINS), np.int64)
    _count(above, smooth, *noise, classes, np.float32(own), np.float32(limit), counts)
    return counts


@njit(cache=True, nogil=True)
def _count(
    above: Any,
    smooth: Any,
    single: Any,
    noise: Any,
    classes: Any,
    own: Any,
    limit: Any,
    counts: Any,
) -> None:
    """Add the deviations of quiet voxels to ``counts``, int64 (class, bin).

    ``above`` and ``smooth`` float32 (frame, row, column); ``single`` and ``noise``
    float32, ``classes`` uint8, (row, column).
    """
    n, rows, columns = above.shape
    for t in range(n):
        for y in range(rows):
            for x in range(columns):
                value = above[t, y, x]
                # exactly 0 stands for a NaN voxel
                if (
                    value == 0
                    or abs(smooth[t, y, x] - own * value) > limit * noise[y, x]
                ):
                    continue
                k = int((value / single[y, x] - np.float32(LOWEST)) / np.float32(WIDTH))
                counts[classes[y, x], min(max(k, 0), BINS - 1)] += 1


def normal_heights(
    counts: NDArray[np.int64], sigma: float, radius: int
) -> NDArray[np.float32]:
    """Return, for heights of smoothed noise, the equally rare heights of normal noise.

    Shape (class, height).

    Parameters
    ----------
    counts
        Histogram of single voxels, int64 (class, bin), see `histogram_of_noise`.
    sigma, radius
        Of the Gaussian in space and time.

    Notes
    -----
    Only the shape counts: heights are in standard deviations of the smoothed noise. The
    first is for height `FIRST`, each next one `STEP` higher.

    Examples
    --------
    >>> z = LOWEST + WIDTH * (np.arange(BINS) + 0.5)
    >>> normal = np.round(1e9 * np.exp(-z * z / 2)).astype(np.int64)[None]
    >>> float(normal_heights(normal, 1.5, 4)[0, int((5 - FIRST) / STEP)].round(2))
    5.0
    """
    weights, times = _weights_of_smoothing(sigma, radius)
    grid = FIRST + STEP * np.arange(HEIGHTS)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # rare values are seen in few classes and occur in all
    share = (1 - _POOLED) * share + _POOLED * counts.sum(axis=0) / max(counts.sum(), 1)
    out = np.tile(grid, (len(counts), 1))
    for c in np.flatnonzero(counts.any(axis=1)):
        seen = share[c] > 0
        z = LOWEST + WIDTH * (np.flatnonzero(seen) + 0.5)
        z -= share[c, seen] @ z
        spread = np.sqrt((share[c, seen] @ z**2) * (times * weights**2).sum())
        if spread > 0:
            out[c] = _heights_of_sum(grid, z, share[c, seen], weights / spread, times)
    return out.astype(np.float32)


def _weights_of_smoothing(
    sigma: float, radius: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the different weights of a Gaussian over three axes.

    With the number of voxels that have each weight.
    """
    one = gaussian_weights(sigma, radius)
    one = np.concatenate([one[:0:-1], one])
    weights, times = np.unique(
        np.round(np.multiply.outer(np.multiply.outer(one, one), one), 12),
        return_counts=True,
    )
    return np.asarray(weights, np.float64), times.astype(np.float64)


def _heights_of_sum(
    grid: NDArray[Any],
    z: NDArray[Any],
    share: NDArray[Any],
    weights: NDArray[Any],
    times: NDArray[Any],
) -> NDArray[np.float64]:
    """Map each height of a weighted sum to the z-score with the same tail probability.

    The sum, of unit variance, has ``times`` values ``z`` for each of ``weights``.
    """
    from scipy.special import ndtri

    # the sum as one period of a Fourier series: wide enough for the farthest value,
    # fine enough for double precision
    half = _MARGIN + float(np.abs(z).max() * weights.max())
    frequency = np.pi / half * np.arange(1, int(_FINEST * half / np.pi) + 2)
    log_factor = np.zeros(len(frequency), np.complex128)
    for weight, n in zip(weights, times, strict=True):
        log_factor += n * np.log(
            np.exp(1j * weight * np.outer(frequency, z)) @ share + 1e-300
        )
    factor = np.exp(log_factor) / frequency
    turn = np.exp(-1j * np.outer(grid, frequency)) - np.exp(-1j * half * frequency)
    above = (half - grid) / (2 * half) + (turn @ factor).imag / half
    known = (above > _RAREST) & (above < 1 - _RAREST)
    first, last = (int(k) for k in np.flatnonzero(known)[[0, -1]])
    normal = -ndtri(np.where(known, above, 0.5))
    # beyond double precision, heights are extrapolated in proportion
    normal[last + 1 :] = normal[last] * grid[last + 1 :] / grid[last]
    normal[:first] = normal[first] * grid[:first] / grid[first]
    return np.asarray(np.maximum.accumulate(normal))


@njit(cache=True, nogil=True)
def translate_height(height: Any, table: Any) -> Any:
    """Return the z-score of a height by a table of `normal_heights`, float64 (height,).

    Linear beyond the ends of the table. For use in compiled kernels.
    """
    at = (height - np.float32(FIRST)) / np.float32(STEP)
    k = min(max(int(at), 0), len(table) - 2)
    return table[k] + (at - np.float32(k)) * (table[k + 1] - table[k])


@njit(cache=True, nogil=True)
def _translate(heights: Any, classes: Any, tables: Any, out: Any) -> None:
    """Write the z-scores of heights into ``out``, float32 (frame, row, column).

    ``heights`` float32 (frame, row, column), ``classes`` uint8 (row, column),
    ``tables`` float32 (class, height).
    """
    n, rows, columns = heights.shape
    for t in range(n):
        for y in range(rows):
            for x in range(columns):
                out[t, y, x] = translate_height(heights[t, y, x], tables[classes[y, x]])


def as_normal(
    heights: NDArray[np.float32],
    classes: NDArray[np.uint8],
    tables: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the z-scores with the same tail probability as given heights.

    Shape (frame, row, column).

    Parameters
    ----------
    heights
        In standard deviations of the smoothed noise, float32.
    classes
        Class of each pixel, (row, column).
    tables
        Of each class, see `normal_heights`.
    """
    out = np.empty_like(heights)
    _translate(heights, classes, tables, out)
    return out
