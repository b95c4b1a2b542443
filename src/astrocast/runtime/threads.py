"""Pools of threads that compute, with one thread per core of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from astrocast.kernels.parallel import count_cores

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


@contextmanager
def worker_threads(purpose: str) -> Iterator[ThreadPoolExecutor]:
    """Return a pool of threads, one per core, for a stage; it ends with the context.

    It is separate from `shared_threads`: a task of a stage may read a recording that is
    computed by the shared threads, and a task must not wait for its own pool.
    """
    name = f"astrocast-{purpose}"
    with ThreadPoolExecutor(count_cores(), thread_name_prefix=name) as pool:
        yield pool


def shared_threads() -> ThreadPoolExecutor:
    """Return the pool of threads for `kernels.parallel.run_in_threads`.

    It has one thread per core and is created at first use.
    """
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(
                count_cores(), thread_name_prefix="astrocast-kernel"
            )
        return _pool


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS multiply matrices in the calling thread within the context.

    For many products of small matrices: threads of BLAS wait in a busy loop, which on a
    busy computer takes several times as long as the products.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def _reset_after_fork() -> None:
    """Remove the pool in a forked process, in which its threads do not exist."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
