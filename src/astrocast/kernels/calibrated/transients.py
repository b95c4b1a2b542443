"""Transients of single pixels, their onsets, and onset differences between pixels.

A moving front arrives a little later at each next pixel. Between two events that meet,
the onset jumps. So onset differences along the tissue distinguish a travelling event
from two neighbours; the height of the signal, which varies with the tissue, does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

#: a course is cut where it falls below this share of the lower peak on its sides, and
#: by so many standard deviations of the noise
_FALL, _CERTAIN = 0.5, 2.0
#: pixels between two places whose onsets are compared: nearer ones share their noise
APART = 4


@dataclass(frozen=True)
class Transients:
    """Transients of all pixels of a list of voxels.

    Parameters
    ----------
    of_voxel
        Transient of each voxel, from 0, int32, (voxel,).
    onset
        When each reaches half of its peak, in frames, interpolated, float32.
    peak
        Position in the list of the highest voxel of each, int64, (transient,).
    """

    of_voxel: NDArray[np.int32]
    onset: NDArray[np.float32]
    peak: NDArray[np.int64]


def find_transients(
    frame: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> Transients:
    """Return the transients of the pixels of scattered voxels.

    Parameters
    ----------
    frame
        Frame of each voxel, int64, (voxel,).
    neighbours
        From `face_neighbours`, (voxel, 6), int32.
    values, noise
        Signal of each voxel and the standard deviation of its noise, float32.

    Examples
    --------
    >>> from astrocast.kernels.segmentation.watershed import face_neighbours
    >>> course = np.array([1, 4, 8, 6, 2, 5, 9, 3], np.float32)
    >>> near = face_neighbours(np.arange(8), 1, 1)
    >>> found = find_transients(np.arange(8), near, course, np.full(8, 0.1, np.float32))
    >>> found.of_voxel.tolist(), found.onset.tolist()
    ([0, 0, 0, 0, 1, 1, 1, 1], [1.0, 4.833333492279053])
    """
    node, onset, peak = _transients(frame, neighbours, values, noise)
    return Transients(node, onset, peak)


@njit(cache=True, nogil=True)
def _transients(frame: Any, neighbours: Any, values: Any, noise: Any) -> Any:
    """Return transient of each voxel (int32), onset (float32) and peak (int64)."""
    n = len(values)
    node = np.zeros(n, np.int32)
    onset, peak = np.empty(n, np.float32), np.empty(n, np.int64)
    count = 0
    for first in range(n):
        if neighbours[first, 5] >= 0:
            continue
        # one run of frames of a pixel: the peak so far, and the lowest since then
        start, top, low, lowest, j = first, values[first], values[first], first, first
        while j >= 0:
            v = values[j]
            if v < low:
                low, lowest = v, j
            lower = min(top, v)
            if low < _FALL * lower and lower - low > _CERTAIN * noise[j]:
                _close(
                    start, lowest, count, frame, neighbours, values, node, onset, peak
                )
                count += 1
                start, top, low, lowest = lowest, v, v, j
            elif v > top:
                top, low, lowest = v, v, j
            j = neighbours[j, 4]
        _close(start, -1, count, frame, neighbours, values, node, onset, peak)
        count += 1
    return node, onset[:count].copy(), peak[:count].copy()


@njit(cache=True, nogil=True)
def _close(
    start: Any,
    stop: Any,
    number: Any,
    frame: Any,
    neighbours: Any,
    values: Any,
    node: Any,
    onset: Any,
    peak: Any,
) -> None:
    """Enter the transient of the voxels ``start`` up to ``stop`` (-1: to the end).

    ``node`` int32 (voxel,), ``onset`` float32 and ``peak`` int64 (transient,) are
    filled; the others as in `find_transients`.
    """
    best, j = start, start
    while j >= 0 and j != stop:
        node[j] = number
        if values[j] > values[best]:
            best = j
        j = neighbours[j, 4]
    half = np.float32(0.5) * values[best]
    j = start
    while values[j] < half:
        j = neighbours[j, 4]
    before = values[neighbours[j, 5]] if j != start else np.float32(0)
    rise = max(values[j] - before, np.float32(1e-9))
    peak[number] = best
    onset[number] = np.float32(frame[j]) - (values[j] - half) / rise


@njit(cache=True, nogil=True)
def onset_differences(pixel: Any, hill: Any, onset: Any, columns: int) -> Any:
    """Return onset differences of transients `APART` pixels apart in a row or column.

    ``pixel`` (int64), ``hill`` (int32, 0: none) and ``onset`` (float32) are of each
    transient. Returns two hills, the lower number first (int32), the onset at the right
    or lower pixel minus that at the other in frames (float32), and whether they lie in
    one row (bool), each (pair,).
    """
    n = len(pixel)
    order = np.argsort(pixel, kind="mergesort")
    place = pixel[order]
    count = 0
    for fill in range(2):
        if fill == 1:
            a, b = np.empty(count, np.int32), np.empty(count, np.int32)
            difference = np.empty(count, np.float32)
            in_row = np.empty(count, np.bool_)
        count = 0
        for step in (APART, APART * columns):
            j = 0
            for i in range(n):
                u = order[i]
                if hill[u] == 0 or (
                    step == APART and place[i] % columns + APART >= columns
                ):
                    continue
                wanted = place[i] + step
                while j < n and place[j] < wanted:
                    j += 1
                k = j
                while k < n and place[k] == wanted:
                    w = order[k]
                    k += 1
                    if hill[w] == 0:
                        continue
                    if fill == 1:
                        a[count] = min(hill[u], hill[w])
                        b[count] = max(hill[u], hill[w])
                        difference[count] = onset[w] - onset[u]
                        in_row[count] = step == APART
                    count += 1
    return a, b, difference, in_row
