"""Routes for viewing: frames, projections, outlines, traces, registration."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from numpy.typing import NDArray

from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.explorer.server.frames import ProjectionName, mean_trace
from astrocast.explorer.server.json_values import plain
from astrocast.explorer.server.project import Project
from astrocast.kernels.frames.contrast import map_contrast, map_contrast_small
from astrocast.kernels.masks.pixel_outlines import Segments

router = APIRouter(prefix="/api/projects/{project}", tags=["look"])

#: largest number of frames in one request
MOST_FRAMES = 64


def find_project(project: str, request: Request) -> Project:
    """Return the project that a request names."""
    found: Project = request.app.state.workspace.project(project)
    return found


Opened = Annotated[Project, Depends(find_project)]


@router.get("")
def describe(project: Opened) -> dict[str, Any]:
    """Return shape, metadata and layers."""
    frames, rows, columns = project.shape
    known = project.metadata
    file = next(iter(project.layers.values())).recording.metadata
    return {
        "title": project.title,
        "frames": frames,
        "rows": rows,
        "columns": columns,
        "frame_rate": known.frame_rate,
        "pixel_size": known.pixel_size[0] if known.pixel_size else None,
        "offset": project.offset,
        "pixel_aspect": (
            known.pixel_size[1] / known.pixel_size[0] if known.pixel_size else 1.0
        ),
        "in_file": {
            "frame_rate": file.frame_rate is not None,
            "pixel_size": file.pixel_size is not None,
        },
        "is_run": project.place.run is not None,
        "has_events": project.events is not None,
        "has_registration": project.registration is not None,
        "channel": project.channel,
        "layers": [
            {
                "key": layer.key,
                "title": layer.title,
                "kind": layer.kind,
                "channel": layer.channel,
                "note": layer.note,
                "dtype": str(layer.recording.dtype),
            }
            for layer in project.layers.values()
        ],
    }


@router.get("/contrast")
def contrast(
    project: Opened,
    layer: str,
    low: Annotated[float, Query(ge=0, le=100)] = 0.5,
    high: Annotated[float, Query(ge=0, le=100)] = 99.8,
) -> dict[str, Any]:
    """Return the histogram of a layer and the signal at two percentiles."""
    found = project.statistics(layer)
    black, white = found.percentile((low, high))
    return {
        "low": black,
        "high": white,
        "least": found.least,
        "most": found.most,
        "counts": found.counts.tolist(),
        "edges": found.edges.tolist(),
    }


@router.get("/frames", response_class=Response)
def frames(
    project: Opened,
    layer: str,
    start: Annotated[int, Query(ge=0)],
    low: float,
    high: float,
    count: Annotated[int, Query(ge=1, le=MOST_FRAMES)] = 1,
    step: Annotated[int, Query(ge=1, le=64)] = 1,
) -> Response:
    """Return frames as grey values, uint8 (frame, row, column).

    Black is the signal ``low``, white is ``high``. Each value is the mean of ``step`` x
    ``step`` pixels, for images that are smaller on the screen than in the file.
    """
    movie = project.layer(layer).recording
    if start >= movie.shape[0]:
        raise InvalidValueError(
            f"frame {start} does not exist; the movie has frames 0 to"
            f" {movie.shape[0] - 1}"
        )
    block = project.cache.frames(layer, movie, start, count)
    return _grey(map_contrast_small(block, low, high, step))


@router.get("/projection", response_class=Response)
def projection(
    project: Opened,
    layer: str,
    kind: ProjectionName,
    low: Annotated[float, Query(ge=0, le=100)] = 0.5,
    high: Annotated[float, Query(ge=0, le=100)] = 99.8,
) -> Response:
    """Return a projection over all frames as grey values between two percentiles."""
    found = project.projections(layer)
    image = {"mean": found.mean, "max": found.maximum, "std": found.std}[kind]
    black, white = np.nanpercentile(image, (low, high))
    return _grey(map_contrast(image, black, max(white, black + 1e-9)))


def _grey(values: NDArray[np.uint8]) -> Response:
    return Response(
        values.tobytes(),
        media_type="application/octet-stream",
        headers={"cache-control": "no-store"},
    )


@router.get("/pixel")
def pixel(
    project: Opened,
    layer: str,
    row: Annotated[int, Query(ge=0)],
    column: Annotated[int, Query(ge=0)],
    radius: Annotated[int, Query(ge=0, le=20)] = 0,
) -> dict[str, Any]:
    """Return the trace of a pixel, or the mean of the pixels around it."""
    movie = project.layer(layer).recording
    _, rows, columns = movie.shape
    if row >= rows or column >= columns:
        raise InvalidValueError(
            f"pixel {row}, {column} is outside the frame of {rows} x {columns} pixels"
        )
    r0, r1 = max(0, row - radius), min(rows, row + radius + 1)
    c0, c1 = max(0, column - radius), min(columns, column + radius + 1)
    grid = np.mgrid[r0:r1, c0:c1].astype(np.int64)
    around = grid.reshape(2, -1).T
    events = project.events
    found = events.at_pixel(row, column) if events is not None else []
    return {"values": plain(mean_trace(movie, around)), "events": found}


@router.get("/mean")
def mean(project: Opened, layer: str) -> dict[str, Any]:
    """Return the mean of every frame."""
    return {"values": plain(project.projections(layer).frame_mean)}


@router.get("/registration")
def registration(project: Opened) -> dict[str, Any]:
    """Return shifts, agreement with the template and marks of frames."""
    found = project.registration
    if found is None:
        raise DatasetNotFoundError("this recording has no registration data")
    quality = {
        name: plain(np.asarray(values, np.float32))
        for name, values in found.quality.items()
        if np.ndim(values) == 1
    }
    return {
        "rows": plain(found.shifts[:, 0]),
        "columns": plain(found.shifts[:, 1]),
        "quality": quality,
        "border": list(found.border),
        "marks": project.frame_marks(),
    }


@router.get("/outlines")
def outlines(
    project: Opened,
    start: Annotated[int, Query(ge=0)],
    count: Annotated[int, Query(ge=1, le=MOST_FRAMES)] = 1,
) -> dict[str, Any]:
    """Return the outlines of the active events in each frame of a range."""
    events = project.events
    if events is None:
        return {"frames": []}
    stop = min(start + count, project.shape[0])
    return {
        "frames": [
            segments_to_json(events.outlines(t), events.numbers)
            for t in range(start, stop)
        ]
    }


@router.get("/footprints")
def footprints(project: Opened) -> dict[str, Any]:
    """Return the outlines of all footprints."""
    events = project.events
    if events is None:
        return {"events": [], "offsets": [0], "points": ""}
    return segments_to_json(events.outlines(None), events.numbers)


def segments_to_json(found: Segments, numbers: NDArray[np.int64]) -> dict[str, Any]:
    """Return outlines: events, first point of each, points as base64 of int16."""
    lengths = np.diff(found.offsets)
    shown = np.flatnonzero(lengths)
    offsets = [0, *np.cumsum(lengths[shown]).tolist()]
    packed = base64.b64encode(found.points.astype("<i2").tobytes()).decode()
    return {"events": numbers[shown].tolist(), "offsets": offsets, "points": packed}
