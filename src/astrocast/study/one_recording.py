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
from typing import Any

from astrocast.errors import AstrocastError


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
    return {
        "status": "ok",
        "message": "",
        "events": result.events,
        "computed": list(result.computed),
    }


def end_with_parent(seconds: float = 0.5) -> None:
    """End this process soon after the one that started it.

    A batch that was killed leaves no run behind: one that is started again would find
    its recordings in use. ``seconds`` from look to look.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Read a job, compute, print the outcome."""
    from astrocast.runtime.memory import share_freed_memory

    end_with_parent()
    share_freed_memory()
    outcome = compute(json.load(sys.stdin))
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
