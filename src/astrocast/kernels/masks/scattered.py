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
    most, best, painted = 0, -1, 0
    for i in range(len(flat)):
        if flat[i] == 1:
            size = _paint_region(box, i, 1, 3, stack)
            painted += size
            if size > most:
                most, best = size, i
            if painted == len(voxels):
                break
    # one region, as most often, need not be told from others
    others = 1 if most == painted else 0
    if best >= 0 and not others:
        _paint_region(box, best, 3, 1, stack)
    for i in range(len(flat)):
        if flat[i] == 3:
            flat[i] = others
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

    ``box`` uint8 (frame, row, column) with a margin of 0, changed in place.
    """
    flat = box.reshape(-1)
    n_z, n_y, n_x = box.shape
    plane = n_y * n_x
    # the margin is outside. Painted first, it also stops the flood at the border
    box[0], box[n_z - 1] = 2, 2
    box[:, 0], box[:, n_y - 1] = 2, 2
    box[:, :, 0], box[:, :, n_x - 1] = 2, 2
    stack = np.empty(len(flat), np.int64)
    for z in range(1, n_z - 1):
        inner_z = 1 < z < n_z - 2
        for y in range(1, n_y - 1):
            first = z * plane + y * n_x + 1
            # voxels that touch the margin
            step = n_x - 3 if inner_z and 1 < y < n_y - 2 and n_x > 3 else 1
            for seed in range(first, first + n_x - 2, step):
                if flat[seed] == 0:
                    _flood_faces(flat, seed, plane, n_x, stack)


@njit(cache=True, nogil=True)
def _flood_faces(flat: Any, seed: int, plane: int, line: int, stack: Any) -> None:
    """Paint 2 over the 0 that are connected over faces with a seed.

    ``flat`` uint8 (voxel,): box with a margin other than 0, with ``plane`` voxels in a
    frame and ``line`` in a row; ``stack`` int64, as long.
    """
    flat[seed], stack[0], n = 2, seed, 1
    while n:
        n -= 1
        i = stack[n]
        for step in (1, line, plane):
            if flat[i + step] == 0:
                flat[i + step] = 2
                stack[n] = i + step
                n += 1
            if flat[i - step] == 0:
                flat[i - step] = 2
                stack[n] = i - step
                n += 1
