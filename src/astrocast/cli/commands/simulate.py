"""``astrocast simulate``: a recording with known events."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer


def simulate(
    output: Annotated[
        Path | None,
        typer.Argument(
            help="HDF5 file to write (movie at data/ch0, truth at truth/).",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML file with parameters.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", help="One parameter, for example snr=2; may be repeated."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Start from a preset, for example mixed, nuisances or waves."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files that exist.")
    ] = False,
    show_parameters: Annotated[
        bool,
        typer.Option(
            "--parameters", help="Print a commented configuration file instead."
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
            "name the file to write, for example: astrocast simulate movie.h5",
            param_hint="OUTPUT",
        )
    if preset and config:
        raise typer.BadParameter(
            "give --preset or --config, not both", param_hint="--preset"
        )
    given = [f"{name}={json.dumps(v)}" for name, v in _values(preset, preset_values)]
    settings = read(SimulationSettings, config, [*given, *(set_ or [])])
    with reporting(reporter()):
        write_simulation(settings, output, overwrite=overwrite)
    typer.echo(
        f"{output}: {settings.frames} frames, {settings.rows} x {settings.columns}"
        f" pixels, {settings.event_count} events, seed {settings.seed}\n"
        f"Its truth is in the same file and beside it. Next: astrocast run {output}"
    )


def _values(
    preset: str | None, read: Callable[[str], dict[str, Any]]
) -> list[tuple[str, Any]]:
    """Return the parameters of a preset; none where no preset is named."""
    return list(read(preset).items()) if preset else []
