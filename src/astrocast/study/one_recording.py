"""One recording of a study, in a separate process.

``python -m astrocast.study.one_recording`` reads a job as JSON from its standard input
and prints one line of JSON: the outcome. A separate process gives its memory
back, and one that is killed takes no other recording with it.
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
    """Run one recording and return what became of it.

    Parameters
    ----------
    job
        ``recording``, ``output``, ``configuration``, ``overrides``, ``overwrite``.

    Returns
    -------
    dict
        ``status`` ("ok" or "failed"), ``message``, ``events``, ``computed`` (stages
        that were computed now; the others were complete).
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
    """End this process soon after the one with the number ``parent``, its parent.

    A batch that was killed leaves no run behind: one that is started again would find
    its recordings in use. The parent names itself, as it may have ended before this
    process asks for its number. ``seconds`` from look to look.
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
