"""``astrocast doctor``: list what is installed and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def doctor(
    folder: Annotated[
        Path, typer.Option(help="Folder whose disk is measured (64 MiB are written).")
    ] = Path(),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs.")
    ] = False,
) -> None:
    """Print versions, extras, cores, memory, disk, GPU, browser and display.

    Paste the output into a report of a fault.
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
