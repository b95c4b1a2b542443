"""Kernels of the weighted least squares: move the template, set up and solve a step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.interpolation import fill_sinc_weights
from astrocast.kernels.registration.robust_model import GAINS

Real = NDArray[np.float32]

#: length of the windowed sinc that moves the template, pixels
TAPS = 8
#: residuals beyond this many standard deviations are ignored
OUTLIER = 6.0


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def move_image(image: Real, dy: float, dx: float, out: Real) -> None:
    """Fill ``out[p] = image[p - (dy, dx)]``.

    ``image`` and ``out`` float32 (row, column); ``dy``, ``dx`` in pixels. Windowed sinc
    over 8 x 8 pixels; beyond the edge the nearest pixel is repeated.
    """
    h, w = image.shape
    top, left = int(np.floor(-dy)), int(np.floor(-dx))
    wy, wx = np.empty(TAPS, np.float32), np.empty(TAPS, np.float32)
    fill_sinc_weights(-dy - top, TAPS + 1, wy)
    fill_sinc_weights(-dx - left, TAPS + 1, wx)
    half = TAPS // 2 - 1
    reach = min(abs(left), w) + TAPS
    line = np.empty(w + 2 * reach, np.float32)
    middle = line[reach : reach + w]
    start = reach + min(max(left, -w), w) - half
    for y in range(h):
        first = y + top - half
        a, b = image[min(max(first, 0), h - 1)], image[min(max(first + 1, 0), h - 1)]
        c = image[min(max(first + 2, 0), h - 1)]
        d = image[min(max(first + 3, 0), h - 1)]
        e = image[min(max(first + 4, 0), h - 1)]
        f = image[min(max(first + 5, 0), h - 1)]
        g = image[min(max(first + 6, 0), h - 1)]
        i = image[min(max(first + 7, 0), h - 1)]
        for x in range(w):
            upper = wy[0] * a[x] + wy[1] * b[x] + wy[2] * c[x] + wy[3] * d[x]
            lower = wy[4] * e[x] + wy[5] * f[x] + wy[6] * g[x] + wy[7] * i[x]
            middle[x] = upper + lower
        for x in range(reach):
            line[x] = middle[0]
            line[reach + w + x] = middle[w - 1]
        row, taps = out[y], line[start : start + w + TAPS]
        for x in range(w):
            upper = wx[0] * taps[x] + wx[1] * taps[x + 1] + wx[2] * taps[x + 2]
            lower = wx[4] * taps[x + 4] + wx[5] * taps[x + 5] + wx[6] * taps[x + 6]
            row[x] = upper + wx[3] * taps[x + 3] + lower + wx[7] * taps[x + 7]


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
    """Fill ``sums``: instrument x regressor, and instrument x residual (last column).

    Regressors: row slope and column slope of the template, the template, and 1.
    Instruments: the same, but the slopes without their smooth part.

    ``frame``, ``moved`` (the moved template) and ``weight`` float32 (row, column) at
    the frame's position; ``slopes`` (smooth part) float32 (2, row, column) at the
    template's; ``fit`` float64 (4,): shift, gain, level; ``box`` (first row, end row,
    first column, end column): pixels to use, without the outermost of the frame;
    ``sums`` float64 (4, 5).
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
            fits = r * r * c < cut  # false for NaN as well
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
    """Solve 4 linear equations by elimination; return False if they are singular.

    ``sums`` float64 (4, 5), changed in place; ``step`` float64 (4,), the solution.
    """
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

    Arrays as in `normal_equations`; ``pad``: outer pixels that are left out. Returns
    the larger of both components of the step, pixels (at most 1); 0 if the equations
    are singular or the shift exceeds half of the frame.
    """
    h, w = frame.shape
    if abs(fit[0]) > h / 2 or abs(fit[1]) > w / 2:
        return 0.0
    sums, step = np.empty((4, 5)), np.zeros(4)
    iy, ix = int(np.rint(fit[0])), int(np.rint(fit[1]))
    box = (
        pad + max(iy, 0),
        h - pad + min(iy, 0),
        pad + max(ix, 0),
        w - pad + min(ix, 0),
    )
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
