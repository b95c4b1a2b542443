"""Progress of a stage: a bar on a terminal, log lines elsewhere, or nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

Advance = Callable[[int], None]


class Reporter(Protocol):
    """Shows the progress of stages."""

    def stage(
        self, name: str, total: int, unit: str
    ) -> AbstractContextManager[Advance]:
        """Show one stage; the value is called with the work since the last call."""
        ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `Reporter.stage`."""
        yield lambda n: None


class LogLines:
    """Log lines for long stages.

    One every ``seconds``, with rate and remaining time, and one at the end of a stage
    that had any.
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
    """One bar that shows the stage at work: its name, rate and remaining time.

    The bar is taken away when a stage ends, so a whole run shows a single line that
    changes.
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
    """Show the progress of every stage within through ``reporter``."""
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
