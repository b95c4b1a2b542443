"""Share the work of a compiled kernel between threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import Any

#: pieces per thread: with more than one, a slow thread does not delay the others
_PIECES = 4


def count_cores() -> int:
    """Return the number of cores that this process may use.

    A batch system or `taskset` may allow fewer cores than the machine has. The variable
    ASTROCAST_THREADS sets the number, for example if several recordings are processed
    at the same time.
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
        Threads that share the work; None: the calling thread.
    n
        Number of items.
    kernel
        Function compiled with ``nogil`` that writes its result into its arguments.
        Items have to be independent, so that the result does not depend on how they are
        divided.
    args
        Further arguments of the kernel.

    Notes
    -----
    Python threads are used, with kernels that release the interpreter's lock, instead
    of the threads of numba: several stages may run in threads of the user at the same
    time, and numba's default threading layer crashes then.
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
