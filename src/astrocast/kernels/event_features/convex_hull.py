"""Convex hulls of pixels, exactly, in integers.

In units of half a pixel the middles of the edges of pixels are whole numbers, and so is
every determinant that decides whether a point is outside: no tolerance is needed, and
flat masks have hulls like all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocast.kernels.compiling import njit


@njit(cache=True, nogil=True)
def hull_rows(mask: Any, left: Any, right: Any) -> None:
    """Write the first and last column of the convex hull in each row of a mask.

    The hull is that of the middles of the edges of all pixels; a pixel is part of it
    when its centre is in it or on its border, as in
    `skimage.morphology.convex_hull_image`.

    Parameters
    ----------
    mask
        (rows, columns), with an active pixel in the first and in the last row.
    left, right
        Filled: int64, (rows,); right is the last column itself.
    """
    rows, columns = mask.shape
    # In units of half a pixel, with rows shifted by one: the leftmost and rightmost
    # point at each height.
    heights = 2 * rows + 1
    low = np.full(heights, 4 * columns, np.int64)
    high = np.full(heights, -4, np.int64)
    for y in range(rows):
        first, last = -1, -1
        for x in range(columns):
            if mask[y, x]:
                if first < 0:
                    first = x
                last = x
        if first < 0:
            continue
        low[2 * y + 1], high[2 * y + 1] = (
            min(low[2 * y + 1], 2 * first - 1),
            max(high[2 * y + 1], 2 * last + 1),
        )
        for height in (2 * y, 2 * y + 2):
            low[height], high[height] = (
                min(low[height], 2 * first),
                max(high[height], 2 * last),
            )
    _envelope(low, left, 1, 4 * columns)
    _envelope(high, right, -1, -4)


@njit(cache=True, nogil=True)
def _envelope(points: Any, columns: Any, sign: int, none: int) -> None:
    """Write the outermost column of the convex hull for each row of pixels.

    Of one point (or none) per height.

    ``points`` int64 (heights,), ``columns`` int64 (rows,); ``none`` marks a height
    without point.
    """
    n = len(points)
    chain = np.empty(n, np.int64)
    size = 0
    for v in range(n):
        if points[v] == none:
            continue
        while size >= 2:
            a, b = chain[size - 2], chain[size - 1]
            if (
                sign
                * (
                    (points[b] - points[a]) * (v - a)
                    - (points[v] - points[a]) * (b - a)
                )
                < 0
            ):
                break
            size -= 1
        chain[size] = v
        size += 1
    k = 0
    for y in range(len(columns)):
        v = 2 * y + 1
        while k < size - 2 and chain[k + 1] < v:
            k += 1
        a, b = chain[k], chain[k + 1]
        # position on the edge from a to b is u / d; the pixel's centre is at 2 x
        d = b - a
        u = points[a] * d + (points[b] - points[a]) * (v - a)
        columns[y] = -((-u) // (2 * d)) if sign > 0 else u // (2 * d)


@njit(cache=True, nogil=True)
def largest_diameter(left: Any, right: Any) -> float:
    """Return the largest distance between points of the outline of rows of pixels.

    The outline is half way to the pixels outside.

    ``left`` and ``right`` int64 (rows,): first and last column of each row.
    """
    rows = len(left)
    heights = 2 * rows + 1
    low = np.empty(heights, np.int64)
    high = np.empty(heights, np.int64)
    for height in range(heights):
        if height % 2:
            low[height], high[height] = (
                2 * left[height // 2] - 1,
                2 * right[height // 2] + 1,
            )
            continue
        above, below = height // 2 - 1, height // 2
        if above < 0 or below >= rows:
            y = below if above < 0 else above
            low[height], high[height] = 2 * left[y], 2 * right[y]
        else:  # the outline runs between the rows where one is longer than the other
            low[height], high[height] = _columns_of_one_row(
                left[above], right[above], left[below], right[below]
            )
    best = np.int64(0)
    for i in range(heights):
        for j in range(i, heights):
            if low[i] > high[i] or low[j] > high[j]:
                continue
            across = max(abs(high[i] - low[j]), abs(high[j] - low[i]))
            best = max(best, across * across + (j - i) * (j - i))
    return np.sqrt(np.float64(best)) / 2


@njit(cache=True, nogil=True)
def _columns_of_one_row(left: int, right: int, left2: int, right2: int) -> Any:
    """Return first and last half column that only one of two rows covers, int64.

    First and last column of both rows, int64; 1 and 0 where the rows are the same.
    """
    low, high = 1, 0
    found = False
    for a, b, c, d in ((left, right, left2, right2), (left2, right2, left, right)):
        # columns of a..b that are not in c..d: a stretch on either side
        for first, last in ((a, min(b, c - 1)), (max(a, d + 1), b)):
            if first <= last:
                low = 2 * first if not found else min(low, 2 * first)
                high = 2 * last if not found else max(high, 2 * last)
                found = True
    return low, high
