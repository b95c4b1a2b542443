"""Apply the decisions of a curator to the event table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from astrocast.events.array_columns import FootprintArray, MaskArray, TraceArray
from astrocast.events.curation import CurationState, MadeEvent
from astrocast.events.schema import INDEX, Column
from astrocast.kernels.event_features.event_shapes import EventRuns, event_shapes
from astrocast.kernels.event_features.features import trace_properties
from astrocast.kernels.event_features.shape import FOOTPRINT_PROPERTIES, MASK_PROPERTIES
from astrocast.kernels.masks.runs import find_runs
from astrocast.kernels.ragged.ragged import offsets_of

STATUS = Column(
    "curation", "str", "", "Decision of a person about the event.", "detector"
)
REASON = Column(
    "curation_reason", "str", "", "Why a person rejected the event.", "detector"
)
CURATION_COLUMNS = (STATUS, REASON)


def curated_table(
    table: pd.DataFrame, state: CurationState, *, drop: bool = True
) -> pd.DataFrame:
    """Return the events after the decisions of a curator.

    Parameters
    ----------
    table
        Events of the detection, indexed by event number. Not changed.
    state
        The decisions.
    drop
        Leave out events that were rejected, merged or split. Otherwise they stay in the
        table, marked in the column ``curation``.

    Returns
    -------
    pandas.DataFrame
        With the columns ``curation`` and ``curation_reason``, and a row for each event
        that a person made. Its shape and signal columns are computed like those of
        detected events; columns that only the detection can compute (``confidence``
        ...) are NaN.
    """
    events = [int(e) for e in table.index]
    extra = [state.made[e] for e in sorted(state.made)]
    whole = pd.concat([table, make_rows(table, extra)]) if extra else table
    numbers = [*events, *(event.event for event in extra)]
    status = [state.status.get(e, "") for e in numbers]
    made = set(state.made)
    shown = [
        s or ("made" if e in made else "") for e, s in zip(numbers, status, strict=True)
    ]
    whole = whole.assign(
        curation=np.array(shown, object),
        curation_reason=np.array([state.reason.get(e, "") for e in numbers], object),
    )
    if not drop:
        return whole
    valid = [s not in ("rejected", "merged", "split") for s in status]
    return whole[np.array(valid, bool)]


def make_rows(table: pd.DataFrame, events: Sequence[MadeEvent]) -> pd.DataFrame:
    """Return rows for events that a person made, with the columns of ``table``."""
    values = _compute_columns(events)
    index = pd.Index([event.event for event in events], name=table.index.name)
    rows = {
        str(name): values[name]
        if name in values
        else _collect_column(str(name), column, events)
        for name, column in table.items()
    }
    return pd.DataFrame(rows, index=index)


def _collect_column(
    name: str, column: pd.Series[Any], events: Sequence[MadeEvent]
) -> Any:
    """Return a column from the values measured when the events were made."""
    found = [event.values.get(name) for event in events]
    if isinstance(column.array, TraceArray):
        lists = [[np.nan if v is None else v for v in f or []] for f in found]
        return TraceArray._from_sequence([np.array(v, np.float32) for v in lists])
    if isinstance(column.array, MaskArray):  # for example hidden voxels: none here
        masks = [np.zeros_like(event.placed.mask) for event in events]
        return type(column.array)._from_sequence(masks)
    if pd.api.types.is_integer_dtype(column.dtype):
        return np.array([int(v or 0) for v in found], np.int64)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return np.array([np.nan if v is None else float(v) for v in found])
    return np.array(["" if v is None else str(v) for v in found], object)


def _compute_columns(events: Sequence[MadeEvent]) -> dict[str, Any]:
    """Return the columns that can be computed from voxels and signals of the events."""
    masks = [event.placed.mask for event in events]
    low = np.array([event.placed.origin for event in events], np.int64).reshape(-1, 3)
    size = np.array([mask.shape for mask in masks], np.int64).reshape(-1, 3)
    rows: dict[str, Any] = {}
    for axis, letter in enumerate("zxy"):
        rows |= {
            f"{letter}0": low[:, axis],
            f"{letter}1": low[:, axis] + size[:, axis],
            f"d{letter}": size[:, axis],
        }
    rows |= {
        "v_length": size[:, 0],
        "v_diameter": np.hypot(size[:, 1], size[:, 2]),
        "v_area": np.array([mask.sum() for mask in masks], np.int64),
        "v_bbox_pix_num": size.prod(axis=1),
    }
    shapes = event_shapes(_list_runs(events), low, low + size, None)
    for names, prefix, found in (
        (MASK_PROPERTIES, "v_mask_", shapes.mask),
        (FOOTPRINT_PROPERTIES, "v_fp_", shapes.footprint),
    ):
        rows |= {f"{prefix}{name}": found[:, i] for i, name in enumerate(names)}
    rows["v_fp_cx"] = low[:, 1] + rows["v_fp_centroid_local-0"] * size[:, 1]
    rows["v_fp_cy"] = low[:, 2] + rows["v_fp_centroid_local-1"] * size[:, 2]
    offsets = offsets_of([len(event.trace) for event in events])
    trace = np.concatenate([event.trace for event in events])
    noise = np.concatenate([event.noise for event in events])
    rows |= trace_properties(trace, noise, offsets)
    rows |= {
        "name": np.array([str(event.event) for event in events], object),
        INDEX: np.array([event.event for event in events], np.int64),
        "error": np.array([np.isnan(e.trace).any() for e in events], np.int64),
        "trace": TraceArray(trace, offsets),
        "noise_mask_trace": TraceArray(noise, offsets),
        "mask": MaskArray._from_sequence(masks),
        "footprint": FootprintArray._from_sequence([m.any(axis=0) for m in masks]),
    }
    return rows


def _list_runs(events: Sequence[MadeEvent]) -> EventRuns:
    """Return the voxels of the events as runs."""
    parts, counts = [], []
    for event in events:
        runs, (frame, row, column) = find_runs(event.placed.mask), event.placed.origin
        parts.append(
            np.stack(
                [
                    runs.frame() + frame,
                    runs.row() + row,
                    runs.start.astype(np.int64) + column,
                    runs.stop.astype(np.int64) + column,
                ]
            )
        )
        counts.append(len(runs))
    frame, row, start, stop = np.concatenate(parts, axis=1)
    return EventRuns(frame, row, start, stop, offsets_of(counts))
