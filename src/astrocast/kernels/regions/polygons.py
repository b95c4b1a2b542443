"""Convert polygons and brush strokes to masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit


def polygon_mask(
    rings: Sequence[NDArray[np.float64]], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return a mask of the pixels with their centre inside rings (even-odd rule).

    Parameters
    ----------
    rings
        Float (points, 2) each, row and column in corner coordinates: the centre of
        pixel (r, c) is (r + 0.5, c + 0.5). A ring inside a ring is a hole.
    shape
        Rows and columns of the frame; parts outside are left out.

    Returns
    -------
    numpy.ndarray
        bool (row, column).

    Raises
    ------
    InvalidValueError
        A ring has fewer than three points, or a coordinate is not a number.

    Examples
    --------
    >>> square = np.array([[1.0, 1.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]])
    >>> int(polygon_mask([square], (4, 4)).sum())
    4
    """
    mask = np.zeros(shape, bool)
    for ring in rings:
        points = np.ascontiguousarray(ring, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
            raise InvalidValueError(
                "expected a polygon of at least three points (row, column), found the"
                f" shape {points.shape}"
            )
        if not np.isfinite(points).all():
            raise InvalidValueError(
                "a polygon has a NaN or infinite coordinate: correct it"
            )
        _toggle_inside(points, mask)
    return mask


@njit(cache=True, nogil=True)
def _toggle_inside(points: Any, mask: Any) -> None:
    """Invert the pixels with their centre inside one ring, in place.

    ``points`` float64 (point, 2): row and column in corner coordinates; ``mask`` bool
    (row, column).
    """
    rows, columns = mask.shape
    n = len(points)
    crossings = np.empty(n, np.float64)
    for r in range(rows):
        y = r + 0.5
        count = 0
        j = n - 1
        for i in range(n):
            a, b = points[i, 0], points[j, 0]
            if (a > y) != (b > y):
                share = (y - a) / (b - a)
                crossings[count] = points[i, 1] + share * (points[j, 1] - points[i, 1])
                count += 1
            j = i
        ends = np.sort(crossings[:count])
        for k in range(0, count - 1, 2):
            first = max(0, int(np.ceil(ends[k] - 0.5)))
            last = min(columns, int(np.ceil(ends[k + 1] - 0.5)))
            for c in range(first, last):
                mask[r, c] = not mask[r, c]


def brush_mask(
    path: NDArray[np.float64], radius: float, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return a mask of the pixels with their centre within ``radius`` of a path.

    Parameters
    ----------
    path
        Float (points, 2), row and column in corner coordinates; one point gives a disc.
    radius
        In pixels, above 0.
    shape
        Rows and columns of the frame.

    Examples
    --------
    >>> int(brush_mask(np.array([[1.5, 1.5]]), 1.1, (3, 3)).sum())
    5
    """
    points = np.ascontiguousarray(path, np.float64).reshape(-1, 2)
    if not len(points) or not np.isfinite(points).all() or not radius > 0:
        raise InvalidValueError(
            f"a brush stroke has {len(points)} points and the radius {radius}; it needs"
            " at least one point, finite coordinates and a radius above 0"
        )
    rows = np.arange(shape[0])[:, None] + 0.5
    columns = np.arange(shape[1]) + 0.5
    mask = np.zeros(shape, bool)
    ends = points[1:] if len(points) > 1 else points
    for begin, end in zip(points[: len(ends)], ends, strict=True):
        step = end - begin
        length = float(step @ step)
        along = (rows - begin[0]) * step[0] + (columns - begin[1]) * step[1]
        share = np.clip(along / length, 0.0, 1.0) if length else np.zeros(shape)
        down = rows - (begin[0] + share * step[0])
        right = columns - (begin[1] + share * step[1])
        mask |= down**2 + right**2 <= radius**2
    return mask
