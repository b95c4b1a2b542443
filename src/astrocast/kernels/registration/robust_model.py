"""The template for weighted least squares: its weights, slopes and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.registration.preprocess import View

Real = NDArray[np.float32]

#: width of the blur that is subtracted from the slopes, pixels of the frame
SMOOTH = 5.0
#: lower limit of the noise variance of a pixel, as a fraction of the median pixel's
LEAST_VARIANCE = 0.2
#: lower limit of the noise (SD), as a fraction of the template's standard deviation
LEAST_NOISE = 0.01
#: a frame is unevenly lit if more than this fraction of it seems active; then gain and
#: level are fitted in squares of this radius, pixels of the view
UNEVEN, LIGHT_RADIUS = 0.4, 4
#: outer pixels of the view that are not used
PAD = 2
#: a fit with a gain outside these limits is rejected
GAINS = 0.2, 5.0


@dataclass(frozen=True)
class Level:
    """A template at one resolution, ready for Gauss-Newton.

    Parameters
    ----------
    template
        float32 (row, column).
    weight
        float32 (row, column): 1 / variance of the noise of that pixel in a frame.
    slopes
        float32 (2, row, column): smooth part of the template's slope along rows and
        columns.
    """

    template: Real
    weight: Real
    slopes: Real


@dataclass(frozen=True)
class RobustModel:
    """A template prepared for the robust estimate.

    Parameters
    ----------
    view
        The window of the frame, and its binning.
    coarse
        The template at the resolution of the view.
    fine
        The template at the resolution of the frame, in the same window; None if both
        resolutions are equal or it is not needed.
    active_sd
        Median over frames of the standard deviation of the smoothed, normalised
        residual.
    """

    view: View
    coarse: Level
    fine: Level | None
    active_sd: float


@dataclass(frozen=True)
class RobustFit:
    """The fit of some frames to the template.

    Parameters
    ----------
    shifts
        (frame, 2), pixels of the frame.
    gain, level
        (frame,), the view is about ``gain * template + level``.
    active
        uint8 (frame, row, column) of the view, at the frame's position: 1 where tissue
        is active.
    before, after
        (frame,), weighted correlation of the view with the template at rest, and moved
        by the shift. The view is never interpolated: both values can be compared.
    even
        bool (frame,): False if so much of the frame seemed active that gain and level
        were fitted in squares around each pixel; ``active`` then marks the activity
        that remains.
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
        (row, column), variance of the noise of each pixel in a frame.
    smooth
        Width of the blur that is the smooth part of the slopes, pixels; None: the
        smooth part is 0.
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
        (row, column): variance of the residual of each pixel over time. A pixel that
        varies more than others of its brightness (motion within the tissue, activity)
        keeps its own variance.
    """
    # in noise-free movies a few pixels with interpolation errors would dominate
    least = (LEAST_NOISE * float(template.std())) ** 2
    usual = max(float(np.median(own)), least, 1e-30)
    x, y = template.ravel()[::3].astype(np.float64), own.ravel()[::3].astype(np.float64)
    # pixels that vary most (activity, motion) would bias the line
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
