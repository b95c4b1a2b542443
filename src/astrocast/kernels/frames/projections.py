"""Mean, maximum and deviation images, and the mean of each frame, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit

#: pixels per piece of work: their sums stay in the fastest cache of the processor
_STRIPE = 2048


@dataclass(frozen=True)
class Projections:
    """Images over some frames of a recording; those of consecutive blocks merge.

    NaN and infinite voxels are left out. A pixel without a finite value is NaN in every
    image, a frame without a finite value is NaN in ``frame_mean``.

    Parameters
    ----------
    count
        int64 (row, column): number of finite values per pixel.
    mean
        (row, column), float64.
    squares
        (row, column), float64: sum of the squared differences from the mean.
    maximum
        (row, column), float64.
    frame_mean
        (frames,), float64, in the order in which blocks were merged.
    """

    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    maximum: NDArray[np.float64]
    frame_mean: NDArray[np.float64]

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation of each pixel over time, with ddof = 0 as in NumPy."""
        return np.sqrt(
            np.where(self.count > 0, self.squares, np.nan) / np.maximum(self.count, 1)
        )

    def merge(self, later: Projections) -> Projections:
        """Return the projections of these frames followed by those of ``later``.

        The pairwise update of Chan, Golub and LeVeque (1979,
        https://doi.org/10.1007/978-3-642-51461-6_3) stays exact where the mean is much
        larger than the standard deviation.
        """
        if self.mean.shape != later.mean.shape:
            raise InvalidValueError(
                f"cannot merge projections of frames of {self.mean.shape} and"
                f" {later.mean.shape} pixels; both must come from one recording"
            )
        count = self.count + later.count
        share = later.count / np.maximum(count, 1)
        step = np.where(self.count > 0, later.mean - self.mean, 0.0)
        first = np.where(self.count > 0, self.mean, later.mean)
        empty = later.count == 0
        mean = np.where(empty, first, first + np.where(empty, 0.0, step) * share)
        between = np.where(empty, 0.0, step) ** 2 * self.count * share
        return Projections(
            count,
            mean,
            self.squares + later.squares + between,
            np.fmax(self.maximum, later.maximum),
            np.concatenate([self.frame_mean, later.frame_mean]),
        )


def project(block: NDArray[Any]) -> Projections:
    """Return mean, maximum and deviation images and frame means of a block.

    Parameters
    ----------
    block
        (frame, row, column) of any real dtype; at least one frame. Not changed.

    Returns
    -------
    Projections
        Merge those of consecutive blocks with `Projections.merged`; up to rounding, the
        result does not depend on the size of the blocks.

    Raises
    ------
    InvalidValueError
        If the block is not 3-D or is empty.

    Examples
    --------
    >>> import numpy as np
    >>> movie = np.arange(24.0).reshape(4, 2, 3)
    >>> both = project(movie[:1]).merge(project(movie[1:]))
    >>> np.allclose(both.std, movie.std(axis=0)), both.frame_mean
    (True, array([ 2.5,  8.5, 14.5, 20.5]))
    """
    if block.ndim != 3 or not block.size:
        raise InvalidValueError(
            "expected a block (frame, row, column) with at least one voxel, found shape"
            f" {block.shape}"
        )
    frames, rows, columns = block.shape
    values = np.ascontiguousarray(block).reshape(frames, rows * columns)
    count, mean, squares, maximum, sums, counts = _project(values, _STRIPE)
    found = counts.sum(axis=0)
    frame_mean = np.where(found > 0, sums.sum(axis=0) / np.maximum(found, 1), np.nan)
    shape = (rows, columns)
    return Projections(
        count.reshape(shape),
        mean.reshape(shape),
        squares.reshape(shape),
        maximum.reshape(shape),
        frame_mean,
    )


def first_label(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first label of each pixel in the frames of a block.

    Parameters
    ----------
    labels
        (frame, row, column), integers; 0 where there is no event.

    Returns
    -------
    numpy.ndarray
        int64 (row, column), 0 where no frame has an event. For several blocks take the
        first label that is not 0.

    Examples
    --------
    >>> import numpy as np
    >>> first_label(np.array([[[0, 0]], [[7, 0]], [[8, 0]]]))
    array([[7, 0]])
    """
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise InvalidValueError(
            "expected labels (frame, row, column) of an integer dtype, found shape"
            f" {labels.shape} and {labels.dtype}"
        )
    return _first_label(np.ascontiguousarray(labels))


def onset_map(
    first: NDArray[np.int64], labels: NDArray[np.int64], onsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the first frame of the first event at each pixel, NaN without event.

    Parameters
    ----------
    first
        int64 (row, column), from `first_label`.
    labels, onsets
        int64 (events,): label and first frame of each event. Other labels in the image
        count as no event.

    Returns
    -------
    numpy.ndarray
        float64 (row, column).

    Examples
    --------
    >>> import numpy as np
    >>> onset_map(np.array([[7, 0]]), np.array([7]), np.array([12]))
    array([[12., nan]])
    """
    table = np.full(int(max(first.max(initial=0), labels.max(initial=0))) + 1, np.nan)
    table[labels] = onsets
    table[0] = np.nan
    return table[first]


# no fastmath: NaN marks missing values
@njit(cache=True, nogil=True, parallel=True)
def _project(values, stripe):  # type: ignore[no-untyped-def]
    """Reduce ``values`` (frame, pixel) of any real dtype, in stripes of pixels.

    Returns count (int64), mean, squares and maximum (float64), each (pixel,), and sums
    (float64) and counts (int64) of each frame, (stripe, frame), one row per thread.
    """
    frames, pixels = values.shape
    stripes = (pixels + stripe - 1) // stripe
    count = np.zeros(pixels, np.int64)
    mean = np.full(pixels, np.nan)
    squares = np.zeros(pixels)
    maximum = np.full(pixels, np.nan)
    sums = np.zeros((stripes, frames))
    counts = np.zeros((stripes, frames), np.int64)
    for s in prange(stripes):
        begin = s * stripe
        end = min(begin + stripe, pixels)
        origin = np.zeros(end - begin)
        total = np.zeros(end - begin)
        square = np.zeros(end - begin)
        for t in range(frames):
            frame_sum, frame_count = 0.0, 0
            for p in range(begin, end):
                value = float(values[t, p])
                if not np.isfinite(value):
                    continue
                k = p - begin
                if count[p] == 0:
                    # differences from the first value: squares of large values would
                    # lose precision
                    origin[k] = value
                    maximum[p] = value
                difference = value - origin[k]
                count[p] += 1
                total[k] += difference
                square[k] += difference * difference
                maximum[p] = max(maximum[p], value)
                frame_sum += value
                frame_count += 1
            sums[s, t] = frame_sum
            counts[s, t] = frame_count
        for p in range(begin, end):
            if count[p]:
                k = p - begin
                mean[p] = origin[k] + total[k] / count[p]
                squares[p] = max(square[k] - total[k] * total[k] / count[p], 0.0)
    return count, mean, squares, maximum, sums, counts


@njit(cache=True, nogil=True)
def _first_label(labels):  # type: ignore[no-untyped-def]
    """Return the first label above 0 of each pixel, int64 (row, column).

    ``labels``: integers (frame, row, column).
    """
    frames, rows, columns = labels.shape
    first = np.zeros((rows, columns), np.int64)
    for t in range(frames):
        for x in range(rows):
            for y in range(columns):
                if first[x, y] == 0 and labels[t, x, y] > 0:
                    first[x, y] = labels[t, x, y]
    return first
