"""Denoise a template by shrinking the cosine transform of small blocks.

Shifts are estimated from image gradients, in which noise is strong and tissue weak. The
noise of a template made from few or dim frames makes shifts as uncertain as the noise
of the frame itself. Cells and processes are local, so a few coefficients of a small
block contain all of the tissue. Blocks overlap by half. The first pass keeps only
coefficients that exceed the noise (Yu & Sapiro 2011, doi:10.5201/ipol.2011.ys-dct). The
second weights each coefficient by its power in the first result (empirical Wiener
filter, as in Dabov et al. 2007, doi:10.1109/TIP.2007.901238).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from astrocast.kernels.compiling import njit

Real = NDArray[np.float32]

#: side of a block, pixels
BLOCK = 8
#: the first pass keeps coefficients beyond this many standard deviations of their noise
STANDS_OUT = 3.5


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _transform(block: Real, matrix: Real, across: Real, out: Real) -> None:
    """Fill ``out`` with matrix @ block @ matrix.T; all float32 (size, size).

    ``across`` is scratch space.
    """
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
    """Return the first pixel of each block, int64; the last block ends at the edge.

    ``length`` of the image and ``size`` of a block in pixels; blocks overlap by half.
    """
    step = max(1, size // 2)
    count = max(0, -(-(length - size) // step)) + 1
    return np.minimum(np.arange(count) * step, length - size)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _weigh_coefficients(found: Real, first: Real, noise: float, second: bool) -> None:
    """Shrink the coefficients of a block in place; its mean is not changed.

    ``found`` float32 (size, size) coefficients; ``first`` float32 (size, size): those
    of the first result, used in the second pass (``second``); ``noise``: variance of
    the noise of a coefficient.
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
    """Return the denoised image, float32 (row, column), after one pass over all blocks.

    ``image``, ``pilot`` (result of the first pass, used if ``second``) and ``noise``
    (variance of the noise of each pixel): float32 (row, column); ``matrix`` of the
    cosine transform and ``window`` (weight of the pixels of a block): float32 (size,
    size).
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
    """Return a template with less noise, float32 (row, column).

    Parameters
    ----------
    template
        (row, column), finite.
    noise
        (row, column), variance of the noise of each pixel; the noise has to be
        independent between pixels.

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
