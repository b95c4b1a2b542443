"""Cores and threads: the one place where they are counted and made."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from astrocast.kernels.parallel import count_cores

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


#: number of cores that this process may use
available = count_cores


@contextmanager
def worker_threads(purpose: str) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of as many threads as cores for one stage; it ends with the context.

    Apart from `shared_threads`, whose tasks must not wait for tasks of their own pool:
    those of a stage may read a recording that is computed by the shared ones.
    """
    name = f"astrocast-{purpose}"
    with ThreadPoolExecutor(count_cores(), thread_name_prefix=name) as pool:
        yield pool


def shared_threads() -> ThreadPoolExecutor:
    """Return the pool of threads for `kernels.parallel.run_in_threads`.

    As many threads as cores, created at first use.
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
    """Multiply matrices in the calling thread alone, for as long as the context lasts.

    For many products of small matrices: the threads of a BLAS library spin while they
    wait, which on a busy machine takes several times as long as the work.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def _forget() -> None:
    """Forget the pool in a forked process, where its threads do not exist."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
