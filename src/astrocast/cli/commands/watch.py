"""``astrocast watch``: analyse a recording during the acquisition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrocast.cli.options import (
    RunConfig,
    RunOutput,
    RunSet,
    check_settings,
    with_options,
)
from astrocast.cli.output import AsJson
from astrocast.settings.live import LiveSettings

if TYPE_CHECKING:
    from astrocast.io.growing.raw import RawLayout
    from astrocast.live import LiveEvent


@with_options(LiveSettings)
def watch(
    recording: Annotated[
        Path,
        typer.Argument(
            help="Folder or file that is being written; it may not exist yet.",
            show_default=False,
        ),
    ],
    config: RunConfig = None,
    output: RunOutput = None,
    set_: RunSet = None,
    loc: Annotated[
        str | None,
        typer.Option(help="Array to read in a zarr store that contains several."),
    ] = None,
    frame_rate: Annotated[
        float | None,
        typer.Option(help="Frames per second; overrides the value in the file."),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(help="Raw binary file: number of rows of a frame."),
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(help="Raw binary file: number of columns of a frame."),
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Raw binary file: dtype of a pixel, for example '<u2'.")
    ] = "<u2",
    header: Annotated[
        int, typer.Option(help="Raw binary file: bytes before the first frame.")
    ] = 0,
    events: Annotated[
        bool, typer.Option("--events", help="Print each event as a line of JSON.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.")
    ] = False,
    as_json: AsJson = False,
    **live: Any,
) -> None:
    """Analyse a recording during the acquisition; afterwards run the full analysis.

    The acquisition ends when the recording does not grow for --idle seconds, on Ctrl-C,
    or when a file named stop appears in the folder live of the output.
    """
    from astrocast.cli.commands.run import reporter
    from astrocast.cli.output import print_result
    from astrocast.live import Watcher
    from astrocast.pipeline.settings import read_configuration
    from astrocast.runtime.progress import reporting

    given = list(set_ or [])
    if frame_rate is not None:
        given.append(f"frame_rate={frame_rate}")
    settings = read_configuration(config, given, loc_in=loc)
    options = {name: value for name, value in live.items() if value is not None}
    chosen: LiveSettings = check_settings(
        LiveSettings, settings.live.model_dump() | options
    )
    watcher = Watcher(
        recording,
        output,
        settings,
        chosen,
        raw=check_raw_layout(rows, columns, dtype, header),
        overwrite=overwrite,
    )
    with reporting(reporter()):
        result = watcher.run(print_event if events else None)
    print_result(result.summary(), result.values(), as_json=as_json)


def check_raw_layout(
    rows: int | None, columns: int | None, dtype: str, header: int
) -> RawLayout | None:
    """Return the layout of a raw binary file; None without ``rows`` and ``columns``."""
    from astrocast.errors import InvalidValueError
    from astrocast.io.growing.raw import RawLayout

    if rows is None and columns is None:
        return None
    if rows is None or columns is None or min(rows, columns) < 1 or header < 0:
        raise InvalidValueError(
            "a raw binary file needs --rows and --columns above 0, and a --header of"
            " at least 0 bytes"
        )
    return RawLayout(rows, columns, dtype, header)


def print_event(event: LiveEvent) -> None:
    """Print an event as a line of JSON."""
    import json
    import math
    from dataclasses import asdict

    values = {k: v for k, v in asdict(event).items() if k != "pixels"}
    plain = {
        k: None if isinstance(v, float) and math.isnan(v) else v
        for k, v in values.items()
    }
    typer.echo(json.dumps(plain))
