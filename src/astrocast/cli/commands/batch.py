"""``astrocast batch``: run many recordings with common parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrocast.cli.options import (
    OverwriteResults,
    RunConfig,
    RunSet,
    Scheduler,
    Slurm,
)

if TYPE_CHECKING:
    from astrocast.study.table import StudyRow


def batch(
    source: Annotated[
        str | None,
        typer.Argument(
            help=(
                "Folder of recordings, pattern ('data/*.tif'), table (.csv), or"
                " study.json of an earlier batch."
            ),
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory of the study.")
    ] = Path("study"),
    config: RunConfig = None,
    set_: RunSet = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Number of recordings to run at the same time (default: as many as"
            " cores and memory allow); 0: one at a time, without a separate process.",
            show_default=False,
        ),
    ] = None,
    scheduler: Scheduler = None,
    slurm: Slurm = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            help="Write study.csv, a table of the recordings in this folder, to fill"
            " in; run nothing.",
            show_default=False,
        ),
    ] = None,
    overwrite: OverwriteResults = False,
) -> None:
    """Run all recordings of a study; write common tables and a report.

    Recordings that fail are listed at the end. Run the command again to resume.
    """
    from astrocast.errors import InvalidValueError

    if init is not None:
        _write_template(init, overwrite)
        return
    if source is None:
        raise InvalidValueError(
            "no recordings were named; give a folder, a pattern or a table (.csv), or"
            " start with --init FOLDER"
        )
    if scheduler and slurm:
        raise InvalidValueError("give either --scheduler or --slurm, not both")
    failed = _run_and_report(
        source, output, (config, set_ or []), (workers, scheduler, slurm), overwrite
    )
    if failed:
        raise typer.Exit(1)


def _write_template(folder: str, overwrite: bool) -> None:
    from astrocast.study.table import find_recordings, write_template

    recordings = find_recordings(folder)
    path = write_template(Path("study.csv"), recordings, overwrite)
    typer.echo(
        f"{path}: {len(recordings)} recordings. Fill in group, subject and the"
        f" missing values, then run: astrocast batch {path}"
    )


def _run_and_report(
    source: str,
    output: Path,
    parameters: tuple[Path | None, list[str]],
    where: tuple[int | None, str | None, str | None],
    overwrite: bool,
) -> int:
    """Run the study, print the outcomes, and return how many recordings failed."""
    from astrocast.study.batch import run_study
    from astrocast.study.clusters import connect
    from astrocast.study.cohort import write_cohort
    from astrocast.study.directory import open_study
    from astrocast.study.report import write_cohort_report

    rows, configuration = _read_rows_and_parameters(source, *parameters)
    study = open_study(output, rows, configuration, overwrite)
    workers, scheduler, slurm = where
    ended = 0

    def report(row: StudyRow, outcome: dict[str, Any]) -> None:
        nonlocal ended
        ended += 1
        typer.echo(f"[{ended}/{len(rows)}] {describe(row.name, outcome)}")

    with connect(scheduler, slurm) as client:
        outcomes = run_study(
            study, workers=workers, client=client, overwrite=overwrite, report=report
        )
    recordings = write_cohort(study)
    page = write_cohort_report(study, recordings)
    failed = [row.name for row in rows if outcomes[row.name]["status"] != "ok"]
    typer.echo(
        f"{len(rows) - len(failed)} of {len(rows)} recordings are complete"
        + (f"; failed: {', '.join(failed)}" if failed else "")
        + f"\nreport: {page}"
    )
    return len(failed)


def _read_rows_and_parameters(
    source: str, config: Path | None, overrides: list[str]
) -> tuple[list[StudyRow], dict[str, Any]]:
    """Return the recordings of a study and the parameters of all recordings."""
    from astrocast.io.stores.study_index import STUDY_FILE
    from astrocast.pipeline.settings import parameter_rows, read_values
    from astrocast.study.directory import read_study
    from astrocast.study.table import StudyRow, find_recordings, name_rows, read_table

    if Path(source).name == STUDY_FILE:
        study = read_study(Path(source))
        return study.rows, study.configuration
    values = read_values(config, overrides)
    if Path(source).suffix.lower() == ".csv":
        names = [row.name for row in parameter_rows()]
        return read_table(Path(source), names), values
    found = find_recordings(source)
    return name_rows([StudyRow(path, "") for path in found]), values


def describe(name: str, outcome: dict[str, Any]) -> str:
    """Return one line with the outcome of a recording."""
    if outcome["status"] != "ok":
        return f"{name}: failed: {outcome['message']}"
    events = outcome["events"]
    state = "" if outcome["computed"] else " (complete before, reused)"
    return f"{name}: {events} event{'' if events == 1 else 's'}{state}"
