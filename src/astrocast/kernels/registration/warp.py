"""Frames moved back to where the template has them: cubic interpolation, float32, nothing wrapped.

The kernel is Catmull-Rom (Keys 1981, doi:10.1109/TASSP.1981.1163711, a = -1/2). Beyond the edge the nearest pixel is
repeated; `valid_border` says how far that reaches into the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrocast.kernels.registration.view import as_native

Real = NDArray[np.float32]


@njit(inline="always")
def _cubic(f: Any) -> Any:
    one, half = np.float32(1), np.float32(0.5)
    a = -half * f * (one - f) * (one - f)
    d = -half * f * f * (one - f)
    b = one + f * f * (np.float32(1.5) * f - np.float32(2.5))
    return a, b, one - a - b - d, d


@njit(cache=True, nogil=True)
def _shift(frames: NDArray[Any], shifts: NDArray[np.float64], out: Real) -> None:
    n, rows, columns = frames.shape
    for b in range(n):
        dy, dx = int(np.floor(shifts[b, 0])), int(np.floor(shifts[b, 1]))
        a0, a1, a2, a3 = _cubic(np.float32(shifts[b, 0] - dy))
        c0, c1, c2, c3 = _cubic(np.float32(shifts[b, 1] - dx))
        # one row, interpolated along rows, with its ends repeated as far as the shift along columns reaches
        pad = abs(dx) + 2
        row = np.empty(columns + 2 * pad, np.float32)
        for y in range(rows):
            r0 = frames[b, min(max(y + dy - 1, 0), rows - 1)]
            r1 = frames[b, min(max(y + dy, 0), rows - 1)]
            r2 = frames[b, min(max(y + dy + 1, 0), rows - 1)]
            r3 = frames[b, min(max(y + dy + 2, 0), rows - 1)]
            for x in range(columns):
                row[pad + x] = (
                    a0 * np.float32(r0[x]) + a1 * np.float32(r1[x]) + a2 * np.float32(r2[x]) + a3 * np.float32(r3[x])
                )
            row[:pad] = row[pad]
            row[pad + columns :] = row[pad + columns - 1]
            q = pad + dx - 1
            for x in range(columns):
                out[b, y, x] = c0 * row[q + x] + c1 * row[q + x + 1] + c2 * row[q + x + 2] + c3 * row[q + x + 3]


def shift_frames(frames: NDArray[Any], shifts: NDArray[np.float64]) -> Real:
    """Return the frames moved back by ``shifts``: ``out[p] = frame[p + shift]``.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. A NaN spreads to the pixels interpolated from it (at most 4 x 4).
    shifts
        (frame, 2), pixels, row then column, finite.

    Returns
    -------
    numpy.ndarray
        float32, the shape of ``frames``.
    """
    out = np.empty(frames.shape, np.float32)
    _shift(as_native(frames), np.asarray(shifts, np.float64), out)
    return out


@njit(cache=True, nogil=True)
def _finish(moved: Real, offset: np.float32, low: np.float32, high: np.float32, whole: bool, out: NDArray[Any]) -> None:
    values, result = moved.ravel(), out.ravel()  # views: both are contiguous
    for i in range(values.size):
        value = values[i] + offset
        value = low if value < low else value
        value = high if value > high else value
        if whole:
            value = np.float32(0) if np.isnan(value) else np.rint(value)
        result[i] = value


def finish(moved: Real, offset: float, nonnegative: bool, out: NDArray[Any]) -> None:
    """Add ``offset`` and write the result into ``out``, in its dtype.

    With ``nonnegative`` values below zero become zero. Integers are rounded and clipped to what their dtype holds; NaN
    becomes 0 in them.
    """
    low, high = -np.inf, np.inf
    if out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        # the largest float32 that the dtype holds
        low, high = float(limits.min), float(np.nextafter(np.float32(limits.max), np.float32(0)))
        if float(np.float32(limits.max)) <= limits.max:
            high = float(limits.max)
    if nonnegative:
        low = max(low, 0.0)
    _finish(moved, np.float32(offset), np.float32(low), np.float32(high), out.dtype.kind in "iu", out)
