"""The shift of a frame by weighted least squares: activity does not pull it.

A frame is modelled as ``gain * template(moved by the shift) + level``. The shift, gain
and level are refined by Gauss-Newton steps; the template is moved, never the frame, so
that noise stays white. Three properties keep events from pulling:

- pixels whose residual is too large for their noise do not count (iteratively
  reweighted least squares);
- regions in which the smoothed residual is too large (activity) hardly count;
- the slopes that the residual is compared with contain nothing that is smooth over a
  few pixels (instrumental variables), so that smooth light is orthogonal to them.

The mask is found at the resolution of the view; the last steps use all pixels of the
frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.preprocess import View

Real = NDArray[np.float32]

#: outer pixels of the view that do not count
PAD = 2
#: length of the windowed sinc that moves the template, pixels
TAPS = 8
#: what is smooth over this many pixels of the frame is taken out of the slopes
SMOOTH = 5.0
#: a residual beyond this many standard deviations does not count
OUTLIER = 6.0
#: a smoothed residual beyond this many standard deviations is activity
ACTIVE = 4.0
#: the residual is smoothed over this many pixels of the view, along each axis
BOX = 5
#: activity is widened by this many pixels of the view
GROWN = 1
#: weight of active pixels: they decide only where nearly everything is active
FLOOR = 0.02
#: Gauss-Newton ends after a step shorter than this, pixels: what is left is its square
SETTLED = 0.1
#: and after so many steps at each resolution
ROUNDS = 4
#: the variance of a pixel is at least this share of the median pixel's
LEAST_VARIANCE = 0.2
#: and its noise at least this share of the template's standard deviation
LEAST_NOISE = 0.01
#: the power of a template is smoothed over this many frequencies along each axis
POWER_BOX = 7
#: what is below this many times the noise's power is taken for noise
EXCESS = 1.5
#: a frame is unevenly lit when more than this share of it seems active; then gain and
#: level are fitted in squares of this radius, pixels of the view
UNEVEN, LIGHT_RADIUS = 0.4, 4
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
    """

    shifts: NDArray[np.float64]
    gain: NDArray[np.float64]
    level: NDArray[np.float64]
    active: NDArray[np.uint8]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


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


def denoise_template(template: Real, noise: float) -> Real:
    """Return a template (row, column) with less noise, by a Wiener filter.

    A shift is found from slopes, of which noise has much and tissue little: without the
    filter the noise of a template of few or dim frames costs as much as that of the
    frame itself.

    Parameters
    ----------
    template
        (row, column).
    noise
        Variance of the noise of one of its pixels, white.
    """
    # the cosine transform repeats the image as a mirror does: no step at the edges
    spectrum = fft.dctn(template.astype(np.float32), norm="ortho")
    power = ndimage.uniform_filter(spectrum**2, POWER_BOX, mode="nearest")
    share = np.maximum(power - EXCESS * noise, 0) / np.maximum(power, 1e-30)
    share[0, 0] = 1
    return np.asarray(fft.idctn(spectrum * share, norm="ortho"), np.float32)


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


@njit(cache=True, nogil=True)
def _windowed_sinc(fraction: float, weights: Real) -> None:
    """Fill float32 (tap,) weights that read between taps 3 and 4, at ``fraction``."""
    total = 0.0
    n = len(weights)
    for k in range(n):
        d = fraction - (k - n // 2 + 1)
        value = 1.0 if abs(d) < 1e-9 else np.sin(np.pi * d) / (np.pi * d)
        value *= np.cos(np.pi * d / (n + 1)) ** 2
        weights[k] = value
        total += value
    for k in range(n):
        weights[k] /= total


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def move_image(image: Real, dy: float, dx: float, out: Real) -> None:
    """Fill ``out[p] = image[p - (dy, dx)]``, both float32 (row, column).

    Windowed sinc over 8 x 8 pixels; beyond the edge the nearest pixel is repeated.
    """
    h, w = image.shape
    top, left = int(np.floor(-dy)), int(np.floor(-dx))
    wy, wx = np.empty(TAPS, np.float32), np.empty(TAPS, np.float32)
    _windowed_sinc(-dy - top, wy)
    _windowed_sinc(-dx - left, wx)
    half = TAPS // 2 - 1
    reach = min(abs(left), w) + TAPS
    line = np.empty(w + 2 * reach, np.float32)
    middle = line[reach : reach + w]
    start = reach + min(max(left, -w), w) - half
    for y in range(h):
        middle[:] = 0
        for k in range(TAPS):
            source = image[min(max(y + top + k - half, 0), h - 1)]
            weight = wy[k]
            for x in range(w):
                middle[x] += weight * source[x]
        line[:reach] = middle[0]
        line[reach + w :] = middle[w - 1]
        row = out[y]
        row[:] = 0
        for k in range(TAPS):
            weight, taps = wx[k], line[start + k : start + k + w]
            for x in range(w):
                row[x] += weight * taps[x]


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def normal_equations(
    frame: Real,
    moved: Real,
    weight: Real,
    slopes: Real,
    fit: NDArray[np.float64],
    box: tuple[int, int, int, int],
    sums: NDArray[np.float64],
) -> None:
    """Fill float64 (4, 5): instrument x regressor, and instrument x residual.

    Only pixels in the ``box`` (first row, end row, first column, end column) count, of
    which the outermost row and column of the frame are none.

    ``frame``, ``moved`` (the moved template) and ``weight`` are float32 (row, column)
    in the frame's place, ``slopes`` float32 (2, row, column) in the template's;
    ``fit`` is float64 (4,): shift, gain, level. Regressors: both slopes, template, one.
    """
    iy, ix = int(np.rint(fit[0])), int(np.rint(fit[1]))
    gain, level = np.float32(fit[2]), np.float32(fit[3])
    cut, half = np.float32(OUTLIER * OUTLIER), np.float32(0.5)
    sums[:] = 0
    y0, y1, x0, x1 = box
    for y in range(y0, y1):
        f, m, up, down = frame[y, x0:x1], moved[y], moved[y - 1], moved[y + 1]
        m, up, down = m[x0 - 1 : x1 + 1], up[x0:x1], down[x0:x1]
        c0 = weight[y, x0:x1]
        p, q = (
            slopes[0, y - iy, x0 - ix : x1 - ix],
            slopes[1, y - iy, x0 - ix : x1 - ix],
        )
        a00 = a01 = a02 = a03 = a10 = a11 = a12 = a13 = np.float32(0)
        a20 = a21 = a22 = a23 = a30 = a31 = a33 = np.float32(0)
        b0 = b1 = b2 = b3 = np.float32(0)
        for x in range(x1 - x0):
            t = m[x + 1]
            r, c = f[x] - gain * t - level, c0[x]
            fits = r * r * c < cut  # not where the frame is NaN either
            c = c if fits else np.float32(0)
            r = r if fits else np.float32(0)
            gy, gx = half * (up[x] - down[x]), half * (m[x] - m[x + 2])
            z0, z1, z2 = c * (gy - p[x]), c * (gx - q[x]), c * t
            a00 += z0 * gy
            a01 += z0 * gx
            a02 += z0 * t
            a03 += z0
            a10 += z1 * gy
            a11 += z1 * gx
            a12 += z1 * t
            a13 += z1
            a20 += z2 * gy
            a21 += z2 * gx
            a22 += z2 * t
            a23 += z2
            a30 += c * gy
            a31 += c * gx
            a33 += c
            b0 += z0 * r
            b1 += z1 * r
            b2 += z2 * r
            b3 += c * r
        row = (
            (a00, a01, a02, a03, b0),
            (a10, a11, a12, a13, b1),
            (a20, a21, a22, a23, b2),
            (a30, a31, a23, a33, b3),
        )
        for i in range(4):
            for j in range(5):
                sums[i, j] += row[i][j]


@njit(cache=True, nogil=True)
def solve_equations(sums: NDArray[np.float64], step: NDArray[np.float64]) -> bool:
    """Solve float64 (4, 5) equations by elimination into (4,); False where singular."""
    n = 4
    for i in range(n):
        best = i
        for k in range(i + 1, n):
            if abs(sums[k, i]) > abs(sums[best, i]):
                best = k
        if not abs(sums[best, i]) > 1e-12:
            return False
        for j in range(n + 1):
            sums[i, j], sums[best, j] = sums[best, j], sums[i, j]
        for k in range(i + 1, n):
            ratio = sums[k, i] / sums[i, i]
            for j in range(i, n + 1):
                sums[k, j] -= ratio * sums[i, j]
    for i in range(n - 1, -1, -1):
        value = sums[i, n]
        for j in range(i + 1, n):
            value -= sums[i, j] * step[j]
        step[i] = value / sums[i, i]
    return bool(np.isfinite(step).all())


@njit(cache=True, nogil=True)
def step_fit(
    frame: Real,
    moved: Real,
    weight: Real,
    slopes: Real,
    fit: NDArray[np.float64],
    pad: int,
) -> float:
    """Improve ``fit`` (shift, gain, level) of one frame by one step, in place.

    Return the length of the step along the longer axis, pixels (at most one).

    Arrays as in `normal_equations`. Shifts that leave less than half of the frame are
    not followed.
    """
    h, w = frame.shape
    if abs(fit[0]) > h / 2 or abs(fit[1]) > w / 2:
        return 0.0
    sums, step = np.empty((4, 5)), np.zeros(4)
    iy, ix = int(np.rint(fit[0])), int(np.rint(fit[1]))
    box = (
        pad + max(iy, 0), h - pad + min(iy, 0), pad + max(ix, 0), w - pad + min(ix, 0),
    )  # fmt: skip
    normal_equations(frame, moved, weight, slopes, fit, box, sums)
    if not solve_equations(sums, step):
        return 0.0
    longest = 0.0
    for axis in range(2):
        by = min(max(step[axis] / max(fit[2], GAINS[0]), -1.0), 1.0)
        fit[axis] += by
        longest = max(longest, abs(by))
    fit[2] += step[2]
    fit[3] += step[3]
    return longest


@njit(cache=True, nogil=True)
def place_weight(weight: Real, iy: int, ix: int, out: Real) -> None:
    """Fill float32 (row, column) with ``weight`` moved by whole pixels; 0 outside."""
    h, w = weight.shape
    first, last = min(max(ix, 0), w), max(min(w, w + ix), 0)
    for y in range(h):
        row = out[y]
        if not 0 <= y - iy < h or last <= first:
            row[:] = 0
            continue
        row[:first] = 0
        row[last:] = 0
        row[first:last] = weight[y - iy, first - ix : last - ix]


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def weighted_sums(
    frame: Real, model: Real, weight: Real, pad: int, sums: NDArray[np.float64]
) -> None:
    """Fill float64 (6,) with the sums of w, wf, wm, wff, wmm and wfm of two images.

    All are float32 (row, column); values of the frame that are not finite are left out.
    """
    h, w = frame.shape
    sums[:] = 0
    for y in range(pad, h - pad):
        f, m, c = frame[y], model[y], weight[y]
        s0 = s1 = s2 = s3 = s4 = s5 = np.float32(0)
        for x in range(pad, w - pad):
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
    """Return the weighted Pearson correlation of two float32 (row, column) images."""
    s = np.empty(6)
    weighted_sums(frame, model, weight, pad, s)
    if s[0] <= 0:
        return 0.0
    of_frame = s[3] - s[1] * s[1] / s[0]
    of_model = s[4] - s[2] * s[2] / s[0]
    if of_frame <= 1e-6 * s[3] or of_model <= 0:
        return 0.0
    return float((s[5] - s[1] * s[2] / s[0]) / np.sqrt(of_frame * of_model))


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _box_sums(values: Real, out: Real) -> None:
    """Fill float32 (row, column) with sums over BOX x BOX, edges repeated."""
    h, w = values.shape
    half = BOX // 2
    across = np.empty((h, w), np.float32)
    padded = np.empty(w + 2 * half, np.float32)
    for y in range(h):
        padded[half : half + w] = values[y]
        padded[:half] = values[y, 0]
        padded[half + w :] = values[y, w - 1]
        row = across[y]
        row[:] = 0
        for k in range(BOX):
            part = padded[k : k + w]
            for x in range(w):
                row[x] += part[x]
    for y in range(h):
        row = out[y]
        row[:] = 0
        for k in range(-half, half + 1):
            part = across[min(max(y + k, 0), h - 1)]
            for x in range(w):
                row[x] += part[x]


@njit(cache=True, nogil=True)
def find_active(
    frame: Real,
    moved: Real,
    weight: Real,
    fit: NDArray[np.float64],
    usual: float,
    active: NDArray[np.uint8],
) -> float:
    """Fill uint8 (row, column) with 1 where the tissue is active.

    Return the robust standard deviation of the smoothed residual.

    Images as in `normal_equations`; ``usual`` is that standard deviation as it usually
    is, 0 where it is not known.
    """
    h, w = frame.shape
    z, smooth = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    gain, level = np.float32(fit[2]), np.float32(fit[3])
    most = np.float32(ACTIVE)
    for y in range(h):
        for x in range(w):
            r = (frame[y, x] - gain * moved[y, x] - level) * np.sqrt(weight[y, x])
            r = r if abs(r) < np.float32(3e38) else np.float32(0)
            z[y, x] = min(max(r, -most), most)
    _box_sums(z, smooth)
    sd = 1.4826 * np.median(np.abs(smooth[::3, ::3]).ravel())
    if usual > 0:
        sd = min(max(sd, 0.7 * usual), 1.5 * usual)
    limit = np.float32(max(ACTIVE * sd, 1e-6))
    active[:] = 0
    for y in range(h):
        for x in range(w):
            if abs(smooth[y, x]) > limit:
                active[
                    max(0, y - GROWN) : y + GROWN + 1, max(0, x - GROWN) : x + GROWN + 1
                ] = 1
    return float(sd)


@njit(cache=True, nogil=True)
def weigh_down(weight: Real, active: NDArray[np.uint8], factor: int) -> None:
    """Lower float32 (row, column) weights where the view (row, column) is active."""
    floor = np.float32(FLOOR)
    for y in range(len(active)):
        for x in range(active.shape[1]):
            if active[y, x]:
                weight[
                    y * factor : (y + 1) * factor, x * factor : (x + 1) * factor
                ] *= floor


@njit(cache=True, nogil=True)
def _local_means(values: Real, radius: int, out: Real) -> None:
    """Fill float32 (row, column) with means over squares, cut at the edges."""
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
    """Fill ``evened`` with the frame at the light of the moved template.

    The weights ``own`` are scaled in place; all are float32 (row, column).

    A gain and a level are fitted in the square around each pixel (the local linear
    model of He, Sun & Tang 2013, doi:10.1109/TPAMI.2012.213).
    """
    radius = LIGHT_RADIUS
    mean_f, mean_m = np.empty_like(frame), np.empty_like(frame)
    mean_fm, mean_mm = np.empty_like(frame), np.empty_like(frame)
    _local_means(frame, radius, mean_f)
    _local_means(moved, radius, mean_m)
    _local_means(frame * moved, radius, mean_fm)
    _local_means(moved * moved, radius, mean_mm)
    power = mean_mm - mean_m * mean_m
    # where the template has no structure the gain is one
    ridge = np.float32(0.1 * max(float(np.mean(power)), 1e-12))
    gain = (mean_fm - mean_f * mean_m + ridge) / (power + ridge)
    low, high = np.float32(GAINS[0]), np.float32(GAINS[1])
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            a = min(max(gain[y, x], low), high)
            evened[y, x] = (frame[y, x] - mean_f[y, x]) / a + mean_m[y, x]
            own[y, x] *= a * a


@njit(cache=True, nogil=True)
def _fit_view(
    seen: Real,
    level: tuple[Real, Real, Real],
    usual: float,
    fits: NDArray[np.float64],
    active: NDArray[np.uint8],
    agreement: NDArray[np.float64],
) -> None:
    """Fit views in place, and fill where the tissue is active and how well they agree.

    ``seen`` float32 (frame, row, column); ``level`` template, weight (row, column) and
    slopes (2, row, column) float32; ``fits`` float64 (frame, 4): shift in pixels of the
    view, gain, level; ``active`` uint8 (frame, row, column); ``agreement`` float64
    (frame, 4): correlation at rest and moved, standard deviation of the smoothed
    residual, and 1 where the light was evened.
    """
    n, h, w = seen.shape
    template, weight, slopes = level
    moved, own = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    evened = np.empty((h, w), np.float32)
    for b in range(n):
        fit, frame, start = fits[b], seen[b], fits[b].copy()
        uneven = False
        move_image(template, fit[0], fit[1], moved)
        for k in range(ROUNDS):
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            if uneven:
                even_light(seen[b], moved, own, evened)
            if k:
                weigh_down(own, active[b], 1)
            step = step_fit(frame, moved, own, slopes, fit, PAD)
            if not GAINS[0] < fit[2] < GAINS[1]:
                fit[:] = start
            if k == 0 or step > SETTLED or uneven:
                move_image(template, fit[0], fit[1], moved)
                place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
                if uneven:
                    even_light(seen[b], moved, own, evened)
                agreement[b, 2] = find_active(frame, moved, own, fit, usual, active[b])
            if k == 0 and active[b].sum() > UNEVEN * h * w:
                uneven, frame = True, evened
                fit[:] = start
                fit[2], fit[3] = 1.0, 0.0
                move_image(template, fit[0], fit[1], moved)
                active[b] = 0
            elif step < SETTLED and (k or not active[b].any()):
                break
        place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
        weigh_down(own, active[b], 1)
        agreement[b, 1] = weighted_correlation(frame, moved, own, PAD)
        place_weight(weight, 0, 0, own)
        weigh_down(own, active[b], 1)
        agreement[b, 0] = weighted_correlation(frame, template, own, PAD)
        agreement[b, 3] = 1.0 if uneven else 0.0


@njit(cache=True, nogil=True)
def _fit_frames(
    frames: NDArray[Any],
    corner: tuple[int, int],
    level: tuple[Real, Real, Real],
    active: NDArray[np.uint8],
    even: NDArray[np.bool_],
    fits: NDArray[np.float64],
) -> None:
    """Fit the ``even`` ones (frame,) of frames at their own resolution, in place.

    ``frames`` (frame, row, column) of any real dtype, of which a window from ``corner``
    on is used; ``level`` float32 template, weight (row, column), slopes (2, row,
    column); ``active`` uint8 (frame, row, column) of the view; ``fits``
    float64 (frame, 4): shift in pixels of the frame, gain, level.
    """
    template, weight, slopes = level
    top, left = corner
    h, w = template.shape
    factor = h // active.shape[1]
    frame, moved = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    own = np.empty((h, w), np.float32)
    for b in np.flatnonzero(even):
        fit, start = fits[b], fits[b].copy()
        for y in range(h):
            source, row = frames[b, top + y, left : left + w], frame[y]
            for x in range(w):
                row[x] = source[x]
        for _ in range(ROUNDS):
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            weigh_down(own, active[b], factor)
            move_image(template, fit[0], fit[1], moved)
            # after a short step the next one would be within the noise
            if step_fit(frame, moved, own, slopes, fit, factor * PAD) < SETTLED:
                break
        if (
            not GAINS[0] < fit[2] < GAINS[1]
            or abs(fit[0] - start[0]) > 2
            or abs(fit[1] - start[1]) > 2
        ):
            fit[:] = start


def fit_frames(
    frames: NDArray[Any], seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> RobustFit:
    """Refine the shifts of frames.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype that compiled loops take.
    seen
        The same frames as views, from `preprocess.view_frames`.
    shifts
        (frame, 2), pixels of the frame: first estimate, within about a pixel of the
        view.
    model
        The template.

    Returns
    -------
    RobustFit
        The shift is the first estimate where no fit is found.
    """
    n, factor = len(seen), model.view.factor
    fits = np.column_stack([shifts / factor, np.ones(n), np.zeros(n)])
    active, agreement = np.zeros(seen.shape, np.uint8), np.zeros((n, 4))
    _fit_view(seen, _images(model.coarse), model.active_sd, fits, active, agreement)
    gain, offset = fits[:, 2].copy(), fits[:, 3].copy()
    fits[:, :2] *= factor
    if model.fine is not None:
        view, level = model.view, model.fine
        # the view of a frame has mean zero: the level starts at the frame's own mean
        inside = frames[
            :,
            view.top : view.top + factor * view.shape[0] : 4,
            view.left : view.left + factor * view.shape[1] : 4,
        ]
        means = np.nan_to_num(inside.mean(axis=(1, 2), dtype=np.float64))
        fits[:, 3] = means - gain * float(level.template.mean())
        even = agreement[:, 3] == 0
        _fit_frames(frames, (view.top, view.left), _images(level), active, even, fits)
    return RobustFit(
        np.ascontiguousarray(fits[:, :2]),
        gain,
        offset,
        active,
        agreement[:, 0].copy(),
        agreement[:, 1].copy(),
    )


def _images(level: Level) -> tuple[Real, Real, Real]:
    return level.template, level.weight, level.slopes


def active_deviation(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> float:
    """Return the usual standard deviation of the smoothed residual.

    From some of the views (frame, row, column); ``shifts`` (frame, 2) in pixels of the
    frame.
    """
    few = slice(None, None, max(1, len(seen) // 16))
    seen, shifts = np.ascontiguousarray(seen[few]), shifts[few]
    n, agreement = len(seen), np.zeros((len(seen), 4))
    fits = np.column_stack([shifts / model.view.factor, np.ones(n), np.zeros(n)])
    active = np.zeros(seen.shape, np.uint8)
    _fit_view(seen, _images(model.coarse), 0.0, fits, active, agreement)
    return float(np.median(agreement[:, 2]))


@njit(cache=True, nogil=True)
def _compare(
    seen: Real,
    level: tuple[Real, Real, Real],
    usual: float,
    shifts: NDArray[np.float64],
    agreement: NDArray[np.float64],
) -> None:
    """Fill float64 (frame,) with the weighted correlation of views with the template.

    ``seen`` float32 (frame, row, column), ``level`` and ``usual`` as in `_fit_view`,
    ``shifts`` float64 (frame, 2) in pixels of the view. Light is evened in all frames,
    so that events do not decide.
    """
    n, h, w = seen.shape
    template, weight, _ = level
    moved, own = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    evened, active = np.empty((h, w), np.float32), np.zeros((h, w), np.uint8)
    base = np.empty((h, w), np.float32)
    fit = np.array([0.0, 0.0, 1.0, 0.0])
    for b in range(n):
        fit[:2] = shifts[b]
        move_image(template, fit[0], fit[1], moved)
        place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
        even_light(seen[b], moved, own, evened)
        find_active(evened, moved, own, fit, usual, active)
        if active.sum() < UNEVEN * active.size:
            weigh_down(own, active, 1)
        # what is smooth was made the same: the rest decides
        _local_means(moved, LIGHT_RADIUS, base)
        evened -= base
        moved -= base
        agreement[b] = weighted_correlation(evened, moved, own, PAD)


def compare_at(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> NDArray[np.float64]:
    """Return how well views agree with the template moved by given shifts, (frame,).

    A weighted correlation that means the same for any shift: the frame is not
    interpolated.

    Parameters
    ----------
    seen
        float32 (frame, row, column), from `preprocess.view_frames`.
    shifts
        (frame, 2), pixels of the frame.
    model
        The template.
    """
    agreement = np.zeros(len(seen))
    places = np.ascontiguousarray(shifts / model.view.factor, np.float64)
    _compare(seen, _images(model.coarse), model.active_sd, places, agreement)
    return agreement
