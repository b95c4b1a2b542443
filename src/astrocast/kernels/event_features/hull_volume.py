"""Convex hulls of voxels, exactly, in integers.

In units of half a voxel the centres of the faces of voxels are whole numbers, and so is
every determinant that decides whether a point is outside: no tolerance is needed, and
flat masks have hulls like all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocast.kernels.compiling import njit


@njit(cache=True, nogil=True)
def count_hull(mask: Any) -> int:
    """Return how many voxels the convex hull of a 3-D mask has.

    The hull is that of the middles of the faces of all voxels; a voxel is part of it
    when its centre is in it or on its border, as in
    `skimage.morphology.convex_hull_image`.

    Parameters
    ----------
    mask
        uint8 (frame, row, column), with at least one active voxel; sides up to 10,000,
        so that determinants are exact in float64.

    Notes
    -----
    Incremental construction with conflict tests over all faces, after de Berg et al.,
    Computational Geometry, chapter 11, https://doi.org/10.1007/978-3-540-77974-2.

    Examples
    --------
    >>> corner = np.zeros((3, 3, 3), np.uint8)
    >>> corner[0, 0, 0] = corner[2, 2, 2] = 1
    >>> count_hull(corner)
    3
    """
    points, n = _face_centres(mask)
    faces, planes = _hull(points[:n])
    return _count_inside(points, faces, planes, mask.shape)


@njit(cache=True, nogil=True)
def _face_centres(mask: Any) -> Any:
    """Return the face centres of the outermost voxels of each line.

    In half voxels; points far apart come first.

    ``mask`` uint8 (frame, row, column); returns float64 (points, 3).
    """
    frames, rows, columns = mask.shape
    # the outermost points per (frame, row) in half voxels suffice: no other can be a
    # corner
    low = np.full((2 * frames + 1, 2 * rows + 1), 4 * columns, np.int64)
    high = np.full((2 * frames + 1, 2 * rows + 1), -4, np.int64)
    for t in range(frames):
        for y in range(rows):
            first, last = -1, -1
            for x in range(columns):
                if mask[t, y, x]:
                    if first < 0:
                        first = x
                    last = x
            if first < 0:
                continue
            a, b = 2 * t + 1, 2 * y + 1
            low[a, b], high[a, b] = (
                min(low[a, b], 2 * first - 1),
                max(high[a, b], 2 * last + 1),
            )
            for da, db in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                low[a + da, b + db] = min(low[a + da, b + db], 2 * first)
                high[a + da, b + db] = max(high[a + da, b + db], 2 * last)
    out = np.empty((2 * low.size, 3))
    n = 0
    for a in range(low.shape[0]):
        n = _line_ends(low[a], high[a], a, out, n)
    return out, n


@njit(cache=True, nogil=True)
def _line_ends(low: Any, high: Any, a: int, out: Any, n: int) -> int:
    """Append the corners of the convex hull of one layer of points.

    ``low`` and ``high`` int64 (heights,); ``out`` float64 (points, 3), filled from
    ``n`` on.
    """
    for sign in (1, -1):
        begin = n
        for b in range(len(low)):
            if high[b] < low[b]:
                continue
            x = low[b] if sign > 0 else high[b]
            while n - begin >= 2:
                p, q = out[n - 2], out[n - 1]
                if sign * ((q[2] - p[2]) * (b - p[1]) - (x - p[2]) * (q[1] - p[1])) < 0:
                    break
                n -= 1
            out[n, 0], out[n, 1], out[n, 2] = a, b, x
            n += 1
    return n


@njit(cache=True, nogil=True)
def _plane(points: Any, i: int, j: int, k: int) -> Any:
    """Return normal and offset of the plane through three points.

    Integers, as float64.
    """
    u0, u1, u2 = (
        points[j, 0] - points[i, 0],
        points[j, 1] - points[i, 1],
        points[j, 2] - points[i, 2],
    )
    v0, v1, v2 = (
        points[k, 0] - points[i, 0],
        points[k, 1] - points[i, 1],
        points[k, 2] - points[i, 2],
    )
    n0, n1, n2 = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    return n0, n1, n2, n0 * points[i, 0] + n1 * points[i, 1] + n2 * points[i, 2]


@njit(cache=True, nogil=True)
def _simplex(points: Any) -> Any:
    """Return four points that are not in one plane.

    They exist, because the face centres of one voxel are not.

    ``points`` float64 (points, 3); returns four int64.
    """
    first, second, third, fourth = 0, len(points) - 1, 0, 0
    most = -1.0
    for k in range(len(points)):
        n0, n1, n2, _ = _plane(points, first, second, k)
        if abs(n0) + abs(n1) + abs(n2) > most:
            third, most = k, abs(n0) + abs(n1) + abs(n2)
    n0, n1, n2, offset = _plane(points, first, second, third)
    most = -1.0
    for k in range(len(points)):
        height = abs(n0 * points[k, 0] + n1 * points[k, 1] + n2 * points[k, 2] - offset)
        if height > most:
            fourth, most = k, height
    return first, second, third, fourth


@njit(cache=True, nogil=True)
def _hull(points: Any) -> Any:
    """Return the corners of the faces, and their outward normals and offsets.

    Shape (4, faces); a point is inside where normal · p <= offset.

    ``points`` float64 (points, 3). Returns int64 (faces, 3) and float64 (4, faces).
    """
    n = len(points)
    corners = _simplex(points)
    faces = np.empty((4 * n + 16, 3), np.int64)
    planes = np.empty((4, 4 * n + 16))
    visible = np.zeros(4 * n + 16, np.uint8)
    edges = np.empty((12 * n + 48, 2), np.int64)
    for skip in range(4):
        i, j, k = (
            corners[(skip + 1) % 4],
            corners[(skip + 2) % 4],
            corners[(skip + 3) % 4],
        )
        n0, n1, n2, offset = _plane(points, i, j, k)
        q = points[corners[skip]]
        if n0 * q[0] + n1 * q[1] + n2 * q[2] > offset:
            j, k = k, j
        _set_face(points, i, j, k, faces, planes, skip)
    count = 4
    # a stride through the points instead of their order: the hull is large early, and
    # most points are then within it
    stride = _stride(n)
    for step in range(n):
        p = step * stride % n
        if _find_visible(planes, count, points[p], visible) == 0:
            continue
        n_edges = _find_rim(faces, count, visible, edges)
        count = _drop_visible(faces, planes, count, visible)
        for e in range(n_edges):
            _set_face(points, edges[e, 0], edges[e, 1], p, faces, planes, count)
            count += 1
    return faces[:count], planes[:, :count]


@njit(cache=True, nogil=True)
def _drop_visible(faces: Any, planes: Any, count: int, visible: Any) -> int:
    """Remove visible faces, in place; return how many are left.

    ``faces`` int64 (faces, 3), ``planes`` float64 (4, faces), ``visible`` uint8
    (faces,).
    """
    f = 0
    while f < count:
        if not visible[f]:
            f += 1
            continue
        count -= 1
        visible[f] = visible[count]
        for k in range(3):
            faces[f, k] = faces[count, k]
        for k in range(4):
            planes[k, f] = planes[k, count]
    return count


@njit(cache=True, nogil=True)
def _stride(n: int) -> int:
    """Return a step about 0.6 of ``n`` that has no divisor in common with it, int64."""
    stride = max(1, int(0.618 * n))
    while np.gcd(stride, n) != 1:
        stride += 1
    return stride


@njit(cache=True, nogil=True)
def _set_face(
    points: Any, i: int, j: int, k: int, faces: Any, planes: Any, at: int
) -> None:
    """Write face ``at``: its corners and its plane, outward.

    ``points`` float64 (points, 3), ``faces`` int64 (faces, 3), ``planes`` float64 (4,
    faces).
    """
    faces[at, 0], faces[at, 1], faces[at, 2] = i, j, k
    planes[0, at], planes[1, at], planes[2, at], planes[3, at] = _plane(points, i, j, k)


@njit(cache=True, nogil=True)
def _find_visible(planes: Any, count: int, point: Any, visible: Any) -> int:
    """Mark the faces that a point is outside of; return how many there are.

    ``planes`` float64 (4, faces), ``point`` float64 (3,), ``visible`` uint8 (faces,).
    """
    a, b, c, d = planes[0], planes[1], planes[2], planes[3]
    x, y, z = point[0], point[1], point[2]
    seen = 0
    for f in range(count):
        visible[f] = a[f] * x + b[f] * y + c[f] * z > d[f]
        seen += visible[f]
    return seen


@njit(cache=True, nogil=True)
def _find_rim(faces: Any, count: int, visible: Any, edges: Any) -> int:
    """Write the edges between visible and hidden faces.

    In the direction of the visible faces.

    ``faces`` int64 (faces, 3), ``visible`` uint8 (faces,), ``edges`` int64 (2, edges).
    """
    n = 0
    for f in range(count):
        if visible[f]:
            for e in range(3):
                i, j = faces[f, e], faces[f, (e + 1) % 3]
                # an edge between two visible faces is met twice, once in either
                # direction
                k = 0
                while k < n and not (edges[k, 0] == j and edges[k, 1] == i):
                    k += 1
                if k < n:
                    n -= 1
                    edges[k, 0], edges[k, 1] = edges[n, 0], edges[n, 1]
                else:
                    edges[n, 0], edges[n, 1] = i, j
                    n += 1
    return n


@njit(cache=True, nogil=True)
def _count_inside(points: Any, faces: Any, planes: Any, shape: Any) -> int:
    """Return the number of voxel centres between the faces on either side.

    ``points`` float64 (points, 3), ``faces`` int64 (faces, 3), ``planes`` float64 (4,
    faces).
    """
    low = np.full((shape[0], shape[1]), shape[2], np.int64)
    high = np.full((shape[0], shape[1]), -1, np.int64)
    for f in range(planes.shape[1]):
        slope = 2 * planes[2, f]
        if slope == 0:
            continue  # its edges belong to faces that are not along the columns
        a, b, c = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        # centres are at (2t + 1, 2y + 1)
        t0, t1 = (
            int(np.ceil((min(a[0], b[0], c[0]) - 1) / 2)),
            int(np.floor((max(a[0], b[0], c[0]) - 1) / 2)),
        )
        y0, y1 = (
            int(np.ceil((min(a[1], b[1], c[1]) - 1) / 2)),
            int(np.floor((max(a[1], b[1], c[1]) - 1) / 2)),
        )
        for t in range(max(t0, 0), min(t1, shape[0] - 1) + 1):
            for y in range(max(y0, 0), min(y1, shape[1] - 1) + 1):
                if not _covers(a, b, c, 2.0 * t + 1, 2.0 * y + 1):
                    continue
                # whole numbers below 2**53: a quotient rounds to a whole number only
                # where it is one
                x = (
                    planes[3, f]
                    - planes[0, f] * (2 * t + 1)
                    - planes[1, f] * (2 * y + 1)
                ) / slope
                if slope > 0:
                    high[t, y] = int(np.floor(x))
                else:
                    low[t, y] = int(np.ceil(x))
    total = 0
    for t in range(shape[0]):
        for y in range(shape[1]):
            total += max(0, high[t, y] - low[t, y] + 1)
    return total


@njit(cache=True, nogil=True)
def _covers(a: Any, b: Any, c: Any, t: float, y: float) -> bool:
    """Whether (t, y) lies in the triangle or on its border, seen along the columns.

    ``a``, ``b`` and ``c`` float64 (3,): the corners.
    """
    ab = (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (t - a[0])
    bc = (c[0] - b[0]) * (y - b[1]) - (c[1] - b[1]) * (t - b[0])
    ca = (a[0] - c[0]) * (y - c[1]) - (a[1] - c[1]) * (t - c[0])
    return (ab >= 0 and bc >= 0 and ca >= 0) or (ab <= 0 and bc <= 0 and ca <= 0)
