"""``astrocast analyze``: networks, responses to stimuli, classification of groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astrocast.cli.commands.analyze_output import (
    Channel,
    OneRecording,
    Output,
    Overlap,
    Regions,
    Seed,
    Source,
    write_figure,
    write_table,
)

if TYPE_CHECKING:
    import pandas as pd


def network(
    source: OneRecording,
    overlap: Overlap = 0.5,
    reach: Annotated[
        float,
        typer.Option(help="Largest distance between the centres of events, in pixels."),
    ] = 20.0,
    lag: Annotated[
        tuple[float, float],
        typer.Option(help="Shortest and longest delay between onsets, in frames."),
    ] = (1, 5),
    surrogates: Annotated[
        int, typer.Option(min=19, help="Number of surrogate data sets.")
    ] = 199,
    regions: Regions = None,
    channel: Channel = None,
    seed: Seed = 0,
    output: Output = Path("analysis"),
) -> None:
    """Test synchrony and propagation between events against surrogate data."""
    from astrocast.analysis.networks import find_propagation, measure_synchrony
    from astrocast.plotting.networks import against_surrogates

    recorded, found = units_of(source, channel, overlap)
    table = recorded.read(["z0", "z1", "v_area", *_CENTRE])
    table = _add_centres(table).assign(unit=found.labels)
    frames = recorded.shape[0]
    options: dict[str, Any] = {"surrogates": surrogates, "seed": seed}
    together = measure_synchrony(table, frames, **options)
    cell = _cell_of_event(recorded, regions)
    if cell is not None:
        table = table.assign(cell=cell)
    onward = find_propagation(
        table,
        frames,
        lag=lag,
        reach=reach,
        cell=None if cell is None else "cell",
        **options,
    )
    write_table(onward.pairs, output / "propagation.csv")
    for name, test in (("synchrony", together), ("propagation", onward.test)):
        write_figure(against_surrogates(test), output / f"{name}.png")
        typer.echo(
            f"{name}: {test.name} {test.observed:.4g}, {test.ratio:.2f} x the mean of"
            f" the surrogates, p = {test.p:.3g}"
        )
    if cell is not None:
        inside = int(onward.pairs["within"].sum())
        typer.echo(
            f"{inside} of {len(onward.pairs)} pairs lie within one cell, the others"
            " between two cells"
        )


def stimuli(
    source: OneRecording,
    triggers: Annotated[
        Path,
        typer.Option(help="CSV file with the times of stimuli.", show_default=False),
    ],
    column: Annotated[
        str | None,
        typer.Option(
            help="Column of this file that contains the times.", show_default=False
        ),
    ] = None,
    unit: Annotated[
        Literal["frames", "s"], typer.Option(help="Unit of all times.")
    ] = "s",
    before: Annotated[
        float, typer.Option(help="Time before the stimulus to show (unit: --unit).")
    ] = 10,
    after: Annotated[
        float, typer.Option(help="Time after the stimulus to show (unit: --unit).")
    ] = 20,
    regions: Regions = None,
    channel: Channel = None,
    seed: Seed = 0,
    output: Output = Path("analysis"),
) -> None:
    """Measure responses to stimuli: rate of onsets, response probability, latency."""
    import pandas as pd

    from astrocast.analysis.stimuli import peri_stimulus, read_triggers, responses_by
    from astrocast.errors import InvalidValueError
    from astrocast.plotting.networks import peri_stimulus_histogram
    from astrocast.study.sources import open_recorded_events

    recorded = open_recorded_events(source, channel)
    if unit == "s" and recorded.frame_rate is None:
        raise InvalidValueError(
            "the frame rate of the recording is unknown: give the times in frames"
            " (--unit frames), or repeat astrocast run with --set frame_rate=HZ"
        )
    rate = float(recorded.frame_rate or 1.0) if unit == "s" else 1.0
    times = read_triggers(triggers, column)
    onsets = recorded.read(["z0"])["z0"] / rate
    found = peri_stimulus(
        onsets,
        times,
        duration=recorded.shape[0] / rate,
        before=before,
        after=after,
        seed=seed,
    )
    bins = {"from": found.edges[:-1], "to": found.edges[1:], "rate": found.rate}
    bands = {"low": found.low, "high": found.high}
    write_table(pd.DataFrame(bins | bands), output / "peri_stimulus.csv")
    ax = peri_stimulus_histogram(found, unit)
    write_figure(ax, output / "peri_stimulus.png")
    typer.echo(
        f"{found.probability:.0%} of {len(found.latency)} trials respond within"
        f" {found.window[1]:g} {unit}, median latency {found.median_latency:.3g}"
        f" {unit}, p = {found.p:.3g}"
    )
    cell = _cell_of_event(recorded, regions)
    if cell is not None:
        listed = responses_by(
            pd.DataFrame({"cell": cell, "onset": onsets})[cell.to_numpy() != ""],
            times,
            by="cell",
            onset="onset",
            duration=recorded.shape[0] / rate,
            window=found.window,
            seed=seed,
        )
        write_table(listed, output / "responses.csv")
        answering = int((listed["q"] <= 0.05).sum())
        typer.echo(f"{answering} of {len(listed)} cells respond (q <= 0.05)")


def classify(
    source: Source,
    feature: Annotated[
        list[str],
        typer.Option(help="Column of numbers; may be repeated.", show_default=False),
    ],
    group: Annotated[str, typer.Option(help="Column that names the group.")] = "group",
    subject: Annotated[
        str, typer.Option(help="Column that names the animal.")
    ] = "subject",
    permutations: Annotated[
        int,
        typer.Option(min=19, help="Number of random assignments of groups to animals."),
    ] = 99,
    seed: Seed = 0,
    output: Output = Path("analysis"),
) -> None:
    """Predict the group of events from their features (cross-validated by animal)."""
    import pandas as pd

    from astrocast.analysis import classification
    from astrocast.analysis.clusters import feature_matrix
    from astrocast.analysis.networks import AgainstSurrogates
    from astrocast.plotting.networks import against_surrogates
    from astrocast.study.sources import read_flat_events

    table = read_flat_events(source, feature, [group, subject])
    matrix = feature_matrix(table, feature)
    events = table.loc[matrix.index]
    groups, animals = events[group].to_numpy(), events[subject].to_numpy()
    found = classification.classify(
        matrix, groups, animals, permutations=permutations, seed=seed
    )
    importance = pd.Series(found.importance, name="importance").rename_axis("feature")
    write_table(importance.reset_index(), output / "classifier.csv")
    test = AgainstSurrogates("balanced accuracy", found.accuracy, found.null)
    write_figure(against_surrogates(test), output / "classifier.png")
    typer.echo(
        f"balanced accuracy {found.accuracy:.2f} in animals left out of the training"
        f" ({1 / len(set(groups)):.2f} by chance), p = {found.p:.3g};"
        f" {len(events)} events of {len(set(animals))} animals"
    )


def _cell_of_event(recorded: Any, regions: Path | None) -> pd.Series | None:
    """Return the cell of each event, or None if no cells are drawn."""
    from astrocast.analysis.cells import attribute_to_cells
    from astrocast.analysis.video import inferred_path
    from astrocast.errors import RecordingNotFoundError
    from astrocast.io.stores.regions import parse_geojson, read_regions

    if regions is not None:
        drawn = parse_geojson(regions.read_bytes(), str(regions))
    else:
        try:
            drawn = read_regions(inferred_path(recorded.store))
        except RecordingNotFoundError:  # the recording of the event store is missing
            return None
        if not any(region.kind == "cell" for region in drawn):
            return None
    table = recorded.read(["mask", "z0", "x0", "y0"])
    return attribute_to_cells(table, drawn, recorded.shape[1:])["cell"]


#: columns that give the centre of the footprint
_CENTRE = ("x0", "y0", "dx", "dy", "v_fp_centroid_local-0", "v_fp_centroid_local-1")


def _add_centres(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the centre (``cx`` row, ``cy`` column) of each event."""
    row = table["x0"] + table["dx"] * table["v_fp_centroid_local-0"]
    column = table["y0"] + table["dy"] * table["v_fp_centroid_local-1"]
    return table.assign(cx=row, cy=column)


def units_of(source: Path, channel: str | None, overlap: float) -> tuple[Any, Any]:
    """Return the events of a recording and their functional units."""
    from astrocast.analysis.units import find_units
    from astrocast.study.sources import open_recorded_events

    recorded = open_recorded_events(source, channel)
    table = recorded.read(["z0", "x0", "y0", "mask"])
    return recorded, find_units(table, recorded.shape, overlap=overlap)
