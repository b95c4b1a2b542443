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
