"""Measure the noise of the smoothed signal, where frame-to-frame noise is too low.

Noise that is alike in neighbouring voxels (interpolated or denoised recordings) has
more left after smoothing than white noise; light that flickers adds a share of the
light, motion that was left a share of the background's slopes. All is taken from values
below the background, where no event reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: pixels are grouped by their slope and within that by their light
_BY_SLOPE, _BY_LIGHT = 6, 4
#: the spread is told from this share of the values below the background, which normal
#: ones reach at that many standard deviations: well out, as it is about rare heights
_SHARE, _AT = 0.9545, 2.0
#: what steps between frames show of noise is there, whatever else seems to explain it
_LEAST_FACTOR = 0.95
#: values below the background that a group must have
_FEW = 100
#: voxels are taken this far apart along each axis: nearer ones hardly add to what is
#: known
_APART = 2
#: how far the background may be off as a whole, in standard deviations
_LARGEST_SHIFT = 0.5


@dataclass(frozen=True)
class SmoothedNoise:
    """Noise of the smoothed signal: the square root of the sum of three squares.

    Parameters
    ----------
    factor
        Of what white noise and slow fluctuations are expected to leave.
    flicker
        Share of the light of a pixel.
    jitter
        Share of the slope of the background: pixels of displacement.
    shift
        By how much the background is too low, in standard deviations.
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
    """Return what the noise is measured to be.

    Parameters
    ----------
    heights
        Smoothed signal of some frames over ``noise``, translated to heights of normal
        noise (frame, row, column).
    noise
        What is expected of it, (row, column).
    light, slope
        Light and gradient of the background, smoothed as the signal is, (row, column).

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
    """Return the terms that fit the squared relative deviation of each group best.

    The deviation is at least that of the noise.
    """
    from scipy.optimize import nnls

    scale = np.maximum(parts.max(axis=0), 1e-30)
    weight = 1 / np.maximum(spreads, 1e-6) ** 2
    rest = np.maximum(spreads**2 - _LEAST_FACTOR**2, 0)
    found = nnls(parts / scale * weight[:, None], rest * weight)[0] / scale
    found[0] += _LEAST_FACTOR**2
    return np.asarray(found)


def _centre(values: NDArray[Any]) -> float:
    """Return the centre of values, from the slope of their density at zero.

    Events hardly change it.
    """
    below = values[values < 0]
    spread = float(np.median(-below)) / 0.6745 if len(below) else 1.0
    low, high = (
        ((values > -spread / 2) & (values < 0)).sum(),
        ((values > 0) & (values < spread / 2)).sum(),
    )
    return spread * float(2 * np.log(max(high, 1) / max(low, 1)))
