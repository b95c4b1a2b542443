"""Decisions about events, as the page sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from astrocast.detection.events.footprint_measures import MeasureContext, MeasuredMovies
from astrocast.errors import AstrocastError, InvalidValueError
from astrocast.events.curation import (
    REASONS,
    Decision,
    MadeEvent,
    apply_decisions,
    check_events,
    compare_curators,
)
from astrocast.explorer.server.event_routes import events_of
from astrocast.explorer.server.events import EventSet
from astrocast.explorer.server.look import Opened
from astrocast.explorer.server.made_measures import measure_made_event
from astrocast.explorer.server.project import Project
from astrocast.io.recording import Recording
from astrocast.io.stores.curation import (
    curation_path,
    list_curators,
    now,
    read_decisions,
)
from astrocast.io.stores.event_store import read_meta
from astrocast.kernels.curation.edit_masks import (
    PlacedMask,
    extrude_footprint,
    mask_signals,
    merge_masks,
    split_along_line,
    split_at_frame,
)
from astrocast.kernels.regions.polygons import polygon_mask

router = APIRouter(prefix="/api/projects/{project}", tags=["curate"])

Place = tuple[float, float]


class Request(BaseModel):
    """Body of a request of the page; unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")


class Judgement(Request):
    """Accept or reject events, or remove the decision."""

    kind: Literal["accept", "reject", "clear"]
    events: list[int]
    reason: Annotated[str, Field(max_length=200)] = ""


class Merge(Request):
    """Merge several events into one."""

    events: Annotated[list[int], Field(min_length=2)]


class Split(Request):
    """Divide an event at a frame, or along a line (row, column in pixels)."""

    event: int
    frame: int | None = None
    line: tuple[Place, Place] | None = None


class Draw(Request):
    """Add an event: a polygon (row, column in corners of pixels) in some frames."""

    polygon: Annotated[list[Place], Field(min_length=3)]
    first: Annotated[int, Field(ge=0)]
    last: Annotated[int, Field(ge=0)]


@router.get("/curation")
def curation(project: Opened) -> dict[str, Any]:
    """Return the curator, the numbers of decisions, and the other curators."""
    found = events_of(project)
    status = list(found.state.status.values())
    return {
        "curator": project.curator,
        "curators": list_curators(found.store),
        "file": found.log.name,
        "reasons": list(REASONS),
        "accepted": status.count("accepted"),
        "rejected": status.count("rejected"),
        "made": len(found.state.made),
        "other_decisions": found.other_decisions,
    }


@router.post("/judgements")
def judge(project: Opened, wanted: Judgement) -> dict[str, Any]:
    """Accept or reject events."""
    with project.deciding:
        found = events_of(project)
        check_events(found.state, wanted.events, found.detected.index.to_list())
        if wanted.kind == "reject" and not wanted.reason.strip():
            raise InvalidValueError("choose a reason, or write one")
        reason = wanted.reason.strip() if wanted.kind == "reject" else ""
        decision = Decision(wanted.kind, now(), tuple(wanted.events), reason)
        return _decide(project, decision)


@router.post("/merges")
def merge(project: Opened, wanted: Merge) -> dict[str, Any]:
    """Merge several events into one."""
    with project.deciding:
        found = events_of(project)
        check_events(found.state, wanted.events, found.detected.index.to_list())
        parts = [found.voxels_of(event) for event in dict.fromkeys(wanted.events)]
        made = _measure(project, found, [merge_masks(parts)], wanted.events)
        return _decide(
            project, Decision("merge", now(), tuple(wanted.events), made=made)
        )


@router.post("/splits")
def split(project: Opened, wanted: Split) -> dict[str, Any]:
    """Divide an event in two."""
    with project.deciding:
        found = events_of(project)
        check_events(found.state, [wanted.event], found.detected.index.to_list())
        placed = found.voxels_of(wanted.event)
        if wanted.line is not None:
            parts = split_along_line(placed, *wanted.line)
        elif wanted.frame is not None:
            parts = split_at_frame(placed, wanted.frame)
        else:
            raise InvalidValueError("give a frame or a line at which to split")
        made = _measure(project, found, parts, [wanted.event])
        return _decide(project, Decision("split", now(), (wanted.event,), made=made))


@router.post("/drawings")
def draw(project: Opened, wanted: Draw) -> dict[str, Any]:
    """Add an event that was drawn by hand."""
    frames, rows, columns = project.shape
    if not wanted.first <= wanted.last < frames:
        raise InvalidValueError(
            f"frames {wanted.first} to {wanted.last}: the first frame must not be after"
            f" the last, and the last must be at most {frames - 1}"
        )
    footprint = polygon_mask([np.array(wanted.polygon, np.float64)], (rows, columns))
    if not footprint.any():
        raise InvalidValueError("the drawn outline contains no centre of a pixel")
    with project.deciding:
        found = events_of(project)
        placed = extrude_footprint(footprint, (wanted.first, wanted.last + 1))
        made = _measure(project, found, [placed])
        return _decide(project, Decision("draw", now(), made=made))


@router.post("/undo")
def undo(project: Opened) -> dict[str, Any]:
    """Undo the last decision."""
    with project.deciding:
        found = events_of(project)
        if found.state.undoable is None:
            raise InvalidValueError("there is no decision to undo")
        return _decide(project, Decision("undo", now()))


@router.post("/redo")
def redo(project: Opened) -> dict[str, Any]:
    """Redo the decision that was undone last."""
    with project.deciding:
        found = events_of(project)
        if found.state.redoable is None:
            raise InvalidValueError("there is no undone decision to redo")
        return _decide(project, Decision("redo", now()))


@router.get("/agreement")
def agreement(project: Opened, other: str) -> dict[str, Any]:
    """Return the agreement with another curator, for events that both judged."""
    found = events_of(project)
    decisions, _ = read_decisions(curation_path(found.store, other), found.key)
    events = [int(e) for e in found.detected.index]
    theirs = apply_decisions(decisions, max(events, default=0))
    result, undecided = compare_curators(found.state, theirs, events)
    differ = [
        e
        for e in events
        if (a := found.state.status.get(e, ""))
        and (b := theirs.status.get(e, ""))
        and a != b
    ]
    return {
        "labels": list(result.labels),
        "table": result.table.tolist(),
        "agreement": _number(result.agreement),
        "kappa": _number(result.kappa),
        "both": int(result.table.sum()),
        "undecided": undecided,
        "differ": differ,
    }


def _decide(project: Project, decision: Decision) -> dict[str, Any]:
    state = project.decide(decision)
    return {
        "made": [event.event for event in decision.made],
        "undo": state.undoable.kind if state.undoable else None,
        "redo": state.redoable.kind if state.redoable else None,
    }


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _measure(
    project: Project,
    found: EventSet,
    masks: Sequence[PlacedMask],
    replaced: Sequence[int] = (),
) -> tuple[MadeEvent, ...]:
    """Return events with their signal, with new numbers.

    Voxels of other events are not used, except those of ``replaced`` events.
    """
    movies, context = measured_movies(project, found)
    made: list[MadeEvent] = []
    parents = {int(e) for e in replaced}
    near = [found.voxels_of(e) for e in found.numbers.tolist() if e not in parents]
    for i, placed in enumerate(masks):
        z, x, y = placed.origin
        depth, rows, columns = placed.mask.shape
        block: NDArray[Any] = movies.signal.read(
            z, z + depth, slice(x, x + rows), slice(y, y + columns)
        )
        trace, noise, _ = mask_signals(block, placed.mask)
        siblings = [other for k, other in enumerate(masks) if k != i]
        others = [o for o in [*near, *siblings] if _near(placed, o)]
        values = measure_made_event(placed, others, movies, context)
        number = found.state.next_event + i
        made.append(MadeEvent(number, placed, trace, noise, values))
    return tuple(made)


def _near(event: PlacedMask, other: PlacedMask) -> bool:
    """Return whether the boxes of two events have common pixels, at any time."""
    return all(
        event.origin[k] < other.origin[k] + other.mask.shape[k]
        and other.origin[k] < event.origin[k] + event.mask.shape[k]
        for k in (1, 2)
    )


def measured_movies(
    project: Project, found: EventSet
) -> tuple[MeasuredMovies, MeasureContext]:
    """Return the movies in which the detection measured, with their properties."""
    try:
        used = read_meta(found.store).get("parameters", {})
    except AstrocastError:
        used = {}
    movie = _dataset(project, used.get("loc")) or _first(project, "mc", "data")
    signal = _dataset(project, used.get("signal_loc")) or movie
    light = _dataset(project, used.get("fluorescence_loc")) or movie
    kind = next(
        (x.kind for x in project.layers.values() if x.recording.loc == signal.loc), ""
    )
    reference = None
    if kind not in ("df", "dff"):
        key = next(k for k, x in project.layers.items() if x.recording is signal)
        reference = project.projections(key).mean.astype(np.float32)
    known = project.registration
    frames, rows, columns = project.shape
    top, bottom, left, right = known.border if known is not None else (0, 0, 0, 0)
    context = MeasureContext(
        metadata=signal.metadata,
        first_frame=0,
        frames=frames,
        looked_at=(top, rows - bottom, left, columns - right),
        bad_frames=known.quality.get("bad_frame") if known is not None else None,
        relative=kind == "dff",
    )
    return MeasuredMovies(signal, light, reference, context.relative), context


def _dataset(project: Project, loc: Any) -> Recording | None:
    return project.layers[loc].recording if loc in project.layers else None


def _first(project: Project, *kinds: str) -> Recording:
    layer = project.first(*kinds) or next(iter(project.layers.values()))
    return layer.recording
