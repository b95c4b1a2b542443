"""``astrocast suggest``: parameters from the recording's own noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrocast.cli.options import (
    Axes,
    Channel,
    Loc,
    Missing,
    Plane,
    Position,
    Recording,
    make_address,
)

if TYPE_CHECKING:
    from astrocast.detection.suggest import Suggestion


def suggest(
    recording: Recording,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Configuration file to write (default: beside the recording).",
        ),
    ] = None,
) -> None:
    """Read a sample of a recording; print its noise and SNR and which parameters
    follow, with the reasons.
    """
    from astrocast.detection.suggest import suggest as measure
    from astrocast.errors import OutputExistsError
    from astrocast.io import open_recording

    target = output or recording.with_name(recording.stem + ".suggested.yaml")
    picture = target.with_suffix(".png")
    for path in (target, picture):
        if path.exists():
            raise OutputExistsError(
                f"{path} exists; name another with --output, or remove it"
            )
    loc = make_address(loc, plane, position, channel, axes, missing)
    with open_recording(recording, loc) as movie:
        found = measure(movie)
    typer.echo(f"frames {found.frames[0]} to {found.frames[1] - 1} of {recording}")
    typer.echo(
        f"noise of a pixel: {found.noise:.4g}, {found.excess:.2f} times that in slow"
        " fluctuations"
    )
    if found.photons:
        typer.echo(
            f"about {found.photons:.1f} photons per pixel and frame,"
            f" {found.units_per_photon:.3g} units each"
        )
    typer.echo(
        f"events (calibrated detection): {found.events}, median SNR {found.snr:.2f}"
    )
    for name, value in found.parameters.items():
        typer.echo(f"{name}: {value:.4g}  because {found.reasons[name]}")
    for doubt in found.warnings:
        typer.echo(f"poor: {doubt}")
    lines = [
        (
            f"# suggested from frames {found.frames[0]} to {found.frames[1] - 1} of"
            f" {recording.name}"
        ),
        "detection:",
    ]
    for name, value in found.parameters.items():
        lines += [f"  # {found.reasons[name]}", f"  {name}: {value:.6g}"]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _draw(found, picture)
    typer.echo(f"{target}\n{picture}")


def _draw(found: Suggestion, path: Path) -> None:
    """Draw the mean of the sample and where events were found."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(found.mean, cmap="gray")
    left.set_title("background of the sample")
    shown = right.imshow(found.footprints, cmap="viridis")
    right.set_title(f"{found.events} events of the calibrated detection")
    figure.colorbar(shown, ax=right, label="frames in an event")
    for ax in (left, right):
        ax.set(xlabel="column (px)", ylabel="row (px)")
    figure.savefig(path, dpi=110)
