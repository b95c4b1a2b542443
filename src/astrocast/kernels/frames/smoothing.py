"""Gaussian smoothing of a block of frames, and the noise that remains after it."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

EdgeMode = Literal["nearest", "reflect"]


def gaussian_radius(sigma: float, truncate: float = 4.0) -> int:
    """Return the radius at which a Gaussian is cut, as in `scipy.ndimage`.

    Examples
    --------
    >>> gaussian_radius(2)
    8
    """
    return int(truncate * float(sigma) + 0.5)


def gaussian_weights(sigma: float, radius: int) -> NDArray[np.float64]:
    """Return one half of a Gaussian kernel, from its centre to ``radius``.

    float64 (radius + 1,); the whole kernel, both sides, sums to 1.

    Examples
    --------
    >>> gaussian_weights(2, 1).round(3)
    array([0.362, 0.319])
    """
    x = np.arange(-radius, radius + 1)
    phi = (
        np.exp(-0.5 / (sigma * sigma) * x**2)
        if sigma > 0
        else (x == 0).astype(np.float64)
    )
    return np.ascontiguousarray((phi / phi.sum())[radius:])


def gaussian(
    frames: NDArray[np.float32],
    sigma: float,
    radius: int | None = None,
    mode: EdgeMode = "nearest",
    inner: slice = slice(None),
    pool: Executor | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Smooth frames with the same Gaussian along all three axes.

    Parameters
    ----------
    frames
        Block of a recording, (frame, row, column), float32, finite.
    sigma
        Standard deviation in frames and pixels; 0 leaves the frames as they are.
    radius
        Frames and pixels at which the Gaussian is cut; None: 4 sigma.
    mode
        Values beyond the edges: ``nearest`` repeats the edge, ``reflect`` mirrors the
        frame.
    inner
        Frames to return. The others are the halo: with ``radius`` frames on either side
        (fewer only at the ends of the recording) the result equals that of smoothing
        the whole recording.
    pool
        Threads that share the work.
    out
        Array for the result, float32, contiguous; None: a new one.

    Returns
    -------
    numpy.ndarray
        Smoothed frames of ``inner``, float32.

    Notes
    -----
    Sums are taken in double precision and rounded to float32 after each axis, in the
    order frame, row, column, so the result equals `scipy.ndimage.gaussian_filter` of
    float32 data to the last bit.

    Examples
    --------
    >>> impulse = np.zeros((5, 5, 5), np.float32)
    >>> impulse[2, 2, 2] = 1
    >>> round(float(gaussian(impulse, 1.0, radius=2).sum()), 6)
    1.0
    """
    if frames.ndim != 3 or frames.dtype != np.float32:
        raise InvalidValueError(
            "smoothing needs a float32 array (frame, row, column), found"
            f" {frames.dtype} {frames.shape}; convert it first"
        )
    cut = gaussian_radius(sigma) if radius is None else int(radius)
    weights = gaussian_weights(sigma, cut)
    start, stop, _ = inner.indices(len(frames))
    if out is None:
        out = np.empty((max(0, stop - start), *frames.shape[1:]), np.float32)
    source = np.ascontiguousarray(frames)
    run_in_threads(
        pool, len(out), _smooth, source, weights, mode == "reflect", start, out
    )
    return out


def smoothed_noise(
    variance: NDArray[np.float32], sigma: float, radius: int
) -> NDArray[np.float32]:
    """Return the standard deviation of white noise after a spatial Gaussian.

    Parameters
    ----------
    variance
        Variance of the noise before smoothing, (row, column), float32.
    sigma, radius
        Of the Gaussian, in pixels; edges are repeated.

    Returns
    -------
    numpy.ndarray
        float32 (row, column). It is larger at the edges, where repeated pixels are
        averaged.
    """
    rows, columns = (_edge_weights(n, sigma, radius) ** 2 for n in variance.shape)
    return np.sqrt(rows @ variance @ columns.T).astype(np.float32)


def temporal_gain(n_frames: int, sigma: float, radius: int) -> NDArray[np.float32]:
    """Return the standard deviation of white noise after a Gaussian over time.

    As a fraction of that before, float32 (frame,); the first and last frames are
    repeated beyond the ends.
    """
    if n_frames > 4 * radius + 2:
        ends = temporal_gain(4 * radius + 2, sigma, radius)
        inner = np.full(n_frames - 2 * radius, ends[2 * radius])
        return np.concatenate([ends[:radius], inner, ends[-radius:]])
    return np.sqrt((_edge_weights(n_frames, sigma, radius) ** 2).sum(axis=1)).astype(
        np.float32
    )


def temporal_gain_of(
    frames: NDArray[np.int64], n_frames: int, sigma: float, radius: int
) -> NDArray[np.float32]:
    """Return `temporal_gain` of some frames of a recording of ``n_frames`` frames.

    The work does not grow with the length of the recording.
    """
    whole = 4 * radius + 2
    if n_frames <= whole:
        return temporal_gain(n_frames, sigma, radius)[frames]
    ends = temporal_gain(whole, sigma, radius)
    from_end = n_frames - frames
    at = np.where(frames < radius, frames, 2 * radius)
    return ends[np.where(from_end <= radius, whole - from_end, at)]


def _edge_weights(n: int, sigma: float, radius: int) -> NDArray[np.float64]:
    """Return the matrix of a Gaussian over ``n`` samples, edges repeated: (n, n)."""
    weights = gaussian_weights(sigma, radius)
    matrix = np.zeros((n, n))
    for j in range(-radius, radius + 1):
        np.add.at(
            matrix, (np.arange(n), np.clip(np.arange(n) + j, 0, n - 1)), weights[abs(j)]
        )
    return matrix


@njit(cache=True, nogil=True)
def _inside(i: int, n: int, reflect: bool) -> int:
    """Return the index inside 0 .. n - 1 whose value stands for index ``i``.

    ``i`` and ``n`` int64, ``reflect`` bool.
    """
    if not reflect:
        return min(max(i, 0), n - 1)
    while i < 0 or i >= n:
        i = -i - 1 if i < 0 else 2 * n - 1 - i
    return i


@njit(cache=True, nogil=True)
def _smooth(
    lo: int, hi: int, frames: Any, weights: Any, reflect: bool, start: int, out: Any
) -> None:
    """Smooth frames ``start + lo`` .. ``start + hi - 1`` into ``out[lo:hi]``.

    ``frames`` and ``out``: float32 (frame, row, column); ``weights``: float64
    (radius + 1,), from `gaussian_weights`.
    """
    n, rows, columns = frames.shape
    radius = len(weights) - 1
    in_time = np.empty((rows, columns), np.float32)
    sums = np.empty(columns, np.float64)
    line = np.empty(columns + 2 * radius, np.float32)
    for i in range(lo, hi):
        t = start + i
        for y in range(rows):
            _weigh(frames[t, y], weights[0], sums)
            for j in range(radius, 0, -1):
                _add(
                    frames[_inside(t - j, n, reflect), y],
                    frames[_inside(t + j, n, reflect), y],
                    weights[j],
                    sums,
                )
            _store(sums, in_time[y])
        for y in range(rows):
            _weigh(in_time[y], weights[0], sums)
            for j in range(radius, 0, -1):
                _add(
                    in_time[_inside(y - j, rows, reflect)],
                    in_time[_inside(y + j, rows, reflect)],
                    weights[j],
                    sums,
                )
            _store(sums, line[radius : radius + columns])
            for j in range(radius):
                line[j] = line[radius + _inside(j - radius, columns, reflect)]
                line[radius + columns + j] = line[
                    radius + _inside(columns + j, columns, reflect)
                ]
            _weigh(line[radius : radius + columns], weights[0], sums)
            for j in range(radius, 0, -1):
                _add(
                    line[radius - j : radius - j + columns],
                    line[radius + j : radius + j + columns],
                    weights[j],
                    sums,
                )
            _store(sums, out[i, y])


# One pass over a line per pair of weights, so that each becomes vector instructions.
@njit(cache=True, nogil=True)
def _weigh(line: Any, weight: float, sums: Any) -> None:
    """Set ``sums``, float64, to ``weight`` x ``line``, float32, both (columns,)."""
    for x in range(len(sums)):
        sums[x] = np.float64(line[x]) * weight


@njit(cache=True, nogil=True)
def _add(left: Any, right: Any, weight: float, sums: Any) -> None:
    """Add ``weight`` x (``left`` + ``right``), float32, to ``sums``, float64."""
    for x in range(len(sums)):
        sums[x] += (np.float64(left[x]) + np.float64(right[x])) * weight


@njit(cache=True, nogil=True)
def _store(sums: Any, line: Any) -> None:
    """Round ``sums``, float64, into ``line``, float32, both (columns,)."""
    for x in range(len(sums)):
        line[x] = np.float32(sums[x])
