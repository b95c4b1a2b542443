"""Which frames of a sample are lit as most of them are.

The first template is the mean of frames that look alike. Frames in which an event fills
part of the field look alike by the event, whatever their motion; they are recognised by
the mean of blocks, and left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

Real = NDArray[np.float32]

#: pixels of the view along a block; a quarter of a view that is smaller than four of
#: them
BLOCK = 8
#: before anything is aligned: this many robust standard deviations more than the others
OUTSTANDING = 6.0


@njit(cache=True, nogil=True)
def block_size(shape: tuple[int, int]) -> int:
    """Return how many pixels of a view of ``shape`` a block is long."""
    return max(1, min(BLOCK, shape[0] // 4, shape[1] // 4))


@njit(cache=True, nogil=True)
def block_means(seen: Real, shifts: NDArray[np.int64]) -> Real:
    """Return the mean of each block of each frame, moved back by whole pixels.

    Parameters
    ----------
    seen
        (frame, row, column).
    shifts
        (frame, 2), whole pixels.

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
            added[:] = 0  # whole rows are added first, so that this is done in vectors
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
def _most_apart(means: Real, wanted: Real, largest: NDArray[np.float64]) -> None:
    """Write the largest deviation of each frame's light into ``largest``, float64.

    ``means`` float32 (frame, block row, block column), ``wanted`` float32 (block row,
    block column).
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
    """Return how much the light of each frame differs from the expected one.

    In the block of pixels that differs most.

    Parameters
    ----------
    means
        (frame, block row, block column) from `block_means`.
    wanted
        (block row, block column), finite: the light of the template.

    Returns
    -------
    numpy.ndarray
        (frame,): largest distance of a block from offset + gain x the one wanted, by
        least squares. Not divided by the gain: an event that happens to lie where the
        template is bright makes that many times too large.
    """
    largest = np.zeros(len(means))
    _most_apart(means, wanted, largest)
    return largest


def evenly_lit(seen: Real) -> NDArray[np.bool_]:
    """Return which frames (frame, row, column) are lit like most of them.

    Frames are not aligned yet.
    """
    means = block_means(seen, np.zeros((len(seen), 2), np.int64))
    apart = unevenness(means, np.median(means, axis=0))
    middle = np.median(apart)
    return np.asarray(
        apart <= middle + OUTSTANDING * 1.4826 * np.median(np.abs(apart - middle))
    )
