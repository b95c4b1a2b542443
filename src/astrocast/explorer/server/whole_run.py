"""The parameters on the whole recording: the same run as from the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from astrocast.errors import InvalidValueError, OutputExistsError
from astrocast.io.writing.files import replacing
from astrocast.pipeline.run import REPORT, run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain, write_json

#: beside a directory that the explorer computes, until it is done
UNFINISHED = ".unfinished.json"


@dataclass(frozen=True)
class WholeRun:
    """A run that the page asked for; sent to the process that computes it.

    Parameters
    ----------
    source
        The recording.
    output
        Directory of the results.
    settings
        Parameters of all stages.
    begin_with
        A run directory whose stages are taken over as far as their parameters are the
        same; None computes everything.
    """

    source: Path
    output: Path
    settings: RunSettings
    begin_with: Path | None = None


def perform(run: WholeRun) -> dict[str, int]:
    """Compute a run; take up one that was interrupted."""
    mark = _mark(run.output)
    if not mark.exists():
        _prepare(run)
    result = run_recording(run.source, run.output, run.settings, overwrite=True)
    mark.unlink(missing_ok=True)
    return {"events": result.events}


def _mark(output: Path) -> Path:
    return output.with_name(output.name + UNFINISHED)


def _prepare(run: WholeRun) -> None:
    """Copy the stages that are taken over, and mark the run as unfinished."""
    if run.output.exists():
        raise OutputExistsError(f"{run.output} is already there; choose another name")
    if run.begin_with is not None:
        # events and the report are of other parameters; decisions are about them
        left_out = shutil.ignore_patterns(
            "*.roi", "*.jsonl", REPORT, "*.partial*", "*.lock", "*.explore.json"
        )
        with replacing(run.output, overwrite=False) as beside:
            shutil.copytree(run.begin_with, beside, ignore=left_out)
    settings = plain(run.settings.model_dump())
    write_json(_mark(run.output), {"source": str(run.source), "settings": settings})


def unfinished_runs(folder: Path) -> list[WholeRun]:
    """Return the runs in a folder that the explorer began and did not finish."""
    found = []
    for mark in sorted(folder.glob(f"*{UNFINISHED}")):
        stored = json.loads(mark.read_text(encoding="utf-8"))
        settings = RunSettings.checked(**stored["settings"])
        output = mark.with_name(mark.name.removesuffix(UNFINISHED))
        found.append(WholeRun(Path(stored["source"]), output, settings))
    return found


def free_name(folder: Path, stem: str) -> str:
    """Return a name for a new run beside others: ``stem``, ``stem-2`` ...

    Examples
    --------
    >>> free_name(Path("nowhere"), "run")
    'run'
    """
    if not (folder / stem).exists():
        return stem
    number = 2
    while (folder / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def check_name(name: str) -> str:
    """Return the name of a new directory when it is a plain one."""
    if not name or Path(name).name != name or name.startswith(".") or len(name) > 100:
        raise InvalidValueError(
            f"{name!r} cannot be the name of a directory; use letters, digits, - and _"
        )
    return name
