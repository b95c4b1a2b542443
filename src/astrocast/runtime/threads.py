"""The threads that kernels share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def available() -> int:
    """Return the number of cores that this process may use.

    A scheduler may have limited it, and so may the variable ASTROCAST_THREADS: several
    recordings that are computed side by side share the cores.
    """
    wanted = os.environ.get("ASTROCAST_THREADS", "")
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    counts = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(counts(0)) if counts else os.cpu_count() or 1


def shared_threads() -> ThreadPoolExecutor:
    """Return the pool of threads for `kernels.parallel.spread`.

    As many threads as cores, created at first use.
    """
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(
                available(), thread_name_prefix="astrocast-kernel"
            )
        return _pool


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Multiply matrices in the calling thread alone, for as long as the context lasts.

    For many products of small matrices: the threads of a BLAS library spin while they
    wait, which on a busy machine takes several times as long as the work.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def _forget() -> None:
    """Leave the pool behind in a forked process, which has none of its threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
