"""Draw cell processes and measure distances along them."""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.rendering.formula_events import window_around


@njit(cache=True, nogil=True)
def draw_strokes(points: NDArray[Any], image: NDArray[Any]) -> NDArray[Any]:
    """Return ``image`` with each point drawn as a Gaussian, by the maximum.

    ``points`` float64 (point, 4): row, column, width, brightness; ``image`` and the
    result: float64 (row, column). A sum would be too bright where points are dense or
    processes cross.
    """
    out = image.copy()
    for p in points:
        y0, y1 = window_around(p[0], 3.0 * p[2], out.shape[0])
        x0, x1 = window_around(p[1], 3.0 * p[2], out.shape[1])
        for y in range(y0, y1):
            for x in range(x0, x1):
                d = ((y - p[0]) ** 2 + (x - p[1]) ** 2) / (2.0 * p[2] * p[2])
                out[y, x] = max(out[y, x], p[3] * math.exp(-d))
    return out


#: lengths of a step to a side and to a corner; with them, distances on the grid are
#: within 4 % of Euclidean ones (Borgefors 1986, doi:10.1016/S0734-189X(86)80047-0)
SIDE, CORNER = 0.96194, 1.36039


@njit(cache=True, nogil=True)
def path_distance(
    cost: NDArray[Any], start: NDArray[Any], longest: float, most: int
) -> NDArray[Any]:
    """Return the cost of the cheapest path from ``start`` to each pixel.

    Dijkstra's algorithm with eight neighbours per pixel. Pixels are reached in the
    order of their distance.

    Parameters
    ----------
    cost
        Cost of a step of one pixel, float32 (row, column); infinite for pixels that
        paths cannot cross.
    start
        Row and column of the pixel at which the distance is 0, int64 (2,).
    longest
        Largest distance; the search ends there.
    most
        Largest number of pixels; the search ends after it.

    Returns
    -------
    float32 (row, column); infinite for pixels that were not reached.
    """
    rows, columns = cost.shape
    distance = np.full(cost.shape, np.inf, np.float32)
    reached = np.zeros(cost.shape, np.bool_)
    found = np.full(cost.shape, np.inf, np.float32)
    found[start[0], start[1]] = 0.0
    queue = [(np.float32(0.0), start[0] * columns + start[1])]
    while len(queue) > 0 and most > 0:
        way, place = heapq.heappop(queue)
        y, x = place // columns, place % columns
        if reached[y, x]:
            continue
        if way > longest:
            break
        reached[y, x] = True
        distance[y, x] = way
        most -= 1
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                j, i = y + dy, x + dx
                if j < 0 or i < 0 or j >= rows or i >= columns or reached[j, i]:
                    continue
                step = CORNER if dy != 0 and dx != 0 else SIDE
                total = np.float32(way + step * 0.5 * (cost[y, x] + cost[j, i]))
                if total < found[j, i]:
                    found[j, i] = total
                    heapq.heappush(queue, (total, j * columns + i))
    return distance
