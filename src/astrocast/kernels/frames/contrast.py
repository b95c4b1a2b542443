"""From signal to the grey values of a screen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit


def map_contrast(frames: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map ``low`` to 0 and ``high`` to 255, linearly; values beyond are cut.

    Parameters
    ----------
    frames
        Any shape, any real dtype. Not changed.
    low, high
        Signal that becomes black and white; ``high`` must be above ``low``.

    Returns
    -------
    numpy.ndarray
        uint8, of the shape of ``frames``; NaN becomes 0.

    Examples
    --------
    >>> map_contrast(np.array([0.0, 10.0, 15.0, 99.0, np.nan]), 10, 20)
    array([  0,   0, 128, 255,   0], dtype=uint8)
    """
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise InvalidValueError(
            f"contrast from {low!r} to {high!r}: two finite numbers are needed, the"
            " second above the first"
        )
    flat = np.ascontiguousarray(frames).reshape(-1)
    out = np.empty(flat.size, np.uint8)
    _map_contrast(flat, float(low), 255.0 / (float(high) - float(low)), out)
    return out.reshape(frames.shape)


def map_contrast_small(
    frames: NDArray[Any], low: float, high: float, step: int
) -> NDArray[np.uint8]:
    """Return grey values of frames that are made smaller, for a screen with few pixels.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. Not changed.
    low, high
        As for `map_contrast`.
    step
        Pixels along each side whose mean is one grey value; those at the far edges may
        hold fewer.

    Returns
    -------
    numpy.ndarray
        uint8 (frame, ceil(rows / step), ceil(columns / step)); 0 where a pixel is NaN.

    Examples
    --------
    >>> map_contrast_small(np.array([[[0, 2, 9], [0, 2, 9]]]), 0, 255, 2)
    array([[[1, 9]]], dtype=uint8)
    """
    if step < 1 or frames.ndim != 3:
        raise InvalidValueError(
            f"a step of {step} over {frames.ndim} axes; expected 1 or more, and frames"
            " (frame, row, column)"
        )
    if step == 1:
        return map_contrast(frames, low, high)
    map_contrast(np.zeros(1), low, high)  # checks both
    count, rows, columns = frames.shape
    out = np.empty((count, -(-rows // step), -(-columns // step)), np.uint8)
    scale = 255.0 / (float(high) - float(low))
    _map_means(np.ascontiguousarray(frames), float(low), scale, step, out)
    return out


@njit(cache=True, nogil=True)
def _map_means(values: Any, low: float, scale: float, step: int, out: Any) -> None:
    """Write the grey value of the mean of ``step`` x ``step`` pixels to ``out``.

    ``values`` (frame, row, column) of any real dtype, ``out`` uint8 (frame, row,
    column), its sides those of ``values`` / ``step``, rounded up.
    """
    count, rows, columns = values.shape
    sums = np.empty(out.shape[2], np.float64)
    for t in range(count):
        for i in range(out.shape[1]):
            sums[:] = 0.0
            last = min((i + 1) * step, rows)
            for r in range(i * step, last):
                for j in range(out.shape[2]):
                    for c in range(j * step, min((j + 1) * step, columns)):
                        sums[j] += values[t, r, c]
            for j in range(out.shape[2]):
                n = (last - i * step) * (min((j + 1) * step, columns) - j * step)
                level = (sums[j] / n - low) * scale
                if level >= 255.0:
                    out[t, i, j] = 255
                elif level > 0.0:
                    out[t, i, j] = np.uint8(level + 0.5)
                else:
                    out[t, i, j] = 0


@njit(cache=True, nogil=True)
def _map_contrast(values: Any, low: float, scale: float, out: Any) -> None:
    """Write (value - low) * scale, cut to 0 ... 255 and rounded, to ``out``.

    ``values`` (n,) of any real dtype, ``out`` uint8 (n,).
    """
    for i in range(values.size):
        level = (values[i] - low) * scale
        if level >= 255.0:
            out[i] = 255
        elif level > 0.0:
            out[i] = np.uint8(level + 0.5)
        else:
            out[i] = 0
