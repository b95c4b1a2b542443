"""Run one recording of a study in a separate process.

``python -m astrocast.study.one_recording`` reads a job as JSON from its standard input
and prints the outcome as one line of JSON. A separate process frees its memory at the
end, and if it is killed, the other recordings continue.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrocast.errors import AstrocastError

if TYPE_CHECKING:
    from astrocast.pipeline.run import RunResult


def compute(job: dict[str, Any]) -> dict[str, Any]:
    """Run one recording and return its outcome.

    Parameters
    ----------
    job
        ``recording``, ``output``, ``configuration``, ``overrides``, ``overwrite``.

    Returns
    -------
    dict
        ``status`` ("ok" or "failed"), ``message``, ``events`` (their number),
        ``computed`` (stages that were computed now; the others were complete before).
    """
    from astrocast.pipeline import configuration
    from astrocast.pipeline.run import run_recording
    from astrocast.pipeline.settings import RunSettings

    try:
        settings = configuration.combine(
            RunSettings, job["configuration"], job["overrides"]
        )
        result = run_recording(
            Path(job["recording"]),
            Path(job["output"]),
            settings,
            overwrite=job["overwrite"],
        )
    except AstrocastError as error:
        return {"status": "failed", "message": str(error)}
    except Exception as error:
        logging.getLogger("astrocast.study").debug("", exc_info=True)
        text = f"unexpected {type(error).__name__}: {error} (a fault of astrocast)"
        return {"status": "failed", "message": text}
    return _describe(result)


def find_complete(job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the outcome of a recording whose run is complete, None otherwise.

    Nothing is computed or written, so that it needs no process of its own.
    """
    from astrocast.pipeline import configuration
    from astrocast.pipeline.complete import find_complete_run
    from astrocast.pipeline.directory import RUN_FILE
    from astrocast.pipeline.settings import RunSettings

    output = Path(job["output"])
    if not (output / RUN_FILE).exists():
        return None
    try:
        settings = configuration.combine(
            RunSettings, job["configuration"], job["overrides"]
        )
    except AstrocastError:
        return None  # the run says what is wrong
    result = find_complete_run(Path(job["recording"]), output, settings)
    return None if result is None else _describe(result)


def _describe(result: RunResult) -> dict[str, Any]:
    return {
        "status": "ok",
        "message": "",
        "events": result.events,
        "computed": list(result.computed),
    }


def end_with_parent(parent: int, seconds: float = 0.5) -> None:
    """End this process soon after its parent process ends.

    If a batch is killed, its runs must end as well: otherwise the recordings would
    still be in use when the batch is started again. ``parent`` is the process number of
    the parent; the parent passes it, because it may have ended before this process
    could ask for it. ``seconds``: time between checks.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Read a job, compute, print the outcome."""
    from astrocast.runtime.memory import share_freed_memory

    job = json.load(sys.stdin)
    end_with_parent(job.pop("parent"))
    share_freed_memory()
    outcome = compute(job)
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
