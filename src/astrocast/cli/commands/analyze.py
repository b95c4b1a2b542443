"""``astrocast analyze``: compare groups; find cells, units, clusters of events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astrocast.cli.commands.analyze_networks import (
    classify,
    network,
    stimuli,
    units_of,
)
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
    write_text,
)
from astrocast.cli.commands.analyze_sessions import sessions

if TYPE_CHECKING:
    import pandas as pd

analyze = typer.Typer(
    name="analyze",
    help="Compare groups and days; find cells, units, responses, networks, clusters.",
    no_args_is_help=True,
)
for command in (network, stimuli, sessions, classify):
    analyze.command()(command)


@analyze.command()
def groups(
    source: Source,
    value: Annotated[
        list[str],
        typer.Option(help="Column to compare; may be repeated.", show_default=False),
    ],
    group: Annotated[str, typer.Option(help="Column that names the group.")] = "group",
    subject: Annotated[
        str, typer.Option(help="Column that names the animal.")
    ] = "subject",
    recording: Annotated[
        str, typer.Option(help="Column that names the recording.")
    ] = "recording",
    reference: Annotated[
        str | None,
        typer.Option(
            help="Group that the other groups are compared with.", show_default=False
        ),
    ] = None,
    method: Annotated[
        Literal["mixed", "animals", "bootstrap"],
        typer.Option(help="Mixed model, t test on the means of animals, or bootstrap."),
    ] = "mixed",
    seed: Seed = 0,
    output: Output = Path("analysis"),
) -> None:
    """Compare groups of animals.

    The tests account for the fact that events of one animal are not independent.
    """
    from dataclasses import asdict

    import pandas as pd

    from astrocast.analysis.statistics import compare_groups
    from astrocast.plotting.cohort import group_points
    from astrocast.study.sources import read_flat_events

    table = read_flat_events(source, value, [group, subject, recording])
    found = compare_groups(
        table,
        value,
        group=group,
        subject=subject,
        recording=recording,
        reference=reference,
        method=method,
        seed=seed,
    )
    rows = [asdict(c) | {"sentence": c.sentence()} for c in found]
    write_table(pd.json_normalize(rows), output / "groups.csv")
    for name in value:
        per = table.groupby([group, subject, recording])[name].mean().reset_index()
        ax = group_points(per, name, group=group, subject=subject, label=name)
        write_figure(ax, output / f"groups_{name}.png")
    for comparison in found:
        typer.echo(comparison.sentence())


@analyze.command()
def power(
    source: Source,
    value: Annotated[str, typer.Option(help="Column to compare.", show_default=False)],
    difference: Annotated[
        float,
        typer.Option(
            help="Smallest difference of interest, in the unit of the column.",
            show_default=False,
        ),
    ],
    recordings: Annotated[int, typer.Option(help="Recordings per animal.")] = 3,
    events: Annotated[int, typer.Option(help="Events per recording.")] = 50,
    power_: Annotated[
        float, typer.Option("--power", help="Power of the test, 0 to 1.")
    ] = 0.8,
) -> None:
    """Estimate how many animals a comparison needs, from a pilot study."""
    from astrocast.analysis.sample_size import animals_needed, variance_components
    from astrocast.study.sources import read_flat_events

    labels = ["group", "subject", "recording"]
    table = read_flat_events(source, [value], labels)
    nested = table.rename(columns={value: "value"}).dropna(subset=["value"])
    found = variance_components(nested)
    n = animals_needed(
        found, difference, recordings=recordings, events=events, power=power_
    )
    typer.echo(
        f"variance between animals {found.animals:.3g}, between recordings"
        f" {found.recordings:.3g}, between events {found.events:.3g}\n{n} animals per"
        f" group are needed to find a difference of {difference:g} with a power of"
        f" {power_:g}"
    )


@analyze.command()
def units(
    source: OneRecording,
    overlap: Overlap = 0.5,
    lag: Annotated[
        tuple[int, int],
        typer.Option(help="Shortest and longest delay between onsets, in frames."),
    ] = (1, 10),
    channel: Channel = None,
    output: Output = Path("analysis"),
) -> None:
    """Find places where events recur (units), and units that follow each other."""
    from astrocast.analysis.units import unit_groups
    from astrocast.plotting.networks import unit_graph, unit_maps

    _, found = units_of(source, channel, overlap)
    pairs = found.dependence(lag)
    group, delay = unit_groups(pairs, len(found))
    table = found.table.assign(group=group, delay=delay)
    write_table(table.reset_index(), output / "units.csv")
    write_table(pairs, output / "unit_pairs.csv")
    write_table(found.labels.reset_index(), output / "unit_of_event.csv")
    write_figure(unit_maps(found), output / "units.png")
    write_figure(unit_graph(found, pairs), output / "unit_graph.png")
    recurring = int((found.table["events"] > 1).sum())
    linked = int((pairs["q"] <= 0.05).sum())
    typer.echo(
        f"{len(found)} units, {recurring} of them with more than one event; in"
        f" {linked} of {len(pairs)} pairs one unit follows the other (q <= 0.05)"
    )


@analyze.command()
def clusters(
    source: Source,
    feature: Annotated[
        list[str] | None,
        typer.Option(help="Column of numbers; may be repeated.", show_default=False),
    ] = None,
    tsfresh: Annotated[
        Literal["minimal", "efficient"] | None,
        typer.Option(
            help="Also features of the traces by tsfresh (extra `tsfresh`): 10 simple"
            " ones, or about 780.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        Literal["kmeans", "hierarchical", "hdbscan"],
        typer.Option(help="Clustering method."),
    ] = "kmeans",
    number: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Number of clusters (default: the one with the best silhouette).",
            show_default=False,
        ),
    ] = None,
    embedding: Annotated[
        Literal["pca", "umap"],
        typer.Option(help="Projection of the features for the figure."),
    ] = "pca",
    seed: Seed = 0,
    output: Output = Path("analysis"),
) -> None:
    """Cluster events by their features, and test whether the clusters are stable."""
    from astrocast.analysis.clusters import (
        cluster_features,
        embed,
        feature_matrix,
        silhouette,
        stability,
    )
    from astrocast.plotting.networks import embedding_points

    table, features = _read_features(source, feature or [], tsfresh)
    matrix = feature_matrix(table, features)
    labels = cluster_features(matrix.values, method, clusters=number, seed=seed)
    kinds = int(labels.max()) + 1
    stable = (
        stability(matrix.values, method, clusters=max(kinds, 2), seed=seed)
        if kinds
        else 0.0
    )
    chosen = table.loc[matrix.index].assign(cluster=labels)
    write_table(chosen, output / "clusters.csv")
    placed = embed(matrix.values, embedding, seed=seed)
    write_figure(embedding_points(placed, labels, embedding), output / "clusters.png")
    sizes = ", ".join(str((labels == k).sum()) for k in range(kinds))
    typer.echo(
        f"{kinds} clusters of {sizes} events"
        f"{f', {(labels < 0).sum()} in no cluster' if (labels < 0).any() else ''};"
        f" silhouette {silhouette(matrix.values, labels):.2f}, stability {stable:.2f}"
        f"{' (below 0.75: the clusters are not reliable)' if stable < 0.75 else ''}"
    )
    if len(matrix.left_out):
        typer.echo(
            f"{len(matrix.left_out)} events were left out: a feature is missing (NaN)"
        )


def _read_features(
    source: Path, columns: list[str], tsfresh: Literal["minimal", "efficient"] | None
) -> tuple[pd.DataFrame, list[str]]:
    """Return the events with columns and features of tsfresh, and the names of all."""
    from astrocast.analysis.tsfresh_features import tsfresh_features
    from astrocast.errors import InvalidValueError
    from astrocast.study.sources import read_flat_events, read_traces

    if tsfresh is None:
        if not columns:
            raise InvalidValueError(
                "no feature is named: give --feature COLUMN, or --tsfresh minimal"
            )
        return read_flat_events(source, columns), columns
    made = tsfresh_features(read_traces(source), tsfresh)
    if not columns:
        return made, made.columns.to_list()
    return read_flat_events(source, columns).join(made), [*columns, *made.columns]


@analyze.command()
def cells(
    source: OneRecording,
    diameter: Annotated[
        float | None,
        typer.Option(
            help="Segment cells of this diameter (with processes) in the mean image,"
            " in µm, or in pixels if the pixel size is unknown. Default: use the cells"
            " that were drawn in the explorer.",
            show_default=False,
        ),
    ] = None,
    regions: Regions = None,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts", help="Also guess soma, processes and endfeet of segmented cells."
        ),
    ] = False,
    channel: Channel = None,
    output: Output = Path("analysis"),
) -> None:
    """Assign events to cells and their parts, and describe each cell."""
    from astrocast.analysis.cells import attribute_to_cells, describe_cells
    from astrocast.io.stores.regions import to_geojson
    from astrocast.study.sources import open_recorded_events

    recorded = open_recorded_events(source, channel)
    table = recorded.read()
    found = _find_cells(recorded, table, diameter, regions, parts)
    of_event = attribute_to_cells(table, found, recorded.shape[1:])
    listed = describe_cells(
        table,
        of_event,
        found,
        recorded.shape,
        frame_rate=recorded.frame_rate,
        pixel_size=recorded.pixel_size,
    )
    write_table(listed, output / "cells.csv")
    write_table(
        of_event.rename_axis("event").reset_index(), output / "cell_of_event.csv"
    )
    write_text(json.dumps(to_geojson(found), indent=1), output / "cells.geojson")
    names = [n for n in ("cell", "part") if n in of_event]
    inside = int((of_event[names] != "").any(axis=1).sum())
    kinds = listed["kind"].value_counts(sort=False).items()
    typer.echo(
        f"{', '.join(f'{n} of kind {kind}' for kind, n in kinds)}; {inside} of"
        f" {len(table)} events lie in these regions."
        f" {output / 'cells.geojson'} can be imported and edited in astrocast explore"
    )


def _find_cells(
    recorded: Any,
    table: pd.DataFrame,
    diameter: float | None,
    regions: Path | None,
    parts: bool,
) -> list[Any]:
    """Return the drawn regions, or segmented cells if a diameter is given."""
    from astrocast.analysis.cells import segment_cells
    from astrocast.analysis.video import Video, inferred_loc, inferred_path
    from astrocast.errors import InvalidValueError
    from astrocast.io.stores.regions import parse_geojson, read_regions

    if diameter is not None and regions is not None:
        raise InvalidValueError(
            "give either --diameter (segment cells) or --regions (drawn cells), not"
            " both"
        )
    if parts and diameter is None:
        raise InvalidValueError(
            "--parts guesses the parts of segmented cells: give --diameter as well"
        )
    if regions is not None:
        return parse_geojson(regions.read_bytes(), str(regions))
    path = inferred_path(recorded.store)
    if diameter is None:
        return read_regions(path)
    mean = Video(path, inferred_loc(recorded.store, path)).mean()
    pixels = diameter / (recorded.pixel_size or 1.0)
    return segment_cells(mean, pixels, table, parts=parts)
