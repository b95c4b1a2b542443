"""Regions of scattered voxels, in the smallest box that holds them; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocast.kernels.compiling import njit


@njit(cache=True, nogil=True)
def box_of(voxels: Any, rows: int, columns: int) -> Any:
    """Return low and high corner (exclusive) of voxels, int64, (2, 3).

    ``voxels`` are flat indices into a volume with frames of ``rows`` x ``columns``.
    """
    out = np.empty((2, 3), np.int64)
    out[0] = np.iinfo(np.int64).max
    out[1] = 0
    for v in voxels:
        place = (v // (rows * columns), v // columns % rows, v % columns)
        for axis in range(3):
            out[0, axis] = min(out[0, axis], place[axis])
            out[1, axis] = max(out[1, axis], place[axis] + 1)
    return out


@njit(cache=True, nogil=True)
def painted_box(voxels: Any, rows: int, columns: int) -> Any:
    """Return a uint8 box, 1 at the voxels, margin 1, and its low corner.

    Entry (1, 1, 1) of the box is at the low corner, int64, (3,).
    """
    corner = box_of(voxels, rows, columns)
    low = corner[0]
    box = np.zeros(
        (
            corner[1, 0] - low[0] + 2,
            corner[1, 1] - low[1] + 2,
            corner[1, 2] - low[2] + 2,
        ),
        np.uint8,
    )
    for v in voxels:
        z, y, x = v // (rows * columns), v // columns % rows, v % columns
        box[z - low[0] + 1, y - low[1] + 1, x - low[2] + 1] = 1
    return box, low


@njit(cache=True, nogil=True)
def _paint_region(box: Any, seed: Any, old: Any, new: Any, stack: Any) -> Any:
    """Paint the region connected to a seed (corners connect); return its size.

    ``seed`` and the entries of ``stack`` (int64) are flat indices of the box, which has
    a margin that is never ``old``.
    """
    flat = box.reshape(-1)
    plane, line = box.shape[1] * box.shape[2], box.shape[2]
    flat[seed] = new
    stack[0] = seed
    n, size = 1, 0
    while n:
        n -= 1
        i = stack[n]
        size += 1
        for dz in range(-1, 2):
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    j = i + dz * plane + dy * line + dx
                    if flat[j] == old:
                        flat[j] = new
                        stack[n] = j
                        n += 1
    return size


@njit(cache=True, nogil=True)
def largest_region(voxels: Any, rows: int, columns: int) -> Any:
    """Return the largest region of voxels (corners connect) in a box, its corner.

    As `painted_box`; of two equally large regions the first in raster order.

    ``voxels`` int64 (voxel,), flat indices, ascending.
    """
    box, low = painted_box(voxels, rows, columns)
    stack = np.empty(len(voxels) + 1, np.int64)
    flat = box.reshape(-1)
    most, best = 0, -1
    for i in range(len(flat)):
        if flat[i] == 1:
            size = _paint_region(box, i, 1, 3, stack)
            if size > most:
                most, best = size, i
    if best >= 0:
        _paint_region(box, best, 3, 1, stack)
    for i in range(len(flat)):
        if flat[i] == 3:
            flat[i] = 0
    return box, low


@njit(cache=True, nogil=True)
def connected_to(core: Any, more: Any, rows: int, columns: int) -> Any:
    """Return which voxels of ``more`` are connected (corners connect) to the core.

    Both are flat indices, int64; ``core`` is not empty. bool, (more,).
    """
    box, low = painted_box(np.concatenate((core, more)), rows, columns)
    stack = np.empty(len(core) + len(more) + 1, np.int64)
    plane, line = box.shape[1] * box.shape[2], box.shape[2]
    flat = box.reshape(-1)
    for v in core:
        z, y, x = v // (rows * columns), v // columns % rows, v % columns
        i = (z - low[0] + 1) * plane + (y - low[1] + 1) * line + x - low[2] + 1
        if flat[i] == 1:
            _paint_region(box, i, 1, 3, stack)
    out = np.empty(len(more), np.bool_)
    for k in range(len(more)):
        v = more[k]
        z, y, x = v // (rows * columns), v // columns % rows, v % columns
        i = (z - low[0] + 1) * plane + (y - low[1] + 1) * line + x - low[2] + 1
        out[k] = flat[i] == 3
    return out


@njit(cache=True, nogil=True)
def flood_outside(box: Any) -> None:
    """Paint the voxels outside of the region (1) with 2, from the margin over faces.

    Voxels that stay 0 are holes.

    ``box`` uint8 (frame, row, column), changed in place.
    """
    flat = box.reshape(-1)
    n_z, n_y, n_x = box.shape
    plane = n_y * n_x
    stack = np.empty(len(flat), np.int64)
    flat[0], stack[0], n = 2, 0, 1
    while n:
        n -= 1
        i = stack[n]
        z, y, x = i // plane, i // n_x % n_y, i % n_x
        for axis in range(3):
            for way in range(-1, 2, 2):
                zz = z + way * (axis == 0)
                yy = y + way * (axis == 1)
                xx = x + way * (axis == 2)
                if not (0 <= zz < n_z and 0 <= yy < n_y and 0 <= xx < n_x):
                    continue
                j = zz * plane + yy * n_x + xx
                if flat[j] == 0:
                    flat[j] = 2
                    stack[n] = j
                    n += 1
