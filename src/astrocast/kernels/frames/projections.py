"""Mean, maximum and deviation images, and the mean of each frame, block by block."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

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


def project(block: NDArray[Any], pool: Executor | None = None) -> Projections:
    """Return mean, maximum and deviation images and frame means of a block.

    Parameters
    ----------
    block
        (frame, row, column) of any real dtype; at least one frame. Not changed.
    pool
        Threads to share the work with.

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
    stripes = -(-values.shape[1] // _STRIPE)
    count = np.empty(values.shape[1], np.int64)
    mean, squares, maximum = (np.empty(values.shape[1]) for _ in range(3))
    sums, counts = np.zeros((stripes, frames)), np.zeros((stripes, frames), np.int64)
    images = count, mean, squares, maximum
    run_in_threads(pool, stripes, _project, values, _STRIPE, images, sums, counts)
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


def frame_means(
    block: NDArray[Any], pool: Executor | None = None
) -> NDArray[np.float64]:
    """Return the mean of each frame of a block, without NaN and infinite voxels.

    Parameters
    ----------
    block
        (frame, row, column) of any real dtype. Not changed.
    pool
        Threads to share the work with.

    Returns
    -------
    numpy.ndarray
        float64 (frame,); NaN where a frame has no finite value.

    Examples
    --------
    >>> import numpy as np
    >>> frame_means(np.array([[[1.0, 2.0]], [[np.nan, 5.0]]]))
    array([1.5, 5. ])
    """
    values = np.ascontiguousarray(block).reshape(len(block), -1)
    means = np.empty(len(values))
    run_in_threads(pool, len(values), _means, values, means)
    return means


def first_label(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first label of each pixel in the frames of a block.

    Parameters
    ----------
    labels
        Integers, (frame, row, column). 0 means no event.

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
@njit(cache=True, nogil=True)
def _project(  # type: ignore[no-untyped-def]
    lo, hi, values, stripe, images, sums, counts
):
    """Reduce stripes ``lo`` to ``hi`` of ``values`` (frame, pixel) of any real dtype.

    Fills ``images``: count (int64), mean, squares and maximum (float64), each (pixel,);
    and sums (float64) and counts (int64) of each frame, (stripe, frame).
    """
    count, mean, squares, maximum = images
    frames, pixels = values.shape
    for s in range(lo, hi):
        begin = s * stripe
        end = min(begin + stripe, pixels)
        own, peak = count[begin:end], maximum[begin:end]
        # differences from the first value: squares of large values would lose precision
        origin = values[0, begin:end].astype(np.float64)
        total = np.zeros(end - begin)
        square = np.zeros(end - begin)
        own[:], peak[:] = 0, -np.inf
        has_origin = False
        for t in range(frames):
            line = values[t, begin:end]
            sums[s, t] = _sum(line)
            has_origin = has_origin or np.isfinite(origin).all()
            if has_origin and np.isfinite(sums[s, t]):
                _add_line(line, origin, total, square, peak)
                own += 1
                counts[s, t] = len(line)
            else:
                found = _add_finite(line, origin, own, total, square, peak)
                sums[s, t], counts[s, t] = found
        for k in range(end - begin):
            if own[k]:
                mean[begin + k] = origin[k] + total[k] / own[k]
                rest = square[k] - total[k] * total[k] / own[k]
                squares[begin + k] = max(rest, 0.0)
            else:
                mean[begin + k], squares[begin + k], peak[k] = np.nan, 0.0, np.nan


@njit(cache=True, nogil=True)
def _means(lo, hi, values, means):  # type: ignore[no-untyped-def]
    """Write the mean of frames ``lo`` to ``hi`` of ``values`` (frame, pixel).

    ``values`` of any real dtype, ``means`` float64 (frame,).
    """
    for t in range(lo, hi):
        total, count = _sum(values[t]), values.shape[1]
        if not np.isfinite(total):
            total, count = 0.0, 0
            for p in range(values.shape[1]):
                value = float(values[t, p])
                if np.isfinite(value):
                    total += value
                    count += 1
        means[t] = total / count if count else np.nan


# sums in any order are sums of vectors; NaN and infinity remain in the sum
@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _sum(line):  # type: ignore[no-untyped-def]
    """Return the sum of ``line`` (pixel,) of any real dtype, float64."""
    total = 0.0
    for k in range(len(line)):
        total += float(line[k])
    return total


@njit(cache=True, nogil=True)
def _add_line(line, origin, total, square, peak):  # type: ignore[no-untyped-def]
    """Add finite values (pixel,) of any real dtype to sums of differences.

    ``origin``, ``total``, ``square`` and ``peak``: float64 (pixel,).
    """
    for k in range(len(line)):
        value = float(line[k])
        difference = value - origin[k]
        total[k] += difference
        square[k] += difference * difference
        peak[k] = value if value > peak[k] else peak[k]


@njit(cache=True, nogil=True)
def _add_finite(  # type: ignore[no-untyped-def]
    line, origin, count, total, square, peak
):
    """Add what is finite in a line, as `_add_line`; return its sum and number.

    The first finite value of a pixel becomes its origin; ``count``: int64 (pixel,).
    """
    frame_sum, frame_count = 0.0, 0
    for k in range(len(line)):
        value = float(line[k])
        if not np.isfinite(value):
            continue
        if count[k] == 0:
            origin[k] = value
        difference = value - origin[k]
        count[k] += 1
        total[k] += difference
        square[k] += difference * difference
        peak[k] = max(peak[k], value)
        frame_sum += value
        frame_count += 1
    return frame_sum, frame_count


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
