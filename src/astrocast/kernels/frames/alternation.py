"""Detect two channels whose frames alternate in one recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: side of the squares that are averaged, in pixels, to reduce the noise
BIN = 4
#: two channels alternate where neighbouring frames differ this many times as much as
#: frames two apart (one channel: at most 1, as activity and drift add up over two
#: frames)
ALTERNATING = 3.0
#: fewest frames for a decision
LEAST_FRAMES = 6


def measure_alternation(frames: Iterable[NDArray[Any]]) -> float:
    """Return the difference of neighbouring frames over that of frames two apart.

    Parameters
    ----------
    frames
        Consecutive frames (row, column), any real dtype, or an array of them. NaN and
        infinity count as 0. One at a time is held at full resolution.

    Returns
    -------
    float
        Median over frames of the mean absolute difference between neighbours, over the
        same between frames that are two apart, both of pixels averaged 4 x 4. About 1
        or less in a recording of one channel; far above 1 where two channels
        alternate. 0 where there are fewer than 6 frames; infinity where frames that are
        two apart are equal and neighbours are not.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> movie = rng.normal(100, 5, (12, 16, 16))
    >>> measure_alternation(movie) < 1.5
    True
    >>> movie[1::2] += 50
    >>> measure_alternation(movie) > 3
    True
    """
    with np.errstate(over="ignore", invalid="ignore"):  # values near 1e308
        few = [_bin_frame(frame) for frame in frames]
        if len(few) < LEAST_FRAMES:
            return 0.0
        binned = np.stack(few)
        near = np.abs(binned[1:] - binned[:-1]).mean(axis=(1, 2))
        far = np.abs(binned[2:] - binned[:-2]).mean(axis=(1, 2))
    one, two = float(np.median(near)), float(np.median(far))
    if one == 0:
        return 0.0
    return one / two if two > 0 else np.inf


def _bin_frame(frame: NDArray[Any]) -> NDArray[np.float64]:
    """Return a frame (row, column) averaged 4 x 4."""
    rows, columns = (max(1, n // BIN) for n in frame.shape)
    height, width = frame.shape[0] // rows, frame.shape[1] // columns
    cut = frame[: rows * height, : columns * width].astype(float)
    cut = np.nan_to_num(cut, posinf=0.0, neginf=0.0)
    return np.asarray(cut.reshape(rows, height, columns, width).mean(axis=(1, 3)))
