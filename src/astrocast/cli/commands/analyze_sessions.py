"""``astrocast analyze sessions``: the same field of view on several days."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astrocast.cli.commands.analyze_output import (
    Channel,
    Output,
    write_table,
    write_text,
)

if TYPE_CHECKING:
    from astrocast.kernels.registration.sessions import SessionMatch


def sessions(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run directories (.astrocast) or event stores (.roi) of one field of"
            " view, the reference first.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Literal["shift", "rigid", "affine"],
        typer.Option(help="Transform between days; rigid: shift and rotation."),
    ] = "rigid",
    degrees: Annotated[
        float,
        typer.Option(
            min=0, max=90, help="Largest rotation that is searched, in degrees."
        ),
    ] = 10.0,
    overlap: Annotated[
        float,
        typer.Option(help="Smallest similarity of a unit on two days, 0 to 1."),
    ] = 0.4,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="GeoJSON file of regions in the reference (default: the regions drawn"
            " for its recording).",
            show_default=False,
        ),
    ] = None,
    channel: Channel = None,
    output: Output = Path("analysis"),
) -> None:
    """Align sessions of one field of view; transfer regions and units between them."""
    from astrocast.analysis.sessions import align_sessions, describe_sessions

    opened = _open_sessions(runs, channel)
    means = {name: _mean_image(recorded) for name, recorded in opened.items()}
    matches = align_sessions(means, model=model, most_degrees=degrees)
    shape = next(iter(means.values())).shape
    listed = describe_sessions(matches, shape)
    write_table(listed, output / "sessions.csv")
    _write_overlays(means, matches, next(iter(opened.values())).pixel_size, output)
    for row in listed.iloc[1:].itertuples():
        typer.echo(
            f"{row.session}: shifted by {row.shift_rows:.1f}, {row.shift_columns:.1f}"
            f" px (rows, columns), rotated by {row.angle_deg:.2f} degrees; correlation"
            f" {row.correlation:.2f} (best other position"
            f" {row.correlation_elsewhere:.2f}), residual {row.residual_px:.2f} px,"
            f" overlap {row.overlap:.0%}"
        )
        if not row.reliable:
            typer.echo(
                f"  not reliable: look at {output / 'sessions.png'}; regions and units"
                f" are not transferred to {row.session}"
            )
    used = {name: opened[name] for name, match in matches.items() if match.reliable}
    _carry_regions(used, matches, regions, output)
    _track_units(used, matches, overlap, output)


def _open_sessions(runs: list[Path], channel: str | None) -> dict[str, Any]:
    """Return unique name of the session -> its events."""
    from astrocast.io.naming import RUN_DIRECTORY
    from astrocast.study.sources import open_recorded_events

    names = [path.resolve().name.removesuffix(RUN_DIRECTORY) for path in runs]
    if len(set(names)) < len(names):
        names = [f"{i}_{name}" for i, name in enumerate(names, 1)]
    opened = (open_recorded_events(path, channel) for path in runs)
    return dict(zip(names, opened, strict=True))


def _mean_image(recorded: Any) -> Any:
    """Return the mean image of the recording, (row, column)."""
    from astrocast.analysis.video import Video, inferred_loc, inferred_path

    path = inferred_path(recorded.store)
    return Video(path, inferred_loc(recorded.store, path)).mean()


def _write_overlays(
    means: dict[str, Any],
    matches: dict[str, SessionMatch],
    pixel_size: float | None,
    output: Path,
) -> None:
    """Write a figure that overlays each aligned session on the reference."""
    from astrocast.io.writing.files import replacing
    from astrocast.kernels.registration.sessions import warp_image
    from astrocast.plotting.sessions import session_overlays

    base, *others = means
    seen = {
        name: warp_image(means[name], matches[name].matrix, means[base].shape)
        for name in others
    }
    titles = {
        name: f"{name}: r = {matches[name].correlation:.2f}"
        f"{'' if matches[name].reliable else ', not reliable'}"
        for name in others
    }
    figure = session_overlays(means[base], seen, titles, pixel_size)
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / "sessions.png", suffix=".png") as beside:
        figure.savefig(beside, dpi=150, format="png")


def _carry_regions(
    opened: dict[str, Any],
    matches: dict[str, SessionMatch],
    file: Path | None,
    output: Path,
) -> None:
    """Write the regions of the reference, transformed into each session."""
    import pandas as pd

    from astrocast.analysis.cells import attribute_to_cells, describe_cells
    from astrocast.analysis.sessions import carry_regions
    from astrocast.analysis.video import inferred_path
    from astrocast.io.stores.regions import (
        PARTS,
        parse_geojson,
        read_regions,
        to_geojson,
    )

    reference = next(iter(opened.values()))
    drawn = (
        parse_geojson(file.read_bytes(), str(file))
        if file is not None
        else read_regions(inferred_path(reference.store))
    )
    if not drawn:
        typer.echo("the reference has no drawn regions: none are transferred")
        return
    tables = []
    for name, recorded in opened.items():
        carried, missing = carry_regions(drawn, matches[name], recorded.shape[1:])
        text = json.dumps(to_geojson(carried), indent=1)
        write_text(text, output / f"{name}.regions.geojson")
        lost = f"; outside the field of view: {', '.join(missing)}" if missing else ""
        typer.echo(f"{name}: {len(carried)} regions{lost}")
        if any(region.kind in ("cell", *PARTS) for region in carried):
            table = recorded.read()
            found = attribute_to_cells(table, carried, recorded.shape[1:])
            rates = {n: getattr(recorded, n) for n in ("frame_rate", "pixel_size")}
            cells = describe_cells(table, found, carried, recorded.shape, **rates)
            cells.insert(0, "session", name)
            tables.append(cells)
    if tables:
        write_table(pd.concat(tables), output / "cells_over_sessions.csv")


def _track_units(
    opened: dict[str, Any],
    matches: dict[str, SessionMatch],
    overlap: float,
    output: Path,
) -> None:
    """Write a table of the units of each session, matched between the sessions."""
    from astrocast.analysis.sessions import track_units
    from astrocast.analysis.units import find_units

    columns = ["z0", "x0", "y0", "mask"]
    units = {
        name: find_units(recorded.read(columns), recorded.shape)
        for name, recorded in opened.items()
    }
    tracked = track_units(units, matches, overlap=overlap)
    rates = {name: recorded.frame_rate for name, recorded in opened.items()}
    per_minute = tracked["session"].map(rates).astype(float) * 60
    tracked["rate_per_min"] = tracked["rate_per_frame"].astype(float) * per_minute
    write_table(tracked, output / "units_over_sessions.csv")
    days = tracked[tracked["unit_of_session"] >= 0].groupby("unit").size()
    typer.echo(
        f"{len(days)} units; {int((days > 1).sum())} of them on more than one day,"
        f" {int((days == len(opened)).sum())} on all {len(opened)}"
    )
