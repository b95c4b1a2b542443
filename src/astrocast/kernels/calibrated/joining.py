"""Which hills are one event: those between which the signal does not sink.

One voxel's summit over one voxel's pass says little in noise. Here a whole border is compared with a whole hill: within one
event, whether it stays, grows or travels, the upper part of the border is as high as the upper part of the hill; between two
events that meet it is lower.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

#: share of a hill's and of a border's values that are its upper part
_UPPER = 0.25


def upper_mean(values: NDArray[np.float32]) -> float:
    """Return the mean of the upper quarter of some values."""
    k = max(1, int(np.ceil(_UPPER * len(values))))
    return float(np.partition(values, len(values) - k)[len(values) - k :].mean())


def join_hills(
    hill: NDArray[np.int32], values: NDArray[np.float32], links: NDArray[np.int64], n: int, dip: float
) -> NDArray[np.int32]:
    """Return for each hill (0 to ``n``; 0 is no hill) the event it belongs to, named by one of its hills.

    Parameters
    ----------
    hill
        Hill of each voxel, 0 for none.
    values
        Signal at each voxel.
    links
        Pairs of neighbouring voxels in different hills, (pair, 2).
    n
        Number of hills.
    dip
        How much lower a border between two events is than the lower of the two, as a share of it.

    Notes
    -----
    The border with the least dip is opened first, and the dips of the joined hill are measured anew, until all that are
    left are deep enough.
    """
    event = np.arange(n + 1, dtype=np.int32)
    if not len(links):
        return event
    order = np.argsort(hill, kind="stable")
    inside = {
        int(h): part for h, part in zip(*_split(hill[order], values[order]), strict=True) if h > 0
    }  # values of each event, upper parts of which are compared
    borders = _borders(hill, values, links)
    near: dict[int, set[int]] = {}
    for a, b in borders:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    top = {h: upper_mean(inside[h]) for h in near}

    def dip_of(pair: tuple[int, int]) -> float:
        return 1 - upper_mean(borders[pair]) / max(min(top[pair[0]], top[pair[1]]), 1e-30)

    queue = [(dip_of(pair), pair, len(borders[pair])) for pair in borders]
    heapq.heapify(queue)
    while queue and queue[0][0] < dip:
        _, pair, size = heapq.heappop(queue)
        if pair not in borders or len(borders[pair]) != size:
            continue
        a, b = pair
        keep, gone = (a, b) if top[a] >= top[b] else (b, a)
        event[event == gone] = keep
        inside[keep] = np.concatenate([inside[keep], inside.pop(gone)])
        top[keep] = upper_mean(inside[keep])
        del borders[pair]
        near[keep].discard(gone)
        for other in near.pop(gone) - {keep}:
            moved = borders.pop((min(gone, other), max(gone, other)))
            new = (min(keep, other), max(keep, other))
            borders[new] = np.concatenate([borders[new], moved]) if new in borders else moved
            near[other].discard(gone)
            near[other].add(keep)
            near[keep].add(other)
        for other in near[keep]:
            new = (min(keep, other), max(keep, other))
            heapq.heappush(queue, (dip_of(new), new, len(borders[new])))
    return event


def _split(
    keys: NDArray[np.int32], values: NDArray[np.float32]
) -> tuple[NDArray[np.int32], list[NDArray[np.float32]]]:
    found, first = np.unique(keys, return_index=True)
    return found, np.split(values, first[1:])


def _borders(
    hill: NDArray[np.int32], values: NDArray[np.float32], links: NDArray[np.int64]
) -> dict[tuple[int, int], NDArray[np.float32]]:
    """Return the heights of the border between each two hills that touch: the lower voxel of each pair."""
    sides = np.sort(hill[links], axis=1)
    height = values[links].min(axis=1)
    order = np.lexsort((sides[:, 1], sides[:, 0]))
    sides, height = sides[order], height[order]
    changes = np.flatnonzero(np.any(np.diff(sides, axis=0) != 0, axis=1)) + 1
    return {
        (int(a), int(b)): part
        for (a, b), part in zip(sides[np.concatenate([[0], changes])], np.split(height, changes), strict=True)
    }
