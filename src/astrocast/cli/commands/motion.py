"""``astrocast motion``: only the motion correction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astrocast.cli.options import (
    Axes,
    Channel,
    Config,
    Loc,
    Missing,
    OneChannel,
    Output,
    Overwrite,
    Plane,
    Position,
    Recording,
    Set,
    make_address,
    settings_of,
)


def motion(
    recording: Recording,
    output: Output,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
    one_channel: OneChannel = False,
    loc_out: Annotated[str, typer.Option(help="Dataset to write.")] = "mc/ch0",
    dtype: Annotated[
        str, typer.Option(help="float32, or an integer type (rounded and clipped).")
    ] = "float32",
    working_directory: Annotated[
        Path | None,
        typer.Option(
            help="Folder for finished blocks, so that an interrupted run can resume."
        ),
    ] = None,
    config: Config = None,
    set_: Set = None,
    overwrite: Overwrite = False,
) -> None:
    """Correct motion; write shifts and quality beside the movie."""
    from astrocast.cli.commands.run import reporter
    from astrocast.io.stores.registration_store import registration_path
    from astrocast.preparation import MotionCorrection
    from astrocast.runtime.progress import reporting

    loc = make_address(loc, plane, position, channel, axes, missing)
    settings = settings_of("motion", config, set_)
    correction = MotionCorrection(working_directory)
    with reporting(reporter()):
        correction.run(
            recording,
            loc=loc or "",
            check_channels=not one_channel,
            **settings.motion.model_dump(exclude={"enabled"}),
        )
        correction.save(
            output, loc=loc_out, chunk_strategy="XY", dtype=dtype, overwrite=overwrite
        )
    typer.echo(f"{output} {loc_out}")
    typer.echo(f"shifts and quality: {registration_path(output, loc_out)}")
    typer.echo(correction.summary())
