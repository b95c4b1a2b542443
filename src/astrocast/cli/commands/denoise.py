"""``astrocast denoise``: denoise a recording with a network or by SVD of patches."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrocast.cli.options import (
    Axes,
    Channel,
    Loc,
    Missing,
    Output,
    Overwrite,
    Plane,
    Position,
    Recording,
    check_settings,
    make_address,
    with_options,
)
from astrocast.settings.denoising import DenoiserSettings

if TYPE_CHECKING:
    from astrocast.denoising import Denoiser


@with_options(DenoiserSettings)
def denoise(
    recording: Recording,
    output: Output,
    loc: Loc = None,
    plane: Plane = None,
    position: Position = None,
    channel: Channel = None,
    axes: Axes = None,
    missing: Missing = None,
    loc_out: Annotated[
        str | None,
        typer.Option(help="Dataset to write; that of the recording when left out."),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            help=(
                "Type of the result; 'same' is the recording's, saturating and rounded."
            )
        ),
    ] = "float32",
    overwrite: Overwrite = False,
    **settings: Any,
) -> None:
    """Denoise a recording (self-supervised); print quality measures."""
    from astrocast.cli.commands.run import reporter
    from astrocast.denoising import Denoiser
    from astrocast.runtime.progress import reporting

    loc = make_address(loc, plane, position, channel, axes, missing)
    chosen: DenoiserSettings = check_settings(DenoiserSettings, settings)
    denoiser = Denoiser(**chosen.model_dump())
    with reporting(reporter()), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        denoiser.run(recording, loc, output, loc_out, dtype, overwrite=overwrite)
    for text in summary(denoiser):
        typer.echo(text)
    for remark in dict.fromkeys(str(w.message) for w in caught):
        typer.echo(f"note: {remark}")
    typer.echo(str(output))


def summary(denoiser: Denoiser) -> list[str]:
    """Return the processing steps and quality measures, a line each."""
    said = [f"engine: {denoiser.engine_used}"]
    if denoiser.training is not None:
        said.append(f"training: {denoiser.training.steps} steps")
    if denoiser.quality is not None:
        said += [f"{name}: {value}" for name, value in denoiser.quality.lines()]
    return said
