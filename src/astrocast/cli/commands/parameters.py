"""``astrocast parameters``: list all parameters, or print a configuration file."""

from __future__ import annotations

from typing import Annotated

import typer


def parameters(
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print a commented configuration file.")
    ] = False,
) -> None:
    """List every parameter of a run with its default, unit and meaning."""
    from astrocast.pipeline.settings import configuration_template, parameter_rows

    if as_yaml:
        typer.echo(configuration_template(), nl=False)
        return
    for row in parameter_rows():
        unit = f" [{row.unit}]" if row.unit else ""
        typer.echo(f"{row.name} = {row.default!r}{unit}\n    {row.description}")
