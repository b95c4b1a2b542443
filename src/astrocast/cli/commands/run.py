"""``astrocast run``: analyse a recording, from the movie to the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrocast.cli.options import (
    Axes,
    Channel,
    Loc,
    Missing,
    OverwriteResults,
    Plane,
    Position,
    RunConfig,
    RunOutput,
    RunSet,
    Scheduler,
    Slurm,
    list_choices_given,
)
from astrocast.cli.output import AsJson

if TYPE_CHECKING:
    from astrocast.runtime.progress import Reporter


def run(
    recording: Annotated[
        str,
        typer.Argument(
            help="File or folder of a recording, or the URL of a zarr store (s3://).",
            show_default=False,
        ),
    ],
    config: RunConfig = None,
    output: RunOutput = None,
    set_: RunSet = None,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
    overwrite: OverwriteResults = False,
    scheduler: Scheduler = None,
    scheduler_file: Annotated[
        Path | None,
        typer.Option(
            help="File to which a running dask scheduler wrote its address; instead of"
            " --scheduler.",
            show_default=False,
        ),
    ] = None,
    slurm: Slurm = None,
    as_json: AsJson = False,
) -> None:
    """Turn a recording into a table of calcium events and a report."""
    from astrocast.cli.output import print_result
    from astrocast.io.naming import is_url
    from astrocast.io.registry import open_recording
    from astrocast.pipeline.movies import store_for_workers
    from astrocast.pipeline.run import run_recording
    from astrocast.pipeline.settings import read_configuration
    from astrocast.runtime.progress import reporting
    from astrocast.study.clusters import connect

    chosen = list_choices_given("conversion.", plane, position, channel, axes, missing)
    settings = read_configuration(config, [*(set_ or []), *chosen], loc_in=loc)
    with (
        connect(scheduler, slurm, scheduler_file, for_blocks=True) as client,
        reporting(reporter()),
    ):
        if client is not None:
            settings = store_for_workers(Path(recording), output, settings)
        loc_in = settings.conversion.loc_in
        source = open_recording(recording, loc_in) if is_url(recording) else recording
        result = run_recording(source, output, settings, overwrite=overwrite)
    print_result(result.summary(), result.values(), as_json=as_json)


def reporter() -> Reporter:
    """Return a progress bar on a terminal, and log lines elsewhere."""
    import logging
    import sys

    from astrocast.runtime.progress import LogLines, TerminalBar

    logger = logging.getLogger("astrocast.pipeline")
    return (
        TerminalBar()
        if sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)
        else LogLines(logger)
    )
