"""The probability that noise alone reaches a height anywhere in a recording.

The maxima of smoothed white noise are counted by the expected Euler characteristic of
the set above a level (Adler 1981; Worsley et al. 1996,
https://doi.org/10.1002/(SICI)1097-0193(1996)4:1<58::AID-HBM4>3.0.CO;2-O): at high
levels it is the number of places where noise exceeds the level.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: range of thresholds; beyond it real noise is not normal
_LOWEST, _HIGHEST = 3.0, 12.0


def false_maxima(
    height: Any, voxels: float, sigma: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the expected number of noise maxima above a height.

    Parameters
    ----------
    height
        Height in standard deviations of the smoothed noise, above about 3.
    voxels
        Number of voxels of the recording.
    sigma
        Standard deviations of the Gaussian that the white noise was smoothed with:
        space and time.

    Examples
    --------
    >>> float(false_maxima(5.0, 1e6, (1.5, 1.5)).round(3))
    0.237
    """
    u = np.asarray(height, np.float64)
    roughness = 1 / (math.sqrt(2) * sigma[0]) ** 2 / (math.sqrt(2) * sigma[1])
    return np.asarray(
        voxels * roughness / (2 * math.pi) ** 2 * (u * u - 1) * np.exp(-u * u / 2)
    )


def height_for(expected: float, voxels: float, sigma: tuple[float, float]) -> float:
    """Return the height that noise exceeds ``expected`` times in ``voxels`` voxels."""
    low, high = _LOWEST, _HIGHEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if false_maxima(middle, voxels, sigma) > expected
            else (low, middle)
        )
    return high


def confidence(
    height: Any, voxels: float, sigma: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the probability that noise does not reach a height anywhere, 0 to 1.

    See `false_maxima` for the parameters.

    Examples
    --------
    >>> confidence([4.5, 6.0], 1e6, (1.5, 1.5)).round(3)
    array([0.129, 0.999])
    """
    return np.exp(-false_maxima(np.maximum(height, 2.0), voxels, sigma))
