"""Union-find over an array of parents: which elements belong together.

``parent`` is int64, (elements,): the parent of each element, a root being its own. It
starts as ``arange(elements)`` and is changed in place.
"""

from __future__ import annotations

from typing import Any

from astrocast.kernels.compiling import njit


@njit(cache=True, nogil=True)
def find_root(parent: Any, i: int) -> int:
    """Return the root of element ``i``, halving the path to it on the way.

    ``parent`` int64, shortened in place.
    """
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def unite(parent: Any, i: int, j: int) -> None:
    """Join the sets of ``i`` and ``j``; the smaller root stays the root.

    ``parent`` int64, changed in place.
    """
    i, j = find_root(parent, i), find_root(parent, j)
    if i < j:
        parent[j] = i
    else:
        parent[i] = j


@njit(cache=True, nogil=True)
def unite_pairs(parent: Any, pairs: Any) -> None:
    """Join the sets of each pair, int64 (pairs, 2)."""
    for k in range(len(pairs)):
        unite(parent, pairs[k, 0], pairs[k, 1])
