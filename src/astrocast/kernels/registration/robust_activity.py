"""Kernels for weights, activity, uneven light and weighted correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.median import median_of_positive
from astrocast.kernels.registration.robust_model import (
    GAINS,
    LIGHT_RADIUS,
    PAD,
)

Real = NDArray[np.float32]

#: a smoothed residual beyond this many standard deviations is activity
ACTIVE = 4.0
#: the residual is smoothed over this many pixels of the view, along each axis
BOX = 5
#: its standard deviation is taken from every third pixel along each axis
SAMPLED = 3
#: active regions are dilated by this many pixels of the view
GROWN = 1
#: factor for the weight of active pixels: they matter only if nearly all are active
FLOOR = 0.02


@njit(cache=True, nogil=True)
def place_weight(weight: Real, iy: int, ix: int, out: Real) -> None:
    """Fill ``out`` with ``weight`` moved by whole pixels (``iy``, ``ix``); 0 outside.

    ``weight`` and ``out`` float32 (row, column).
    """
    h, w = weight.shape
    first, last = min(max(ix, 0), w), max(min(w, w + ix), 0)
    # loops, as the assignment of slices costs five times as much
    for y in range(h):
        row = out[y]
        if not 0 <= y - iy < h or last <= first:
            for x in range(w):
                row[x] = 0
            continue
        for x in range(first):
            row[x] = 0
        for x in range(last, w):
            row[x] = 0
        source, target = weight[y - iy, first - ix : last - ix], row[first:last]
        for x in range(last - first):
            target[x] = source[x]


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def weighted_sums(
    frame: Real, model: Real, weight: Real, pad: int, sums: NDArray[np.float64]
) -> None:
    """Fill ``sums`` with the sums of w, wf, wm, wff, wmm and wfm over two images.

    ``frame`` (f), ``model`` (m) and ``weight`` (w) float32 (row, column); ``sums``
    float64 (6,). ``pad`` outer pixels, and values of the frame that are not finite, are
    left out.
    """
    h, w = frame.shape
    sums[:] = 0
    for y in range(pad, h - pad):
        # slices that start at 0: a loop that starts at ``pad`` is not vectorized
        f, m, c = frame[y, pad : w - pad], model[y, pad : w - pad], weight[y]
        c = c[pad : w - pad]
        s0 = s1 = s2 = s3 = s4 = s5 = np.float32(0)
        for x in range(w - 2 * pad):
            value = f[x]
            known = abs(value) < np.float32(3e38)
            a = c[x] if known else np.float32(0)
            value = value if known else np.float32(0)
            s0 += a
            s1 += a * value
            s2 += a * m[x]
            s3 += a * value * value
            s4 += a * m[x] * m[x]
            s5 += a * value * m[x]
        sums[0] += s0
        sums[1] += s1
        sums[2] += s2
        sums[3] += s3
        sums[4] += s4
        sums[5] += s5


@njit(cache=True, nogil=True)
def weighted_correlation(frame: Real, model: Real, weight: Real, pad: int) -> float:
    """Return the weighted Pearson correlation of two images, float64.

    ``frame``, ``model`` and ``weight`` float32 (row, column); ``pad`` outer pixels are
    left out. 0 if one image is constant or no pixel has a weight.
    """
    s = np.empty(6)
    weighted_sums(frame, model, weight, pad, s)
    if s[0] <= 0:
        return 0.0
    of_frame = s[3] - s[1] * s[1] / s[0]
    of_model = s[4] - s[2] * s[2] / s[0]
    if of_frame <= 1e-6 * s[3] or of_model <= 0:
        return 0.0
    return float((s[5] - s[1] * s[2] / s[0]) / np.sqrt(of_frame * of_model))


@njit(cache=True, nogil=True)
def fit_light(frame: Real, moved: Real, weight: Real, fit: NDArray[np.float64]) -> None:
    """Fill gain and level of ``fit`` by weighted regression on the moved template.

    ``frame``, ``moved`` (the template) and ``weight`` float32 (row, column); ``fit``
    float64 (4,): shift, gain, level.
    """
    s = np.empty(6)
    weighted_sums(frame, moved, weight, PAD, s)
    if s[0] <= 0:
        return
    power = s[4] - s[2] * s[2] / s[0]
    if power > 0:
        fit[2] = (s[5] - s[1] * s[2] / s[0]) / power
    fit[3] = (s[1] - fit[2] * s[2]) / s[0]


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _smooth_residual(
    frame: Real, moved: Real, weight: Real, fit: NDArray[np.float64], smooth: Real
) -> None:
    """Fill ``smooth`` with sums of the normalised residual over BOX x BOX pixels.

    ``frame``, ``moved``, ``weight`` and ``smooth`` float32 (row, column), ``fit``
    float64 (4,). Edges are repeated; residuals are clipped to +-ACTIVE. Only BOX rows
    of intermediate sums are stored, so that they stay in the cache.
    """
    h, w = frame.shape
    half = BOX // 2
    gain, level, most = np.float32(fit[2]), np.float32(fit[3]), np.float32(ACTIVE)
    across = np.empty((BOX, w), np.float32)
    line = np.empty(w + 2 * half, np.float32)
    middle = line[half : half + w]
    for y in range(h + half):
        if y < h:
            f, m, c = frame[y], moved[y], weight[y]
            for x in range(w):
                r = (f[x] - gain * m[x] - level) * np.sqrt(c[x])
                r = r if abs(r) < np.float32(3e38) else np.float32(0)
                r = r if r < most else most
                middle[x] = r if r > -most else -most
            for x in range(half):
                line[x] = middle[0]
                line[half + w + x] = middle[w - 1]
            row = across[y % BOX]
            for x in range(w):
                row[x] = line[x] + line[x + 1] + line[x + 2] + line[x + 3] + line[x + 4]
        if y < half:
            continue
        at, last, out = y - half, h - 1, smooth[y - half]
        a, b = across[max(at - 2, 0) % BOX], across[max(at - 1, 0) % BOX]
        d, e = across[min(at + 1, last) % BOX], across[min(at + 2, last) % BOX]
        c = across[at % BOX]
        for x in range(w):
            out[x] = a[x] + b[x] + c[x] + d[x] + e[x]


@njit(cache=True, nogil=True)
def find_active(
    frame: Real,
    moved: Real,
    weight: Real,
    fit: NDArray[np.float64],
    usual: float,
    active: NDArray[np.uint8],
) -> float:
    """Fill ``active`` with 1 where the tissue is active, else 0.

    Images and ``fit`` as in `robust_steps.normal_equations`; ``active`` uint8 (row,
    column); ``usual``: standard deviation of the smoothed residual in other frames, 0
    if not known. Returns this standard deviation (robust) in the frame, float64.
    """
    h, w = frame.shape
    smooth = np.empty((h, w), np.float32)
    _smooth_residual(frame, moved, weight, fit, smooth)
    few = np.abs(smooth[::SAMPLED, ::SAMPLED]).ravel()
    sd = 1.4826 * median_of_positive(few)
    if usual > 0:
        sd = min(max(sd, 0.7 * usual), 1.5 * usual)
    limit = np.float32(max(ACTIVE * sd, 1e-6))
    active[:] = 0
    for y in range(h):
        if not exceeds(smooth[y], limit):
            continue
        for x in range(w):
            if abs(smooth[y, x]) > limit:
                active[
                    max(0, y - GROWN) : y + GROWN + 1, max(0, x - GROWN) : x + GROWN + 1
                ] = 1
    return float(sd)


@njit(cache=True, nogil=True)
def exceeds(values: Any, limit: Any) -> Any:
    """Return whether any absolute value is above a limit; fast because vectorized.

    ``values`` float32 or uint8 (column,), ``limit`` of the same dtype. Returns bool.
    """
    count = np.int32(0)
    for x in range(len(values)):
        count += np.int32(abs(values[x]) > limit)
    return count > 0


@njit(cache=True, nogil=True)
def weigh_down(weight: Real, active: NDArray[np.uint8], factor: int) -> None:
    """Lower the weights of active pixels, in place.

    ``active`` uint8 (row, column) of the view; ``weight`` float32 (row, column) with
    ``factor`` pixels per pixel of the view.
    """
    floor = np.float32(FLOOR)
    for y in range(len(active)):
        if not exceeds(active[y], np.uint8(0)):
            continue
        for x in range(active.shape[1]):
            if active[y, x]:
                weight[
                    y * factor : (y + 1) * factor, x * factor : (x + 1) * factor
                ] *= floor


@njit(cache=True, nogil=True)
def local_means(values: Real, radius: int, out: Real) -> None:
    """Fill ``out`` with means over squares of 2 x ``radius`` + 1 pixels.

    ``values`` and ``out`` float32 (row, column). At the edges the square is cut.
    """
    h, w = values.shape
    total = np.zeros((h + 1, w + 1))
    for y in range(h):
        line = 0.0
        for x in range(w):
            line += values[y, x]
            total[y + 1, x + 1] = total[y, x + 1] + line
    for y in range(h):
        y0, y1 = max(0, y - radius), min(h, y + radius + 1)
        for x in range(w):
            x0, x1 = max(0, x - radius), min(w, x + radius + 1)
            added = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
            out[y, x] = added / ((y1 - y0) * (x1 - x0))


@njit(cache=True, nogil=True)
def even_light(frame: Real, moved: Real, own: Real, evened: Real) -> None:
    """Fill ``evened`` with the frame, its light matched locally to the template's.

    ``frame``, ``moved`` (template), ``own`` (weights, scaled in place) and ``evened``:
    float32 (row, column). A gain and a level are fitted in the square around each pixel
    (local linear model of He, Sun & Tang 2013, doi:10.1109/TPAMI.2012.213).
    """
    radius = LIGHT_RADIUS
    mean_f, mean_m = np.empty_like(frame), np.empty_like(frame)
    mean_fm, mean_mm = np.empty_like(frame), np.empty_like(frame)
    local_means(frame, radius, mean_f)
    local_means(moved, radius, mean_m)
    local_means(frame * moved, radius, mean_fm)
    local_means(moved * moved, radius, mean_mm)
    power = mean_mm - mean_m * mean_m
    # the ridge moves the gain to 1 where the template has no structure
    ridge = np.float32(0.1 * max(float(np.mean(power)), 1e-12))
    gain = (mean_fm - mean_f * mean_m + ridge) / (power + ridge)
    low, high = np.float32(GAINS[0]), np.float32(GAINS[1])
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            a = min(max(gain[y, x], low), high)
            evened[y, x] = (frame[y, x] - mean_f[y, x]) / a + mean_m[y, x]
            own[y, x] *= a * a
