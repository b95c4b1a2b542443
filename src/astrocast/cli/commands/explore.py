"""``astrocast explore``: see, tune and curate in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explore(
    recording: Annotated[
        Path | None,
        typer.Argument(
            help="Recording, run directory or event store; the simulated demo when left"
            " out."
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
        typer.Option(
            help="Folder from which other recordings may be opened in the page."
        ),
    ] = None,
    curator: Annotated[
        str, typer.Option(help="Your name, for your decisions on events.")
    ] = "",
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; another than this computer's needs --token."
        ),
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            help="Secret of the address (default: a random one at each start)."
        ),
    ] = None,
) -> None:
    """See, tune and curate a recording or a run in the browser."""
    from astrocast.explorer.server.serve import explore as serve

    serve(
        recording if recording is not None else _demo(),
        loc=loc,
        port=port,
        host=host,
        token=token,
        root=root,
        curator=curator,
        browser=not no_browser,
        say=typer.echo,
    )


def _demo() -> Path:
    """Return the run of the simulated demo, computing it when it is not there."""
    from astrocast.cli.commands.demo import RUNS
    from astrocast.cli.commands.run import reporter
    from astrocast.pipeline.demo import demonstrate
    from astrocast.runtime.progress import reporting

    run = RUNS / "demo" / "run"
    if not (run / "report.html").exists():
        typer.echo(
            "No recording was named: opening the simulated demo (about a minute)."
        )
        with reporting(reporter()):
            demonstrate(RUNS / "demo")
    return run
