"""``astrocast delta``: only the bleach correction."""

from __future__ import annotations

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


def delta(
    recording: Recording,
    output: Output,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
    one_channel: OneChannel = False,
    loc_out: Annotated[str, typer.Option(help="Dataset to write.")] = "df/ch0",
    config: Config = None,
    set_: Set = None,
    overwrite: Overwrite = False,
) -> None:
    """Subtract the slow background of each pixel (--set method=dFF for dF/F)."""
    from astrocast.cli.commands.run import reporter
    from astrocast.io import open_recording
    from astrocast.preparation import Delta
    from astrocast.runtime.progress import reporting

    loc = make_address(loc, plane, position, channel, axes, missing)
    settings = settings_of("delta", config, set_).delta
    with open_recording(recording, loc) as movie:
        window = settings.window_for(len(movie))
    correction = Delta(recording, loc=loc or "")
    with reporting(reporter()):
        correction.run(
            **settings.model_dump()
            | {
                "window": window,
                "check_channels": settings.check_channels and not one_channel,
            },
        )
        correction.save(output, loc=loc_out, chunk_strategy="XY", overwrite=overwrite)
    typer.echo(
        f"{output} {loc_out}\nwindow: {window} frames, background: {settings.baseline}"
    )
