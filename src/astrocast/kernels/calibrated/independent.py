"""Groups of connected candidates that can be divided into events independently."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.segmentation.union_find import find_root


def independent_groups(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    area: NDArray[np.int64],
    least: int,
) -> NDArray[np.int64]:
    """Return the group of each candidate, from 0 in the order of their first members.

    Parameters
    ----------
    low, high
        Corners of the bounding boxes (exclusive at the upper end), ascending in the
        first frame, int64, (candidate, 3).
    area
        Number of voxels of each candidate, int64.
    least
        Voxels after which a group is closed.

    Notes
    -----
    What lies in a hole of a candidate competes with it for these voxels. Its box lies
    in that of the candidate, so candidates whose boxes are nested share a group.

    Examples
    --------
    >>> low = np.array([[0, 0, 0], [1, 1, 1], [5, 0, 0]])
    >>> high = np.array([[9, 9, 9], [2, 2, 2], [6, 20, 20]])
    >>> independent_groups(low, high, np.array([9, 1, 9]), 5).tolist()
    [0, 0, 1]
    """
    root = _nested(np.asarray(low, np.int64), np.asarray(high, np.int64))
    _, first, of_root = np.unique(root, return_index=True, return_inverse=True)
    size = np.bincount(of_root, weights=area).astype(np.int64)
    order = np.argsort(first, kind="stable")
    before = np.cumsum(size[order]) - size[order]
    group = np.empty(len(order), np.int64)
    group[order] = np.unique(before // max(least, 1), return_inverse=True)[1]
    return group[of_root]


@njit(cache=True, nogil=True)
def _nested(low: Any, high: Any) -> Any:
    """Return a representative of each box (int64), the same for nested boxes.

    ``low`` and ``high`` are (box, 3), int64, ascending in ``low[:, 0]``.
    """
    n = len(low)
    parent = np.arange(n)
    for i in range(n):
        for j in range(i + 1, n):
            if low[j, 0] >= high[i, 0]:
                break
            inside, around = True, True
            for axis in range(3):
                inside &= (
                    low[j, axis] >= low[i, axis] and high[j, axis] <= high[i, axis]
                )
                around &= (
                    low[i, axis] >= low[j, axis] and high[i, axis] <= high[j, axis]
                )
            if inside or around:
                a, b = find_root(parent, i), find_root(parent, j)
                parent[max(a, b)] = min(a, b)
    for i in range(n):
        parent[i] = find_root(parent, i)
    return parent
