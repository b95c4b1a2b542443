"""Interpolation weights between pixels, for moving images and lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit


@njit(cache=True, nogil=True)
def fill_sinc_weights(fraction: float, width: float, weights: NDArray[Any]) -> None:
    """Fill ``weights`` with those of a sinc in a Hann window; their sum is 1.

    ``fraction`` 0 to 1, pixels after the tap in the middle (number ``n // 2 - 1`` of
    ``n``); ``width`` of the window, pixels: it is 0 at half of it on both sides;
    ``weights`` float32 or float64 (tap,), an even number.
    """
    total = 0.0
    n = len(weights)
    for k in range(n):
        d = fraction - (k - n // 2 + 1)
        value = 1.0 if abs(d) < 1e-9 else np.sin(np.pi * d) / (np.pi * d)
        value *= np.cos(np.pi * d / width) ** 2
        weights[k] = value
        total += value
    for k in range(n):
        weights[k] /= total
