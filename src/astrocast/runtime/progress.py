"""Show the progress of stages: a bar on a terminal, lines in a log, or nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

Advance = Callable[[int], None]


class Reporter(Protocol):
    """Interface for showing the progress of stages."""

    def stage(
        self, name: str, total: int, unit: str
    ) -> AbstractContextManager[Advance]:
        """Show one stage; call the value with the work done since the last call."""
        ...


class Silent:
    """Show nothing."""

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `Reporter.stage`."""
        yield lambda n: None


class LogLines:
    """Write the progress of long stages to a log.

    A line with rate and remaining time every ``seconds``, and a line at the end of
    stages that took longer than this.
    """

    def __init__(self, logger: logging.Logger, seconds: float = 10.0) -> None:
        self.logger, self.seconds = logger, seconds

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `Reporter.stage`."""
        begin = last = time.monotonic()
        done = 0

        def advance(n: int) -> None:
            nonlocal done, last
            done += n
            now = time.monotonic()
            if now - last >= self.seconds and done:
                last = now
                rate = done / (now - begin)
                left = (total - done) / rate
                self.logger.info(
                    "%s: %d of %d %s, %.4g %s/s, %.0f s left",
                    name,
                    done,
                    total,
                    unit,
                    rate,
                    unit,
                    left,
                )

        yield advance
        spent = max(time.monotonic() - begin, 1e-9)
        if spent >= self.seconds:
            self.logger.info(
                "%s: %d %s in %.1f s, %.4g %s/s",
                name,
                done,
                unit,
                spent,
                done / spent,
                unit,
            )


class TerminalBar:
    """Show a bar with the current stage, its rate and its remaining time.

    The bar is removed at the end of a stage, so a run shows a single, changing line.
    """

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `Reporter.stage`."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<30}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        # on standard error: results go to standard output
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(name, total=total, unit=unit, rate="")
            begin = time.monotonic()
            done = 0

            def advance(n: int) -> None:
                nonlocal done
                done += n
                rate = done / max(time.monotonic() - begin, 1e-9)
                bar.update(task, advance=n, rate=f"{rate:.4g} {unit}/s")

            yield advance


_reporter: ContextVar[Reporter] = ContextVar("astrocast_reporter", default=Silent())  # noqa: B039 - Silent has no state


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Show the progress of all stages within the context by ``reporter``."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


def track(
    name: str, total: int, unit: str = "frames"
) -> AbstractContextManager[Advance]:
    """Return a context that reports progress: ``with track("delta", n) as done``.

    Call ``done(10)`` with the amount of work done.
    """
    return _reporter.get().stage(name, total, unit)
