"""Prepare frames for registration: window, binning, mean zero, float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import prev_fast_len

from astrocast.kernels.compiling import njit

#: frames at least this large are binned 2 x 2 first: a quarter of the work, and photon
#: noise halved
BINNED_FROM = 96
#: smaller frames hold too little to compare
SMALLEST = 8


@dataclass(frozen=True)
class View:
    """The part of a frame that is compared, and how coarsely.

    Parameters
    ----------
    top, left
        First row and column of the window, in pixels of the frame.
    shape
        Rows and columns of the view, in binned pixels.
    factor
        Pixels of the frame per pixel of the view, along each axis.
    """

    top: int
    left: int
    shape: tuple[int, int]
    factor: int


def plan_view(
    shape: tuple[int, int], border: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> View:
    """Return the view of frames of ``shape`` without ``border``.

    The border is (top, bottom, left, right), in pixels.

    The window is cut to even lengths that the FFT is fast for (at most a few pixels are
    lost at the edges).
    """
    top, bottom, left, right = border
    inside = (shape[0] - top - bottom, shape[1] - left - right)
    factor = 2 if min(inside) >= BINNED_FROM else 1
    rows, columns = (2 * int(prev_fast_len(n // factor // 2)) for n in inside)
    return View(
        top + (inside[0] - rows * factor) // 2,
        left + (inside[1] - columns * factor) // 2,
        (rows, columns),
        factor,
    )


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _bin(
    frames: NDArray[Any],
    top: int,
    left: int,
    factor: int,
    out: NDArray[np.float32],
    mean: NDArray[np.float64],
) -> None:
    """Write means of ``factor`` x ``factor`` pixels and the mean of each frame.

    ``frames`` of any real dtype (frame, row, column), ``out`` float32 (frame, row,
    column), ``mean`` float64 (frame,).
    """
    n, rows, columns = out.shape
    both = np.empty(2 * columns, np.float32)
    for b in range(n):
        for y in range(rows):
            row, total = out[b, y], np.float32(0)
            if factor == 1:
                upper = frames[b, top + y, left : left + columns]
                for x in range(columns):
                    row[x] = upper[x]
            else:
                upper = frames[b, top + 2 * y, left : left + 2 * columns]
                lower = frames[b, top + 2 * y + 1, left : left + 2 * columns]
                for x in range(2 * columns):
                    both[x] = np.float32(upper[x]) + np.float32(lower[x])
                for x in range(columns):
                    row[x] = (both[2 * x] + both[2 * x + 1]) * np.float32(0.25)
            for x in range(columns):
                total += row[x]
            mean[b] += total
        mean[b] /= rows * columns


@njit(cache=True, nogil=True)
def _subtract(seen: NDArray[np.float32], mean: NDArray[np.float64]) -> None:
    """Subtract the mean of each frame, in place.

    ``seen`` float32 (frame, row, column), ``mean`` float64 (frame,).
    """
    for b in range(len(seen)):
        value = np.float32(mean[b])
        for row in seen[b]:
            for x in range(len(row)):
                row[x] -= value


def as_native(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames in a dtype and byte order that compiled loops accept.

    The same array if it already has them.
    """
    if frames.dtype.kind == "b":
        return frames.view(np.uint8)
    if frames.dtype.itemsize == 2 and frames.dtype.kind == "f":
        return frames.astype(np.float32)
    return frames.astype(frames.dtype.newbyteorder("="), copy=False)


def view_frames(frames: NDArray[Any], view: View) -> NDArray[np.float32]:
    """Return what the registration compares of ``frames``.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. NaN and infinity are replaced by the mean
        of the frame's other pixels.
    view
        From `plan_view`.

    Returns
    -------
    numpy.ndarray
        float32 (frame, view row, view column); the mean of each frame is zero.
    """
    seen, mean = np.empty((len(frames), *view.shape), np.float32), np.zeros(len(frames))
    _bin(as_native(frames), view.top, view.left, view.factor, seen, mean)
    if not np.isfinite(mean).all():
        finite = np.isfinite(seen)
        count = np.maximum(finite.sum(axis=(1, 2)), 1)
        mean = (
            (np.where(finite, seen, 0).sum(axis=(1, 2)) / count)
            .astype(np.float32)
            .astype(np.float64)
        )
        seen = np.where(finite, seen, mean.astype(np.float32)[:, None, None])
    _subtract(seen, mean)
    return seen


@njit(cache=True, nogil=True)
def halve(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the frames binned 2 x 2.

    ``seen`` float32 (frame, row, column).
    """
    n, rows, columns = seen.shape[0], seen.shape[1] // 2, seen.shape[2] // 2
    out = np.empty((n, rows, columns), np.float32)
    for b in range(n):
        for y in range(rows):
            for x in range(columns):
                out[b, y, x] = np.float32(0.25) * (
                    seen[b, 2 * y, 2 * x]
                    + seen[b, 2 * y, 2 * x + 1]
                    + seen[b, 2 * y + 1, 2 * x]
                    + seen[b, 2 * y + 1, 2 * x + 1]
                )
    return out


@njit(cache=True, nogil=True)
def displace_frames(
    seen: NDArray[np.float32], shifts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return frames moved back by whole pixels; edge pixels are repeated.

    ``out[p] = seen[p + shift]``.

    ``seen`` float32 (frame, row, column), ``shifts`` int64 (frame, 2).
    """
    n, rows, columns = seen.shape
    out = np.empty_like(seen)
    for b in range(n):
        dy, dx = shifts[b, 0], shifts[b, 1]
        first, last = min(max(-dx, 0), columns), max(min(columns - dx, columns), 0)
        for y in range(rows):
            source = seen[b, min(max(y + dy, 0), rows - 1)]
            row = out[b, y]
            row[:first] = source[0]
            row[last:] = source[columns - 1]
            if last > first:
                row[first:last] = source[first + dx : last + dx]
    return out


@njit(cache=True, nogil=True)
def patches(
    seen: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    shape: tuple[int, int],
    shifts: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return patches of each frame, each with mean zero.

    They are read at the whole-pixel shift of the frame.

    Parameters
    ----------
    seen
        (frame, row, column).
    rows, columns
        First row of each row of patches and first column of each column of patches.
    shape
        Rows and columns of a patch.
    shifts
        (frame, 2), whole pixels.

    Returns
    -------
    numpy.ndarray
        (frame, patch, row, column), patches in raster order.

    ``seen`` float32 (frame, row, column), ``rows`` and ``columns`` int64, ``shifts``
    int64 (frame, 2).
    """
    n, h, w = seen.shape
    out = np.empty((n, len(rows) * len(columns), shape[0], shape[1]), np.float32)
    for b in range(n):
        for p in range(len(rows) * len(columns)):
            top = rows[p // len(columns)] + shifts[b, 0]
            left = columns[p % len(columns)] + shifts[b, 1]
            total = np.float32(0)
            patch = out[b, p]
            for i in range(shape[0]):
                source = seen[b, min(max(top + i, 0), h - 1)]
                for j in range(shape[1]):
                    value = source[min(max(left + j, 0), w - 1)]
                    patch[i, j] = value
                    total += value
            patch -= total / np.float32(shape[0] * shape[1])
    return out
