"""Means over steps of frames, and differences of frames at three lags, in one pass.

Cameras that average frames, and denoisers, correlate the noise of neighbouring frames.
Differences between neighbouring frames are then too small; those over four frames are
not.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.frames.smoothing import gaussian_weights
from astrocast.kernels.parallel import run_in_threads

#: distances in frames at which pixels are compared; noise is taken to be independent
#: at the last
LAGS = (1, 2, 4)
#: smaller correlations are taken as 0: slow signals and chance cause some
_LEAST_CORRELATION = 0.04
#: largest correlation of the noise of neighbouring frames
_MOST_CORRELATION = 0.95
#: pixels that never change (a constant border) are left out of the medians
_NO_DIFFERENCE = 1e-12


@dataclass(frozen=True)
class StepMoments:
    """Means of groups of frames, and how much frames differ.

    Parameters
    ----------
    edges
        First frame of each group and the end of the last, int64, (group + 1,).
    means
        Mean of each group, float32, (group, row, column).
    mean
        Mean over all frames, float64, (row, column).
    half_squares
        Half of the mean squared difference at each of `LAGS`, float64, (lag, row,
        column).
    """

    edges: NDArray[np.int64]
    means: NDArray[np.float32]
    mean: NDArray[np.float64]
    half_squares: NDArray[np.float64]


class LagMoments:
    """Gathers the means of groups of frames, and mean squared differences at `LAGS`.

    Parameters
    ----------
    edges
        First frame of each group and the end of the last, (group + 1,).
    shape
        (row, column).

    Examples
    --------
    >>> moments = LagMoments(np.array([0, 2, 4]), (1, 1))
    >>> moments.add(np.array([1, 3, 5, 9], np.float32).reshape(4, 1, 1), 0)
    >>> moments.means.ravel().tolist(), moments.half_squares[0].tolist()
    ([2.0, 7.0], [[4.0]])
    """

    def __init__(self, edges: NDArray[np.int64], shape: tuple[int, ...]) -> None:
        self.edges = edges
        self._group = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        self._sums = np.zeros((len(edges) - 1, *shape), np.float32)
        self._squares = np.zeros((len(LAGS), *shape), np.float64)
        self._before = np.empty((0, *shape), np.float32)
        self._frames = 0

    def add(
        self, frames: NDArray[Any], start: int, pool: Executor | None = None
    ) -> None:
        """Add frames in order; ``start`` counts the first one from the first group.

        Parameters
        ----------
        frames
            (frame, row, column), float32 (finite), uint8 or uint16; all of one dtype.
        """
        group = self._group[start : start + len(frames)]
        before = self._before.astype(frames.dtype, copy=False)
        run_in_threads(
            pool,
            frames.shape[1],
            _add,
            frames,
            before,
            group,
            self._sums,
            self._squares,
        )
        self._frames += len(frames)
        kept = np.concatenate([before, frames[-LAGS[-1] :]])
        self._before = kept[-LAGS[-1] :]

    @property
    def means(self) -> NDArray[np.float32]:
        """Mean of each group, (group, row, column)."""
        length = np.diff(self.edges)[:, None, None].astype(np.float32)
        return np.asarray(self._sums / length)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over all frames, (row, column)."""
        return np.asarray(self._sums.sum(axis=0, dtype=np.float64) / self.edges[-1])

    @property
    def half_squares(self) -> NDArray[np.float64]:
        """Half of the mean squared difference at each lag, (lag, row, column)."""
        pairs = np.maximum(self._frames - np.array(LAGS), 1)
        return np.asarray(self._squares / (2 * pairs[:, None, None]))

    def summary(self) -> StepMoments:
        """Return what was gathered."""
        return StepMoments(self.edges, self.means, self.mean, self.half_squares)

    def finish(self) -> StepMoments:
        """Return what was gathered, in its memory: nothing can be added any more."""
        mean, half_squares = self.mean, self.half_squares
        length = np.diff(self.edges)[:, None, None].astype(np.float32)
        means, self._sums = self._sums, np.empty((0, 0, 0), np.float32)
        np.divide(means, length, out=means)
        return StepMoments(self.edges, means, mean, half_squares)


@njit(cache=True, nogil=True)
def _add(
    lo: int, hi: int, frames: Any, before: Any, group: Any, sums: Any, squares: Any
) -> None:
    """Add rows ``lo`` to ``hi`` of frames (frame, row, column).

    ``frames`` float32, uint8 or uint16, ``before`` the frames before them, ``group``
    the group of each, int64. Adds to ``sums`` (group, row, column), float32, and
    ``squares`` (lag, row, column), float64.
    """
    n, _, columns = frames.shape
    m = len(before)
    for y in range(lo, hi):
        one, two, four = squares[0, y], squares[1, y], squares[2, y]
        for t in range(n):
            line, total = frames[t, y], sums[group[t], y]
            for x in range(columns):
                total[x] += np.float32(line[x])
            if t + m >= 1:
                _add_squares(
                    line, frames[t - 1, y] if t >= 1 else before[m - 1, y], one
                )
            if t + m >= 2:
                _add_squares(
                    line, frames[t - 2, y] if t >= 2 else before[m + t - 2, y], two
                )
            if t + m >= 4:
                _add_squares(
                    line, frames[t - 4, y] if t >= 4 else before[m + t - 4, y], four
                )


@njit(cache=True, nogil=True)
def _add_squares(line: Any, other: Any, total: Any) -> None:
    """Add squared differences of two lines, as float32, to ``total``, float64."""
    for x in range(len(line)):
        step = np.float32(line[x]) - np.float32(other[x])
        total[x] += step * step


def correlation_in_time(half_squares: NDArray[np.float64]) -> tuple[float, float]:
    """Return the correlation of the noise of frames one and two frames apart.

    Parameters
    ----------
    half_squares
        Half of the mean squared difference at `LAGS`, (lag, row, column). Noise is
        taken to be independent at the last lag. The median over pixels is taken, so
        pixels with events or moving structures do not decide.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frames = rng.normal(size=(200, 30, 30)).astype(np.float32)
    >>> averaged = (frames[1:] + frames[:-1]) / 2
    >>> moments = LagMoments(np.array([0, 199]), (30, 30))
    >>> moments.add(averaged, 0)
    >>> [round(r, 1) for r in correlation_in_time(moments.half_squares)]
    [0.5, 0.0]
    """
    far = half_squares[-1]
    known = far > _NO_DIFFERENCE
    if not known.any():
        return 0.0, 0.0
    found = [1 - float(np.median(near[known] / far[known])) for near in half_squares]
    one, two = (min(r, _MOST_CORRELATION) for r in found[:2])
    return (
        one if abs(one) > _LEAST_CORRELATION else 0.0,
        two if abs(two) > _LEAST_CORRELATION else 0.0,
    )


def gain_of_mean(correlation: tuple[float, float], n: float) -> float:
    """Return the factor by which correlation raises the standard deviation of a mean.

    Parameters
    ----------
    correlation
        Of noise one and two frames apart.
    n
        Frames that are averaged.

    Examples
    --------
    >>> round(gain_of_mean((0.5, 0.0), 8) ** 2, 3)
    1.875
    """
    square = 1 + 2 * sum(max(1 - (k + 1) / n, 0) * r for k, r in enumerate(correlation))
    return float(np.sqrt(max(square, 0.05)))


def gaussian_square(sigma: float, radius: int) -> float:
    """Return the sum of the squared weights of a Gaussian along one axis."""
    half = gaussian_weights(sigma, radius)
    return float(half[0] ** 2 + 2 * (half[1:] ** 2).sum())


def gain_of_gaussian(
    correlation: tuple[float, float], sigma: float, radius: int
) -> float:
    """Return the factor by which correlation raises the noise after a Gaussian in time.

    Examples
    --------
    >>> gain_of_gaussian((0.0, 0.0), 1.5, 4)
    1.0
    """
    half = gaussian_weights(sigma, radius)
    weights = np.concatenate([half[:0:-1], half])
    power = float(weights @ weights)
    square = 1.0
    for k, r in enumerate(correlation, start=1):
        square += 2 * r * float(weights[k:] @ weights[:-k]) / power
    return float(np.sqrt(max(square, 0.05)))
