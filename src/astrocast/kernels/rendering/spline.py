"""Cubic splines: displace images, interpolate smooth displacement fields."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit


@njit(cache=True, nogil=True)
def _weights(f: float) -> tuple[float, float, float, float]:
    """Return the four weights of a cubic B-spline at ``f`` (0 to 1), all float64."""
    g = 1.0 - f
    return (
        g * g * g / 6.0,
        2.0 / 3.0 - 0.5 * f * f * (1.0 + g),
        2.0 / 3.0 - 0.5 * g * g * (1.0 + f),
        f * f * f / 6.0,
    )


@njit(cache=True, nogil=True)
def shift_image(c: Any, dy: float, dx: float, margin: int, out: Any) -> None:
    """Fill ``out[p]`` with the value of a spline at p minus (``dy``, ``dx``).

    ``c`` float32 (row, column): spline coefficients; ``out`` float32 (row, column),
    smaller than ``c`` by ``margin`` on every side; ``dy``, ``dx`` in pixels, smaller
    than the margin.
    """
    h, w = out.shape
    y0, x0 = math.floor(margin - dy), math.floor(margin - dx)
    a = _weights(margin - dy - y0)
    b = _weights(margin - dx - x0)
    a0, a1, a2, a3 = (
        np.float32(a[0]),
        np.float32(a[1]),
        np.float32(a[2]),
        np.float32(a[3]),
    )
    b0, b1, b2, b3 = (
        np.float32(b[0]),
        np.float32(b[1]),
        np.float32(b[2]),
        np.float32(b[3]),
    )
    line = np.empty(w + 3, np.float32)
    for y in range(h):
        i = y + y0
        for x in range(w + 3):
            j = x + x0 - 1
            line[x] = (
                a0 * c[i - 1, j] + a1 * c[i, j] + a2 * c[i + 1, j] + a3 * c[i + 2, j]
            )
        for x in range(w):
            out[y, x] = (
                b0 * line[x] + b1 * line[x + 1] + b2 * line[x + 2] + b3 * line[x + 3]
            )


@njit(cache=True, nogil=True, fastmath=True)
def warp_image(c: Any, moved: Any, margin: int, out: Any) -> None:
    """Fill ``out[p]`` with the value of a spline at p minus the displacement of p.

    ``c``, ``margin`` and ``out`` as in `shift_image`; ``moved`` float32 (2, row,
    column), pixels.
    """
    flat, width = c.ravel(), c.shape[1]
    half, sixth, third, one = (
        np.float32(0.5),
        np.float32(1 / 6),
        np.float32(2 / 3),
        np.float32(1),
    )
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            py, px = (
                np.float32(y + margin) - moved[0, y, x],
                np.float32(x + margin) - moved[1, y, x],
            )
            # never negative: the margin is larger than any displacement
            i, j = np.int32(py), np.int32(px)
            f, u = py - np.float32(i), px - np.float32(j)
            g, v = one - f, one - u
            a0, a3, b0, b3 = (
                g * g * g * sixth,
                f * f * f * sixth,
                v * v * v * sixth,
                u * u * u * sixth,
            )
            a1, b1 = third - half * f * f * (one + g), third - half * u * u * (one + v)
            a2, b2 = one - a0 - a1 - a3, one - b0 - b1 - b3
            k = (i - 1) * width + j - 1
            value = a0 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            k += width
            value += a1 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            k += width
            value += a2 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            k += width
            value += a3 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            out[y, x] = value


@njit(cache=True, nogil=True, parallel=True)
def smooth_field(
    knots: NDArray[Any], row_basis: NDArray[Any], column_basis: NDArray[Any]
) -> NDArray[Any]:
    """Return ``row_basis @ knots @ column_basis.T`` for a stack of small matrices.

    For such small products, starting the threads of BLAS takes longer than the
    calculation, and most weights of a B-spline are zero.

    Parameters
    ----------
    knots
        Float (matrix, row knot, column knot).
    row_basis, column_basis
        Float (row, row knot) and (column, column knot).

    Returns
    -------
    float32 (matrix, row, column).
    """
    n, ky, kx = knots.shape
    out = np.zeros((n, len(row_basis), len(column_basis)), np.float32)
    for i in nb.prange(n):
        across = np.zeros((ky, len(column_basis)), np.float32)
        for x in range(len(column_basis)):
            for b in range(kx):
                if column_basis[x, b] != 0.0:
                    for a in range(ky):
                        across[a, x] += knots[i, a, b] * column_basis[x, b]
        for y in range(len(row_basis)):
            for a in range(ky):
                if row_basis[y, a] != 0.0:
                    for x in range(len(column_basis)):
                        out[i, y, x] += row_basis[y, a] * across[a, x]
    return out


#: pole of the recursive filter that gives the coefficients of a cubic B-spline (Unser
#: 1999, doi:10.1109/79.799930)
POLE = math.sqrt(3.0) - 2.0
#: the pole to the power of this number of pixels is below 1e-7
HORIZON = 13


@njit(cache=True, nogil=True)
def _spline_line(line: Any) -> None:
    """Replace the samples of ``line``, float32 (pixel,), by spline coefficients.

    Beyond its ends the line is mirrored; the end samples are not repeated.
    """
    n = len(line)
    if n < 2:
        return
    first, power = 0.0, 1.0
    for k in range(min(n, HORIZON)):
        first += power * line[k]
        power *= POLE
    line[0] = 6.0 * first
    for k in range(1, n):
        line[k] = 6.0 * line[k] + POLE * line[k - 1]
    line[n - 1] = POLE / (POLE * POLE - 1.0) * (line[n - 1] + POLE * line[n - 2])
    for k in range(n - 2, -1, -1):
        line[k] = POLE * (line[k + 1] - line[k])


@njit(cache=True, nogil=True)
def spline_coefficients(image: Any) -> Any:
    """Return the cubic spline coefficients of ``image``, both float32 (row, column).

    Equals `scipy.ndimage.spline_filter` with ``mode="mirror"`` to 1e-5 of the largest
    value.
    """
    out = image.copy()
    for y in range(out.shape[0]):
        _spline_line(out[y])
    column = np.empty(out.shape[0], np.float32)
    for x in range(out.shape[1]):
        column[:] = out[:, x]
        _spline_line(column)
        out[:, x] = column
    return out


@njit(cache=True, nogil=True)
def blur_image(image: Any, sigma: float) -> Any:
    """Return ``image``, float32 (row, column), after a Gaussian blur (``sigma`` px).

    Equals `scipy.ndimage.gaussian_filter` with ``mode="nearest"`` and ``truncate=3``.
    """
    reach = int(3.0 * sigma + 0.5)
    weights = np.empty(2 * reach + 1, np.float32)
    for k in range(-reach, reach + 1):
        weights[k + reach] = math.exp(-0.5 * (k / sigma) ** 2)
    weights /= weights.sum()
    rows, columns = image.shape
    half = np.zeros_like(image)
    out = np.zeros_like(image)
    for y in range(rows):
        for k in range(-reach, reach + 1):
            j = min(max(y + k, 0), rows - 1)
            half[y] += weights[k + reach] * image[j]
    for x in range(columns):
        for k in range(-reach, reach + 1):
            i = min(max(x + k, 0), columns - 1)
            out[:, x] += weights[k + reach] * half[:, i]
    return out
