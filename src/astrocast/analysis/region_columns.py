"""Compute the columns of the event table that depend on regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from astrocast.analysis.measurements.physiology_columns import (
    Calibration,
    landmark_columns,
)
from astrocast.events.array_columns import as_masks
from astrocast.events.physiology_schema import region_columns as landmark_descriptions
from astrocast.events.schema import Column
from astrocast.io.recording import Metadata
from astrocast.io.stores.regions import PARTS, Region
from astrocast.kernels.regions.attribution import (
    along_axis,
    attribute_events,
    turn_to_axis,
)
from astrocast.kernels.traces.traces import list_pixels


def add_region_columns(
    table: pd.DataFrame,
    regions: Sequence[Region],
    shape: tuple[int, int],
    metadata: Metadata | None = None,
) -> tuple[pd.DataFrame, list[Column]]:
    """Add columns: cell of each event, distances, directions, positions along axes.

    Parameters
    ----------
    table
        Events, with ``mask`` and the centre of the footprint. Not changed.
    regions
        Cells, their parts, landmarks, axes, exclusion masks.
    shape
        Rows and columns of the recording.
    metadata
        Pixel size; without it, lengths are in pixels.

    Returns
    -------
    table : pandas.DataFrame
        The table with the new columns.
    described : list of Column
        Meaning and unit of the new columns.
    """
    size = metadata.pixel_size if metadata is not None else None
    calibration = Calibration.of(size, None)
    unit = "µm" if size is not None else "px"
    values: dict[str, Any] = {}
    described: list[Column] = []
    for found, meaning in (
        _attribute_to_areas(table, regions, shape),
        _measure_landmarks(table, regions, shape, calibration, size is not None),
        _measure_axes(table, regions, calibration, unit),
    ):
        values |= found
        described += meaning
    _turn_directions(values, described, regions, calibration)
    return table.assign(**values), described


def _attribute_to_areas(
    table: pd.DataFrame, regions: Sequence[Region], shape: tuple[int, int]
) -> tuple[dict[str, Any], list[Column]]:
    """Return the columns on cells, their parts and exclusion masks."""
    values: dict[str, Any] = {}
    described: list[Column] = []
    masks, origins = as_masks(table["mask"]).masks, table[["z0", "x0", "y0"]]
    pixels = list_pixels(masks, origins.to_numpy(np.int64), shape)
    cells = [r for r in regions if r.kind == "cell"]
    if cells:
        found = attribute_events(pixels, np.stack([c.mask(shape) for c in cells]))
        names = [*(c.name for c in cells), ""]
        values["region"] = np.array([names[i] for i in found.region], object)
        values["region_share"] = found.share
        text = "Cell that contains most of the event's footprint; empty: no cell."
        described += [
            Column("region", "str", "", text, "footprint"),
            Column(
                "region_share",
                "float64",
                "",
                "Fraction of the event's footprint in this cell.",
                "footprint",
            ),
        ]
    parts = [r for r in regions if r.kind in PARTS]
    if parts:
        found = attribute_events(pixels, np.stack([p.mask(shape) for p in parts]))
        for name, texts, text in (
            ("part", [p.name for p in parts], "Soma, process or endfoot"),
            ("part_kind", [p.kind for p in parts], "Kind of the part"),
        ):
            texts = [*texts, ""]
            values[name] = np.array([texts[i] for i in found.region], object)
            text += " that contains most of the event's footprint; empty: no part."
            described.append(Column(name, "str", "", text, "footprint"))
    excluded = [r for r in regions if r.kind == "exclusion"]
    if excluded:
        mask = np.logical_or.reduce([e.mask(shape) for e in excluded])
        values["excluded_share"] = attribute_events(pixels, mask[None]).share
        text = "Fraction of the event's footprint in exclusion masks."
        described.append(Column("excluded_share", "float64", "", text, "footprint"))
    return values, described


def _measure_landmarks(
    table: pd.DataFrame,
    regions: Sequence[Region],
    shape: tuple[int, int],
    calibration: Calibration,
    is_physical: bool,
) -> tuple[dict[str, Any], list[Column]]:
    """Return the columns of distance and direction to each landmark."""
    landmarks: dict[str, Any] = {}
    for region in regions:
        if region.kind == "landmark":
            # in the table, pixel centres are whole numbers; in regions, pixel corners
            landmarks[region.name] = (
                region.mask(shape)
                if region.rings
                else np.asarray(region.points[0]) - 0.5
            )
    values = landmark_columns(table, landmarks, calibration) if landmarks else {}
    described = [c for n in landmarks for c in landmark_descriptions(n, is_physical)]
    return values, described


def _measure_axes(
    table: pd.DataFrame, regions: Sequence[Region], calibration: Calibration, unit: str
) -> tuple[dict[str, Any], list[Column]]:
    """Return the columns of the position along each axis, and the distance from it."""
    values: dict[str, Any] = {}
    described: list[Column] = []
    centres = table[["v_fp_cx", "v_fp_cy"]].to_numpy(np.float64) + 0.5
    for region in regions:
        if region.kind == "axis":
            begin, end = region.points
            along, right = along_axis(centres, begin, end, calibration.pixel)
            for part, found, text in (
                ("along", along, f"Position of the centre along {region.name}."),
                (
                    "right",
                    right,
                    f"Distance of the centre to the right of {region.name}.",
                ),
            ):
                name = f"v_{part}_{region.name}"
                values[name] = found
                described.append(Column(name, "float64", unit, text, "footprint"))
    return values, described


def _turn_directions(
    values: dict[str, Any],
    described: list[Column],
    regions: Sequence[Region],
    calibration: Calibration,
) -> None:
    """Add the directions to landmarks as angles from the first axis, in place."""
    axis = next((r for r in regions if r.kind == "axis"), None)
    if axis is None:
        return
    for name in [n for n in values if n.startswith("v_direction_")]:
        turned = f"{name}_from_{axis.name}"
        begin, end = axis.points
        values[turned] = turn_to_axis(values[name], begin, end, calibration.pixel)
        text = (
            "Direction of the landmark as an angle from the axis"
            f" {axis.name}: 0 along it, 90 to its right."
        )
        described.append(Column(turned, "float64", "°", text, "footprint"))
