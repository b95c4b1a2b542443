"""Connected components of a mask, found block by block and joined across blocks."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.runs import Runs, find_runs, paint_runs
from astrocast.kernels.segmentation.union_find import find_root, unite, unite_pairs


def label(
    mask: NDArray[np.bool_], pool: Executor | None = None
) -> tuple[NDArray[np.int32], int]:
    """Return the face-connected regions of a mask, numbered in raster order.

    Parameters
    ----------
    mask
        (frame, row, column), bool.
    pool
        Threads to share the work with.

    Returns
    -------
    labels : numpy.ndarray
        int32, 0 for background; equals `scipy.ndimage.label`.
    n : int
        Number of regions.

    Examples
    --------
    >>> label(np.array([[[True, False, True]]]))[0].ravel()
    array([1, 0, 2], dtype=int32)
    """
    runs = find_runs(mask, pool)
    labels, n = label_runs(runs)
    return paint_runs(runs, labels, pool), n


def label_runs(runs: Runs) -> tuple[NDArray[np.int32], int]:
    """Return the number of the region of each run, and the number of regions.

    Numbers are from 1, in raster order.
    """
    parent = np.arange(len(runs), dtype=np.int64)
    rows = runs.shape[1]
    lines = len(runs.first) - 1
    _link_lines(runs.start, runs.stop, runs.first, rows, lines, parent)
    labels = np.empty(len(runs), np.int32)
    return labels, int(_number(parent, labels))


def face_pairs(
    before: Runs, labels_before: NDArray[Any], after: Runs, labels_after: NDArray[Any]
) -> NDArray[np.int64]:
    """Return which labels touch across the face between two blocks.

    Parameters
    ----------
    before, after
        Runs of the last frame of a block and of the first frame of the next, each of
        one frame.
    labels_before, labels_after
        The label of each of those runs.

    Returns
    -------
    numpy.ndarray
        int64, (pairs, 2), without repeats.
    """
    most = len(before) + len(after)
    pairs = np.empty((most, 2), np.int64)
    n = _face(
        before.start,
        before.stop,
        before.first,
        np.asarray(labels_before, np.int64),
        after.start,
        after.stop,
        after.first,
        np.asarray(labels_after, np.int64),
        pairs,
    )
    return np.unique(pairs[:n], axis=0)


def join_labels(n: int, pairs: NDArray[np.int64]) -> tuple[NDArray[np.int32], int]:
    """Return the final label of each of ``n`` provisional labels, and their number.

    Labels are from 1.

    Parameters
    ----------
    n
        Provisional labels 1 to n, numbered in raster order over all blocks.
    pairs
        Which of them are the same region, (pairs, 2).

    Returns
    -------
    final : numpy.ndarray
        int32, (n + 1,): ``final[provisional]``, with ``final[0] == 0``; in raster order
        again.
    count : int
        Number of regions.

    Examples
    --------
    >>> join_labels(4, np.array([[1, 3]]))[0]
    array([0, 1, 2, 1, 3], dtype=int32)
    """
    parent = np.arange(n, dtype=np.int64)
    unite_pairs(parent, np.asarray(pairs, np.int64).reshape(-1, 2) - 1)
    final = np.zeros(n + 1, np.int32)
    return final, int(_number(parent, final[1:]))


@njit(cache=True, nogil=True)
def _number(parent: Any, labels: Any) -> int:
    """Write the number of the region of each run into ``labels``, in raster order.

    ``parent`` int64 and ``labels`` int32 (runs,); returns how many regions there are.
    """
    n = 0
    for i in range(len(parent)):
        root = find_root(parent, i)
        if root == i:
            n += 1
            labels[i] = n
        else:
            labels[i] = labels[root]
    return n


@njit(cache=True, nogil=True)
def _link_lines(
    start: Any, stop: Any, first: Any, rows: int, lines: int, parent: Any
) -> None:
    """Join runs that overlap in neighbouring rows and frames.

    ``start`` and ``stop`` int32 (runs,), ``first`` int64 (lines + 1,), ``parent`` int64
    (runs,), changed in place.
    """
    for line in range(lines):
        if line % rows:
            _link(
                start,
                stop,
                first[line - 1],
                first[line],
                first[line],
                first[line + 1],
                parent,
            )
        if line >= rows:
            above = line - rows
            _link(
                start,
                stop,
                first[above],
                first[above + 1],
                first[line],
                first[line + 1],
                parent,
            )


@njit(cache=True, nogil=True)
def _link(
    start: Any, stop: Any, i: int, i_end: int, j: int, j_end: int, parent: Any
) -> None:
    """Join the runs ``i`` to ``i_end`` with those of another line that they overlap.

    ``start`` and ``stop`` int32 (runs,), ``parent`` int64 (runs,), changed in place.
    """
    while i < i_end and j < j_end:
        if start[i] < stop[j] and start[j] < stop[i]:
            unite(parent, i, j)
        if stop[i] < stop[j]:
            i += 1
        else:
            j += 1


@njit(cache=True, nogil=True)
def _face(
    start: Any,
    stop: Any,
    first: Any,
    labels: Any,
    start2: Any,
    stop2: Any,
    first2: Any,
    labels2: Any,
    pairs: Any,
) -> int:
    """List pairs of labels of runs that overlap in two frames that face each other.

    ``start`` and ``stop`` int32, ``labels`` int32 (runs,), ``first`` int64 (lines +
    1,); ``pairs`` (n, 2) is filled. Returns how many there are.
    """
    n = 0
    for line in range(len(first) - 1):
        i, j = first[line], first2[line]
        while i < first[line + 1] and j < first2[line + 1]:
            if start[i] < stop2[j] and start2[j] < stop[i]:
                pairs[n, 0], pairs[n, 1] = labels[i], labels2[j]
                n += 1
            if stop[i] < stop2[j]:
                i += 1
            else:
                j += 1
    return n
