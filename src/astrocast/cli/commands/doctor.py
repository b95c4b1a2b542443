"""``astrocast doctor``: list what is installed and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from astrocast.cli.output import AsJson


def doctor(
    folder: Annotated[
        Path,
        typer.Option(
            help="Folder on the disk whose speed is measured (writes 64 MiB)."
        ),
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Print versions, extras, cores, memory, disk, GPU, browser and display.

    Paste the output into a bug report.
    """
    from astrocast.runtime.doctor import examine

    findings = examine(folder)
    if as_json:
        typer.echo(json.dumps([asdict(f) for f in findings], indent=2))
        return
    width = max(len(f.topic) for f in findings)
    for finding in findings:
        typer.echo(f"{finding.topic:{width}}  {finding.state}")
        if finding.advice:
            typer.echo(f"{'':{width}}  -> {finding.advice}")
