"""Jobs: previews and runs in progress, and their results."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from astrocast.errors import AstrocastError, DatasetNotFoundError
from astrocast.explorer.server.worker import CancelledError, Worker

#: number of jobs that are stored
STORED_JOBS = 50


@dataclass
class Job:
    """A computation in another process.

    Parameters
    ----------
    name
        Name in requests.
    kind
        ``preview`` or ``run``.
    """

    name: str
    kind: str
    status: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    result: Any = None
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return dict(vars(self))


class Jobs:
    """The jobs of a server; one worker computes previews, another one runs."""

    def __init__(self) -> None:
        # a cancelled run continues from its checkpoints: its process may be ended
        self.workers = {"preview": Worker(gentle=True), "run": Worker()}
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def start(
        self,
        kind: str,
        where: str,
        argument: Any,
        finish: Callable[[Any], Any] = lambda result: result,
        **facts: Any,
    ) -> Job:
        """Start a job in the background.

        Parameters
        ----------
        kind
            ``preview`` or ``run``.
        where, argument
            See `Worker.perform`.
        finish
            Called in the server with the result; returns the result for the page.
        facts
            Description of the job for the page.
        """
        with self._lock:
            job = Job(str(next(self._numbers)), kind, facts=facts)
            self._jobs[job.name] = job
            for name in list(self._jobs)[:-STORED_JOBS]:
                if self._jobs[name].status not in ("waiting", "running"):
                    del self._jobs[name]
        threading.Thread(
            target=self._compute, args=(job, where, argument, finish), daemon=True
        ).start()
        return job

    def _compute(
        self, job: Job, where: str, argument: Any, finish: Callable[[Any], Any]
    ) -> None:
        def report(stage: str, done: int, total: int) -> None:
            job.stage, job.done, job.total = stage, done, total

        begin = time.perf_counter()
        worker = self.workers[job.kind]
        try:
            result = worker.perform(where, argument, report, lambda: self._begin(job))
            job.result, job.status = finish(result), "done"
        except CancelledError:
            job.status = "cancelled"
        except AstrocastError as error:
            job.status, job.message = "failed", str(error)
        except Exception as error:  # noqa: BLE001 - the page shows it
            job.status = "failed"
            job.message = f"unexpected {type(error).__name__}: {error}"
        finally:
            job.seconds = round(time.perf_counter() - begin, 3)

    def _begin(self, job: Job) -> str:
        """Mark a job as running; raise an error if it was cancelled while it waited."""
        with self._lock:
            if job.status == "cancelled":
                raise CancelledError("the computation was stopped")
            job.status = "running"
        return job.name

    def get(self, name: str) -> Job:
        """Return a job by its name."""
        if name not in self._jobs:
            raise DatasetNotFoundError(f"the computation {name} does not exist")
        return self._jobs[name]

    def cancel(self, name: str) -> Job:
        """Stop a job."""
        job = self.get(name)
        with self._lock:
            waiting = job.status == "waiting"
            if waiting:
                job.status = "cancelled"
        if not waiting and job.status == "running":
            self.workers[job.kind].cancel(job.name)
        return job

    def running(self) -> list[Job]:
        """Return the running jobs."""
        return [j for j in self._jobs.values() if j.status in ("waiting", "running")]

    def close(self) -> None:
        """Stop everything."""
        for worker in self.workers.values():
            worker.close()
