"""The threads that kernels share."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def available() -> int:
    """Return the number of cores that this process may use, which a scheduler may have limited."""
    counts = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(counts(0)) if counts else os.cpu_count() or 1


def shared_threads() -> ThreadPoolExecutor:
    """Return the pool for `astrocast.kernels.parallel.spread`: as many threads as cores, made at first use."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(available(), thread_name_prefix="astrocast-kernel")
        return _pool


def _forget() -> None:
    """Leave the pool behind in a forked process, which has none of its threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
