"""Connected components of a mask, labelled per block and joined across blocks."""

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
    """Return the label of each run, int32, and the number of regions.

    Labels start at 1, in raster order.
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
    """Return the pairs of labels that touch across the face between two blocks.

    Parameters
    ----------
    before, after
        Runs of the last frame of a block and of the first frame of the next, each of
        one frame.
    labels_before, labels_after
        The label of each run.

    Returns
    -------
    numpy.ndarray
        int64, (pairs, 2), without repeats.
    """
    most = len(before) + len(after)
    pairs = np.empty((most, 2), np.int64)
    n = _face(
        before.arrays,
        np.asarray(labels_before, np.int64),
        after.arrays,
        np.asarray(labels_after, np.int64),
        pairs,
    )
    return np.unique(pairs[:n], axis=0)


def join_labels(n: int, pairs: NDArray[np.int64]) -> tuple[NDArray[np.int32], int]:
    """Return the final label of each provisional label, and the number of regions.

    Parameters
    ----------
    n
        Number of provisional labels, 1 to n in raster order over all blocks.
    pairs
        Provisional labels that are the same region, (pairs, 2).

    Returns
    -------
    final : numpy.ndarray
        int32, (n + 1,): ``final[provisional]``, from 1 in raster order;
        ``final[0] == 0``.
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
    """Fill ``labels`` with the region of each run, from 1 in raster order.

    ``parent`` int64 (run,), see `union_find`; ``labels`` int32 (run,). Returns the
    number of regions, int64.
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
    """Join runs that overlap in neighbouring rows and neighbouring frames.

    ``start`` and ``stop`` int32 (run,): columns of each run; ``first`` int64 (line +
    1,): first run of each of ``lines`` image rows, ``rows`` per frame; ``parent`` int64
    (run,), changed in place.
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
    """Join runs ``i`` to ``i_end`` of one line with the runs they overlap in another.

    The other line has runs ``j`` to ``j_end``. ``start`` and ``stop`` int32 (run,);
    ``parent`` int64 (run,), changed in place.
    """
    while i < i_end and j < j_end:
        if start[i] < stop[j] and start[j] < stop[i]:
            unite(parent, i, j)
        if stop[i] < stop[j]:
            i += 1
        else:
            j += 1


@njit(cache=True, nogil=True)
def _face(before: Any, old: Any, after: Any, new: Any, pairs: Any) -> int:
    """Fill ``pairs`` with the labels of overlapping runs of two frames.

    ``before``, ``after``: runs of one frame each, see `RunArrays`; ``old``, ``new``
    int64 (run,): their labels. ``pairs`` int64 (n, 2), large enough. Returns the number
    of pairs, int64.
    """
    n = 0
    for line in range(len(before.first) - 1):
        i, j = before.first[line], after.first[line]
        while i < before.first[line + 1] and j < after.first[line + 1]:
            if before.start[i] < after.stop[j] and after.start[j] < before.stop[i]:
                pairs[n, 0], pairs[n, 1] = old[i], new[j]
                n += 1
            if before.stop[i] < after.stop[j]:
                i += 1
            else:
                j += 1
    return n
