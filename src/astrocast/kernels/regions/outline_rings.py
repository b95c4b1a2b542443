"""Join the edges of pixels into closed rings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]


def trace_rings(segments: NDArray[np.int32]) -> list[NDArray[np.float64]]:
    """Join the outline of a mask into rings.

    Parameters
    ----------
    segments
        int (segments, 4): row and column of both ends, in corners of pixels, from
        `kernels.masks.pixel_outlines.outline_frames` for one mask.

    Returns
    -------
    list of numpy.ndarray
        float64 (corners, 2) each, row and column; outer rings and holes. Filled by the
        even-odd rule, they reproduce the mask.

    Examples
    --------
    >>> square = [[0, 0, 0, 1], [1, 0, 1, 1], [0, 0, 1, 0], [0, 1, 1, 1]]
    >>> [ring] = trace_rings(np.array(square))
    >>> len(ring)
    4
    """
    ends: dict[Corner, list[int]] = {}
    for i, (r0, c0, r1, c1) in enumerate(segments.tolist()):
        ends.setdefault((r0, c0), []).append(i)
        ends.setdefault((r1, c1), []).append(i)
    unused = set(range(len(segments)))
    rings = []
    while unused:
        rings.append(_follow(segments, ends, unused))
    return rings


def _follow(
    segments: NDArray[np.int32], ends: dict[Corner, list[int]], unused: set[int]
) -> NDArray[np.float64]:
    """Return one ring of unused segments, (corners, 2), and remove them from unused."""
    first = min(unused)
    unused.discard(first)
    r0, c0, r1, c1 = segments[first].tolist()
    start, at, flat = (r0, c0), (r1, c1), r0 == r1
    corners = [start]
    while at != start:
        corners.append(at)
        # an outline turns at every corner: the next segment is perpendicular
        following = next(
            i
            for i in ends[at]
            if i in unused and (segments[i, 0] == segments[i, 2]) != flat
        )
        unused.discard(following)
        r0, c0, r1, c1 = segments[following].tolist()
        at, flat = ((r1, c1) if (r0, c0) == at else (r0, c0)), r0 == r1
    return np.array(corners, np.float64)
