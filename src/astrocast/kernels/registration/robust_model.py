"""The template of the weighted least squares, its weights, slopes and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.registration.preprocess import View

Real = NDArray[np.float32]

#: what is smooth over this many pixels of the frame is taken out of the slopes
SMOOTH = 5.0
#: the variance of a pixel is at least this share of the median pixel's
LEAST_VARIANCE = 0.2
#: and its noise at least this share of the template's standard deviation
LEAST_NOISE = 0.01
#: a frame is unevenly lit when more than this share of it seems active; then gain and
#: level are fitted in squares of this radius, pixels of the view
UNEVEN, LIGHT_RADIUS = 0.4, 4
#: outer pixels of the view that do not count
PAD = 2
#: a fit with a gain outside is not a fit
GAINS = 0.2, 5.0


@dataclass(frozen=True)
class Level:
    """A template at one resolution, ready for Gauss-Newton.

    Parameters
    ----------
    template
        float32 (row, column).
    weight
        float32 (row, column): 1 / variance of the noise of a frame's pixel there.
    slopes
        float32 (2, row, column): the smooth part of the template's row and column
        slope.
    """

    template: Real
    weight: Real
    slopes: Real


@dataclass(frozen=True)
class RobustModel:
    """A template as the robust estimate needs it.

    Parameters
    ----------
    view
        The window of the frame, and its binning.
    coarse
        The template at the resolution of the view.
    fine
        The template at the resolution of the frame, in the same window; None where both
        resolutions are the same.
    active_sd
        Usual standard deviation of the smoothed, normalised residual.
    """

    view: View
    coarse: Level
    fine: Level | None
    active_sd: float


@dataclass(frozen=True)
class RobustFit:
    """The fit of some frames.

    Parameters
    ----------
    shifts
        (frame, 2), pixels of the frame.
    gain, level
        (frame,), of the view against the template.
    active
        uint8 (frame, row, column) of the view, in the frame's own place: 1 where tissue
        is active.
    before, after
        (frame,), weighted correlation of the frame with the template, at rest and moved
        by the shift. Neither is interpolated, so that both mean the same.
    even
        bool (frame,): False where so much of the frame seemed active that gain and
        level were fitted in squares around each pixel; ``active`` is then what is left
        after that.
    """

    shifts: NDArray[np.float64]
    gain: NDArray[np.float64]
    level: NDArray[np.float64]
    active: NDArray[np.uint8]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    even: NDArray[np.bool_]


def prepare_level(template: Real, variance: Real, smooth: float | None) -> Level:
    """Return a template with its slopes and weights.

    Parameters
    ----------
    template
        (row, column).
    variance
        (row, column), of the noise of a frame's pixel.
    smooth
        Pixels over which the slopes lose what is smooth; None: nothing.
    """
    slopes = np.empty((2, *template.shape), np.float32)
    for axis in (0, 1):
        slopes[axis] = 0
        if smooth is not None:
            slopes[axis] = ndimage.gaussian_filter(
                -np.gradient(template, axis=axis), smooth, mode="nearest", truncate=3.0
            )
    weight = 1 / np.maximum(variance, 1e-30)
    return Level(
        np.ascontiguousarray(template, np.float32),
        np.ascontiguousarray(weight, np.float32),
        slopes,
    )


def noise_variance(template: Real, own: Real) -> Real:
    """Return the variance of the noise of each pixel, (row, column).

    Parameters
    ----------
    template
        (row, column).
    own
        (row, column): variance of each pixel's residual over time. A pixel that varies
        more than its light explains (motion within the tissue, activity) keeps that.
    """
    # without noise, what interpolation leaves would decide, in a few pixels
    least = (LEAST_NOISE * float(template.std())) ** 2
    usual = max(float(np.median(own)), least, 1e-30)
    x, y = template.ravel()[::3].astype(np.float64), own.ravel()[::3].astype(np.float64)
    # what varies for other reasons than light does not bend the line
    keep = y <= np.percentile(y, 90)
    x, y = x[keep], y[keep]
    spread = x.var()
    slope = (
        max(float(((x - x.mean()) * (y - y.mean())).mean() / spread), 0)
        if spread
        else 0
    )
    line = y.mean() + slope * (template - x.mean())
    line = np.maximum(line, max(LEAST_VARIANCE * usual, least))
    return np.maximum(line, ndimage.uniform_filter(own, 3, mode="nearest")).astype(
        np.float32
    )
