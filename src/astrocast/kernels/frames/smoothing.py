"""Gaussian smoothing of a block of frames, in space and time."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import spread

EdgeMode = Literal["nearest", "reflect"]


def gaussian_radius(sigma: float, truncate: float = 4.0) -> int:
    """Return the radius at which a Gaussian of ``sigma`` is cut, as
    `scipy.ndimage.gaussian_filter` cuts it.

    Examples
    --------
    >>> gaussian_radius(2)
    8
    """
    return int(truncate * float(sigma) + 0.5)


def gaussian_weights(sigma: float, radius: int) -> NDArray[np.float64]:
    """Return the weights of a Gaussian cut at ``radius``, centre first, each once:
    (radius + 1,); the whole sums to 1.

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
) -> NDArray[np.float32]:
    """Smooth frames with the same Gaussian along all three axes.

    Parameters
    ----------
    frames
        Block of a recording, (frame, row, column), float32, finite.
    sigma
        Standard deviation in frames and pixels; 0 leaves the frames as they are.
    radius
        Where the Gaussian is cut, in frames and pixels; at 4 sigma when None.
    mode
        What lies beyond the edges: ``nearest`` repeats the edge, ``reflect`` mirrors
        about it.
    inner
        Frames whose result is wanted. The others are the halo: with ``radius`` frames
        on either side (fewer only at the ends of the recording) the result is that of
        the whole recording.
    pool
        Threads to share the work with.

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
            f"smoothing takes float32 (frame, row, column), got {frames.dtype}"
            f" {frames.shape}"
        )
    cut = gaussian_radius(sigma) if radius is None else int(radius)
    weights = gaussian_weights(sigma, cut)
    start, stop, _ = inner.indices(len(frames))
    out = np.empty((max(0, stop - start), *frames.shape[1:]), np.float32)
    source = np.ascontiguousarray(frames)
    spread(pool, len(out), _smooth, source, weights, mode == "reflect", start, out)
    return out


@njit(cache=True, nogil=True)
def _beyond(i: int, n: int, reflect: bool) -> int:
    if not reflect:
        return min(max(i, 0), n - 1)
    while i < 0 or i >= n:
        i = -i - 1 if i < 0 else 2 * n - 1 - i
    return i


@njit(cache=True, nogil=True)
def _smooth(
    lo: int, hi: int, frames: Any, weights: Any, reflect: bool, start: int, out: Any
) -> None:
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
                    frames[_beyond(t - j, n, reflect), y],
                    frames[_beyond(t + j, n, reflect), y],
                    weights[j],
                    sums,
                )
            _store(sums, in_time[y])
        for y in range(rows):
            _weigh(in_time[y], weights[0], sums)
            for j in range(radius, 0, -1):
                _add(
                    in_time[_beyond(y - j, rows, reflect)],
                    in_time[_beyond(y + j, rows, reflect)],
                    weights[j],
                    sums,
                )
            _store(sums, line[radius : radius + columns])
            for j in range(radius):
                line[j] = line[radius + _beyond(j - radius, columns, reflect)]
                line[radius + columns + j] = line[
                    radius + _beyond(columns + j, columns, reflect)
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


# One pass over a line per pair of taps: the compiler turns each into vector
# instructions.
@njit(cache=True, nogil=True)
def _weigh(line: Any, weight: float, sums: Any) -> None:
    for x in range(len(sums)):
        sums[x] = np.float64(line[x]) * weight


@njit(cache=True, nogil=True)
def _add(left: Any, right: Any, weight: float, sums: Any) -> None:
    for x in range(len(sums)):
        sums[x] += (np.float64(left[x]) + np.float64(right[x])) * weight


@njit(cache=True, nogil=True)
def _store(sums: Any, line: Any) -> None:
    for x in range(len(sums)):
        line[x] = np.float32(sums[x])
