"""Prepare frames for registration: cut a window, bin it, subtract its mean.

The result, float32 (frame, row, column), is called the views of the frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import prev_fast_len

from astrocast.kernels.compiling import njit

#: windows with at least this shorter side are binned 2 x 2: a quarter of the work, and
#: half the photon noise
BINNED_FROM = 96
#: smallest side of a frame that can be registered, pixels
SMALLEST = 8


@dataclass(frozen=True)
class View:
    """The window of a frame that is compared, and its binning.

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
    """Return the view of frames of ``shape`` without a border.

    ``border`` is (top, bottom, left, right), in pixels. The window is cut to even
    lengths for which the FFT is fast; a few more pixels are lost at the edges.
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
def _bin_frames(
    frames: NDArray[Any],
    top: int,
    left: int,
    factor: int,
    out: NDArray[np.float32],
    mean: NDArray[np.float64],
) -> None:
    """Fill ``out`` with binned windows of frames, and ``mean`` with their means.

    ``frames`` (frame, row, column) of any real dtype; the window starts at (``top``,
    ``left``); ``factor`` 1 or 2; ``out`` float32 (frame, row, column); ``mean``
    float64 (frame,), zeros.
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
def _subtract_means(seen: NDArray[np.float32], mean: NDArray[np.float64]) -> None:
    """Subtract a value from each frame, in place.

    ``seen`` float32 (frame, row, column), ``mean`` float64 (frame,).
    """
    for b in range(len(seen)):
        value = np.float32(mean[b])
        for row in seen[b]:
            for x in range(len(row)):
                row[x] -= value


def as_native(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames in a dtype and byte order that compiled loops accept.

    Returns the same array if possible.
    """
    if frames.dtype.kind == "b":
        return frames.view(np.uint8)
    if frames.dtype.itemsize == 2 and frames.dtype.kind == "f":
        return frames.astype(np.float32)
    return frames.astype(frames.dtype.newbyteorder("="), copy=False)


def view_frames(frames: NDArray[Any], view: View) -> NDArray[np.float32]:
    """Return the views of frames: window, binning, mean zero.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. NaN and infinity are replaced by the mean
        of the frame's finite pixels.
    view
        From `plan_view`.

    Returns
    -------
    numpy.ndarray
        float32 (frame, view row, view column); the mean of each frame is zero.
    """
    seen, mean = np.empty((len(frames), *view.shape), np.float32), np.zeros(len(frames))
    _bin_frames(as_native(frames), view.top, view.left, view.factor, seen, mean)
    if not np.isfinite(mean).all():
        finite = np.isfinite(seen)
        count = np.maximum(finite.sum(axis=(1, 2)), 1)
        mean = (
            (np.where(finite, seen, 0).sum(axis=(1, 2)) / count)
            .astype(np.float32)
            .astype(np.float64)
        )
        seen = np.where(finite, seen, mean.astype(np.float32)[:, None, None])
    _subtract_means(seen, mean)
    return seen


@njit(cache=True, nogil=True)
def halve(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return frames binned 2 x 2.

    ``seen`` and the result: float32 (frame, row, column). An odd last row or column is
    left out.
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
    """Return frames moved back by whole pixels: ``out[p] = seen[p + shift]``.

    ``seen`` and the result: float32 (frame, row, column); ``shifts`` int64 (frame, 2).
    Edge pixels are repeated.
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
def cut_patches(
    seen: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    shape: tuple[int, int],
    shifts: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the patches of each frame, displaced by its shift, each with mean zero.

    Parameters
    ----------
    seen
        float32 (frame, row, column).
    rows, columns
        int64 (patch row,) and (patch column,): first row and first column of the
        patches.
    shape
        Rows and columns of a patch.
    shifts
        int64 (frame, 2), pixels.

    Returns
    -------
    numpy.ndarray
        float32 (frame, patch, row, column), patches in raster order.
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
