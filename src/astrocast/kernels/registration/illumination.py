"""Frames lit differently from the template: an event fills part of the field.

Its edge is structure that the template does not have, and pulls the shift. Such frames
are told by the mean of blocks, and compared once more by finer structure, of which the
edge of an event has little.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.correlation import (
    NOISE_WEIGHT,
    column_weights,
    high_pass,
)

Real = NDArray[np.float32]

#: pixels of the view along a block; a quarter of a view that is smaller than four of
#: them
BLOCK = 8
#: a frame is uneven when a block differs by this many standard deviations of the
#: filtered template (measured: less than that without events, 8 to 15 with events of
#: three times the light) ...
UNEVEN = 1.25
#: ... and this many of the noise of a block's mean: the noise of the largest of a
#: thousand
UNEVEN_NOISE = 3.5
#: before anything is aligned: this many robust standard deviations more than the others
OUTSTANDING = 6.0
#: sigmas of the finer high-pass, in pixels of the view; the first is taken that ...
FINER = 3.0, 5.0, 7.0
#: ... makes the shift at most this much more uncertain
LOSS = 1.5


@njit(cache=True, nogil=True)
def block_size(shape: tuple[int, int]) -> int:
    """Return how many pixels of a view of ``shape`` a block is long."""
    return max(1, min(BLOCK, shape[0] // 4, shape[1] // 4))


@njit(cache=True, nogil=True)
def block_means(seen: Real, shifts: NDArray[np.int64]) -> Real:
    """Return the mean of each block of each frame, moved back by whole pixels.

    Parameters
    ----------
    seen
        (frame, row, column).
    shifts
        (frame, 2), whole pixels.

    Returns
    -------
    numpy.ndarray
        float32 (frame, block row, block column); NaN where a block lies outside the
        frame.
    """
    n, h, w = seen.shape
    size = block_size((h, w))
    out = np.full((n, h // size, w // size), np.nan, np.float32)
    added, share = np.empty(w, np.float32), np.float32(1 / size**2)
    for b in range(n):
        for i in range(out.shape[1]):
            top = i * size + shifts[b, 0]
            if not 0 <= top <= h - size:
                continue
            added[:] = 0  # whole rows are added first, so that this is done in vectors
            for y in range(top, top + size):
                row = seen[b, y]
                for x in range(w):
                    added[x] += row[x]
            for j in range(out.shape[2]):
                left = j * size + shifts[b, 1]
                if 0 <= left <= w - size:
                    out[b, i, j] = added[left : left + size].sum() * share
    return out


@njit(cache=True, nogil=True)
def _most_apart(means: Real, wanted: Real, largest: NDArray[np.float64]) -> None:
    light = wanted.ravel()
    for b in range(len(means)):
        block = means[b].ravel()
        number = first = own = cross = square = 0.0
        for i in range(len(block)):
            value, target = np.float64(block[i]), np.float64(light[i])
            if not np.isnan(value):
                number += 1
                first += value
                own += target
                cross += value * target
                square += target * target
        if number == 0:
            continue
        first, own = first / number, own / number
        power = square - number * own * own
        gain = (cross - number * first * own) / power if power > 1e-9 * square else 0.0
        for i in range(len(block)):
            if not np.isnan(block[i]):
                apart = abs(block[i] - first - gain * (light[i] - own))
                largest[b] = max(largest[b], apart)


def unevenness(means: Real, wanted: Real) -> NDArray[np.float64]:
    """Return how much the light of each frame differs from the expected one.

    In the block of pixels that differs most.

    Parameters
    ----------
    means
        (frame, block row, block column) from `block_means`.
    wanted
        (block row, block column), finite: the light of the template.

    Returns
    -------
    numpy.ndarray
        (frame,): largest distance of a block from offset + gain x the one wanted, by
        least squares. Not divided by the gain: an event that happens to lie where the
        template is bright makes that many times too large.
    """
    largest = np.zeros(len(means))
    _most_apart(means, wanted, largest)
    return largest


def evenly_lit(seen: Real) -> NDArray[np.bool_]:
    """Return which frames (frame, row, column) are lit like most of them.

    Frames are not aligned yet.
    """
    means = block_means(seen, np.zeros((len(seen), 2), np.int64))
    apart = unevenness(means, np.median(means, axis=0))
    middle = np.median(apart)
    return np.asarray(
        apart <= middle + OUTSTANDING * 1.4826 * np.median(np.abs(apart - middle))
    )


def evened(seen: Real, sigma: tuple[float, float] | None) -> Real:
    """Return frames (frame, row, column) minus their Gaussian blur.

    ``sigma`` in pixels; None returns the frames as they are.
    """
    shape = (seen.shape[1], seen.shape[2])
    return np.asarray(
        fft.irfft2(fft.rfft2(seen) * high_pass(shape, sigma), s=shape), np.float32
    )


def spread(
    template: Real, mask: Real, sigma: tuple[float, float] | None, noise: float = 0.0
) -> tuple[float, float]:
    """Return what a high-pass leaves of a template.

    Parameters
    ----------
    template, mask
        (row, column).
    sigma
        Of the high-pass, pixels; None for none.
    noise
        Variance of the noise of a template's pixel.

    Returns
    -------
    contrast
        Standard deviation of the filtered template.
    uncertainty
        Standard deviation of a shift along the less certain axis, in pixels, when the
        noise of a frame's pixel is 1.
    """
    shape = template.shape
    weight = float((mask**2).sum())
    masked = (template - (template * mask).sum() / max(float(mask.sum()), 1e-6)) * mask
    twice = column_weights(shape[1])
    power = np.abs(fft.rfft2(masked)) ** 2 * twice / template.size
    filter_ = high_pass((shape[0], shape[1]), sigma)
    contrast = float(np.sqrt((power * filter_**2).sum() / max(weight, 1e-6)))
    floor = noise * weight / template.size * twice
    true = np.maximum(power - floor, 0)
    weights = filter_**2 * power / np.maximum(power + NOISE_WEIGHT * floor, 1e-30)
    worst = 0.0
    for frequency in (fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None]):
        slope = (2 * np.pi * frequency) ** 2
        gained = float((slope * true * weights).sum())
        lost = float((slope * power * weights**2).sum()) ** 0.5
        worst = max(worst, lost / gained if gained > 0 else np.inf)
    return contrast, worst


def least_uneven(shape: tuple[int, int], contrast: float, noise: float) -> float:
    """Return from which `unevenness` on a frame is uneven.

    ``contrast`` is that of the template (`spread`), ``noise`` the standard deviation of
    a frame's pixel.
    """
    return UNEVEN * contrast + UNEVEN_NOISE * noise / block_size(shape)


def finer_sigma(
    template: Real, mask: Real, sigma: tuple[float, float] | None, noise: float = 0.0
) -> tuple[float, float] | None:
    """Return the sigma of the finest high-pass for which the template has structure.

    None without one.
    """
    if sigma is None:
        return None
    _, present = spread(template, mask, sigma, noise)
    for finer in FINER:
        candidate = (min(finer, sigma[0]), min(finer, sigma[1]))
        if candidate == sigma:
            return None
        if spread(template, mask, candidate, noise)[1] <= LOSS * present:
            return candidate
    return None
