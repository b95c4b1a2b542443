"""Runs of the whole recording, equal to runs from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from astrocast.errors import AstrocastError, InvalidValueError, OutputExistsError
from astrocast.io.writing.files import replacing
from astrocast.pipeline.directory import REPORT_FILE
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.runtime.provenance import plain, write_json

#: ending of a file beside a run directory; the file exists until the run is complete
UNFINISHED = ".unfinished.json"


@dataclass(frozen=True)
class WholeRun:
    """A run that the page requested; sent to the process that computes it.

    Parameters
    ----------
    source
        The recording.
    output
        Directory of the results.
    settings
        Parameters of all stages.
    begin_with
        A run directory whose stages are reused if their parameters are equal; None:
        everything is computed.
    """

    source: Path
    output: Path
    settings: RunSettings
    begin_with: Path | None = None


def perform(run: WholeRun) -> dict[str, int]:
    """Compute a run, or continue an interrupted one."""
    mark = _mark(run.output)
    if not mark.exists():
        _prepare(run)
    result = run_recording(run.source, run.output, run.settings, overwrite=True)
    mark.unlink(missing_ok=True)
    return {"events": result.events}


def _mark(output: Path) -> Path:
    return output.with_name(output.name + UNFINISHED)


def _prepare(run: WholeRun) -> None:
    """Copy the stages to reuse, and mark the run as unfinished."""
    if run.output.exists():
        raise OutputExistsError(f"{run.output} exists; choose another name")
    if run.begin_with is not None:
        # not reused: events and report of other parameters, and decisions about them
        left_out = shutil.ignore_patterns(
            "*.roi", "*.jsonl", REPORT_FILE, "*.partial*", "*.lock", "*.explore.json"
        )
        with replacing(run.output, overwrite=False) as beside:
            shutil.copytree(run.begin_with, beside, ignore=left_out)
    settings = plain(run.settings.model_dump())
    write_json(_mark(run.output), {"source": str(run.source), "settings": settings})


def unfinished_runs(folder: Path) -> tuple[list[WholeRun], dict[str, str]]:
    """Return the unfinished runs of the explorer in a folder.

    Returns
    -------
    runs
        Runs that can be continued.
    damaged
        Name of a run -> why it cannot be continued.
    """
    runs, damaged = [], {}
    for mark in sorted(folder.glob(f"*{UNFINISHED}")):
        output = mark.with_name(mark.name.removesuffix(UNFINISHED))
        try:
            runs.append(_read_mark(mark, output))
        except (OSError, ValueError, KeyError, TypeError, AstrocastError) as error:
            damaged[output.name] = (
                f"the run {output.name} cannot be continued, because {mark.name} is"
                f" damaged ({error}); delete this file and the directory"
                f" {output.name}, or choose another name"
            )
    return runs, damaged


def _read_mark(mark: Path, output: Path) -> WholeRun:
    """Return the run that a file beside its directory describes."""
    stored = json.loads(mark.read_text(encoding="utf-8"))
    settings = RunSettings.checked(**stored["settings"])
    return WholeRun(Path(stored["source"]), output, settings)


def free_name(folder: Path, stem: str, taken: Container[str] = ()) -> str:
    """Return an unused name for a new run: ``stem``, ``stem-2`` ...

    Examples
    --------
    >>> free_name(Path("nowhere"), "run"), free_name(Path("nowhere"), "run", ["run"])
    ('run', 'run-2')
    """
    name, number = stem, 1
    while name in taken or (folder / name).exists() or _mark(folder / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def check_name(name: str) -> str:
    """Return the name if it can be the name of a new directory, else raise an error."""
    if not name or Path(name).name != name or name.startswith(".") or len(name) > 100:
        raise InvalidValueError(
            f"{name!r} cannot be the name of a directory; use letters, digits, - and _"
        )
    return name
