"""``astrocast explore``: view, tune and curate in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explore(
    recording: Annotated[
        Path | None,
        typer.Argument(
            help="Recording, run directory or event store (default: a simulated demo)."
        ),
    ] = None,
    loc: Annotated[
        str | None, typer.Option(help="Dataset inside the recording (HDF5, zarr).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on (default: the first free one from 8050).",
            min=0,
            max=65535,
        ),
    ] = None,
    no_browser: Annotated[
        bool,
        typer.Option(
            "--no-browser", help="Print the address without opening a browser."
        ),
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder whose recordings can be opened in the page as well."),
    ] = None,
    curator: Annotated[
        str, typer.Option(help="Your name, stored with your decisions on events.")
    ] = "",
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; other addresses than 127.0.0.1 need --token."
        ),
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            help="Secret part of the address (default: a new random one at each start)."
        ),
    ] = None,
) -> None:
    """View a recording or a run in the browser; tune parameters, curate events."""
    from astrocast.explorer.server.serve import explore as serve

    serve(
        recording if recording is not None else _prepare_demo(),
        loc=loc,
        port=port,
        host=host,
        token=token,
        root=root,
        curator=curator,
        browser=not no_browser,
        say=typer.echo,
    )


def _prepare_demo() -> Path:
    """Return the run of the simulated demo; compute it if it does not exist."""
    from astrocast.cli.commands.demo import RUNS
    from astrocast.cli.commands.run import reporter
    from astrocast.pipeline.demo import demonstrate
    from astrocast.pipeline.directory import REPORT_FILE
    from astrocast.runtime.progress import reporting

    run = RUNS / "demo" / "run"
    if not (run / REPORT_FILE).exists():
        typer.echo(
            "No recording was named: preparing the simulated demo (about a minute)."
        )
        with reporting(reporter()):
            demonstrate(RUNS / "demo")
    return run
