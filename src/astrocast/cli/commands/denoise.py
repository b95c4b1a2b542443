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
        typer.Option(help="Dataset to write (default: the name of the input dataset)."),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            help=(
                "dtype of the result; 'same': the dtype of the recording (rounded and"
                " clipped)."
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
    for text in summarise(denoiser):
        typer.echo(text)
    for remark in dict.fromkeys(str(w.message) for w in caught):
        typer.echo(f"note: {remark}")
    typer.echo(str(output))


def summarise(denoiser: Denoiser) -> list[str]:
    """Return lines with engine, training steps and quality measures."""
    lines = [f"engine: {denoiser.engine_used}"]
    if denoiser.training is not None:
        lines.append(f"training: {denoiser.training.steps} steps")
    if denoiser.quality is not None:
        lines += [f"{name}: {value}" for name, value in denoiser.quality.lines()]
    return lines
