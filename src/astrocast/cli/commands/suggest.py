"""``astrocast suggest``: run part of a recording, and write a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrocast.cli.options import (
    Axes,
    Channel,
    Config,
    Loc,
    Missing,
    Plane,
    Position,
    Recording,
    make_address,
)
from astrocast.cli.output import AsJson

if TYPE_CHECKING:
    from astrocast.detection.suggest import Suggestion
    from astrocast.pipeline.preview import Preview


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
            help=(
                "Configuration file to write (default: <name>.suggested.yaml in the"
                " current directory)."
            ),
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run all stages on 512 frames in the middle of a recording.

    Writes a configuration file that repeats this run, and a figure.
    """
    from astrocast.cli.commands.run import reporter
    from astrocast.cli.output import print_result
    from astrocast.errors import OutputExistsError
    from astrocast.pipeline.preview import preview
    from astrocast.pipeline.settings import read_configuration
    from astrocast.runtime.progress import reporting

    # in the current directory: never beside the raw data unless the user says so
    target = output or Path(f"{recording.stem or recording.name}.suggested.yaml")
    picture = target.with_suffix(".png")
    for path in (target, picture):
        if path.exists():
            raise OutputExistsError(
                f"{path} exists; choose another file with --output, or remove it"
            )
    loc = make_address(loc, plane, position, channel, axes, missing)
    with reporting(reporter()):
        found = preview(recording, loc, read_configuration(config, []))
    target.write_text(found.configuration(), encoding="utf-8")
    _draw_preview(found, picture)
    text = "\n".join(_describe_preview(found, recording, target, picture))
    print_result(text, _collect_values(found, target, picture), as_json=as_json)


def _describe_preview(
    found: Preview, recording: Path, target: Path, picture: Path
) -> list[str]:
    """Return the result as lines of text."""
    measured = found.suggestion
    first, stop = found.frames
    lines = [
        f"{found.events} event{'' if found.events == 1 else 's'} in frames {first} to"
        f" {stop - 1} of {recording.name}",
        f"noise of a pixel: {measured.noise:.4g} from frame to frame; slow fluctuations"
        f" are {measured.excess:.2f} times as large (1: white noise, above 1.5: too"
        " large)",
    ]
    if measured.photons:
        lines.append(
            f"light: about {measured.photons:.1f} photons per pixel and frame,"
            f" {measured.units_per_photon:.3g} counts per photon (below 1.5 photons the"
            " extent of events is inaccurate)"
        )
    if measured.events:
        lines.append(
            f"median SNR of a pixel in an event: {measured.snr:.2f} (below 0.8 the"
            " extent of events is inaccurate)"
        )
    lines += [f"poor recording: {doubt}" for doubt in measured.warnings]
    lines += [
        f"settings: {target}",
        f"picture: {picture}",
        f"next: astrocast run {recording} --config {target}",
    ]
    return lines


def _collect_values(found: Preview, target: Path, picture: Path) -> dict[str, Any]:
    """Return the result as plain values for programs."""
    measured = found.suggestion
    return {
        "events": found.events,
        "frames": list(found.frames),
        "noise": measured.noise,
        "excess": measured.excess,
        "photons": measured.photons,
        "units_per_photon": measured.units_per_photon,
        "snr": measured.snr,
        "warnings": measured.warnings,
        "settings": str(target),
        "picture": str(picture),
    }


def _draw_preview(found: Preview, path: Path) -> None:
    """Draw the mean image and the footprints of the events, side by side."""
    from matplotlib.figure import Figure

    measured: Suggestion = found.suggestion
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(measured.mean, cmap="gray")
    left.set_title("Background")
    shown = right.imshow(found.footprints, cmap="viridis")
    right.set_title("Events")
    figure.colorbar(shown, ax=right, label="frames in an event")
    for ax in (left, right):
        ax.set(xlabel="column (px)", ylabel="row (px)")
    figure.savefig(path, dpi=110)
