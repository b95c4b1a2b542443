"""A separate process for computations, which can be stopped at any time."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any

from astrocast.errors import AstrocastError
from astrocast.runtime.progress import Advance, reporting

#: called with the name of a stage, the amount done and the total amount
Report = Callable[[str, int, int], None]


class CancelledError(AstrocastError):
    """The computation was stopped before it was done."""


class Worker:
    """A process that performs one task at a time, and can be stopped.

    It is spawned, shares no memory with the server, and ends with the server.

    Parameters
    ----------
    gentle
        Let a cancelled task stop by itself at its next progress report, so that the
        process keeps its imports and compiled kernels. False: end the process.
    patience
        Seconds until the process is ended if the task has not stopped by itself.
    """

    def __init__(self, gentle: bool = False, patience: float = 2.0) -> None:
        self.gentle, self.patience = gentle, patience
        self._busy = threading.Lock()
        self._state = threading.Lock()
        self._task: object = None
        self._ended = threading.Event()
        self._cancelled = False
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._process: Any = None
        self._pipe: Connection | None = None

    def start(self) -> None:
        """Start the process, so that the first task does not wait for imports."""
        with self._state:
            self._start()

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_serve,
            args=(theirs, self._stop),
            name="astrocast-explorer",
            daemon=False,
        )
        self._process.start()
        theirs.close()

    def perform(
        self,
        where: str,
        argument: Any,
        report: Report,
        begin: Callable[[], object] = lambda: None,
    ) -> Any:
        """Call ``module:function`` with an argument in the process; return its result.

        Parameters
        ----------
        where, argument
            The function and its argument.
        report
            Called with the progress of each stage.
        begin
            Called when it is the task's turn. Its return value names the task for
            `cancel`; if it raises an error, the task is not performed.

        Raises
        ------
        CancelledError
            `cancel` was called.
        AstrocastError
            The function raised an error, or the process died.
        """
        with self._busy:
            with self._state:
                self._task = begin()
                self._cancelled = False
                self._stop.clear()
                self._ended.clear()
            try:
                return self._perform(where, argument, report)
            finally:
                with self._state:
                    self._task = None
                    self._ended.set()

    def _perform(self, where: str, argument: Any, report: Report) -> Any:
        with self._state:  # cancelled before, or the process exists and can be stopped
            if self._cancelled:
                raise CancelledError("the computation was stopped")
            self._start()
            pipe = self._pipe
        assert pipe is not None
        try:
            pipe.send((where, argument))
            while True:
                kind, *rest = pipe.recv()
                if kind == "progress":
                    report(*rest)
                elif kind == "done":
                    return rest[0]
                elif kind == "cancelled":
                    raise CancelledError("the computation was stopped")
                else:
                    raise AstrocastError(rest[0])
        except (EOFError, OSError) as error:
            if self._cancelled:
                raise CancelledError("the computation was stopped") from error
            self._process.join(self.patience)
            raise AstrocastError(
                "the process of the computation ended unexpectedly (exit code"
                f" {self._process.exitcode}); perhaps the memory was full: choose fewer"
                " frames or a smaller crop, or close other programs"
            ) from error

    def cancel(self, task: object) -> None:
        """Stop a task; nothing happens if the process performs another one."""
        with self._state:
            if self._task != task:
                return
            self._cancelled = True
            self._stop.set()
        if self.gentle and self._ended.wait(self.patience):
            return
        with self._state:
            if self._task == task:
                self._end_process()

    def close(self) -> None:
        """End the process and its computation."""
        self._cancelled = True
        self._end_process()

    def _end_process(self) -> None:
        process = self._process
        if process is not None and process.is_alive():
            process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


class _PipeReporter:
    """Sends the progress of stages through a pipe; raises an error when cancelled."""

    def __init__(self, pipe: Connection, stop: Any) -> None:
        self.pipe, self.stop = pipe, stop

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `astrocast.runtime.progress.Reporter.stage`."""
        done, sent = 0, 0
        step = max(1, total // 50)
        self._check()
        self.pipe.send(("progress", name, 0, total))

        def advance(n: int) -> None:
            nonlocal done, sent
            self._check()
            done += n
            if done - sent >= step:
                sent = done
                self.pipe.send(("progress", name, done, total))

        yield advance
        self.pipe.send(("progress", name, total, total))

    def _check(self) -> None:
        if self.stop.is_set():
            raise CancelledError("the computation was stopped")


def _serve(pipe: Connection, stop: Any) -> None:
    """Perform tasks until the server ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    preview = import_module("astrocast.explorer.server.preview")
    while True:
        while not pipe.poll() and preview.warm_next_stage():
            pass
        try:
            where, argument = pipe.recv()
        except (EOFError, OSError):
            return
        with suppress(BrokenPipeError):
            pipe.send(_perform(where, argument, _PipeReporter(pipe, stop)))


def _perform(where: str, argument: Any, reporter: _PipeReporter) -> tuple[str, Any]:
    module, _, name = where.partition(":")
    try:
        with reporting(reporter):
            return "done", getattr(import_module(module), name)(argument)
    except CancelledError as error:
        return "cancelled", str(error)
    except AstrocastError as error:
        return "failed", str(error)
    except Exception as error:  # noqa: BLE001 - the page shows it
        traceback.print_exc()
        return "failed", f"unexpected {type(error).__name__}: {error}"


def _end_with_parent() -> None:
    """End this process if the server dies."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
