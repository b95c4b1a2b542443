"""``astrocast demo``: analyse a simulated recording with known events, or your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: default directory of the results
RUNS = Path("runs")


def demo(
    recording: Annotated[
        Path | None,
        typer.Argument(help="Recording (default: simulate one with known events)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory of the results.")
    ] = None,
) -> None:
    """Analyse a recording, or simulate one and compare the result with the truth."""
    from astrocast.cli.commands.run import reporter
    from astrocast.pipeline.demo import demonstrate
    from astrocast.pipeline.run import run_recording
    from astrocast.runtime.progress import reporting

    with reporting(reporter()):
        if recording is not None:
            lines = run_recording(recording, output or RUNS / recording.stem).summary()
        else:
            lines = demonstrate(output or RUNS / "demo")
    typer.echo(lines)
