"""The event table, and everything about one event."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter

from astrocast.errors import DatasetNotFoundError
from astrocast.explorer.server.events import EventSet
from astrocast.explorer.server.frames import mean_trace
from astrocast.explorer.server.json_values import plain
from astrocast.explorer.server.look import Opened
from astrocast.explorer.server.project import Project
from astrocast.io.export.tables import scalars

router = APIRouter(prefix="/api/projects/{project}", tags=["events"])


def events_of(project: Project) -> EventSet:
    """Return the events of a project; raise an error if there are none."""
    found = project.events
    if found is None:
        raise DatasetNotFoundError(
            "no events have been detected yet; tune the detection and run it"
        )
    return found


@router.get("/events")
def events(project: Opened) -> dict[str, Any]:
    """Return the event table, column by column, with units and descriptions."""
    found = project.events
    if found is None:
        return {"events": [], "columns": [], "undo": None, "redo": None}
    return {
        "events": found.numbers.tolist(),
        "columns": [*found.columns(), *project.region_columns(found)],
        "undo": found.state.undoable.kind if found.state.undoable else None,
        "redo": found.state.redoable.kind if found.state.redoable else None,
        "other_decisions": found.other_decisions,
    }


@router.get("/events/{event}")
def event(project: Opened, event: int) -> dict[str, Any]:
    """Return one event: properties, voxels per frame, events at the same place."""
    found = events_of(project)
    placed = found.voxels_of(event)
    z, x, y = placed.origin
    place = found.same_place(event)
    at = place.index(event)
    shown = scalars(found.table.loc[[event]])
    return {
        "event": event,
        "z0": z,
        "z1": z + len(placed.mask),
        "rows": [x, x + placed.mask.shape[1]],
        "columns": [y, y + placed.mask.shape[2]],
        "voxels": placed.mask.sum(axis=(1, 2)).tolist(),
        "sharing": [{"event": e, "voxels": n} for e, n in found.sharing(event).items()],
        "same_place": place,
        "previous": place[at - 1] if at > 0 else None,
        "next": place[at + 1] if at + 1 < len(place) else None,
        "properties": [
            {
                "name": str(name),
                "value": _value(shown[name].iloc[0]),
                "unit": found.descriptions.get(str(name), {}).get("unit", ""),
                "description": found.descriptions.get(str(name), {}).get(
                    "description", ""
                ),
            }
            for name in shown
        ],
    }


@router.get("/events/{event}/trace")
def event_trace(project: Opened, event: int, layer: str) -> dict[str, Any]:
    """Return the mean over the event's footprint in every frame of a layer."""
    placed = events_of(project).voxels_of(event)
    pixels = np.argwhere(placed.mask.any(axis=0)) + placed.origin[1:]
    return {"values": plain(mean_trace(project.layer(layer).recording, pixels))}


def _value(value: Any) -> Any:
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() else float(f"{number:.6g}")
