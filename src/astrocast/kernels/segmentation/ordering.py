"""Sort voxels by their values, or by groups, in linear time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

#: number of bits of a key that are sorted in one pass
_BITS = 11


def order_from_highest(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the indices of values from the highest to the lowest, int32 (voxel,).

    Equal values are in the order of their indices, as in a stable sort of the negative
    values. Radix sort: the time is proportional to the number of values.

    ``values``: float32 (voxel,), finite.

    Examples
    --------
    >>> order_from_highest(np.array([1, 3, -2, 3], np.float32))
    array([1, 3, 0, 2], dtype=int32)
    """
    # the bits of positive floats, read as integers, have the same order; + 0 changes -0
    # to 0
    bits = (np.ascontiguousarray(values, np.float32) + np.float32(0)).view(np.uint32)
    return np.asarray(_order(bits))


@njit(cache=True, nogil=True)
def _order(bits: Any) -> Any:
    """Return indices from the highest value down, int32; ``bits`` uint32 (voxel,)."""
    n, size = len(bits), 1 << _BITS
    mask, top = np.uint32(size - 1), np.uint32(1 << 31)
    keys, order = np.empty(n, np.uint32), np.empty(n, np.int32)
    moved_keys, moved = np.empty(n, np.uint32), np.empty(n, np.int32)
    counts = np.zeros((3, size), np.int64)
    for i in range(n):
        # ascending keys of descending values
        key = bits[i] if bits[i] & top else (~bits[i]) & ~top
        keys[i], order[i] = key, i
        for digit in range(3):
            counts[digit, (key >> np.uint32(digit * _BITS)) & mask] += 1
    for digit in range(3):
        place, total = counts[digit], 0
        for k in range(size):
            total, place[k] = total + place[k], total
        for i in range(n):
            k = (keys[i] >> np.uint32(digit * _BITS)) & mask
            moved_keys[place[k]], moved[place[k]] = keys[i], order[i]
            place[k] += 1
        keys, moved_keys = moved_keys, keys
        order, moved = moved, order
    return order


def unique_values(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the different values in ascending order, as `numpy.unique`.

    By sorting: the hash table of `numpy.unique` takes up to 100 times as long for
    integers (NumPy 2.3 and 2.4).

    ``values``: int64 (value,).

    Examples
    --------
    >>> unique_values(np.array([3, 1, 3]))
    array([1, 3])
    """
    ordered = np.sort(values)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return np.asarray(ordered[first])


@njit(cache=True, nogil=True)
def order_by_group(group: Any, count: int) -> Any:
    """Return the indices of the members of each group, and the start of each group.

    ``group``: integers (voxel,), from 0 to ``count`` - 1. Returns int64 (voxel,),
    indices in ascending order within each group, and int64 (count + 1,).
    """
    first = np.zeros(count + 1, np.int64)
    for g in group:
        first[g + 1] += 1
    for g in range(count):
        first[g + 1] += first[g]
    place, order = first[:-1].copy(), np.empty(len(group), np.int64)
    for i in range(len(group)):
        g = group[i]
        order[place[g]] = i
        place[g] += 1
    return order, first
