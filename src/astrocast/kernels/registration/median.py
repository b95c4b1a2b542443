"""Medians in compiled loops without branches, which the compiler can vectorize."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

Real = NDArray[np.float32]


@njit(cache=True, nogil=True)
def _count_up_to(bits: NDArray[np.int32], limit: np.int32) -> Any:
    """Return how many values are at most ``limit``, int32; ``bits`` int32 (value,)."""
    count = np.int32(0)
    for x in range(len(bits)):
        count += np.int32(bits[x] <= limit)
    return count


@njit(cache=True, nogil=True)
def median_of_positive(values: Real) -> float:
    """Return the median of finite values that are not negative.

    ``values`` float32 (value,). The bits of such values, read as integers, have the
    same order as the values; the median is found by bisection of the bits. Each of 31
    passes is a vectorized sum, while a selection algorithm branches at every value.
    """
    bits, n = values.view(np.int32), len(values)
    # rank of the lower of the two middle values
    below = (n + 1) // 2
    low, high = np.int32(0), np.int32(0x7F800000)
    while low < high:
        middle = np.int32(low + (high - low) // 2)
        if _count_up_to(bits, middle) >= below:
            high = middle
        else:
            low = np.int32(middle + 1)
    single = np.empty(1, np.int32)
    single[0] = low
    lower = single.view(np.float32)[0]
    if n % 2 or _count_up_to(bits, low) > below:
        return float(lower)
    upper = np.float32(np.inf)
    for x in range(n):
        if values[x] > lower:
            upper = min(upper, values[x])
    return float((np.float64(lower) + np.float64(upper)) / 2)


@njit(cache=True, nogil=True)
def _median_rows(keys: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Fill ``out`` with the two middle values over frames.

    ``keys`` int32 (frame, column): integers in the order of the values; ``out`` int32
    (2, column). All columns are bisected at once.
    """
    n, w = keys.shape
    below = np.int32((n + 1) // 2)
    low, high = np.empty(w, np.int32), np.empty(w, np.int32)
    middle, count = np.empty(w, np.int32), np.empty(w, np.int32)
    low[:] = np.int32(-2147483647)
    high[:] = np.int32(2147483647)
    for _ in range(32):
        count[:] = 0
        for x in range(w):  # mean of low and high without overflow
            middle[x] = (low[x] >> 1) + (high[x] >> 1) + (low[x] & high[x] & 1)
        for k in range(n):
            row = keys[k]
            for x in range(w):
                count[x] += np.int32(row[x] <= middle[x])
        for x in range(w):
            enough = count[x] >= below
            high[x] = middle[x] if enough else high[x]
            low[x] = low[x] if enough else min(middle[x] + 1, high[x])
    upper = out[1]
    upper[:] = np.int32(2147483647)
    count[:] = 0
    for k in range(n):
        row = keys[k]
        for x in range(w):
            count[x] += np.int32(row[x] <= low[x])
            upper[x] = min(upper[x], row[x]) if row[x] > low[x] else upper[x]
    for x in range(w):
        out[0, x] = low[x]
        upper[x] = low[x] if n % 2 == 1 or count[x] > below else upper[x]


@njit(cache=True, nogil=True)
def median_over_frames(frames: Real) -> Real:
    """Return the median over frames, float32 (row, column).

    ``frames``: float32 (frame, row, column), C-contiguous, finite.
    """
    n, h, w = frames.shape
    keys, both = np.empty((n, w), np.int32), np.empty((2, w), np.int32)
    out, half = np.empty((h, w), np.float32), np.float32(0.5)
    for y in range(h):
        for k in range(n):
            bits, row = frames[k, y].view(np.int32), keys[k]
            for x in range(w):  # the bits of negative values have the opposite order
                row[x] = bits[x] if bits[x] >= 0 else bits[x] ^ np.int32(0x7FFFFFFF)
        _median_rows(keys, both)
        for i in range(2):
            row = both[i]
            for x in range(w):
                row[x] = row[x] if row[x] >= 0 else row[x] ^ np.int32(0x7FFFFFFF)
        lower, upper = both[0].view(np.float32), both[1].view(np.float32)
        for x in range(w):
            out[y, x] = half * (lower[x] + upper[x])
    return out
