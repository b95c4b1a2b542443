"""Shape of events: masks in space and time, and footprints in space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.event_features.convex_hull import hull_rows, largest_diameter
from astrocast.kernels.event_features.hull_volume import count_hull
from astrocast.kernels.masks.outline_length import outline_length

#: properties of `mask_shape`, in order
MASK_PROPERTIES = (
    "centroid_local-0",
    "centroid_local-1",
    "centroid_local-2",
    "axis_major_length",
    "axis_minor_length",
    "extent",
    "solidity",
    "area",
    "equivalent_diameter_area",
)
#: properties of `footprint_shape`, in order
FOOTPRINT_PROPERTIES = (
    "centroid_local-0",
    "centroid_local-1",
    "axis_major_length",
    "axis_minor_length",
    "eccentricity",
    "equivalent_diameter_area",
    "extent",
    "feret_diameter_max",
    "orientation",
    "perimeter",
    "solidity",
    "area",
    "area_convex",
)


def mask_shape(mask: NDArray[np.bool_]) -> dict[str, float]:
    """Return the shape of a 3-D mask that fills its bounding box (frame, row, column).

    Lengths are in voxels, whatever the axis; centroids are divided by the size of the
    box. All equal the properties of `skimage.measure.regionprops` of the same name.

    Examples
    --------
    >>> mask_shape(np.ones((2, 3, 4), bool))["solidity"]
    1.0
    """
    voxels = np.ascontiguousarray(mask, np.uint8)
    values = np.empty(len(MASK_PROPERTIES))
    mask_values(voxels, values)
    return dict(zip(MASK_PROPERTIES, values.tolist(), strict=True))


def footprint_shape(footprint: NDArray[np.bool_]) -> dict[str, float]:
    """Return the shape of a footprint that fills its bounding box (row, column).

    Lengths are in pixels, the centroid is divided by the size of the box, the
    orientation is the angle between the row axis and the major axis in radians. All
    equal the properties of `skimage.measure.regionprops` of the same name.

    Examples
    --------
    >>> shape = footprint_shape(np.ones((3, 3), bool))
    >>> shape["area"], shape["perimeter"]
    (9.0, 8.0)
    """
    values = np.empty(len(FOOTPRINT_PROPERTIES))
    footprint_values(np.ascontiguousarray(footprint, np.uint8), values)
    return dict(zip(FOOTPRINT_PROPERTIES, values.tolist(), strict=True))


@njit(cache=True, nogil=True)
def mask_values(mask: Any, out: Any) -> None:
    """Write `MASK_PROPERTIES` of a mask into ``out``.

    ``mask`` uint8 (frame, row, column), ``out`` float64 (properties,).
    """
    frames, rows, columns = mask.shape
    n, s = 0, np.zeros(3, np.int64)
    q = np.zeros((3, 3), np.int64)
    for t in range(frames):
        for y in range(rows):
            for x in range(columns):
                if mask[t, y, x]:
                    n += 1
                    s[0] += t
                    s[1] += y
                    s[2] += x
                    q[0, 0] += t * t
                    q[1, 1] += y * y
                    q[2, 2] += x * x
                    q[0, 1] += t * y
                    q[0, 2] += t * x
                    q[1, 2] += y * x
    tensor = np.zeros((3, 3))
    for i in range(3):
        out[i] = s[i] / n / mask.shape[i]
        for j in range(i, 3):
            # exact up to the division, where the squares fit into 64 bits
            central = (np.float64(n) * q[i, j] - np.float64(s[i]) * s[j]) / n / n
            if i == j:
                for k in range(3):
                    if k != i:
                        tensor[k, k] += central
            else:
                tensor[i, j] = tensor[j, i] = -central
    smallest, middle, largest = np.maximum(np.linalg.eigvalsh(tensor), 0.0)
    out[3] = np.sqrt(max(0.0, 10 * (largest + middle - smallest)))
    out[4] = np.sqrt(max(0.0, 10 * (smallest + middle - largest)))
    out[5] = n / mask.size
    out[6] = n / count_hull(mask)
    out[7] = n
    out[8] = (6 * n / np.pi) ** (1 / 3)


@njit(cache=True, nogil=True)
def footprint_values(mask: Any, out: Any) -> None:
    """Write `FOOTPRINT_PROPERTIES` of a footprint into ``out``.

    ``mask`` uint8 (row, column), ``out`` float64 (properties,).
    """
    rows, columns = mask.shape
    n, sy, sx, syy, sxx, sxy = 0, 0, 0, 0, 0, 0
    for y in range(rows):
        for x in range(columns):
            if mask[y, x]:
                n += 1
                sy += y
                sx += x
                syy += y * y
                sxx += x * x
                sxy += x * y
    out[0], out[1] = sy / n / rows, sx / n / columns
    # central second moments times n², in integers, so that a round shape is round
    # exactly
    yy, xx, xy = n * syy - sy * sy, n * sxx - sx * sx, n * sxy - sy * sx
    spread = np.sqrt(np.float64(yy - xx) ** 2 + 4 * np.float64(xy) ** 2)
    large, small = (
        (yy + xx + spread) / 2 / n / n,
        max(0.0, (yy + xx - spread) / 2 / n / n),
    )
    out[2], out[3] = 4 * np.sqrt(large), 4 * np.sqrt(small)
    out[4] = np.sqrt(1 - small / large) if large > 0 else 0.0
    out[5] = np.sqrt(4 * n / np.pi)
    out[6] = n / mask.size
    if yy == xx:
        out[8] = np.pi / 4 if xy > 0 else -np.pi / 4
    else:
        out[8] = 0.5 * np.arctan2(2.0 * xy, np.float64(yy - xx))
    out[9] = _perimeter(mask)
    left, right = np.empty(rows, np.int64), np.empty(rows, np.int64)
    hull_rows(mask, left, right)
    convex = np.sum(right - left + 1)
    out[7] = largest_diameter(left, right)
    out[10], out[11], out[12] = n / convex, n, convex


@njit(cache=True, nogil=True)
def _perimeter(mask: Any) -> float:
    """Return the length of the outline of a mask, uint8 (row, column)."""
    rows, columns = mask.shape
    border = np.zeros((rows + 2, columns + 2), np.uint8)
    for y in range(rows):
        for x in range(columns):
            inside = 0 < y < rows - 1 and 0 < x < columns - 1
            if mask[y, x] and not (
                inside
                and mask[y - 1, x]
                and mask[y + 1, x]
                and mask[y, x - 1]
                and mask[y, x + 1]
            ):
                border[y + 1, x + 1] = 1
    return outline_length(border, rows + 2, columns + 2)
