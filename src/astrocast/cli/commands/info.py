"""``astrocast info``: what is in a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(
    recording: Annotated[
        Path, typer.Argument(help="File or folder of a recording.", show_default=False)
    ],
    loc: Annotated[
        str | None, typer.Option(help="Dataset inside the file (HDF5, zarr).")
    ] = None,
) -> None:
    """Show shape, dtype, size and physical metadata of a recording."""
    from astrocast.io import open_recording

    with open_recording(recording, loc) as movie:
        frames, rows, columns = movie.shape
        typer.echo(
            f"{recording}: {frames} frames, {rows} x {columns} pixels, {movie.dtype},"
            f" {movie.nbytes / 1e6:.1f} MB"
        )
        if movie.loc:
            typer.echo(f"dataset: {movie.loc}")
        known = movie.metadata.to_attributes()
        for name, value in known.items():
            typer.echo(f"{name}: {value}")
        if not known:
            typer.echo("no physical metadata: times are in frames, lengths in pixels")
