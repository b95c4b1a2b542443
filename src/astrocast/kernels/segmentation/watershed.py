"""Watershed of a signal on a list of voxels, from the maxima down, robust to noise.

Voxels are visited from the highest to the lowest. A voxel that touches no hill starts a
new hill. A voxel that touches several hills merges those that rise too little above it
(prominence, or topological persistence; Edelsbrunner et al. 2002,
https://doi.org/10.1007/s00454-002-2885-2); then it joins the hill of its highest
neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.segmentation.ordering import order_from_highest
from astrocast.kernels.segmentation.union_find import find_root


@dataclass(frozen=True)
class Hills:
    """Hills of a signal on a list of voxels.

    Parameters
    ----------
    hill
        Number of the hill of each voxel, (voxel,), from 1 in descending order of the
        summits; 0 for voxels too far below the summit.
    basin
        The same, but without 0: also voxels far below the summit have its number.
    summit
        Index in the list of the highest voxel of each hill, (hill,).
    links
        Pairs of face neighbours in different hills, indices in the list, (pair, 2). If
        two hills do not touch: pairs of a voxel of one hill and a voxel of the other's
        basin.
    in_time
        Whether such a pair is the same pixel in two frames, (pair,).
    neighbours
        Indices of the six face neighbours of each voxel, see `face_neighbours`.
    """

    hill: NDArray[np.int32]
    basin: NDArray[np.int32]
    summit: NDArray[np.int64]
    links: NDArray[np.int64]
    in_time: NDArray[np.bool_]
    neighbours: NDArray[np.int32]


def find_hills(
    voxels: NDArray[np.int64],
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    shape: tuple[int, int, int],
    prominence: float,
    foot: float,
) -> Hills:
    """Return the hills of a signal.

    Parameters
    ----------
    voxels
        Flat indices into a volume, ascending, int64.
    values, noise
        Signal at these voxels and the standard deviation of its noise, float32.
    shape
        Shape of the volume (frame, row, column); the number of frames is not used.
    prominence
        Least prominence of a hill, in standard deviations of the noise.
    foot
        A hill ends below this fraction of the height of its summit.

    Examples
    --------
    >>> line = np.array([1, 3, 5, 3, 2, 3, 6, 2], np.float32)
    >>> find_hills(np.arange(8), line, np.ones(8, np.float32), (1, 1, 8), 1.5, 0.0).hill
    array([2, 2, 2, 2, 1, 1, 1, 1], dtype=int32)
    """
    voxels = np.ascontiguousarray(voxels, np.int64)
    neighbours = face_neighbours(voxels, shape[1], shape[2])
    order = order_from_highest(values)
    hill, basin, summit = _flood(neighbours, order, values, noise, prominence, foot)
    links, in_time = _links(neighbours, hill, basin)
    sides = np.sort(basin[links], axis=1).astype(np.int64)
    pair, direct = (
        sides[:, 0] * (len(summit) + 1) + sides[:, 1],
        np.all(hill[links] > 0, axis=1),
    )
    kept = direct | ~np.isin(pair, pair[direct])
    return Hills(hill, basin, summit, links[kept], in_time[kept], neighbours)


@njit(cache=True, nogil=True)
def face_neighbours(voxels: Any, rows: int, columns: int) -> Any:
    """Return the list indices of the six face neighbours of each voxel.

    ``voxels`` int64 (voxel,): flat indices into (frame, row, column), ascending.
    Returns int32 (voxel, 6): right, left, below, above, next and previous frame; -1 if
    the neighbour is not in the list.
    """
    n = len(voxels)
    out = np.full((n, 6), -1, np.int32)
    steps = (1, columns, rows * columns)
    for axis in range(3):
        step = steps[axis]
        j = 0
        for i in range(n):
            x = voxels[i] % columns
            y = voxels[i] // columns % rows
            if (axis == 0 and x == columns - 1) or (axis == 1 and y == rows - 1):
                continue
            wanted = voxels[i] + step
            while j < n and voxels[j] < wanted:
                j += 1
            if j < n and voxels[j] == wanted:
                out[i, 2 * axis] = j
                out[j, 2 * axis + 1] = i
    return out


@njit(cache=True, nogil=True)
def _flood(
    neighbours: Any, order: Any, values: Any, noise: Any, prominence: float, foot: float
) -> Any:
    """Assign each voxel to a hill, from the highest voxel down; see `find_hills`.

    ``neighbours`` int32 (voxel, 6); ``order`` int32 (voxel,): indices, highest first;
    ``values`` and ``noise`` float32 (voxel,). Returns hill and basin, int32 (voxel,),
    and summit, int64 (hill,), see `Hills`.
    """
    n = len(order)
    # own: summit of the hill of each voxel; -1: not visited yet. Voxels below the foot
    # of a hill (low) belong to its basin only: without basins, a bump of noise in the
    # long tail of an event would touch no hill and become an event
    own = np.full(n, -1, np.int32)
    low = np.zeros(n, np.bool_)
    parent = np.arange(n).astype(np.int32)
    touching = np.empty(6, np.int32)
    steepest = np.empty(6, np.float32)
    for i in order:
        m = _touched_hills(neighbours[i], own, low, parent, values, touching, steepest)
        if m == 0:
            own[i] = i
            continue
        highest = 0
        for q in range(1, m):
            if values[touching[q]] > values[touching[highest]]:
                highest = q
        top = touching[highest]
        for q in range(m):
            if q != highest and values[touching[q]] - values[i] < prominence * noise[i]:
                parent[touching[q]] = top
                touching[q] = top
        own[i], low[i] = top, True
        best = np.float32(-np.inf)
        for q in range(m):
            if steepest[q] > best and values[i] >= foot * values[touching[q]]:
                best, own[i], low[i] = steepest[q], touching[q], False
    return _number_hills(own, low, parent, order)


@njit(cache=True, nogil=True)
def _touched_hills(
    around: Any,
    own: Any,
    low: Any,
    parent: Any,
    values: Any,
    touching: Any,
    steepest: Any,
) -> Any:
    """List the hills that touch a voxel; return their number, int64.

    ``around`` int32 (6,): neighbours of the voxel; ``own`` and ``parent`` int32,
    ``low`` bool and ``values`` float32 (voxel,), as in `_flood`. Filled:
    ``touching`` int32 (6,), summit of each hill; ``steepest`` float32 (6,), the highest
    value of a neighbour in it.
    """
    m = 0
    for j in around:
        if j < 0 or own[j] == -1:
            continue
        top = find_root(parent, own[j])
        at = m
        for q in range(m):
            if touching[q] == top:
                at = q
        if at == m:
            touching[m], steepest[m] = top, -np.inf
            m += 1
        if not low[j] and values[j] > steepest[at]:
            steepest[at] = values[j]
    return m


@njit(cache=True, nogil=True)
def _number_hills(own: Any, low: Any, parent: Any, order: Any) -> Any:
    """Return hill and basin, int32 (voxel,), and summit, int64 (hill,); see `Hills`.

    ``own`` and ``parent`` int32 and ``low`` bool (voxel,), as in `_flood`; ``order``
    int32 (voxel,): indices, highest first. Hills are numbered from 1 in this order.
    """
    hill = np.zeros(len(own), np.int32)
    basin = np.zeros(len(own), np.int32)
    number = np.zeros(len(own), np.int32)
    summit = np.empty(len(own), np.int64)
    count = 0
    for i in order:
        top = find_root(parent, own[i])
        if number[top] == 0:
            summit[count] = top
            count += 1
            number[top] = count
        basin[i] = number[top]
        if not low[i]:
            hill[i] = number[top]
    return hill, basin, summit[:count].copy()


@njit(cache=True, nogil=True)
def _links(neighbours: Any, hill: Any, basin: Any) -> Any:
    """Return the links between hills, and whether they connect two frames.

    ``neighbours`` int32 (voxel, 6); ``hill`` and ``basin`` int32 (voxel,). Returns
    int64 (link, 2), indices of both voxels, and bool (link,).
    """
    count = 0
    for fill in range(2):
        if fill == 1:
            out = np.empty((count, 2), np.int64)
            in_time = np.empty(count, np.bool_)
            count = 0
        for i in range(len(hill)):
            for axis in range(3):
                j = neighbours[i, 2 * axis]
                if j >= 0 and basin[i] != basin[j] and (hill[i] > 0 or hill[j] > 0):
                    if fill == 1:
                        out[count, 0], out[count, 1] = i, j
                        in_time[count] = axis == 2
                    count += 1
    return out, in_time
