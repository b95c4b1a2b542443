"""Watershed of a signal on scattered voxels, from the maxima down, robust to noise.

Voxels are taken from the highest down. One that touches no hill begins one; one that
touches several joins them where the lower one rises too little above the pass (its
prominence, or topological persistence; Edelsbrunner et al. 2002,
https://doi.org/10.1007/s00454-002-2885-2), and otherwise goes to the one it is steepest
towards.
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
    """Hills on a list of voxels.

    Parameters
    ----------
    hill
        Hill of each voxel, from 1 in the order of their summits' height; 0 for those
        far below the summit they lead to.
    basin
        Hill that each voxel leads to, however far below its summit, (voxel,).
    summit
        Position in the list of each hill's highest voxel, (hill,).
    links
        Pairs of face neighbours in different hills, positions in the list, (pair, 2).
        Of hills that touch nowhere else, those of a voxel of the one and one that leads
        to the other.
    in_time
        Whether such a pair is the same pixel in two frames, (pair,).
    neighbours
        Positions of the six face neighbours of each voxel, see `face_neighbours`.
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
        Of the volume (frame, row, column); the first entry is not used.
    prominence
        Least prominence of a hill, in standard deviations of the noise.
    foot
        Share of its summit's height below which a hill ends.

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
    """Return the indices of the six face neighbours of each voxel, (voxel, 6).

    -1 where there is none in the list.

    ``voxels`` int64 (voxel,), flat indices, ascending; returns int32 (voxel, 6).
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

    ``neighbours`` int32 (voxel, 6), ``order`` int32 (voxel,), ``values`` and ``noise``
    float32 (voxel,).
    """
    n = len(order)
    # a hill is named by its summit's position; -1: not reached yet. Below its foot, a
    # voxel leads to a hill but does not belong to it: without that, a bump of noise in
    # the long tail of an event would touch nothing and be an event of its own
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
    """List the hills that touch a voxel, the steepest first; return how many.

    ``around`` int32 (6,), ``own`` and ``parent`` int32, ``low`` bool, ``values``
    float32 (voxel,); ``touching``, int32, and ``steepest``, float32, (6,), are filled.
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
    """Return hill and basin of each voxel, int32, and the summit of each hill, int64.

    ``own``, ``parent`` and ``order``, highest first, int32, ``low`` bool, (voxel,).
    Hills are numbered from 1 in that order.
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
    """Return links between hills: both voxels, int64 (n, 2); which join frames, bool.

    ``neighbours`` int32 (voxel, 6); ``hill`` and ``basin`` int32 (voxel,).
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
