"""Routes for export: the event table, and a film clip."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray
from pydantic import Field

from astrocast.errors import InvalidValueError
from astrocast.explorer.server.curation import Request
from astrocast.explorer.server.event_routes import events_of
from astrocast.explorer.server.look import Opened
from astrocast.explorer.server.project import Project
from astrocast.io.export.tables import harmless, scalars, write_excel
from astrocast.kernels.frames.contrast import map_contrast
from astrocast.plotting.film import enlarge, enlargement, paint_outlines, write_film

router = APIRouter(prefix="/api/projects/{project}", tags=["share"])

MOST_CLIP_FRAMES = 3000
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class TableRequest(Request):
    """The events of a table, in their order."""

    events: list[int]
    format: Literal["csv", "xlsx"] = "csv"
    curated: bool = False


class ClipRequest(Request):
    """A film clip of a layer, with the outlines of events in their colours."""

    layer: str
    first: Annotated[int, Field(ge=0)]
    last: Annotated[int, Field(ge=0)]
    low: float
    high: float
    frames_per_second: Annotated[float, Field(ge=1, le=60)] = 10
    colours: dict[int, Colour] = Field(default_factory=dict)
    outlines: bool = True


@router.post("/table", response_class=Response)
def table(project: Opened, wanted: TableRequest) -> Response:
    """Return the listed events as a table; with ``curated``, without the rejected."""
    found = events_of(project)
    chosen = [e for e in wanted.events if found.state.status.get(e) != "rejected"]
    listed = chosen if wanted.curated else wanted.events
    whole, described = project.table_with_regions(found)
    unknown = [e for e in listed if e not in whole.index]
    if unknown:
        raise InvalidValueError(f"the events {unknown} do not exist")
    rows = whole.loc[listed]
    if wanted.format == "csv":
        text = scalars(rows).drop(columns="event_id", errors="ignore")
        data = harmless(text).to_csv(index_label="event").encode()
        return Response(data, media_type="text/csv")
    with tempfile.TemporaryDirectory(prefix="astrocast-") as folder:
        path = write_excel(Path(folder) / "events.xlsx", rows, described)
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        return Response(path.read_bytes(), media_type=kind)


@router.post("/clip", response_class=Response)
def clip(project: Opened, wanted: ClipRequest) -> Response:
    """Return a film clip (MP4)."""
    frames = project.shape[0]
    if not wanted.first <= wanted.last < frames:
        raise InvalidValueError(
            f"frames {wanted.first} to {wanted.last}: the first frame must not be after"
            f" the last, and the last must be at most {frames - 1}"
        )
    if wanted.last - wanted.first >= MOST_CLIP_FRAMES:
        raise InvalidValueError(f"a clip has at most {MOST_CLIP_FRAMES} frames")
    return Response(_encode(project, wanted), media_type="video/mp4")


def _encode(project: Project, wanted: ClipRequest) -> bytes:
    buffer = BytesIO()
    write_film(buffer, _pictures(project, wanted), wanted.frames_per_second)
    return buffer.getvalue()


def _pictures(project: Project, wanted: ClipRequest) -> Iterator[NDArray[np.uint8]]:
    movie, found = project.layer(wanted.layer).recording, project.events
    factor = enlargement(movie.shape[1:])
    for t in range(wanted.first, wanted.last + 1):
        block = project.cache.frames(wanted.layer, movie, t, 1)[0]
        image = enlarge(map_contrast(block, wanted.low, wanted.high), factor)
        if wanted.outlines and found is not None:
            numbers = found.numbers.tolist()
            paint_outlines(image, found.outlines(t), numbers, factor, wanted.colours)
        yield image
