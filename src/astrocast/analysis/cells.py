"""Segment cells, assign events to them, and describe each cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.events.array_columns import as_masks
from astrocast.events.required import require_columns
from astrocast.io.stores.regions import PARTS, Region, Ring
from astrocast.kernels.masks.packed_masks import pack_masks
from astrocast.kernels.masks.pixel_outlines import outline_frames
from astrocast.kernels.regions.attribution import attribute_events
from astrocast.kernels.regions.outline_rings import trace_rings
from astrocast.kernels.regions.parts import (
    ENDFOOT,
    PROCESS,
    SOMA,
    divide_into_parts,
)
from astrocast.kernels.regions.territories import join_by_activity, segment_territories
from astrocast.kernels.traces.traces import Pixels, list_pixels

_PLACE = ("mask", "z0", "x0", "y0")
#: columns that are averaged per cell if the table has them
AVERAGED = ("peak_dff", "peak_df", "duration_s", "area_um2", "dz", "v_fp_area")


def segment_cells(
    mean: NDArray[np.floating],
    diameter: float,
    table: pd.DataFrame | None = None,
    *,
    parts: bool = False,
) -> list[Region]:
    """Return a region for each cell in the mean image, for manual correction.

    Parameters
    ----------
    mean
        Mean image (row, column).
    diameter
        Diameter of a cell with its processes, in pixels.
    table
        Events with ``mask``, ``z0``, ``x0``, ``y0``. Pixels with events count as
        bright, and neighbouring territories that are active in the same events become
        one cell. None: use the image only.
    parts
        Also guess soma, processes and endfeet of each cell, see
        `kernels.regions.parts.divide_into_parts`.

    Returns
    -------
    list of Region
        Regions of kind ``cell``, named ``cell 1``, ``cell 2`` ... from top to bottom;
        with ``parts`` also ``cell 1 soma``, ``cell 1 process``, ``cell 1 endfoot``.
    """
    if table is None or not len(table):
        labels = segment_territories(mean, diameter)
    else:
        rows, columns = np.shape(mean)
        events = _footprints(table, (rows, columns))
        count = np.bincount(events.flat, minlength=rows * columns)
        activity = count.reshape(rows, columns).astype(np.float64)
        labels = segment_territories(mean, diameter, activity)
        labels = join_by_activity(labels, events)
    cells = regions_of_labels(labels)
    if not parts:
        return cells
    divided = divide_into_parts(mean, labels, diameter)
    return cells + [
        Region(f"cell {number} {kind}", kind, _outline(piece))
        for number in np.unique(labels[labels > 0]).tolist()
        for value, kind in ((SOMA, PARTS[0]), (PROCESS, PARTS[1]), (ENDFOOT, PARTS[2]))
        if (piece := (labels == number) & (divided == value)).any()
    ]


def regions_of_labels(labels: NDArray[np.integer]) -> list[Region]:
    """Return the outlines of labels (row, column; 0: background) as cells."""
    return [
        Region(f"cell {number}", "cell", _outline(labels == number))
        for number in np.unique(labels[labels > 0]).tolist()
    ]


def _outline(mask: NDArray[np.bool_]) -> tuple[Ring, ...]:
    """Return the outline of a mask (row, column), including holes."""
    packed = pack_masks([mask[None]])
    edges = outline_frames(packed, np.zeros((1, 3), np.int64), None)
    rings = trace_rings(edges.points)
    return tuple(tuple((r, c) for r, c in ring.tolist()) for ring in rings)


def attribute_to_cells(
    table: pd.DataFrame, regions: Sequence[Region], shape: tuple[int, int]
) -> pd.DataFrame:
    """Return the cell and the part of each event, and the shared fractions.

    Parameters
    ----------
    table
        Events with ``mask``, ``z0``, ``x0``, ``y0``.
    regions
        Regions; only those of kind ``cell``, ``soma``, ``process``, ``endfoot`` are
        used.
    shape
        Rows and columns of the recording.

    Returns
    -------
    pandas.DataFrame
        With the index of ``table``: ``cell`` (empty text outside cells) and
        ``cell_share`` (fraction of the footprint in the cell); if parts are drawn also
        ``part`` (name of the soma, process or endfoot that contains most of the
        footprint), ``part_kind`` and ``part_share``.

    Raises
    ------
    InvalidValueError
        No region is of these kinds.
    """
    used = cells_of(regions)
    footprints = _footprints(table, shape)
    columns: dict[str, object] = {}
    for name, kinds in (("cell", ("cell",)), ("part", PARTS)):
        chosen = [region for region in used if region.kind in kinds]
        if not chosen and name == "part":
            continue
        masks = np.stack([r.mask(shape) for r in chosen] or [np.zeros(shape, bool)])
        found = attribute_events(footprints, masks)
        texts = {name: [*(r.name for r in chosen), ""]}
        if name == "part":
            texts["part_kind"] = [*(r.kind for r in chosen), ""]
        for column, values in texts.items():
            of_event = [values[i] for i in found.region.tolist()]
            columns[column] = pd.array(of_event, dtype="str")
        columns[f"{name}_share"] = found.share
    return pd.DataFrame(columns, index=table.index)


def describe_cells(
    table: pd.DataFrame,
    attributed: pd.DataFrame,
    regions: Sequence[Region],
    shape: tuple[int, int, int],
    *,
    frame_rate: float | None = None,
    pixel_size: float | None = None,
) -> pd.DataFrame:
    """Return one row per cell, and per soma, process and endfoot.

    Parameters
    ----------
    table, attributed
        Events, and their cells from `attribute_to_cells`.
    regions
        As for `attribute_to_cells`.
    shape
        Shape of the recording, (frames, rows, columns).
    frame_rate, pixel_size
        Hz and µm; without them the columns in these units are left out.

    Returns
    -------
    pandas.DataFrame
        ``region``, its ``kind``, and the ``cell`` that contains most of it; ``row``,
        ``column`` (centre, pixels); ``area_px``, ``area_um2``; ``events``,
        ``rate_per_frame``, ``rate_per_min``; ``active_share`` (fraction of frames with
        an event); ``mean_<column>`` for the columns `AVERAGED`. Regions without events
        have 0 events and NaN means.
    """
    require_columns(table, ["z0", "z1"])
    rows = []
    averaged = [name for name in AVERAGED if name in table]
    used = cells_of(regions)
    masks = {region.name: region.mask(shape[1:]) for region in used}
    cells = [region.name for region in used if region.kind == "cell"]
    for region in used:
        mask = masks[region.name]
        place = np.argwhere(mask)
        column = "cell" if region.kind == "cell" else "part"
        events = table[attributed[column].to_numpy() == region.name]
        row: dict[str, object] = {"region": region.name, "kind": region.kind}
        is_cell = column == "cell"
        row["cell"] = region.name if is_cell else _find_cell(mask, masks, cells)
        centre = place.mean(axis=0) if len(place) else (np.nan, np.nan)
        row |= {"row": centre[0], "column": centre[1], "area_px": len(place)}
        if pixel_size is not None:
            row["area_um2"] = len(place) * pixel_size**2
        row |= {"events": len(events), "rate_per_frame": len(events) / shape[0]}
        if frame_rate is not None:
            row["rate_per_min"] = len(events) * 60.0 * frame_rate / shape[0]
        row["active_share"] = _measure_active_share(events, shape[0])
        row |= {f"mean_{name}": events[name].mean() for name in averaged}
        rows.append(row)
    return pd.DataFrame(rows)


def cells_of(regions: Sequence[Region]) -> list[Region]:
    """Return the cells and their parts; raise an error if there are none."""
    used = [region for region in regions if region.kind in ("cell", *PARTS)]
    if not used:
        kinds = ", ".join(sorted({r.kind for r in regions})) or "none"
        raise InvalidValueError(
            f"no region is of kind 'cell' (found kinds: {kinds}); draw cells in"
            " `astrocast explore`, or segment them"
        )
    return used


def _find_cell(
    mask: NDArray[np.bool_], masks: dict[str, NDArray[np.bool_]], cells: list[str]
) -> str:
    """Return the name of the cell that contains most of a mask; "" if none does."""
    shared = {name: int((mask & masks[name]).sum()) for name in cells}
    best = max(shared, key=lambda name: shared[name], default="")
    return best if shared.get(best, 0) else ""


def _measure_active_share(events: pd.DataFrame, frames: int) -> float:
    """Return the fraction of frames in which at least one event is active."""
    active = np.zeros(frames, bool)
    for first, stop in events[["z0", "z1"]].to_numpy(np.int64).tolist():
        active[first:stop] = True
    return float(active.mean())


def _footprints(table: pd.DataFrame, shape: tuple[int, int]) -> Pixels:
    require_columns(table, _PLACE)
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64)
    return list_pixels(as_masks(table["mask"]).masks, origins, shape)
