"""Voxels that hold no number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def frame_means(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of finite values of each frame, (frames,); 0 without any.

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
    """Return frames as float32 with NaN and infinity replaced, and a mask of these.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. Values beyond the range of float32 count
        as infinite.
    fills
        What to put in each frame, (frames,); the mean of its finite values, its least
        conspicuous value, when None.

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
    finite = np.isfinite(values)
    if finite.all():
        return values, None
    means = frame_means(values) if fills is None else fills
    return np.where(finite, values, means[:, None, None]).astype(np.float32), ~finite
