"""Merge hills into events: hills between which the signal does not dip.

In noise, the height of a single summit above a single pass means little. Here the whole
border between two hills is compared with the whole hills: within one event (static,
growing or travelling) the upper part of the border is as high as the upper part of the
hills; between two events that meet it is lower.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.segmentation.watershed import Hills

#: fraction of the values of a hill or a border that is its upper part
_UPPER = 0.25


def upper_mean(values: NDArray[np.float32]) -> float:
    """Return the mean of the upper quarter of some values."""
    k = max(1, int(np.ceil(_UPPER * len(values))))
    return float(np.partition(values, len(values) - k)[len(values) - k :].mean())


def join_hills(
    hills: Hills,
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    dips: tuple[float, float],
    certain: tuple[float, float],
) -> NDArray[np.int32]:
    """Return the event of each hill: the number of one of its hills, int32 (hill + 1,).

    Entry 0 stands for "no hill"; hills are numbered from 1.

    Parameters
    ----------
    hills
        Hills of the signal.
    values, noise
        Signal at each voxel, and the standard deviation of its noise.
    dips
        Least dip between two events, as a fraction of the height of the lower one: for
        a border in space, and for a border in time (the same pixels in successive
        frames). The dip is measured twice: upper part of the border below the upper
        part of the hill, and highest voxel of the border below the summit. One of both
        has to be deep enough.
    certain
        Standard deviations of the noise that are added to the border: to its upper
        part, and to its highest voxel.

    Notes
    -----
    The two hills with the smallest dip are merged first, and the dips of the merged
    hill are measured again, until all remaining dips are deep enough.
    """
    hill, links = hills.hill, hills.links
    event = np.arange(len(hills.summit) + 1, dtype=np.int32)
    if not len(links):
        return event
    order = np.argsort(hill, kind="stable")
    inside = {
        int(h): part
        for h, part in zip(*_split(hill[order], values[order]), strict=True)
        if h > 0
    }  # values of each event
    borders = _borders(hills, values)
    near: dict[int, set[int]] = {}
    for a, b in borders:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    top = {h: upper_mean(inside[h]) for h in near}
    # hills are numbered from the highest summit down; a merged hill takes the number of
    # the higher one
    height = np.concatenate([[0], values[hills.summit]])
    doubt = np.concatenate([[0], noise[hills.summit]])

    def surplus(pair: tuple[int, int]) -> float:
        lower, (border, steps_in_time) = max(pair), borders[pair]
        broad = 1 - (upper_mean(border) + certain[0] * doubt[lower]) / max(
            min(top[pair[0]], top[pair[1]]), 1e-30
        )
        sharp = 1 - (border.max() + certain[1] * doubt[lower]) / height[lower]
        needed = dips[0] + (dips[1] - dips[0]) * steps_in_time / len(border)
        return float(max(broad - needed, sharp - dips[0]))

    queue = [(surplus(pair), pair, len(borders[pair][0])) for pair in borders]
    heapq.heapify(queue)
    while queue and queue[0][0] < 0:
        _, pair, size = heapq.heappop(queue)
        if pair not in borders or len(borders[pair][0]) != size:
            continue
        keep, gone = pair
        event[event == gone] = keep
        inside[keep] = np.concatenate([inside[keep], inside.pop(gone)])
        top[keep] = upper_mean(inside[keep])
        del borders[pair]
        near[keep].discard(gone)
        for other in near.pop(gone) - {keep}:
            moved = borders.pop((min(gone, other), max(gone, other)))
            new = (min(keep, other), max(keep, other))
            borders[new] = _both(borders[new], moved) if new in borders else moved
            near[other].discard(gone)
            near[other].add(keep)
            near[keep].add(other)
        for other in near[keep]:
            new = (min(keep, other), max(keep, other))
            heapq.heappush(queue, (surplus(new), new, len(borders[new][0])))
    return event


def _split(
    keys: NDArray[np.int32], values: NDArray[np.float32]
) -> tuple[NDArray[np.int32], list[NDArray[np.float32]]]:
    found, first = np.unique(keys, return_index=True)
    return found, np.split(values, first[1:])


#: heights of a border's links, and how many of them are steps in time
Border = tuple[NDArray[np.float32], int]


def _both(a: Border, b: Border) -> Border:
    return np.concatenate([a[0], b[0]]), a[1] + b[1]


def _borders(
    hills: Hills, values: NDArray[np.float32]
) -> dict[tuple[int, int], Border]:
    """Return the border of each pair of touching hills.

    The height of a link is that of its lower voxel.
    """
    sides = np.sort(hills.basin[hills.links], axis=1)
    height = values[hills.links].min(axis=1)
    order = np.lexsort((sides[:, 1], sides[:, 0]))
    sides, height, in_time = sides[order], height[order], hills.in_time[order]
    first = np.concatenate(
        [[0], np.flatnonzero(np.any(np.diff(sides, axis=0) != 0, axis=1)) + 1]
    )
    counts = np.add.reduceat(in_time.astype(np.int64), first)
    heights = np.split(height, first[1:])
    return {
        (int(a), int(b)): (h, int(n))
        for (a, b), h, n in zip(sides[first], heights, counts, strict=True)
    }
