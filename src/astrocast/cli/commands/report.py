"""``astrocast report``: write the report of a run again, and its figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[
        Path, typer.Argument(help="Directory of a run.", show_default=False)
    ],
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder to write each figure to, as separate files."),
    ] = None,
    formats: Annotated[
        str,
        typer.Option("--format", help="Format of these files: svg, png or svg,png."),
    ] = "svg,png",
) -> None:
    """Write the report of a complete run again.

    With --figures, also write each figure as SVG and PNG.
    """
    from astrocast.cli.commands.run import reporter
    from astrocast.errors import InvalidValueError
    from astrocast.pipeline.report import export_figures, write_report
    from astrocast.pipeline.run import read_contents
    from astrocast.runtime.progress import reporting

    chosen = [word.strip().lower() for word in formats.split(",")]
    unknown = sorted(set(chosen) - {"svg", "png"})
    if unknown:
        raise InvalidValueError(
            f"--format {', '.join(unknown)} is unknown; choose svg, png or svg,png"
        )
    with reporting(reporter()):
        contents = read_contents(run)
    typer.echo(f"report: {write_report(run, *contents)}")
    if figures is not None:
        written = export_figures(figures, contents, chosen)
        typer.echo(f"{len(written)} files in {figures}")
