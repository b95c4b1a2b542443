"""Polygons as masks."""

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
    """Return the pixels whose centres lie within rings (even-odd rule).

    Parameters
    ----------
    rings
        Float (points, 2) each, row and column counted in corners of pixels: the centre
        of pixel (r, c) is (r + 0.5, c + 0.5). A ring within a ring is a hole.
    shape
        Rows and columns of the frame; what lies outside is left out.

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
                f"a polygon has at least three points (row, column), found shape"
                f" {points.shape}"
            )
        if not np.isfinite(points).all():
            raise InvalidValueError("a point of a polygon is not a finite number")
        _toggle_inside(points, mask)
    return mask


@njit(cache=True, nogil=True)
def _toggle_inside(points: Any, mask: Any) -> None:
    """Toggle the pixels whose centres lie within one ring.

    ``points`` float64 (points, 2), ``mask`` bool (row, column), changed in place.
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
    """Return the pixels whose centres lie within ``radius`` of a path.

    Parameters
    ----------
    path
        Float (points, 2), row and column in corners of pixels; one point gives a disc.
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
            "a brush stroke needs at least one point and a radius above 0"
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
