"""Measure the noise of the smoothed signal, where frame-to-frame noise is too low.

Noise that is correlated between neighbouring voxels (interpolated or denoised
recordings) is reduced less by smoothing than white noise. Flicker adds noise
proportional to the brightness, residual motion adds noise proportional to the gradient
of the background. All three are estimated from values below the background, which no
event reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: pixels are grouped by their slope and within that by their light
_BY_SLOPE, _BY_LIGHT = 6, 4
#: the spread is this quantile of the values below the background, over its value for
#: normal noise (in standard deviations): far out, as rare heights matter
_SHARE, _AT = 0.9545, 2.0
#: least factor: the noise between frames is there, whatever else explains the values
_LEAST_FACTOR = 0.95
#: fewest values below the background in a group
_FEW = 100
#: distance of the sampled voxels along each axis: nearer ones are correlated
_APART = 2
#: largest error of the whole background, in standard deviations
_LARGEST_SHIFT = 0.5


@dataclass(frozen=True)
class SmoothedNoise:
    """Noise of the smoothed signal: three independent parts, added as variances.

    Parameters
    ----------
    factor
        Of the standard deviation expected from white noise and slow fluctuations.
    flicker
        Standard deviation as a share of the brightness of a pixel.
    jitter
        Standard deviation of the displacement, pixels; times the gradient of the
        background.
    shift
        Error of the background, in standard deviations; positive: it is too low.
    """

    factor: float = 1.0
    flicker: float = 0.0
    jitter: float = 0.0
    shift: float = 0.0

    def deviation(
        self,
        noise: NDArray[np.float32],
        light: NDArray[np.float32],
        slope: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the standard deviation expected from noise, brightness and slope."""
        square = (
            (self.factor * noise) ** 2
            + (self.flicker * light) ** 2
            + (self.jitter * slope) ** 2
        )
        return np.asarray(np.sqrt(square), np.float32)


def measure_noise(
    heights: NDArray[np.float32],
    noise: NDArray[np.float32],
    light: NDArray[np.float32],
    slope: NDArray[np.float32],
) -> SmoothedNoise:
    """Estimate the noise of the smoothed signal from values below the background.

    Parameters
    ----------
    heights
        Smoothed signal of some frames over ``noise``, translated to heights of normal
        noise (frame, row, column).
    noise
        Its expected standard deviation, (row, column), float32.
    light, slope
        Brightness and gradient of the background, smoothed as the signal, (row,
        column).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> even = np.ones((90, 90), np.float32)
    >>> heights = 1.5 * rng.normal(size=(90, 90, 90)).astype(np.float32)
    >>> round(measure_noise(heights, even, even, even).factor, 1)
    1.5
    """
    apart = (slice(None, None, _APART),) * 3
    values = heights[apart].reshape(len(heights[apart]), -1)
    a, b = ((v / noise)[apart[1:]].ravel().astype(np.float64) for v in (slope, light))
    centre = _centre(values)
    rows, spreads = [], []
    for group in _groups(a, b):
        below = centre - values[:, group]
        below = below[below > 0]
        if len(below) >= _FEW:
            rows.append(
                [1.0, float(np.mean(b[group] ** 2)), float(np.mean(a[group] ** 2))]
            )
            spreads.append(float(np.quantile(below, _SHARE)) / _AT)
    if not rows:
        return SmoothedNoise()
    factor, flicker, jitter = (
        float(v) for v in np.sqrt(_squares(np.array(rows), np.array(spreads)))
    )
    shift = centre / max(float(np.median(spreads)), 1e-6)
    return SmoothedNoise(
        factor, flicker, jitter, float(np.clip(shift, -_LARGEST_SHIFT, _LARGEST_SHIFT))
    )


def _groups(
    slope: NDArray[np.float64], light: NDArray[np.float64]
) -> list[NDArray[np.int64]]:
    """Return the pixels of each group: by slope, and within that by light."""
    groups: list[NDArray[np.int64]] = []
    for part in np.array_split(np.argsort(slope, kind="stable"), _BY_SLOPE):
        groups += np.array_split(
            part[np.argsort(light[part], kind="stable")], _BY_LIGHT
        )
    return groups


def _squares(
    parts: NDArray[np.float64], spreads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit the variances of the three parts to the squared spread of each group.

    The factor of the noise is at least 1 (least share above).
    """
    from scipy.optimize import nnls

    scale = np.maximum(parts.max(axis=0), 1e-30)
    weight = 1 / np.maximum(spreads, 1e-6) ** 2
    rest = np.maximum(spreads**2 - _LEAST_FACTOR**2, 0)
    found = nnls(parts / scale * weight[:, None], rest * weight)[0] / scale
    found[0] += _LEAST_FACTOR**2
    return np.asarray(found)


def _centre(values: NDArray[Any]) -> float:
    """Return the centre of values, estimated from their density around zero.

    Events hardly change it, as they only add high values.
    """
    below = values[values < 0]
    spread = float(np.median(-below)) / 0.6745 if len(below) else 1.0
    low, high = (
        ((values > -spread / 2) & (values < 0)).sum(),
        ((values > 0) & (values < spread / 2)).sum(),
    )
    return spread * float(2 * np.log(max(high, 1) / max(low, 1)))
