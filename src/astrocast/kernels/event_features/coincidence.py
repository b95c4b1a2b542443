"""Which events of two label volumes are active at the same place and time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shared_voxels(
    first: NDArray[Any], second: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of events that have voxels in common, (pairs, 2), and how many.

    Parameters
    ----------
    first, second
        Label volumes of the same shape, 0 for none, integers.

    Examples
    --------
    >>> pairs, count = shared_voxels(np.array([1, 1, 0, 2]), np.array([3, 3, 3, 0]))
    >>> pairs.tolist(), count.tolist()
    ([[1, 3]], [2])
    """
    a, b = first.reshape(-1), second.reshape(-1)
    both = np.flatnonzero((a != 0) & (b != 0))
    labels = np.stack([a[both], b[both]], axis=1).astype(np.int64)
    pairs, count = np.unique(labels, axis=0, return_counts=True)
    return pairs.reshape(-1, 2), count.astype(np.int64)


def merge_counts(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of all blocks with their counts added, see `shared_voxels`."""
    if not parts:
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    pairs = np.concatenate([pair for pair, _ in parts])
    counts = np.concatenate([count for _, count in parts])
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    total = np.zeros(len(unique), np.int64)
    np.add.at(total, place.reshape(-1), counts)
    return unique.reshape(-1, 2), total
