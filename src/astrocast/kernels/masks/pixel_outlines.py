"""Outlines of masks along the edges of their pixels, for drawing over an image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.packed_masks import Masks, is_set
from astrocast.kernels.ragged.ragged import Offsets, offsets_of


class Segments(NamedTuple):
    """Outline ``i`` is ``points[offsets[i]:offsets[i + 1]]``.

    ``points`` int32 (segments, 4): row, column of one end and of the other, counted in
    corners of pixels; pixel (r, c) lies between corners r and r + 1, c and c + 1.
    """

    points: NDArray[np.int32]
    offsets: Offsets


def outline_frames(
    masks: Masks, origins: NDArray[np.int64], frame: int | None
) -> Segments:
    """Return the outline of each mask in one frame of the recording.

    Parameters
    ----------
    masks
        Packed masks of the events.
    origins
        int64 (events, 3): frame, row and column of each mask's first voxel.
    frame
        Frame of the recording; None for the footprints (any frame of the mask).

    Returns
    -------
    Segments
        Straight pieces, each as long as the edge is straight; none for an event that is
        not active in the frame.

    Examples
    --------
    >>> from astrocast.kernels.masks.packed_masks import pack_masks
    >>> one = pack_masks([np.ones((1, 1, 2), bool)])
    >>> outline_frames(one, np.array([[7, 3, 4]]), 7).points.tolist()
    [[3, 4, 3, 6], [4, 4, 4, 6], [3, 4, 4, 4], [3, 6, 4, 6]]
    """
    which = -1 if frame is None else int(frame)
    counts = np.zeros(len(masks.shapes), np.int64)
    nothing = np.empty((0, 4), np.int32)
    total = _outlines(*masks, origins, which, counts, nothing)
    points = np.empty((total, 4), np.int32)
    _outlines(*masks, origins, which, np.zeros_like(counts), points)
    return Segments(points, offsets_of(counts))


@njit(cache=True, nogil=True)
def _outlines(
    bits: Any,
    offsets: Any,
    shapes: Any,
    origins: Any,
    which: int,
    counts: Any,
    points: Any,
) -> int:
    """Count the segments of each event into ``counts``, and write them where asked.

    ``bits`` uint8 (bytes,), ``offsets`` int64 (events + 1,), ``shapes`` and ``origins``
    int64 (events, 3), ``which`` a frame or -1 for all, ``counts`` int64 (events,),
    ``points`` int32 (segments, 4), empty to count only. Returns the number of segments.
    """
    total = 0
    for i in range(len(shapes)):
        depth, rows, columns = shapes[i]
        local = which - origins[i, 0]
        if which >= 0 and not 0 <= local < depth:
            continue
        begin = 0 if which < 0 else local
        end = depth if which < 0 else local + 1
        plane = np.zeros((rows + 2, columns + 2), np.uint8)
        for z in range(begin, end):
            for r in range(rows):
                for c in range(columns):
                    if is_set(bits, offsets[i], (z * rows + r) * columns + c):
                        plane[r + 1, c + 1] = 1
        before = total
        total = _edges(plane, origins[i, 1], origins[i, 2], points, total)
        counts[i] = total - before
    return total


@njit(cache=True, nogil=True)
def _edges(plane: Any, row: int, column: int, points: Any, total: int) -> int:
    """Write the edges between 0 and 1 of ``plane`` from place ``total`` on.

    ``plane`` uint8 (rows + 2, columns + 2) with a border of 0; ``row`` and ``column``
    the place of its first inner pixel. Returns the place after the last.
    """
    total = _edges_along(plane, row, column, points, total)
    middle = total
    total = _edges_along(plane.T, column, row, points, total)
    if points.size:
        for k in range(middle, total):  # the transposed plane gives (column, row)
            for end in (0, 2):
                other = points[k, end]
                points[k, end] = points[k, end + 1]
                points[k, end + 1] = other
    return total


@njit(cache=True, nogil=True)
def _edges_along(plane: Any, row: int, column: int, points: Any, total: int) -> int:
    """Write the edges between neighbouring rows of ``plane``; see `_edges`."""
    rows, columns = plane.shape[0] - 2, plane.shape[1] - 2
    for r in range(rows + 1):
        start = -1
        for c in range(columns + 1):
            edge = c < columns and plane[r, c + 1] != plane[r + 1, c + 1]
            if edge and start < 0:
                start = c
            if not edge and start >= 0:
                if points.size:
                    points[total, 0], points[total, 1] = row + r, column + start
                    points[total, 2], points[total, 3] = row + r, column + c
                total += 1
                start = -1
    return total
