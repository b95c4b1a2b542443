"""Agreement of frames with the template, trust in frames, and invalid borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.preprocess import as_native

Real = NDArray[np.float32]
Shifts = TypeVar("Shifts", NDArray[np.float32], NDArray[np.float64])

#: a frame is not trusted if its correlation is this many robust standard deviations
#: below the sample's median ...
DEVIATIONS = 8.0
#: ... and below this fraction of the median (in clean recordings deviations are tiny)
SHARE = 0.5
#: the mean image is blurred by this many pixels before its crispness is measured
BLUR = 1.0
#: a frame is clipped if the fraction of its pixels at its lowest or highest value
#: exceeds the sample's median by this much
CLIPPED = 0.2


@dataclass(frozen=True)
class NormalRange:
    """Limits, derived from a sample, within which a frame is trusted.

    Parameters
    ----------
    correlation
        Least correlation with the template.
    clipped
        Largest fraction of pixels at the lowest or highest value of the frame.
    """

    correlation: float
    clipped: float

    def trusts(
        self, correlation: NDArray[np.float64], clipped: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which frames are within the limits, bool (frame,)."""
        return (
            (correlation >= self.correlation)
            & (correlation > 0)
            & (clipped <= self.clipped)
        )


@njit(cache=True, nogil=True, fastmath=True)
def agreement(
    seen: Real, template: Real, window: Real
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the correlation of frames with the template, and the displacement left.

    Parameters
    ----------
    seen
        float32 (frame, row, column), finite.
    template
        float32 (row, column).
    window
        float32 (row, column), weight of each pixel.

    Returns
    -------
    correlation
        float64 (frame,), weighted Pearson correlation; 0 for a constant frame or
        template.
    residual
        float64 (frame, 2), pixels: displacement that explains the difference between
        frame and template, by least squares (one step of Lucas & Kanade 1981, for small
        displacements); 0 where the correlation is not positive.
    """
    n, rows, columns = seen.shape
    correlation, residual = np.zeros(n), np.zeros((n, 2))
    for b in range(n):
        weight = first = second = cross = mean_t = square_t = 0.0
        for y in range(1, rows - 1):
            w0 = t0 = f1 = f2 = c0 = t2 = np.float32(0)
            for x in range(1, columns - 1):
                w, t, f = window[y, x], template[y, x], seen[b, y, x]
                w0 += w
                f1 += w * f
                f2 += w * f * f
                c0 += w * f * t
                t0 += w * t
                t2 += w * t * t
            weight += float(w0)
            first += float(f1)
            second += float(f2)
            cross += float(c0)
            mean_t += float(t0)
            square_t += float(t2)
        if weight <= 0:
            continue
        covariance = cross - first * mean_t / weight
        variance_f, variance_t = (
            second - first * first / weight,
            square_t - mean_t * mean_t / weight,
        )
        if variance_f <= 1e-7 * second or variance_t <= 0 or second <= 0:
            continue
        correlation[b] = covariance / np.sqrt(variance_f * variance_t)
        gain = covariance / variance_t
        if gain <= 0:
            continue
        offset = (first - gain * mean_t) / weight
        residual[b] = _displacement(
            seen[b], template, window, np.float32(gain), np.float32(offset)
        )
    return correlation, residual


@njit(cache=True, nogil=True, fastmath=True)
def _displacement(
    frame: Real, template: Real, window: Real, gain: np.float32, offset: np.float32
) -> tuple[float, float]:
    """Return the displacement of a frame from the template's gradients, pixels.

    ``frame``, ``template`` and ``window`` float32 (row, column). Returns two float64:
    along rows and along columns; 0 if the gradients do not determine them.
    """
    rows, columns = frame.shape
    yy = xx = yx = dy = dx = 0.0
    half = np.float32(0.5)
    for y in range(1, rows - 1):
        syy = sxx = syx = sdy = sdx = np.float32(0)
        for x in range(1, columns - 1):
            w = window[y, x]
            gy = half * (template[y + 1, x] - template[y - 1, x])
            gx = half * (template[y, x + 1] - template[y, x - 1])
            left = gain * template[y, x] + offset - frame[y, x]
            syy += w * gy * gy
            sxx += w * gx * gx
            syx += w * gy * gx
            sdy += w * gy * left
            sdx += w * gx * left
        yy += float(syy)
        xx += float(sxx)
        yx += float(syx)
        dy += float(sdy)
        dx += float(sdx)
    determinant = gain * (yy * xx - yx * yx)
    if determinant <= 1e-9 * gain * yy * xx:
        return 0.0, 0.0
    return float((xx * dy - yx * dx) / determinant), float(
        (yy * dx - yx * dy) / determinant
    )


@njit(cache=True, nogil=True, fastmath=True)
def measure_clipping(seen: Real) -> NDArray[np.float64]:
    """Return the fraction of pixels at the minimum or maximum of each frame.

    ``seen`` float32 (frame, row, column). Returns the larger fraction, float64
    (frame,).
    """
    n, rows, columns = seen.shape
    shares = np.zeros(n)
    for b in range(n):
        low = high = seen[b, 0, 0]
        for row in seen[b]:
            for x in range(columns):
                low, high = min(low, row[x]), max(high, row[x])
        at_low = at_high = 0
        for row in seen[b]:
            least = most = np.int32(0)
            for x in range(columns):
                least += np.int32(row[x] == low)
                most += np.int32(row[x] == high)
            at_low, at_high = at_low + int(least), at_high + int(most)
        shares[b] = max(at_low, at_high) / (rows * columns)
    return shares


def estimate_noise_level(frames: NDArray[np.generic]) -> float:
    """Return the standard deviation of pixel noise, from differences of neighbours.

    ``frames`` (frame, row, column), any real dtype. The median makes the result robust
    to edges in the image.
    """
    values = frames.astype(np.float32)
    corner = (
        values[:, 1:, 1:]
        - values[:, 1:, :-1]
        - values[:, :-1, 1:]
        + values[:, :-1, :-1]
    )
    finite = corner[np.isfinite(corner)]
    return float(np.median(np.abs(finite))) / (2 * 0.6745) if finite.size else 0.0


def normal_range(
    correlation: NDArray[np.float64], clipped: NDArray[np.float64]
) -> NormalRange:
    """Return the limits derived from a sample: correlation and clipped fraction."""
    middle = float(np.median(correlation))
    spread = 1.4826 * float(np.median(np.abs(correlation - middle)))
    least = min(middle - DEVIATIONS * spread, SHARE * middle)
    return NormalRange(max(least, 0.0), float(np.median(clipped)) + CLIPPED)


def crispness(image: NDArray[np.floating]) -> float:
    """Return the root mean square gradient of an image, in its units per pixel.

    Pnevmatikakis & Giovannucci 2017 (doi:10.1016/j.jneumeth.2017.07.031) use the norm
    of the gradient; the mean can be compared between images of different size.
    """
    if min(image.shape) < 2:
        return 0.0
    rows, columns = np.gradient(image.astype(np.float64))
    return float(np.sqrt(np.mean(rows**2 + columns**2)))


def mean_crispness(image: NDArray[np.floating]) -> float:
    """Return the crispness of a mean image after a blur of one pixel.

    Interpolation lowers the noise of corrected frames. Without the blur, the mean of
    few or dim corrected frames would seem less crisp although its structure is sharper.
    """
    blurred = ndimage.gaussian_filter(image.astype(np.float64), BLUR, mode="nearest")
    return crispness(blurred)


def valid_border(shifts: NDArray[np.floating]) -> tuple[int, int, int, int]:
    """Return the border of corrected frames that lies outside at least one raw frame.

    Parameters
    ----------
    shifts
        (..., 2), pixels, of all frames to consider.

    Returns
    -------
    tuple of int
        Pixels at (top, bottom, left, right).
    """
    flat = shifts.reshape(-1, 2)
    if not len(flat):
        return (0, 0, 0, 0)
    # shifts below 0.05 pixels are errors of the estimate
    low, high = np.minimum(flat.min(0), 0) + 0.05, np.maximum(flat.max(0), 0) - 0.05
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    return tuple(int(v) for v in np.ceil([-low[0], high[0], -low[1], high[1]]))  # type: ignore[return-value]


def interpolate_bad_frames(shifts: Shifts, bad: NDArray[np.bool_]) -> Shifts:
    """Replace the shifts of bad frames by interpolation in time between good frames.

    ``shifts`` (frame, ...), ``bad`` bool (frame,). If all frames are bad, the result is
    zero.
    """
    if not bad.any():
        return shifts
    if bad.all():
        return np.zeros_like(shifts)
    frames = np.arange(len(shifts))
    flat = shifts.reshape(len(shifts), -1).copy()
    for column in flat.T:
        column[bad] = np.interp(frames[bad], frames[~bad], column[~bad])
    return flat.reshape(shifts.shape)


def field_border(nodes: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Return `valid_border` of fields (frame, 2, row node, column node).

    Only shifts at the edges of the frame are used.
    """
    if not len(nodes):
        return (0, 0, 0, 0)
    rows, columns = nodes[:, 0], nodes[:, 1]
    edges = (rows[:, 0], rows[:, -1], columns[:, :, 0], columns[:, :, -1])
    moved = [np.repeat(edge.reshape(-1, 1), 2, axis=1) for edge in edges]
    return tuple(valid_border(m)[i] for i, m in enumerate(moved))  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def _line_sums(frames: NDArray[Any], step: int) -> Any:
    """Return sum, sum of squares and count of each row and of each column.

    ``frames`` (frame, row, column) of any real dtype; every ``step``-th one is used,
    and values that are not finite count as 0. Returns two tuples of float64 (row,) or
    (column,) twice, and an int64.
    """
    n, rows, columns = frames.shape
    row_sum, row_square, sums, squares = (
        np.zeros(rows),
        np.zeros(rows),
        np.zeros(columns),
        np.zeros(columns),
    )
    for b in range(0, n, step):
        for y in range(rows):
            line, first, second = frames[b, y], 0.0, 0.0
            for x in range(columns):
                value = np.float64(line[x])
                value = value if np.isfinite(value) else np.float64(0)
                sums[x] += value
                squares[x] += value * value
                first += value
                second += value * value
            row_sum[y] += first
            row_square[y] += second
    count = (n + step - 1) // step
    return (row_sum, row_square, count * columns), (sums, squares, count * rows)


def dark_border(sample: NDArray[np.generic]) -> tuple[int, int, int, int]:
    """Return the width of the dark border of all frames, (top, bottom, left, right).

    A border that does not move with the tissue (dark camera edge, zeros of an earlier
    correction) would bias every shift towards zero. A line is dark if its mean is
    within a tenth of the way from the darkest to the median line, and its standard
    deviation over space and time is at most a tenth of the median line's. At most a
    quarter of the frame is taken from each side.

    ``sample`` (frame, row, column), any real dtype.
    """
    borders: list[int] = []
    for total, square, count in _line_sums(
        as_native(sample), max(1, len(sample) // 32)
    ):
        mean = total / count
        spread = np.sqrt(np.maximum(square / count - mean**2, 0))
        level = mean.min() + 0.1 * (np.median(mean) - mean.min())
        dark = (mean <= level) & (spread <= 0.1 * np.median(spread))
        most = len(mean) // 4
        for side in (dark, dark[::-1]):
            lit = np.flatnonzero(~side)
            borders.append(min(int(lit[0]) if len(lit) else 0, most))
    return borders[0], borders[1], borders[2], borders[3]
