"""Mean images and frame-to-frame variance of a recording, in one pass."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads


class StepMoments:
    """Collect the mean image of groups of frames and the frame-to-frame variance.

    Parameters
    ----------
    edges
        First frame of each group, and the frame after the last, int64 (groups + 1,).
    shape
        (row, column).

    Examples
    --------
    >>> moments = StepMoments(np.array([0, 2, 4]), (1, 1))
    >>> moments.add(np.array([1, 3, 5, 9], np.float32).reshape(4, 1, 1), 0)
    >>> moments.means.ravel().tolist(), float(moments.step_variance[0, 0])
    ([2.0, 7.0], 4.0)
    """

    def __init__(self, edges: NDArray[np.int64], shape: tuple[int, ...]) -> None:
        self.edges = edges
        self._group = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        self._sums = np.zeros((len(edges) - 1, *shape), np.float32)
        self._squares = np.zeros(shape, np.float64)
        self._last: NDArray[np.float32] | None = None
        self._steps = 0

    def add(
        self, frames: NDArray[np.float32], start: int, pool: Executor | None = None
    ) -> None:
        """Add the next frames, float32 (frame, row, column).

        ``start`` is the number of their first frame, counted as in ``edges``.
        """
        before = frames[:1] if self._last is None else self._last
        run_in_threads(
            pool,
            frames.shape[1],
            _add,
            frames,
            before[0],
            self._group[start : start + len(frames)],
            self._sums,
            self._squares,
        )
        self._steps += len(frames) - (self._last is None)
        self._last = frames[-1:].copy()

    @property
    def means(self) -> NDArray[np.float32]:
        """Mean of each group, float32 (group, row, column)."""
        return np.asarray(
            self._sums / np.diff(self.edges)[:, None, None].astype(np.float32)
        )

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over all frames, float64 (row, column)."""
        return np.asarray(self._sums.sum(axis=0, dtype=np.float64) / self.edges[-1])

    @property
    def step_variance(self) -> NDArray[np.float64]:
        """Half the mean squared frame-to-frame difference, float64 (row, column).

        For white noise this is its variance.
        """
        return self._squares / (2 * max(self._steps, 1))


@njit(cache=True, nogil=True)
def _add(
    lo: int, hi: int, frames: Any, before: Any, group: Any, sums: Any, squares: Any
) -> None:
    """Add rows ``lo`` to ``hi - 1`` of frames, float32 (frame, row, column).

    ``before``: the frame before, float32 (row, column); ``group``: group of each frame,
    int64; ``sums``: float32 (group, row, column) and ``squares``: float64 (row,
    column), both added to.
    """
    n, _, columns = frames.shape
    for y in range(lo, hi):
        last = before[y].copy()
        for t in range(n):
            line = frames[t, y]
            total = sums[group[t], y]
            for x in range(columns):
                total[x] += line[x]
                step = line[x] - last[x]
                squares[y, x] += step * step
                last[x] = line[x]


#: dtypes whose values are added without a copy; others are converted first
_ADDED_AS_THEY_ARE = (np.uint8, np.uint16, np.float32)


def sum_finite(
    frames: NDArray[Any], pool: Executor | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum and the number of finite values of each pixel, (row, column).

    Frames are added one after the other in double precision, so the result does not
    depend on the number of threads.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype.
    pool
        Threads to share the work with.

    Examples
    --------
    >>> sum_finite(np.array([[[1.0, 2.0]], [[3.0, np.nan]]]))
    (array([[4., 2.]]), array([[2, 1]]))
    """
    if frames.dtype.type in _ADDED_AS_THEY_ARE:
        values = np.ascontiguousarray(frames, frames.dtype.newbyteorder("="))
    else:
        values = np.ascontiguousarray(frames, np.float64)
    total = np.zeros(frames.shape[1:])
    count = np.full(frames.shape[1:], len(frames), np.int64)
    if frames.dtype.kind == "f":
        run_in_threads(pool, len(total), _add_finite, values, total, count)
    else:
        run_in_threads(pool, len(total), _add_all, values, total)
    return total, count


@njit(cache=True, nogil=True)
def _add_finite(lo: int, hi: int, frames: Any, total: Any, count: Any) -> None:
    """Add rows ``lo`` to ``hi`` to ``total``, and lower ``count`` by invalid values.

    ``frames`` float32 or float64 (frame, row, column); ``total`` float64 and ``count``
    int64 (row, column).
    """
    columns = frames.shape[2]
    for y in range(lo, hi):
        into, finite = total[y], count[y]
        for t in range(len(frames)):
            line = frames[t, y]
            for x in range(columns):
                value = np.float64(line[x])
                known = np.isfinite(value)
                into[x] += value if known else 0.0
                finite[x] -= 0 if known else 1


@njit(cache=True, nogil=True)
def _add_all(lo: int, hi: int, frames: Any, total: Any) -> None:
    """Add rows ``lo`` to ``hi`` of frames (frame, row, column) to ``total``.

    ``frames`` uint8, uint16 or float64; ``total`` float64 (row, column).
    """
    columns = frames.shape[2]
    for y in range(lo, hi):
        into = total[y]
        for t in range(len(frames)):
            line = frames[t, y]
            for x in range(columns):
                into[x] += np.float64(line[x])
