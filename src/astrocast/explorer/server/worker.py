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
    """A process that performs one task at a time; `cancel` ends the process.

    It is spawned, shares no memory with the server, and ends with the server.
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None

    def start(self) -> None:
        """Start the process, so that the first task does not wait for imports."""
        if self._process is not None and self._process.is_alive():
            return
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs,), name="astrocast-explorer", daemon=False
        )
        self._process.start()
        theirs.close()

    def perform(self, where: str, argument: Any, report: Report) -> Any:
        """Call ``module:function`` with an argument in the process; return its result.

        Raises
        ------
        CancelledError
            `cancel` was called, or the process died.
        AstrocastError
            The function raised an error.
        """
        with self._busy:
            self.start()
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
                    else:
                        raise AstrocastError(rest[0])
            except (EOFError, OSError) as error:
                raise CancelledError("the computation was stopped") from error

    def cancel(self) -> None:
        """End the process and its computation."""
        process = self._process
        if process is not None and process.is_alive():
            process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    close = cancel


class _PipeReporter:
    """Sends the progress of stages through a pipe, a few times a second."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `astrocast.runtime.progress.Reporter.stage`."""
        done, sent = 0, 0
        step = max(1, total // 50)
        self.pipe.send(("progress", name, 0, total))

        def advance(n: int) -> None:
            nonlocal done, sent
            done += n
            if done - sent >= step:
                sent = done
                self.pipe.send(("progress", name, done, total))

        yield advance
        self.pipe.send(("progress", name, total, total))


def _serve(pipe: Connection) -> None:
    """Perform tasks until the server ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    preview = import_module("astrocast.explorer.server.preview")
    if not pipe.poll():
        preview.warm_up()
    while True:
        try:
            where, argument = pipe.recv()
        except (EOFError, OSError):
            return
        with suppress(BrokenPipeError):
            pipe.send(_perform(where, argument, pipe))


def _perform(where: str, argument: Any, pipe: Connection) -> tuple[str, Any]:
    module, _, name = where.partition(":")
    try:
        with reporting(_PipeReporter(pipe)):
            return "done", getattr(import_module(module), name)(argument)
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
