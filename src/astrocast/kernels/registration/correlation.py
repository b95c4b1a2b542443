"""Cross-correlation with a template at a few lags, and the sub-pixel peak.

Only small lags are needed, so the inverse transform is two small matrix products
instead of an FFT; a map at quarter pixels around the peak is as cheap (matrix-multiply
DFT of Guizar-Sicairos, Thurman & Fienup 2008, doi:10.1364/OL.33.000156).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from astrocast.kernels.compiling import njit

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]

#: matrix products with fewer multiply-adds stay on the calling thread in BLAS; batches
#: already run on several threads
SMALL_PRODUCT = 1 << 18
#: amplitudes of a whitened template are limited to this many times their median
OUTSTANDING = 6.0
#: a frequency has weight 1/2 if the template's power is this many times its noise
#: (measured: halves the error at 1 to 10 photons per pixel, no effect in bright
#: recordings)
NOISE_WEIGHT = 10.0
#: distances from the peak at which the map is resampled, in pixels
FINE_STEP = 0.25
FINE_LAGS = np.arange(-2, 3) * FINE_STEP


@dataclass(frozen=True)
class Correlator:
    """Templates prepared for correlation with frames at lags of -reach to reach.

    Parameters
    ----------
    shape
        Rows and columns of a template and of a frame.
    reach
        Largest lag along rows and columns, in pixels.
    spectrum
        complex64 (template, frequency row, frequency column): conjugate spectrum of
        each masked template after the filters.
    row_waves
        float32 (2, lag, frequency): real and negative imaginary part of the inverse
        transform along rows.
    column_waves
        float32 (2 x frequencies, 2 x lags): inverse transform along columns, see
        `_interleave`.
    """

    shape: tuple[int, int]
    reach: tuple[int, int]
    spectrum: Complex
    row_waves: Real
    column_waves: Real

    @property
    def lags(self) -> tuple[int, int]:
        """Number of lags along rows and columns."""
        return 2 * self.reach[0] + 1, 2 * self.reach[1] + 1


def taper(n: int, margin: int, ramp: int) -> NDArray[np.float32]:
    """Return a window of ``n`` pixels that falls to zero at both ends, float32.

    It is 0 in the outer ``margin`` pixels, 1 in the middle, and a cosine over ``ramp``
    pixels between them.
    """
    place = np.arange(n)
    depth = np.minimum(place, n - 1 - place) - margin + 0.5
    return (0.5 - 0.5 * np.cos(np.pi * np.clip(depth / ramp, 0, 1))).astype(np.float32)


def taper_2d(shape: tuple[int, int], margin: int, ramp: int) -> NDArray[np.float32]:
    """Return a 2-D window, the outer product of two `taper` windows.

    Margin and ramp are limited to the size of the frame.
    """
    rows, columns = (
        taper(n, min(margin, n // 8), max(1, min(ramp, n // 4))) for n in shape
    )
    return np.outer(rows, columns)


def high_pass(
    shape: tuple[int, int], sigma: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Return the transfer function of "image minus its Gaussian blur".

    (frequency row, frequency column) of the real FFT. ``sigma``: width of the blur
    along rows and columns, in pixels; None: 1 at all frequencies.
    """
    rows, columns = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]
    if sigma is None:
        return np.ones((shape[0], columns.shape[1]))
    return 1 - np.exp(
        -2 * np.pi**2 * ((sigma[0] * rows) ** 2 + (sigma[1] * columns) ** 2)
    )


def build_correlator(
    templates: Real,
    mask: Real,
    reach: tuple[int, int],
    sigma: tuple[float, float] | None = None,
    whitening: float = 0.0,
    noise: float = 0.0,
) -> Correlator:
    """Prepare templates for correlation with frames.

    Parameters
    ----------
    templates
        (template, row, column).
    mask
        (row, column), 0 to 1: weight of each pixel of the template.
    reach
        Largest lag along rows and columns, in pixels.
    sigma
        High-pass of template and frame, see `high_pass`.
    whitening
        The spectrum is divided by the template's amplitude to this power: 0 is plain
        correlation, 1 is phase correlation. Values between them reduce the dominance of
        bright cells without amplifying noise. Exceptionally strong frequencies are then
        limited as well (periodic texture matches itself at every period).
    noise
        Variance of the noise in a pixel of the template. Frequencies in which noise
        dominates get less weight.
    """
    templates = templates - (templates * mask).sum((1, 2), keepdims=True) / max(
        float(mask.sum()), 1e-6
    )
    shape = (templates.shape[1], templates.shape[2])
    # frame and template are high-passed, hence the square; the product is linear, so
    # the filter can be applied here, once
    filter_ = high_pass(shape, sigma)
    spectrum = np.conj(fft.rfft2(templates * mask))
    power = np.abs(spectrum) ** 2
    spectrum = (
        spectrum
        * filter_**2
        * power
        / np.maximum(power + NOISE_WEIGHT * noise * (mask**2).sum(), 1e-30)
    )
    if whitening:
        amplitude = np.abs(spectrum)
        floor = 0.02 * amplitude.max((1, 2), keepdims=True)
        spectrum = spectrum / np.maximum(amplitude + floor, 1e-30) ** whitening
        strength = np.sqrt(power) * filter_
        most = OUTSTANDING * np.median(strength, axis=(1, 2), keepdims=True)
        spectrum = spectrum * np.minimum(1, (most / np.maximum(strength, 1e-30)) ** 2)
    lags_y, lags_x = (np.arange(-r, r + 1) for r in reach)
    rows = np.exp(2j * np.pi * np.outer(lags_y, fft.fftfreq(shape[0])))
    columns = (
        np.exp(2j * np.pi * np.outer(fft.rfftfreq(shape[1]), lags_x))
        * column_weights(shape[1])[:, None]
    )
    return Correlator(
        shape,
        reach,
        np.ascontiguousarray(spectrum, np.complex64),
        np.ascontiguousarray(np.stack([rows.real, -rows.imag]), np.float32),
        _interleave(columns),
    )


def _interleave(waves: NDArray[Any]) -> Real:
    """Return a complex matrix (..., frequency, lag) as a float32 matrix.

    It multiplies vectors in which real and imaginary parts alternate; the first half of
    the product is its real part, the second half its imaginary part.
    """
    shape = (*waves.shape[:-2], 2 * waves.shape[-2], 2 * waves.shape[-1])
    lags = waves.shape[-1]
    real = np.empty(shape, np.float32)
    real[..., 0::2, :lags], real[..., 0::2, lags:] = waves.real, waves.imag
    real[..., 1::2, :lags], real[..., 1::2, lags:] = -waves.imag, waves.real
    return real


def _split_rows(n: int, work: int) -> int:
    """Return the largest divisor of ``n`` rows whose product stays on one thread.

    ``work``: multiplications per row; see `SMALL_PRODUCT`.
    """
    rows = max(1, min(n, SMALL_PRODUCT // work))
    while n % rows:
        rows -= 1
    return rows


def column_weights(n: int) -> NDArray[np.float64]:
    """Return the weight of each column of a real FFT of ``n`` pixels.

    A column stands for two frequencies, except the first, and the last if n is even.
    """
    weights = np.full(n // 2 + 1, 2.0)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return weights


def cross_spectrum(frames: Real, correlator: Correlator) -> Complex:
    """Return the spectrum of frames times the conjugate spectrum of templates.

    Shape (frame, [template,] row, column).
    """
    spectrum = fft.rfft2(frames, overwrite_x=False)
    return np.multiply(spectrum, correlator.spectrum, out=spectrum)


def correlation_maps(spectrum: Complex, correlator: Correlator) -> Real:
    """Return the cross-correlation at lags of -reach to reach, (map, row, column).

    ``spectrum``: from `cross_spectrum`.
    """
    h = spectrum.shape[-2]
    width = 2 * spectrum.shape[-1]
    lags_x = correlator.lags[1]
    interleaved = spectrum.view(np.float32).reshape(
        -1, _split_rows(h, width * 2 * lags_x), width
    )
    across = (interleaved @ correlator.column_waves).reshape(-1, h, 2 * lags_x)
    real, imaginary = correlator.row_waves
    return real @ across[:, :, :lags_x] + imaginary @ across[:, :, lags_x:]


def _waves(frequencies: NDArray[np.float64], places: NDArray[np.float64]) -> Complex:
    return np.exp(2j * np.pi * places[..., None] * frequencies).astype(np.complex64)


def phase_ramps(shape: tuple[int, int], shifts: NDArray[np.float64]) -> Complex:
    """Return factors for cross spectra that centre their maps at given shifts.

    ``shifts`` (frame, 2), in pixels; returns complex64 (frame, frequency row, frequency
    column) for patches of ``shape``.
    """
    rows, columns = (
        _waves(fft.fftfreq(shape[0]), shifts[:, :1]),
        _waves(fft.rfftfreq(shape[1]), shifts[:, 1:]),
    )
    return rows.transpose(0, 2, 1) * columns


def refined_peaks(
    spectrum: Complex, correlator: Correlator, lags: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the peaks of correlation maps, resampled at quarter pixels, (frame, 2).

    Parameters
    ----------
    spectrum
        From `cross_spectrum`, one template, (frame, row, column).
    correlator
        The template with which it was computed.
    lags
        (frame, 2), pixels: first estimate, within half a pixel of the peak.
    """
    h, w = correlator.shape
    places = lags[:, :, None] + FINE_LAGS
    rows = _waves(fft.fftfreq(h), places[:, 0])
    columns = _waves(fft.rfftfreq(w), places[:, 1]) * column_weights(w).astype(
        np.float32
    )
    along = _interleave(columns.transpose(0, 2, 1))
    split = _split_rows(h, 2 * (w // 2 + 1) * along.shape[2])
    across = (
        spectrum.view(np.float32).reshape(len(spectrum), h // split, split, -1)
        @ along[:, None]
    )
    across = across.reshape(len(spectrum), h, -1)
    count = len(FINE_LAGS)
    maps = rows.real @ across[:, :, :count] - rows.imag @ across[:, :, count:]
    return lags + FINE_STEP * peaks(np.ascontiguousarray(maps, np.float32))


@njit(cache=True, nogil=True)
def _fit_quadratic(map_: Any, y: int, x: int) -> tuple[float, float]:
    """Return the offset of the peak of a map from its sample (``y``, ``x``).

    The least-squares quadratic surface through 3 x 3 values of ``map_``, float32 (row,
    column). Returns two float64, each limited to -1 to 1.
    """
    centre = np.float64(map_[y, x])
    gy = gx = hyy = hxx = 0.0
    for d in range(-1, 2):
        lower, upper = (
            np.float64(map_[y - 1, x + d]) - centre,
            np.float64(map_[y + 1, x + d]) - centre,
        )
        left, right = (
            np.float64(map_[y + d, x - 1]) - centre,
            np.float64(map_[y + d, x + 1]) - centre,
        )
        gy += (upper - lower) / 6
        gx += (right - left) / 6
        hyy += (upper + lower - 2 * (np.float64(map_[y, x + d]) - centre)) / 3
        hxx += (right + left - 2 * (np.float64(map_[y + d, x]) - centre)) / 3
    hxy = (
        np.float64(map_[y + 1, x + 1])
        + np.float64(map_[y - 1, x - 1])
        - np.float64(map_[y - 1, x + 1])
        - np.float64(map_[y + 1, x - 1])
    ) / 4
    determinant = hyy * hxx - hxy * hxy
    # flat, a ridge or NaN: the fit has no maximum
    if not determinant > 1e-12 * centre * centre:
        return 0.0, 0.0
    oy = -(hxx * gy - hxy * gx) / determinant
    ox = -(hyy * gx - hxy * gy) / determinant
    return min(max(oy, -1.0), 1.0), min(max(ox, -1.0), 1.0)


@njit(cache=True, nogil=True)
def peaks(maps: Real) -> NDArray[np.float64]:
    """Return the position of the maximum of each map, to a fraction of a sample.

    ``maps`` float32 (map, row, column); returns float64 (map, 2): samples from the
    centre of the map.
    """
    n, rows, columns = maps.shape
    places = np.zeros((n, 2))
    for i in range(n):
        best_y, best_x = rows // 2, columns // 2
        best = maps[i, best_y, best_x]
        for y in range(rows):
            for x in range(columns):
                if maps[i, y, x] > best:
                    best, best_y, best_x = maps[i, y, x], y, x
        y, x = min(max(best_y, 1), rows - 2), min(max(best_x, 1), columns - 2)
        oy, ox = _fit_quadratic(maps[i], y, x)
        places[i, 0] = y - rows // 2 + oy
        places[i, 1] = x - columns // 2 + ox
    return places
