"""Run the recordings of a study in parallel; a failure does not stop the others."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from astrocast.io.writing.lock import OutputLock
from astrocast.kernels.parallel import count_cores
from astrocast.pipeline.directory import LOCK_FILE
from astrocast.study.directory import StudyDirectory
from astrocast.study.one_recording import compute, find_complete
from astrocast.study.table import StudyRow

logger = logging.getLogger("astrocast.study")
#: largest memory that a run is expected to need; limits the number of parallel runs
RUN_BYTES = 3 << 30

Outcome = dict[str, Any]
#: called with (row, outcome) when a recording ends
Report = Callable[[StudyRow, Outcome], None]


def count_workers(wanted: int | None, recordings: int) -> int:
    """Return the number of parallel runs, limited by cores, memory and recordings."""
    import psutil

    if wanted is not None:
        return max(1, min(wanted, recordings))
    by_memory = psutil.virtual_memory().available // RUN_BYTES
    # a run uses two cores well; further cores are better used for other recordings
    return max(1, min(count_cores() // 2, by_memory, recordings))


def run_study(
    study: StudyDirectory,
    *,
    workers: int | None = None,
    client: Any = None,
    overwrite: bool = False,
    report: Report = lambda row, outcome: None,
) -> dict[str, Outcome]:
    """Run every recording of a study; complete ones are reused, without a process.

    Parameters
    ----------
    study
        The study; ``study.json`` is updated each time a recording ends.
    workers
        Number of parallel runs on this computer; None: as cores and memory allow. 0:
        one run at a time in this process, which is faster for small recordings; but a
        crash then ends the batch.
    client
        A connected `dask.distributed.Client`, whose workers run the recordings. They
        must see the recordings at the same paths.
    overwrite
        Compute results with other parameters again.
    report
        Called when a recording ends.

    Returns
    -------
    dict
        Name -> outcome; its ``status`` is "ok" or "failed".

    Raises
    ------
    OutputError
        Another batch works in this study.
    """
    jobs = {row.name: _describe_job(study, row, overwrite) for row in study.rows}
    rows = {row.name: row for row in study.rows}
    study.path.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(study.path / LOCK_FILE, study.path)
    try:
        if client is not None:
            outcomes = _run_on_cluster(client, jobs)
        elif workers == 0:
            outcomes = ((name, compute(job)) for name, job in jobs.items())
        else:
            outcomes = _run_here(jobs, count_workers(workers, len(jobs)))
        for name, outcome in outcomes:
            study.outcomes[name] = outcome
            study.save()
            report(rows[name], outcome)
    finally:
        lock.release()
    return study.outcomes


def _describe_job(
    study: StudyDirectory, row: StudyRow, overwrite: bool
) -> dict[str, Any]:
    """Return the job of a recording as plain values, see `one_recording.compute`."""
    return {
        "recording": str(row.recording.resolve()),
        "output": str(study.run_directory(row.name).resolve()),
        "configuration": study.configuration,
        "overrides": list(row.overrides),
        "overwrite": overwrite,
    }


def _run_here(
    jobs: dict[str, dict[str, Any]], workers: int
) -> Iterator[tuple[str, Outcome]]:
    """Yield (name, outcome) as processes end; they are stopped if this one ends."""
    threads = max(1, count_cores() // workers)
    running: set[subprocess.Popen[str]] = set()
    stopped = threading.Event()

    def run(job: dict[str, Any]) -> Outcome:
        if stopped.is_set():
            return {"status": "failed", "message": "not started: the batch stopped"}
        complete = find_complete(job)
        if complete is not None:
            return complete
        return _run_process(job, threads, running)

    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run, job): name for name, job in jobs.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            stopped.set()
            for process in list(running):
                process.terminate()
            raise


def _run_process(
    job: dict[str, Any], threads: int | None, running: set[subprocess.Popen[str]]
) -> Outcome:
    """Run a job in a new process and return its outcome."""
    command = [sys.executable, "-m", "astrocast.study.one_recording"]
    environment = dict(os.environ)
    if threads is not None:
        environment["ASTROCAST_THREADS"] = str(threads)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    running.add(process)
    try:
        out, err = process.communicate(json.dumps(job | {"parent": os.getpid()}))
    finally:
        running.discard(process)
    lines = out.strip().splitlines()
    if process.returncode == 0 and lines:
        outcome: Outcome = json.loads(lines[-1])
        return outcome
    return {"status": "failed", "message": _describe_exit(process.returncode, err)}


def _describe_exit(code: int, err: str) -> str:
    """Return why a process ended without an outcome."""
    if code < 0:
        hint = "; perhaps the computer ran out of memory" if code == -9 else ""
        return f"its process was stopped by signal {-code}{hint}; run the batch again"
    last = err.strip().splitlines()[-1:] or [f"exit code {code}"]
    return f"its process failed: {last[0]}"


def _run_on_cluster(
    client: Any, jobs: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, Outcome]]:
    """Yield (name, outcome) as tasks of a dask cluster end."""
    from distributed import as_completed as tasks_as_completed

    futures = {}
    for name, job in jobs.items():
        complete = find_complete(job)
        if complete is not None:
            yield name, complete
            continue
        key = f"astrocast-{name}-{uuid.uuid4().hex[:8]}"
        futures[client.submit(_run_task, job, pure=False, retries=1, key=key)] = name
    for future in tasks_as_completed(list(futures)):
        if future.status == "finished":
            yield futures[future], future.result()
        else:
            text = f"on the cluster: {future.exception()}"
            yield futures[future], {"status": "failed", "message": text}


def _run_task(job: dict[str, Any]) -> Outcome:
    """Run one recording on a worker, in a separate process."""
    return _run_process(job, None, set())
