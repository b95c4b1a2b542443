"""Linked lists of items with owners, in arrays: joining two owners joins their lists.

A list is ``head`` and ``tail`` (owner,) and ``following`` (item,), int64; -1 ends it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit


def make_lists(owner: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], ...]:
    """Return items as linked lists: first and last of each owner, next of each item."""
    return tuple(chain_items(np.ascontiguousarray(owner, np.int64), count))


@njit(cache=True, nogil=True)
def chain_items(owner: Any, count: int) -> Any:
    """Return head, tail (owner,) and next (item,), int64; -1 ends a list."""
    head, tail = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    following = np.full(len(owner), -1, np.int64)
    for i in range(len(owner)):
        k = owner[i]
        if tail[k] < 0:
            head[k] = i
        else:
            following[tail[k]] = i
        tail[k] = i
    return head, tail, following


@njit(cache=True, nogil=True)
def append_list(head: Any, tail: Any, following: Any, into: Any, gone: Any) -> None:
    """Append the list of ``gone`` to that of ``into``.

    All arrays int64, see `chain_items`.
    """
    if head[gone] < 0:
        return
    if head[into] < 0:
        head[into] = head[gone]
    else:
        following[tail[into]] = head[gone]
    tail[into] = tail[gone]
    head[gone] = -1


@njit(cache=True, nogil=True)
def collect_values(head: Any, following: Any, values: Any, k: Any, scratch: Any) -> Any:
    """Copy the values of list ``k`` into ``scratch``, float32; return their number."""
    n, i = 0, head[k]
    while i >= 0:
        scratch[n] = values[i]
        n += 1
        i = following[i]
    return n
