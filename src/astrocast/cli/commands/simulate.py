"""``astrocast simulate``: a recording with known events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    output: Annotated[
        Path,
        typer.Argument(help="HDF5 file to write (movie at data/ch0, truth at truth/)."),
    ],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML file with parameters.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", help="One parameter, for example snr=2; may be repeated."
        ),
    ] = None,
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
    from astrocast.simulation import write_simulation

    if show_parameters:
        typer.echo(template(SimulationSettings), nl=False)
        return
    settings = read(SimulationSettings, config, set_ or [])
    with reporting(reporter()):
        write_simulation(settings, output)
    typer.echo(
        f"{output}: {settings.frames} frames, {settings.rows} x {settings.columns}"
        f" pixels, seed {settings.seed}"
    )
