"""The offset between odd and even lines of a bidirectional scan.

A bidirectional microscope reads every second line backwards. If its phase is wrong, all
odd lines are displaced along the line by the same distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from astrocast.kernels.registration.interpolation import fill_sinc_weights

#: largest offset that is searched, pixels; at most an eighth of a line
LARGEST = 12
#: distance between the offsets that are tried first, pixels
STEP = 0.125
#: the rows are divided into this many bands; each is left out once for the standard
#: error (jackknife)
BANDS = 8
#: an offset below this many pixels, or this many standard errors, is not corrected
SMALLEST, ERRORS = 0.08, 5.0
#: the offset is corrected and measured again this many times
REPEATS = 2
#: least number of lines, and of pixels in a line
SHORTEST = 16
#: frequencies of fewer periods per line are left out
LOWEST = 3
#: length of the windowed sinc that moves a line, pixels
TAPS = 8

#: least correlation of neighbouring lines, in standard deviations of the correlation of
#: noise
AGREEMENT = 6.0


@dataclass(frozen=True)
class LineOffset:
    """Displacement of the odd lines relative to the even lines.

    Parameters
    ----------
    pixels
        Positive where the odd lines (1, 3, ...) lie to the right.
    error
        Standard error, pixels; infinite if the offset cannot be measured.
    """

    pixels: float
    error: float

    @property
    def is_significant(self) -> bool:
        """Whether the offset is large enough, and certain enough, to be corrected."""
        return abs(self.pixels) >= max(SMALLEST, ERRORS * self.error)


def find_line_offset(images: NDArray[Any]) -> LineOffset:
    """Estimate the displacement of odd lines along the line.

    Each odd line is compared with the mean of the even lines above and below, so that
    slanted structure causes no bias. The cross spectra of all lines are summed, and
    each frequency is weighted by its coherence (maximum likelihood, Knapp & Carter
    1976, doi:10.1109/TASSP.1976.1162830).

    Parameters
    ----------
    images
        (image, row, column), real: frames or means of several frames; a NaN is replaced
        by the mean of its line.

    Returns
    -------
    LineOffset
        Zero with an infinite error for images that are too small or without structure.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import ndimage
    >>> rng = np.random.default_rng(0)
    >>> image = ndimage.gaussian_filter(rng.random((64, 64)), 2)
    >>> image[1::2] = np.roll(image[1::2], 3, axis=1)
    >>> found = find_line_offset(image[None])
    >>> abs(found.pixels - 3) < 0.1, found.is_significant
    (True, True)
    """
    _, rows, columns = images.shape
    if rows < SHORTEST or columns < SHORTEST:
        return LineOffset(0.0, np.inf)
    found = _measure_offset(images)
    for _ in range(REPEATS):
        if abs(found.pixels) < SMALLEST or not np.isfinite(found.error):
            break
        # the ends of the lines bias a large offset towards zero; the rest is smaller
        rest = _measure_offset(move_odd_lines(images, found.pixels))
        found = LineOffset(found.pixels + rest.pixels, rest.error)
    if found.pixels and not _lines_agree(move_odd_lines(images, found.pixels)):
        return LineOffset(found.pixels, np.inf)
    return found


def _lines_agree(images: NDArray[Any]) -> bool:
    """Return whether odd lines correlate with their neighbours more than noise does.

    Some offset fits best even in lines without structure, with a small error.
    """
    frames = _subtract_line_means(images)
    odd = frames[:, 1:-1:2]
    even = (frames[:, 0:-2:2] + frames[:, 2::2])[:, : odd.shape[1]]
    power = np.sqrt((odd**2).sum() * (even**2).sum())
    agreement = (odd * even).sum() / power if power else 0.0
    return bool(agreement > AGREEMENT / np.sqrt(odd.size))


def _measure_offset(images: NDArray[Any]) -> LineOffset:
    """Return the offset of (image, row, column) by one comparison of the lines."""
    columns = images.shape[2]
    unknown = LineOffset(0.0, np.inf)
    bands = _sum_band_spectra(_taper_lines(images))
    total = bands.sum(axis=1)
    if not (np.isfinite(total).all() and total[1:, 1:].real.sum() > 0):
        return unknown
    reach = min(LARGEST, columns // 8)
    found = _find_peak(total, columns, reach)
    count = bands.shape[1]
    left_out = [_find_peak(total - bands[:, b], columns, reach) for b in range(count)]
    spread = np.sum((np.array(left_out) - np.mean(left_out)) ** 2)
    return LineOffset(found, float(np.sqrt(spread * (count - 1) / count)))


def _subtract_line_means(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return lines with mean zero, (image, row, column); values not finite become 0."""
    lines = np.asarray(images, np.float64)
    valid = np.isfinite(lines)
    lines = np.where(valid, lines, 0.0)
    counts = np.maximum(valid.sum(axis=2, keepdims=True), 1)
    return np.where(valid, lines - lines.sum(axis=2, keepdims=True) / counts, 0.0)


def _taper_lines(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return lines with mean zero, tapered at both ends, (image, row, column)."""
    flat = _subtract_line_means(images)
    columns = flat.shape[2]
    edge = max(2, columns // 4)
    taper = np.ones(columns)
    taper[:edge] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    taper[-edge:] = taper[:edge][::-1]
    return flat * taper


def _sum_band_spectra(lines: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return spectra summed over the lines of each band, (3, band, frequency).

    They are: cross spectrum of even and odd lines, power of even and of odd lines.
    """
    odd = fft.rfft(lines[:, 1:-1:2], axis=2)
    below = lines[:, 2::2]
    count = min(odd.shape[1], below.shape[1])
    even = fft.rfft(0.5 * (lines[:, 0:-1:2][:, :count] + below[:, :count]), axis=2)
    odd = odd[:, :count]
    each = np.stack([np.conj(even) * odd, abs(even) ** 2, abs(odd) ** 2]).sum(axis=1)
    starts = np.linspace(0, count, min(BANDS, count) + 1).astype(int)[:-1]
    return np.asarray(np.add.reduceat(each, starts, axis=1))


def _find_peak(spectra: NDArray[np.complex128], columns: int, reach: int) -> float:
    """Return the displacement at which the weighted correlation is largest, pixels."""
    cross, even, odd = spectra[0], spectra[1].real, spectra[2].real
    power = np.sqrt(even * odd)
    agreement = np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)
    size = np.minimum(abs(agreement), 0.999)
    weighted = agreement * size / (1 - size**2)
    # low frequencies: light that falls off at the edges of all lines; the highest
    # frequency cannot show the direction of a displacement
    weighted[:LOWEST] = 0
    if columns % 2 == 0:
        weighted[-1] = 0
    turns = 2j * np.pi * np.arange(len(weighted)) / columns

    def correlation(places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((np.exp(places[:, None] * turns) @ weighted).real)

    step = STEP
    center = 0.0
    places = np.arange(-reach, reach + step / 2, step)
    for _ in range(3):
        values = correlation(center + places)
        center += places[int(np.argmax(values))]
        step /= 8
        places = np.arange(-8, 9) * step
    left, middle, right = correlation(center + np.array([-step, 0.0, step]))
    bend = left - 2 * middle + right
    return float(center + (0.5 * step * (left - right) / bend if bend < 0 else 0.0))


def move_odd_lines(
    frames: NDArray[Any], pixels: float, first_row: int = 0
) -> NDArray[np.float32]:
    """Move odd lines back by their displacement; even lines do not change.

    Parameters
    ----------
    frames
        (frame, row, column), real; whole lines.
    pixels
        Displacement of the odd lines, positive to the right.
    first_row
        Number of the first row of the block in the recording.

    Returns
    -------
    numpy.ndarray
        float32 (frame, row, column). Beyond the ends of a line its last pixel is
        repeated. A NaN makes its neighbours in an odd line NaN.
    """
    moved = np.array(frames, np.float32)
    start = (first_row + 1) % 2
    lines = moved[:, start::2]
    columns = frames.shape[2]
    whole = int(np.floor(pixels))
    fraction = pixels - whole
    if fraction == 0:
        chosen = np.clip(np.arange(columns) + whole, 0, columns - 1)
        moved[:, start::2] = lines[:, :, chosen]
        return moved
    weights = np.empty(TAPS, np.float64)
    fill_sinc_weights(fraction, TAPS, weights)
    total = np.zeros_like(lines)
    for k, weight in enumerate(weights.astype(np.float32)):
        place = np.arange(columns) + whole + k - (TAPS // 2 - 1)
        total += weight * lines[:, :, np.clip(place, 0, columns - 1)]
    moved[:, start::2] = total
    return moved
