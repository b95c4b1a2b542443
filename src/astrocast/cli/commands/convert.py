"""``astrocast convert``: convert a recording to another format."""

from __future__ import annotations

import typer

from astrocast.cli.options import (
    Axes,
    Channel,
    Config,
    Loc,
    Missing,
    Output,
    Plane,
    Position,
    Recording,
    Set,
    list_choices_given,
    settings_of,
)


def convert(
    recording: Recording,
    output: Output,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Convert a recording: split channels, change size, dtype and format."""
    from astrocast.cli.commands.run import reporter
    from astrocast.pipeline.run import open_source
    from astrocast.preparation import Input
    from astrocast.runtime.progress import reporting

    chosen = list_choices_given("", plane, position, channel, axes, missing)
    chosen += [f"loc_in={loc}"] if loc else []
    settings = settings_of(
        "conversion", config, [*(set_ or []), *(f"conversion.{c}" for c in chosen)]
    )
    parameters = settings.conversion.model_dump()
    with reporting(reporter()), open_source(recording, settings) as movie:
        parameters["dtype"] = parameters["dtype"] or movie.dtype
        written = Input().run(movie, output_path=output, **parameters)
    for name, path in written.items():
        typer.echo(f"{path} {name}")
