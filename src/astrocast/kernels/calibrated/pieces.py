"""Compiled kernels that return arrays of unknown length, shared between threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

#: pieces per thread: more than one, so that a slow thread does not delay the others
_PIECES = 8


def call_in_pieces(
    pool: Executor | None, n: int, kernel: Callable[..., Any], *args: Any
) -> list[Any]:
    """Return the results of ``kernel(lo, hi, *args)`` for parts of ``range(n)``.

    Parameters
    ----------
    pool
        Threads that share the work; all in the calling thread when None.
    n
        Number of items, each independent of the others.
    kernel
        Compiled with ``nogil``.
    args
        Passed on.
    """
    if n == 0:
        return []
    pieces = min(n, getattr(pool, "_max_workers", 2) * _PIECES) if pool else 1
    cuts = [n * i // pieces for i in range(pieces + 1)]
    if pool is None or pieces == 1:
        return [kernel(0, n, *args)]
    waiting = [pool.submit(kernel, cuts[i], cuts[i + 1], *args) for i in range(pieces)]
    return [future.result() for future in waiting]
