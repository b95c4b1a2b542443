"""The one place where a stage meets a `dask.distributed` cluster.

A stage hands a pure function and its items to `map_tasks` (or blocks of a recording to
`astrocast.runtime.blocks.map_blocks`) and gets the results in order. Without a cluster
they are computed here, one after the other, on the threads of the stage. With a client
that is connected each item is a task: the function travels to each worker once, the
recording is opened there, and only the result travels back.

Few tasks exist at a time, so neither the scheduler nor this process grows with the
recording. A task that fails or whose worker dies is computed again elsewhere: as the
function is pure and results are used in order, the result is the same.
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

#: a function of an item and threads to share its work with (None for none)
Function = Callable[[Any, Executor | None], Any]
#: times that a task which raises an error is tried again
RETRIES = 2
#: tasks at a time for each thread of a worker: one at work, others ready
TASKS_PER_THREAD = 2
#: seconds without any result after which the state of the workers is looked at
PATIENCE = 30.0
#: bytes that travel with a task without a warning of dask
_LARGEST_ARGUMENTS = "4GB"

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def connected_client() -> Any:
    """Return the client of the user's cluster, or None.

    Imports nothing. None within a task: what a worker computes is not divided again.
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
    """Whether this thread is at work on a task."""

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
    """Yield ``function(item, pool)`` of each item, in their order.

    Parameters
    ----------
    function
        Pure: its result depends on the item alone. Sent to workers where a cluster is
        connected; with something that cannot be sent it is called here.
    items
        Taken as needed: a few more than there are threads.
    pool
        Threads for what is computed here; a worker has its own.
    recordings
        What the function reads: where one cannot be opened elsewhere (an array in
        memory), it is called here.
    describe
        Takes an item; returns its name and the bytes of memory that it needs, for the
        message when workers run out of memory.
    """
    client = connected_client()
    packed = None
    if client is not None:
        held = [r for r in recordings if r is not None and not r.portable]
        packed = None if held else pack(function)
        if packed is None:
            what = held[0].path or "an array in memory" if held else "a function"
            logger.info("%s cannot be sent to workers: computed here", what)
    if packed is None:
        for item in items:
            yield function(item, pool)
        return
    yield from _map_on_cluster(client, packed, items, describe or _describe)


def pack(function: Any) -> bytes | None:
    """Return a function as bytes, or None where it holds what cannot be sent."""
    import cloudpickle  # type: ignore[import-untyped] # a dependency of dask

    try:
        return bytes(cloudpickle.dumps(function))
    except Exception as error:  # noqa: BLE001 - anything may refuse, by any error
        logger.debug("%r cannot be sent: %s", function, error)
        return None


def _describe(item: Any) -> tuple[str, int]:
    return f"task {item}"[:80], 0


def _map_on_cluster(
    client: Any,
    packed: bytes,
    items: Iterable[Any],
    describe: Callable[[Any], tuple[str, int]],
) -> Iterator[Any]:
    """Yield the results of tasks in order; a window of them exists at a time."""
    name = uuid.uuid4().hex[:12]
    home = (os.getpid(), os.uname().nodename if hasattr(os, "uname") else "")
    # a task, not scattered data: what a dead worker held is made again
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
    """Return a task; without a warning of dask that its arguments are large."""
    import dask

    threshold = {"distributed.admin.large-graph-warning-threshold": _LARGEST_ARGUMENTS}
    with dask.config.set(threshold):
        return client.submit(function, *arguments, key=key, pure=False, retries=RETRIES)


def _window(client: Any) -> int:
    """Return how many tasks exist at a time."""
    threads = sum(client.nthreads().values()) if client.status == "running" else 0
    return max(TASKS_PER_THREAD * threads, 4)


def _result(
    client: Any, item: Any, future: Any, describe: Callable[[Any], tuple[str, int]]
) -> Any:
    """Return the result of a task; errors of the cluster in plain words."""
    from distributed import wait

    while True:
        try:
            wait(future, timeout=PATIENCE)
            result = future.result()
            break
        except TimeoutError:
            if future.done():  # the task's own error
                raise
            _say_what_waits(client, *describe(item))
        except Exception as error:
            told = _describe_failure(client, error, *describe(item))
            if told is None:
                raise
            raise ClusterError(told) from error
    future.release()
    return result


def _describe_failure(
    client: Any, error: BaseException, name: str, needed: int
) -> str | None:
    """Return an error of the cluster in plain words; None for one of the task."""
    kind = type(error).__name__
    # the worker that died last, where the error names it
    dead = getattr(error, "last_worker", None)
    has = _describe_limits([dead.identity()] if dead else _workers(client))
    needs = f"about {needed / 1e9:.2g} GB of memory, {has}"
    if kind == "KilledWorker":
        return (
            f"workers died, one after the other, while they computed {name}. It needs"
            f" {needs}. Start workers with more memory (--memory-limit) or fewer"
            " threads (--nthreads)"
        )
    if isinstance(error, MemoryError):
        return f"{name} needs {needs}. Start workers with more memory"
    if kind in ("FutureCancelledError", "CancelledError"):
        return (
            f"the scheduler gave up {name}, or the connection to it was lost. Run the"
            " same command again: finished stages are reused"
        )
    return None


def _workers(client: Any) -> list[dict[str, Any]]:
    """Return what the scheduler says of each worker; nothing where it is gone."""
    if client.status != "running":
        return []
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


def _describe_limits(workers: list[dict[str, Any]]) -> str:
    """Return in words what memory workers have."""
    if not workers:
        return "and no worker is left"
    limits = [w["memory_limit"] for w in workers if w.get("memory_limit")]
    threads = max(w["nthreads"] for w in workers)
    if not limits:
        return "workers have no limit of their own"
    shared = f" for {threads} threads" if threads > 1 else ""
    return f"a worker has {min(limits) / 1e9:.2g} GB{shared}"


def _say_what_waits(client: Any, name: str, needed: int) -> None:
    """Log why nothing has come back for a while: no workers, or paused ones."""
    workers = _workers(client)
    paused = [w for w in workers if w.get("status") == "paused"]
    if not workers:
        logger.warning("waiting for a worker: none is connected to the scheduler")
    elif len(paused) == len(workers):
        logger.warning(
            "all %d workers are paused, as more than 80 %% of their memory is in use;"
            " %s needs about %.2g GB, %s",
            len(paused),
            name,
            needed / 1e9,
            _describe_limits(workers),
        )


def sees_folder(folder: Path) -> bool:
    """Return whether the workers of the connected cluster see a folder of this process.

    True without a cluster. A file is made for a moment and looked for.
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
    """Return the function on a worker, which then computes with its own threads."""
    import pickle

    return _OnWorker(pickle.loads(packed), home)  # noqa: S301 - from our own client


class _OnWorker:
    """A function on a worker; it knows which process sent it."""

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
                " must see it at the same path, or at a URL"
            ) from error
        finally:
            _inside.task = False


def _call(function: _OnWorker, item: Any) -> Any:
    """Compute one task on a worker."""
    return function(item)


def _worker_pool(own_process: bool) -> Executor | None:
    """Return the threads of a worker: as many as it was given, for all of its tasks."""
    from distributed import get_worker

    global _pool
    try:
        threads = int(get_worker().state.nthreads)
    except ValueError:  # called in a test, without a worker
        return None
    if own_process:
        # kernels that count cores by themselves keep to those of the worker
        os.environ.setdefault("ASTROCAST_THREADS", str(threads))
    if threads == 1:
        return None
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(threads, thread_name_prefix="astrocast-worker")
        return _pool
