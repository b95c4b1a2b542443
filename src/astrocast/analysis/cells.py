"""Cells: territories from the recording, events attributed to them, a row per cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.events.array_columns import as_masks
from astrocast.events.required import require_columns
from astrocast.io.stores.regions import Region
from astrocast.kernels.masks.packed_masks import pack_masks
from astrocast.kernels.masks.pixel_outlines import outline_frames
from astrocast.kernels.regions.attribution import attribute_events
from astrocast.kernels.regions.outline_rings import trace_rings
from astrocast.kernels.regions.territories import join_by_activity, segment_territories
from astrocast.kernels.traces.traces import Pixels, list_pixels

_PLACE = ("mask", "z0", "x0", "y0")
#: columns that are averaged per cell, where the table has them
AVERAGED = ("peak_dff", "peak_df", "duration_s", "area_um2", "dz", "v_fp_area")


def segment_cells(
    mean: NDArray[np.floating],
    diameter: float,
    table: pd.DataFrame | None = None,
) -> list[Region]:
    """Return a region for each cell that the mean image shows, to be corrected by hand.

    Parameters
    ----------
    mean
        Mean image (row, column).
    diameter
        Diameter of a cell with its processes, in pixels.
    table
        Events with ``mask``, ``z0``, ``x0``, ``y0``: places of events count as bright,
        and neighbours that are active in the same events become one cell. None: the
        image alone.

    Returns
    -------
    list of Region
        Of kind ``cell``, named ``cell 1``, ``cell 2`` ... from top to bottom.
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
    return regions_of_labels(labels)


def regions_of_labels(labels: NDArray[np.integer]) -> list[Region]:
    """Return the outlines of labels (row, column), 0 background, as cells."""
    regions = []
    for number in np.unique(labels[labels > 0]).tolist():
        mask = pack_masks([(labels == number)[None]])
        edges = outline_frames(mask, np.zeros((1, 3), np.int64), None)
        rings = trace_rings(edges.points)
        outline = tuple(tuple((r, c) for r, c in ring.tolist()) for ring in rings)
        regions.append(Region(f"cell {number}", "cell", outline))
    return regions


def attribute_to_cells(
    table: pd.DataFrame, regions: Sequence[Region], shape: tuple[int, int]
) -> pd.DataFrame:
    """Return the cell of each event, and the share of its footprint in it.

    Parameters
    ----------
    table
        Events with ``mask``, ``z0``, ``x0``, ``y0``.
    regions
        Regions; those of kind ``cell`` are used.
    shape
        Rows and columns of the recording.

    Returns
    -------
    pandas.DataFrame
        ``cell`` (empty text where the event touches none) and ``cell_share``, with the
        index of ``table``.

    Raises
    ------
    InvalidValueError
        There is no region of kind ``cell``.
    """
    cells = cells_of(regions)
    masks = np.stack([cell.mask(shape) for cell in cells])
    found = attribute_events(_footprints(table, shape), masks)
    names = [*(cell.name for cell in cells), ""]
    of_event = [names[i] for i in found.region.tolist()]
    columns = {"cell": pd.array(of_event, dtype="str"), "cell_share": found.share}
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
    """Return one row per cell.

    Parameters
    ----------
    table, attributed
        Events, and their cells from `attribute_to_cells`.
    regions
        As for `attribute_to_cells`.
    shape
        Of the recording, (frames, rows, columns).
    frame_rate, pixel_size
        Hz and µm; without them the columns in these units are left out.

    Returns
    -------
    pandas.DataFrame
        ``cell``; ``row``, ``column`` (centre, pixels); ``area_px``, ``area_um2``;
        ``events``, ``rate_per_frame``, ``rate_per_min``; ``active_share``, share of the
        frames with an event; and ``mean_<column>`` of `AVERAGED` that the table has.
        Cells without events have 0 events and NaN means.
    """
    require_columns(table, ["z0", "z1"])
    rows = []
    averaged = [name for name in AVERAGED if name in table]
    for cell in cells_of(regions):
        place = np.argwhere(cell.mask(shape[1:]))
        events = table[attributed["cell"].to_numpy() == cell.name]
        row: dict[str, object] = {"cell": cell.name}
        centre = place.mean(axis=0) if len(place) else (np.nan, np.nan)
        row |= {"row": centre[0], "column": centre[1], "area_px": len(place)}
        if pixel_size is not None:
            row["area_um2"] = len(place) * pixel_size**2
        row |= {"events": len(events), "rate_per_frame": len(events) / shape[0]}
        if frame_rate is not None:
            row["rate_per_min"] = len(events) * 60.0 * frame_rate / shape[0]
        row["active_share"] = _active_share(events, shape[0])
        row |= {f"mean_{name}": events[name].mean() for name in averaged}
        rows.append(row)
    return pd.DataFrame(rows)


def cells_of(regions: Sequence[Region]) -> list[Region]:
    """Return the regions of kind ``cell``; an error where there is none."""
    cells = [region for region in regions if region.kind == "cell"]
    if not cells:
        kinds = ", ".join(sorted({r.kind for r in regions})) or "none"
        raise InvalidValueError(
            f"there is no region of kind 'cell' (kinds: {kinds}); draw cells in"
            " `astrocast explore`, or segment them"
        )
    return cells


def _active_share(events: pd.DataFrame, frames: int) -> float:
    active = np.zeros(frames, bool)
    for first, stop in events[["z0", "z1"]].to_numpy(np.int64).tolist():
        active[first:stop] = True
    return float(active.mean())


def _footprints(table: pd.DataFrame, shape: tuple[int, int]) -> Pixels:
    require_columns(table, _PLACE)
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64)
    return list_pixels(as_masks(table["mask"]).masks, origins, shape)
