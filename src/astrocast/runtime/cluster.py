"""Compute tasks on a `dask.distributed` cluster; no other module uses the cluster.

A stage passes a pure function and its items to `map_tasks` (or blocks of a recording to
`astrocast.runtime.blocks.map_blocks`) and receives the results in order. Without a
cluster they are computed in this process, one after the other, on the threads of the
stage. With a connected client each item is a task: the function is sent to each worker
once, the recording is opened there, and only the result is sent back.

Few tasks exist at a time, so the memory of the scheduler and of this process does not
grow with the recording. If a task fails or its worker dies, it is computed again on
another worker. The result is the same, because the function is pure and results are
used in order.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from astrocast.errors import ClusterError, RecordingNotFoundError
from astrocast.io.recording import Recording

logger = logging.getLogger("astrocast.cluster")

#: a function of an item and of the threads that share its work (or None)
Function = Callable[[Any, Executor | None], Any]
#: a task that raises an error is repeated this many times
RETRIES = 2
#: tasks per thread of a worker that exist at a time: one running, one ready
TASKS_PER_THREAD = 2
#: after this many seconds without a result the state of the workers is checked
PATIENCE = 30.0
#: dask warns only if more bytes than this are sent with a task
_LARGEST_ARGUMENTS = "4GB"

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def connected_client() -> Any:
    """Return the client of the user's cluster, or None; imports nothing.

    Within a task it is None: the work of a task is not divided into further tasks.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None or getattr(_inside, "task", False):
        return None
    try:
        client = distributed.get_client()
    except ValueError:  # none is connected
        return None
    return None if client.asynchronous or client.status != "running" else client


class _Inside(threading.local):
    """Whether this thread is computing a task."""

    task = False


_inside = _Inside()


def map_tasks(
    function: Function,
    items: Iterable[Any],
    pool: Executor | None,
    *,
    recordings: Iterable[Recording | None] = (),
    describe: Callable[[Any], tuple[str, int]] | None = None,
) -> Iterator[Any]:
    """Yield ``function(item, pool)`` of each item, in order.

    Parameters
    ----------
    function
        Pure function: its result depends only on the item. It runs on workers if a
        cluster is connected and the function can be sent there, else in this process.
    items
        Consumed as needed: a few more than there are threads.
    pool
        Threads for items that are computed in this process; a worker has its own.
    recordings
        Recordings that the function reads. If a worker could not open one of them (an
        array in memory), the function runs in this process.
    describe
        Function of an item that returns its name and the bytes of memory that it needs,
        for error messages.
    """
    client = connected_client()
    packed = None
    if client is not None:
        held = [r for r in recordings if r is not None and not r.portable]
        packed = None if held else pack(function)
        if packed is None:
            what = held[0].path or "an array in memory" if held else "a function"
            logger.info(
                "%s cannot be sent to workers; this process computes instead", what
            )
    if packed is None:
        for item in items:
            yield function(item, pool)
        return
    yield from _map_on_cluster(client, packed, items, describe or _describe)


def pack(function: Any) -> bytes | None:
    """Return a function as bytes, or None if it cannot be sent to workers."""
    import cloudpickle  # type: ignore[import-untyped] # a dependency of dask

    try:
        return bytes(cloudpickle.dumps(function))
    except Exception as error:  # noqa: BLE001 - pickling may raise any error
        logger.debug("%r cannot be sent to workers: %s", function, error)
        return None


def _describe(item: Any) -> tuple[str, int]:
    return f"task {item}"[:80], 0


def _map_on_cluster(
    client: Any,
    packed: bytes,
    items: Iterable[Any],
    describe: Callable[[Any], tuple[str, int]],
) -> Iterator[Any]:
    """Yield the results of tasks in order; only a few tasks exist at a time."""
    name = uuid.uuid4().hex[:12]
    home = (os.getpid(), os.uname().nodename if hasattr(os, "uname") else "")
    # the function is a task, not scattered data: if its worker dies, dask repeats it
    function = _submit(client, f"astrocast-function-{name}", _unpack, packed, home)
    waiting: deque[tuple[Any, Any]] = deque()
    try:
        for number, item in enumerate(items):
            key = f"astrocast-task-{name}-{number}"
            future = _submit(client, key, _call, function, item)
            waiting.append((item, future))
            while len(waiting) >= _window(client):
                yield _result(client, *waiting.popleft(), describe)
        while waiting:
            yield _result(client, *waiting.popleft(), describe)
    finally:
        for _, future in waiting:
            future.cancel()
        function.release()


def _submit(client: Any, key: str, function: Any, *arguments: Any) -> Any:
    """Submit a task and return its future; dask does not warn of large arguments."""
    import dask

    threshold = {"distributed.admin.large-graph-warning-threshold": _LARGEST_ARGUMENTS}
    with dask.config.set(threshold):
        return client.submit(function, *arguments, key=key, pure=False, retries=RETRIES)


def _window(client: Any) -> int:
    """Return how many tasks may exist at a time."""
    threads = sum(client.nthreads().values()) if client.status == "running" else 0
    return max(TASKS_PER_THREAD * threads, 4)


def _result(
    client: Any, item: Any, future: Any, describe: Callable[[Any], tuple[str, int]]
) -> Any:
    """Return the result of a task; raise errors of the cluster with a clear message."""
    from distributed import wait

    while True:
        try:
            wait(future, timeout=PATIENCE)
            result = future.result()
            break
        except TimeoutError:
            if future.done():  # raised by the task itself
                raise
            _warn_of_waiting(client, *describe(item))
        except Exception as error:
            message = _describe_failure(client, error, *describe(item))
            if message is None:
                raise
            raise ClusterError(message) from error
    future.release()
    return result


def _describe_failure(
    client: Any, error: BaseException, name: str, needed: int
) -> str | None:
    """Return the message of an error of the cluster; None for an error of the task."""
    kind = type(error).__name__
    # the worker that died last, if the error names it
    dead = getattr(error, "last_worker", None)
    has = _describe_limits([dead.identity()] if dead else _workers(client))
    needs = f"about {needed / 1e9:.2g} GB of memory, {has}"
    if kind == "KilledWorker":
        return (
            f"several workers died while they computed {name}. It needs {needs}. Start"
            " workers with more memory (--memory-limit) or fewer threads (--nthreads)"
        )
    if isinstance(error, MemoryError):
        return f"{name} needs {needs}. Start workers with more memory"
    if kind in ("FutureCancelledError", "CancelledError"):
        return (
            f"the scheduler cancelled {name}, or the connection to it was lost. Run the"
            " same command again: finished stages are reused"
        )
    return None


def _workers(client: Any) -> list[dict[str, Any]]:
    """Return the scheduler's description of each worker; empty without a connection."""
    if client.status != "running":
        return []
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


def _describe_limits(workers: list[dict[str, Any]]) -> str:
    """Return a text about the memory of workers."""
    if not workers:
        return "and no worker is left"
    limits = [w["memory_limit"] for w in workers if w.get("memory_limit")]
    threads = max(w["nthreads"] for w in workers)
    if not limits:
        return "workers have no memory limit"
    shared = f" for {threads} threads" if threads > 1 else ""
    return f"a worker has {min(limits) / 1e9:.2g} GB{shared}"


def _warn_of_waiting(client: Any, name: str, needed: int) -> None:
    """Log why no result has arrived: there are no workers, or all are paused."""
    workers = _workers(client)
    paused = [w for w in workers if w.get("status") == "paused"]
    if not workers:
        logger.warning(
            "waiting for workers: none is connected to the scheduler; start one with"
            " `dask worker ADDRESS`"
        )
    elif len(paused) == len(workers):
        logger.warning(
            "all %d workers are paused because more than 80 %% of their memory is in"
            " use; %s needs about %.2g GB, %s",
            len(paused),
            name,
            needed / 1e9,
            _describe_limits(workers),
        )


def sees_folder(folder: Path) -> bool:
    """Return whether all workers of the connected cluster can access a folder.

    A temporary file is created in it and searched by the workers. True without a
    cluster.
    """
    client = connected_client()
    if client is None:
        return True
    token = folder / f".seen-{uuid.uuid4().hex}"
    token.touch()
    try:
        return all(client.run(os.path.exists, str(token.resolve())).values())
    finally:
        token.unlink()


def _unpack(packed: bytes, home: tuple[int, str]) -> Any:
    """Return the function on a worker."""
    import pickle

    return _OnWorker(pickle.loads(packed), home)  # noqa: S301 - from our own client


class _OnWorker:
    """A function on a worker, with the process id and computer that sent it."""

    def __init__(self, function: Function, home: tuple[int, str]) -> None:
        self.function, self.home = function, home

    def __call__(self, item: Any) -> Any:
        here = (os.getpid(), os.uname().nodename if hasattr(os, "uname") else "")
        _inside.task = True
        try:
            return self.function(item, _worker_pool(own_process=here != self.home))
        except RecordingNotFoundError as error:
            raise ClusterError(
                f"a worker on {here[1]} cannot open the recording: {error}. All workers"
                " need access to it at the same path, or at a URL"
            ) from error
        finally:
            _inside.task = False


def _call(function: _OnWorker, item: Any) -> Any:
    """Compute one task on a worker."""
    return function(item)


def _worker_pool(own_process: bool) -> Executor | None:
    """Return the threads of this worker, shared by its tasks; None for one thread."""
    from distributed import get_worker

    global _pool
    try:
        threads = int(get_worker().state.nthreads)
    except ValueError:  # called in a test, without a worker
        return None
    if own_process:
        # kernels that count cores then use only those of the worker
        os.environ.setdefault("ASTROCAST_THREADS", str(threads))
    if threads == 1:
        return None
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(threads, thread_name_prefix="astrocast-worker")
        return _pool
