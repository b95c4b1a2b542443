"""Voxels that are NaN or infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit


def frame_means(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the finite values of each frame, float64 (frames,).

    0 where a frame has none.

    Examples
    --------
    >>> frame_means(np.array([[[1.0, np.nan, 3.0]], [[np.inf, np.nan, np.nan]]]))
    array([2., 0.])
    """
    finite = np.isfinite(frames)
    count = finite.sum(axis=(1, 2))
    total = np.where(finite, frames, 0).sum(axis=(1, 2), dtype=np.float64)
    return total / np.maximum(count, 1)


def fill_invalid(
    frames: NDArray[Any], fills: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return frames as float32 without NaN and infinite values, and where they were.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. Values beyond the range of float32 count
        as infinite.
    fills
        Replacement value of each frame, (frames,); None: the mean of its finite values.

    Returns
    -------
    values : numpy.ndarray
        float32; ``frames`` itself where it is that already and all of it is finite.
    invalid : numpy.ndarray or None
        Where values were replaced, bool; None where none were.

    Examples
    --------
    >>> values, invalid = fill_invalid(np.array([[[1.0, np.nan, 3.0]]]))
    >>> values.ravel(), invalid.ravel()
    (array([1., 2., 3.], dtype=float32), array([False,  True, False]))
    """
    with np.errstate(over="ignore"):
        values = frames.astype(np.float32, copy=False)
    if frames.dtype.kind != "f":
        return values, None
    if _is_finite(np.ascontiguousarray(values)):
        return values, None
    finite = np.isfinite(values)
    means = frame_means(values) if fills is None else fills
    return np.where(finite, values, means[:, None, None]).astype(np.float32), ~finite


#: dtypes that kernels convert to float32 themselves, value by value
_COUNTS = (np.uint8, np.uint16)


def fill_or_keep_counts(
    frames: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return frames without NaN and infinite values, and where they were, or None.

    As `fill_invalid`, but frames of 8 and 16 bit are returned as they are, contiguous:
    for kernels that convert values one by one, which costs less than a copy of all.

    Examples
    --------
    >>> fill_or_keep_counts(np.zeros((1, 2, 2), np.uint16))[0].dtype
    dtype('uint16')
    """
    if frames.dtype.type in _COUNTS:
        return np.ascontiguousarray(frames, frames.dtype.newbyteorder("=")), None
    return fill_invalid(frames)


@njit(cache=True, nogil=True)
def _is_finite(values: Any) -> bool:
    """Return whether all values, float32 (frame, row, column), are finite."""
    for frame in values:
        for line in frame:
            if not np.isfinite(_sum(line)):
                return False
    return True


# sums in any order are sums of vectors; NaN and infinity remain in the sum. Whether it
# is finite is asked elsewhere: with these options a compiler may answer "always"
@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _sum(line: Any) -> float:
    """Return the sum of values, float32 (column,), float64."""
    total = 0.0
    for x in range(len(line)):
        total += np.float64(line[x])
    return total


def largest_rectangle(filled: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns of the largest rectangle of true pixels.

    Of several equally large ones the topmost, then leftmost. Each row is the bottom of
    rectangles whose height at each column is the number of true pixels above it.

    Parameters
    ----------
    filled
        bool (row, column).

    Examples
    --------
    >>> filled = np.ones((4, 6), bool)
    >>> filled[0], filled[:, 5] = False, False
    >>> largest_rectangle(filled)
    (slice(1, 4, None), slice(0, 5, None))
    """
    heights = np.zeros(filled.shape[1] + 1, np.int64)
    best, found = 0, (slice(0, 0), slice(0, 0))
    for row in range(filled.shape[0]):
        heights[:-1] = np.where(filled[row], heights[:-1] + 1, 0)
        open_at: list[int] = []  # columns of rising heights
        for column, height in enumerate(heights.tolist()):
            while open_at and heights[open_at[-1]] >= height:
                tall = int(heights[open_at.pop()])
                left = open_at[-1] + 1 if open_at else 0
                if tall * (column - left) > best:
                    best = tall * (column - left)
                    found = slice(row + 1 - tall, row + 1), slice(left, column)
            open_at.append(column)
    return found
