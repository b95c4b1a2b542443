"""The variance of a recording's noise as a function of its brightness.

Photons arrive as a Poisson process and the camera adds noise of its own, so the
variance of a pixel is a linear function of its mean (Foi et al. 2008,
https://doi.org/10.1109/TIP.2008.2001399). It is estimated from differences of
neighbouring frames, which contain neither the baseline nor, except in few frames, the
events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: number of groups of pixels of similar brightness; the line is fitted to their medians
_GROUPS = 24
_ROUNDS = 10
#: a slope below this many standard errors may be positive by chance: the light that
#: follows from it can be thousands of times too large
_LEAST_SLOPE = 4.0


@dataclass(frozen=True)
class NoiseLine:
    """Variance of the noise, ``slope * brightness + intercept``.

    In squared units of the recording.

    Parameters
    ----------
    slope
        Units of the recording per photon; 0 where the variance does not depend on the
        brightness.
    intercept
        Variance at brightness 0.
    floor
        Least variance the line gives.
    certain
        Whether the slope is larger than by chance.
    """

    slope: float
    intercept: float
    floor: float
    certain: bool = True

    def variance(self, brightness: NDArray[Any]) -> NDArray[np.float32]:
        """Return the variance at a brightness."""
        return np.maximum(self.slope * brightness + self.intercept, self.floor).astype(
            np.float32
        )

    def light(self, brightness: NDArray[Any]) -> NDArray[np.float32]:
        """Return the part of a brightness above the camera's offset.

        The offset is where the variance of the photons becomes 0. Where the slope is
        uncertain the light is at most the brightness: offsets are not negative.
        """
        if self.slope <= 0:
            return np.zeros(np.shape(brightness), np.float32)
        above = self.intercept / self.slope
        if not self.certain:
            above = min(above, 0.0)
        return np.maximum(brightness + above, 0).astype(np.float32)


def fit_noise_line(mean: NDArray[Any], step_variance: NDArray[Any]) -> NoiseLine:
    """Return the line through the noise variance of all pixels.

    Parameters
    ----------
    mean
        Mean of each pixel over time, (row, column), finite.
    step_variance
        Half of the mean squared step from frame to frame of each pixel, of the same
        shape.

    Returns
    -------
    NoiseLine
        Fitted to the medians of groups of pixels of similar brightness, robust against
        outlying groups.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.uniform(100, 200, (64, 64))
    >>> line = fit_noise_line(mean, 2 * (mean - 90))
    >>> round(line.slope, 3), round(line.intercept)
    (2.0, -180)
    """
    order = np.argsort(mean, axis=None)
    groups = min(_GROUPS, order.size)
    x = np.array(
        [np.median(g) for g in np.array_split(mean.ravel()[order], groups)], np.float64
    )
    y = np.array(
        [np.median(g) for g in np.array_split(step_variance.ravel()[order], groups)],
        np.float64,
    )
    middle = float(np.median(y))
    floor = max(0.05 * middle, 1e-12)
    # the slope is not determined where all pixels have the same brightness
    if groups < 3 or np.ptp(x) < 1e-6 * max(1.0, float(np.abs(x).max())):
        return NoiseLine(0.0, middle, floor)
    slope, intercept = robust_line(x, y)
    if slope <= 0:
        return NoiseLine(0.0, middle, floor)
    certain = slope > _LEAST_SLOPE * _error_of_slope(x, y, slope, intercept)
    return NoiseLine(slope, intercept, floor, certain)


def _error_of_slope(
    x: NDArray[np.float64], y: NDArray[np.float64], slope: float, intercept: float
) -> float:
    """Return the standard error of the slope of a line, robust to outliers."""
    scatter = 1.4826 * np.median(np.abs(y - slope * x - intercept))
    return float(scatter / np.sqrt(np.sum((x - x.mean()) ** 2)))


def robust_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a line by (nearly) least absolute residuals; return slope and intercept."""
    matrix = np.stack([x - x.mean(), np.ones(len(x))], axis=1)
    weight = np.ones(len(x))
    slope, height = 0.0, float(np.median(y))
    for _ in range(_ROUNDS):
        slope, height = np.linalg.lstsq(
            matrix * weight[:, None], y * weight, rcond=None
        )[0]
        off = np.abs(y - slope * matrix[:, 0] - height)
        weight = 1 / np.sqrt(off + np.median(off) + 1e-12 * (1 + np.abs(y).max()))
    return float(slope), float(height - slope * x.mean())
