"""``astrocast detect``: only the event detection."""

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
    Plane,
    Position,
    Recording,
    Set,
    make_address,
    settings_of,
)
from astrocast.cli.output import AsJson, print_result


def detect(
    recording: Recording,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help=(
                "Directory of the result (default: <name>.<dataset>.roi beside the"
                " recording)."
            ),
        ),
    ] = None,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
    one_channel: OneChannel = False,
    signal_loc: Annotated[
        str | None,
        typer.Option(
            help=(
                "Dataset to take the traces from (default: the dataset in which events"
                " are detected)."
            )
        ),
    ] = None,
    config: Config = None,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Detect events in units of the recording's noise.

    --set method=default detects them by thresholds in dF instead.
    """
    from astrocast.cli.commands.run import reporter
    from astrocast.detection import Detector
    from astrocast.io.stores.event_store import CSV
    from astrocast.io.stores.event_table import count_events
    from astrocast.runtime.progress import reporting

    loc = make_address(loc, plane, position, channel, axes, missing)
    settings = settings_of("detection", config, set_).detection
    detector = Detector(recording, output=output)
    with reporting(reporter()):
        store = detector.run(
            loc=loc,
            signal_loc=signal_loc,
            calibration=settings.calibration,
            check_channels=not one_channel,
            **settings.model_dump(exclude={"calibration"}),
        )
    found = count_events(store)
    table = store / CSV
    print_result(
        f"{found} event{'' if found == 1 else 's'} found\nevents: {table}",
        {"events": found, "store": str(store), "table": str(table)},
        as_json=as_json,
    )
