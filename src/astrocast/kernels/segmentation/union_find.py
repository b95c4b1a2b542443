"""Union-find: sets of elements, stored as an array of parents.

``parent`` is int32 or int64 (element,): the parent of each element; a root is its own
parent. It starts as ``arange(elements)`` and is changed in place.
"""

from __future__ import annotations

from typing import Any

from astrocast.kernels.compiling import njit


@njit(cache=True, nogil=True)
def find_root(parent: Any, i: int) -> int:
    """Return the root of element ``i``, int64, and shorten the path to it.

    ``parent`` int32 or int64 (element,), changed in place; ``i`` integer.
    """
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def unite(parent: Any, i: int, j: int) -> None:
    """Join the sets of ``i`` and ``j``; the smaller root becomes the root.

    ``parent`` int64 (element,), changed in place; ``i`` and ``j`` int64.
    """
    i, j = find_root(parent, i), find_root(parent, j)
    if i < j:
        parent[j] = i
    else:
        parent[i] = j


@njit(cache=True, nogil=True)
def unite_pairs(parent: Any, pairs: Any) -> None:
    """Join the sets of each pair.

    ``parent`` int64 (element,), changed in place; ``pairs`` int64 (pair, 2).
    """
    for k in range(len(pairs)):
        unite(parent, pairs[k, 0], pairs[k, 1])
