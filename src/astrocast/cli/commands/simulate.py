"""``astrocast simulate``: write a simulated recording with known events."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from astrocast.cli.options import RunConfig


def simulate(
    output: Annotated[
        Path | None,
        typer.Argument(
            help="HDF5 file to write (movie in data/ch0, truth in truth/).",
            show_default=False,
        ),
    ] = None,
    config: RunConfig = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            help="A parameter, NAME=VALUE, for example snr=2; may be repeated.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset of parameters, for example mixed, nuisances or waves."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files.")
    ] = False,
    show_parameters: Annotated[
        bool,
        typer.Option(
            "--parameters",
            help="Print a commented configuration file; simulate nothing.",
        ),
    ] = False,
) -> None:
    """Write a simulated recording with motion, bleaching, noise and known events."""
    from astrocast.cli.commands.run import reporter
    from astrocast.pipeline.configuration import read, template
    from astrocast.runtime.progress import reporting
    from astrocast.settings.simulation import SimulationSettings
    from astrocast.settings.simulation_presets import preset_values
    from astrocast.simulation import write_simulation

    if show_parameters:
        typer.echo(template(SimulationSettings), nl=False)
        return
    if output is None:
        raise typer.BadParameter(
            "give the file to write, for example: astrocast simulate movie.h5",
            param_hint="OUTPUT",
        )
    if preset and config:
        raise typer.BadParameter(
            "give either --preset or --config, not both", param_hint="--preset"
        )
    values = _list_values(preset, preset_values)
    given = [f"{name}={json.dumps(v)}" for name, v in values]
    settings = read(SimulationSettings, config, [*given, *(set_ or [])])
    with reporting(reporter()):
        write_simulation(settings, output, overwrite=overwrite)
    typer.echo(
        f"{output}: {settings.frames} frames, {settings.rows} x {settings.columns}"
        f" pixels, {settings.event_count} events, seed {settings.seed}\n"
        "The true events are in the same file and in files beside it. Next: astrocast"
        f" run {output}"
    )


def _list_values(
    preset: str | None, read: Callable[[str], dict[str, Any]]
) -> list[tuple[str, Any]]:
    """Return the parameters of a preset as (name, value); empty without a preset."""
    return list(read(preset).items()) if preset else []
