"""Find frames whose light differs from most frames of a sample.

The first template is the mean of similar frames. Frames in which an event fills part of
the field are similar because of the event, not because of their position. They are
recognised by the means of blocks of pixels, and left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

Real = NDArray[np.float32]

#: side of a block, pixels of the view; at most a quarter of the view
BLOCK = 8
#: a frame is unevenly lit if its light differs by this many robust standard deviations
#: more than in the median frame
OUTSTANDING = 6.0


@njit(cache=True, nogil=True)
def block_size(shape: tuple[int, int]) -> int:
    """Return the side of a block, pixels (int64); ``shape``: (rows, columns)."""
    return max(1, min(BLOCK, shape[0] // 4, shape[1] // 4))


@njit(cache=True, nogil=True)
def block_means(seen: Real, shifts: NDArray[np.int64]) -> Real:
    """Return the mean of each block of each frame, moved back by whole pixels.

    Parameters
    ----------
    seen
        float32 (frame, row, column).
    shifts
        int64 (frame, 2), pixels.

    Returns
    -------
    numpy.ndarray
        float32 (frame, block row, block column); NaN where a block lies outside the
        frame.
    """
    n, h, w = seen.shape
    size = block_size((h, w))
    out = np.full((n, h // size, w // size), np.nan, np.float32)
    added, share = np.empty(w, np.float32), np.float32(1 / size**2)
    for b in range(n):
        for i in range(out.shape[1]):
            top = i * size + shifts[b, 0]
            if not 0 <= top <= h - size:
                continue
            added[:] = 0  # whole rows are added first: this loop is vectorized
            for y in range(top, top + size):
                row = seen[b, y]
                for x in range(w):
                    added[x] += row[x]
            for j in range(out.shape[2]):
                left = j * size + shifts[b, 1]
                if 0 <= left <= w - size:
                    out[b, i, j] = added[left : left + size].sum() * share
    return out


@njit(cache=True, nogil=True)
def _fill_deviations(means: Real, wanted: Real, largest: NDArray[np.float64]) -> None:
    """Fill ``largest`` with the largest deviation of each frame's light.

    ``means`` float32 (frame, block row, block column), ``wanted`` float32 (block row,
    block column), ``largest`` float64 (frame,), zeros.
    """
    light = wanted.ravel()
    for b in range(len(means)):
        block = means[b].ravel()
        number = first = own = cross = square = 0.0
        for i in range(len(block)):
            value, target = np.float64(block[i]), np.float64(light[i])
            if not np.isnan(value):
                number += 1
                first += value
                own += target
                cross += value * target
                square += target * target
        if number == 0:
            continue
        first, own = first / number, own / number
        power = square - number * own * own
        gain = (cross - number * first * own) / power if power > 1e-9 * square else 0.0
        for i in range(len(block)):
            if not np.isnan(block[i]):
                apart = abs(block[i] - first - gain * (light[i] - own))
                largest[b] = max(largest[b], apart)


def unevenness(means: Real, wanted: Real) -> NDArray[np.float64]:
    """Return the largest difference of each frame's light from the expected light.

    Parameters
    ----------
    means
        (frame, block row, block column) from `block_means`.
    wanted
        (block row, block column), finite: the expected light.

    Returns
    -------
    numpy.ndarray
        (frame,): largest residual of a block after ``offset + gain * wanted`` was
        fitted by least squares. The residual is not divided by the gain: an event where
        the template is bright makes the gain many times too large.
    """
    largest = np.zeros(len(means))
    _fill_deviations(means, wanted, largest)
    return largest


def find_evenly_lit(seen: Real) -> NDArray[np.bool_]:
    """Return which frames have the light of most frames, bool (frame,).

    ``seen`` (frame, row, column); the frames need not be aligned.
    """
    means = block_means(seen, np.zeros((len(seen), 2), np.int64))
    apart = unevenness(means, np.median(means, axis=0))
    middle = np.median(apart)
    return np.asarray(
        apart <= middle + OUTSTANDING * 1.4826 * np.median(np.abs(apart - middle))
    )
