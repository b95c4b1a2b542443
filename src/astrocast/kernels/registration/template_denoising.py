"""Take the noise out of a template: shrink the cosine transforms of small blocks.

A shift is found from slopes, of which noise has much and tissue little: the noise of a
template of few or dim frames costs as much as that of the frame itself. Tissue is
local (cells, processes), so few of the coefficients of a small block hold all of it.
Blocks overlap by half; the first estimate keeps coefficients that stand out of the
noise (Yu & Sapiro 2011, doi:10.5201/ipol.2011.ys-dct), the second weighs each
coefficient by the power that the first one has there (empirical Wiener filter, as in
Dabov et al. 2007, doi:10.1109/TIP.2007.901238).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from astrocast.kernels.compiling import njit

Real = NDArray[np.float32]

#: pixels along a block
BLOCK = 8
#: a coefficient stays where it is beyond this many standard deviations of its noise
STANDS_OUT = 3.5


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _transform(block: Real, matrix: Real, across: Real, out: Real) -> None:
    """Fill ``out`` with matrix @ block @ matrix.T; all float32 (size, size)."""
    n = len(matrix)
    for i in range(n):
        row = across[i]
        row[:] = 0
        for k in range(n):
            weight = matrix[i, k]
            for j in range(n):
                row[j] += weight * block[k, j]
    for i in range(n):
        row = out[i]
        row[:] = 0
        for k in range(n):
            weight = across[i, k]
            for j in range(n):
                row[j] += weight * matrix[j, k]


@njit(cache=True, nogil=True)
def _starts(length: int, size: int) -> NDArray[np.int64]:
    """Return the first pixel of each block, half a block apart; the last at the end."""
    step = max(1, size // 2)
    count = max(0, -(-(length - size) // step)) + 1
    return np.minimum(np.arange(count) * step, length - size)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _weigh_coefficients(found: Real, first: Real, noise: float, second: bool) -> None:
    """Shrink float32 (size, size) coefficients in place; the mean stays.

    By the power of ``first`` (the same coefficients of the first estimate) where
    ``second``, else to 0 where they do not stand out. ``noise``: variance of each.
    """
    n, mean = len(found), found[0, 0]
    for i in range(n):
        for j in range(n):
            if second:
                power = first[i, j] * first[i, j]
                found[i, j] *= power / (power + noise)
            elif found[i, j] * found[i, j] <= STANDS_OUT * STANDS_OUT * noise:
                found[i, j] = 0
    found[0, 0] = mean


@njit(cache=True, nogil=True)
def _shrink_blocks(
    image: Real, pilot: Real, noise: Real, matrix: Real, window: Real, second: bool
) -> Real:
    """Return float32 (row, column): the image without what is noise in its blocks.

    ``image``, ``pilot`` (its first estimate, used where ``second``) and ``noise``
    (variance of each pixel's noise): float32 (row, column); ``matrix`` of the cosine
    transform and ``window`` (weight of a block's pixels): float32 (size, size).
    """
    h, w = image.shape
    n = len(matrix)
    total, weight = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    across, found = np.empty_like(matrix), np.empty_like(matrix)
    first, back = np.empty_like(matrix), np.ascontiguousarray(matrix.T)
    for y in _starts(h, n):
        for x in _starts(w, n):
            own = max(np.float32(noise[y : y + n, x : x + n].mean()), np.float32(1e-30))
            _transform(image[y : y + n, x : x + n], matrix, across, found)
            if second:
                _transform(pilot[y : y + n, x : x + n], matrix, across, first)
            _weigh_coefficients(found, first, own, second)
            _transform(found, back, across, first)
            for i in range(n):
                for j in range(n):
                    total[y + i, x + j] += window[i, j] * first[i, j]
                    weight[y + i, x + j] += window[i, j]
    return total / weight


def denoise_template(template: Real, noise: Real) -> Real:
    """Return a template (row, column) with less noise.

    Parameters
    ----------
    template
        (row, column), finite.
    noise
        (row, column), variance of the noise of each of its pixels; white.

    Examples
    --------
    >>> step = np.repeat([0.0, 10.0], 16)[None] * np.ones((32, 1))
    >>> noisy = step + np.random.default_rng(0).normal(size=(32, 32))
    >>> clean = denoise_template(noisy, np.ones((32, 32)))
    >>> bool(np.std(clean - step) < 0.4 * np.std(noisy - step))
    True
    """
    size = min(BLOCK, *template.shape)
    matrix = fft.dct(np.eye(size), axis=0, norm="ortho").astype(np.float32)
    edge = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    window = np.outer(edge, edge).astype(np.float32)
    image = np.array(template, np.float32, order="C")
    noise = np.array(noise, np.float32, order="C")
    first = _shrink_blocks(image, image, noise, matrix, window, False)
    return np.asarray(_shrink_blocks(image, first, noise, matrix, window, True))
