"""Sharing the work of a compiled kernel between threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import Any

#: pieces per thread: more than one, so that a thread that is held up does not hold up
#: the rest
_PIECES = 4


def count_cores() -> int:
    """Return the number of cores that this process may use.

    A batch system or `taskset` may allow fewer than the machine has, and so may the
    variable ASTROCAST_THREADS: several recordings that are computed side by side share
    the cores.
    """
    wanted = os.environ.get("ASTROCAST_THREADS", "")
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def run_in_threads(
    pool: Executor | None, n: int, kernel: Callable[..., None], *args: Any
) -> None:
    """Call ``kernel(lo, hi, *args)`` for parts that together cover ``range(n)``.

    Parameters
    ----------
    pool
        Threads that share the work; everything is done in the calling thread when None.
    n
        Number of items.
    kernel
        Compiled with ``nogil``, writes its result into its arguments; items are
        independent of each other, so the result does not depend on how they are shared.
    args
        Passed on.

    Notes
    -----
    Threads of the interpreter over kernels that release its lock, rather than numba's
    own threads: several stages and users' threads may run at once, which numba's
    default threading layer does not survive.
    """
    if pool is None or n < 2:
        if n:
            kernel(0, n, *args)
        return
    threads = getattr(pool, "_max_workers", 2)
    pieces = min(n, threads * _PIECES)
    cuts = [n * i // pieces for i in range(pieces + 1)]
    futures = [pool.submit(kernel, cuts[i], cuts[i + 1], *args) for i in range(pieces)]
    wait(futures)
    for future in futures:
        future.result()
