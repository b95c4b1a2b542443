"""What others get to see: the table, and a film clip."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray
from pydantic import Field

from astrocast.errors import InvalidValueError, MissingExtraError
from astrocast.explorer.server.curation import Request
from astrocast.explorer.server.event_routes import events_of
from astrocast.explorer.server.look import Opened
from astrocast.explorer.server.project import Project
from astrocast.io.export.tables import scalars, write_excel
from astrocast.kernels.frames.contrast import map_contrast

router = APIRouter(prefix="/api/projects/{project}", tags=["share"])

#: pixels along a side of a clip, at most; small recordings are enlarged
CLIP_SIDE = 1024
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
    whole, described = project.table_with_regions()
    unknown = [e for e in listed if e not in whole.index]
    if unknown:
        raise InvalidValueError(f"there are no events {unknown}")
    rows = whole.loc[listed]
    if wanted.format == "csv":
        text = scalars(rows).drop(columns="event_id", errors="ignore")
        data = text.to_csv(index_label="event").encode()
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
            f"frames {wanted.first} to {wanted.last}: the first is not after the last,"
            f" and the last is below {frames}"
        )
    if wanted.last - wanted.first >= MOST_CLIP_FRAMES:
        raise InvalidValueError(f"a clip has at most {MOST_CLIP_FRAMES} frames")
    return Response(_encode(project, wanted), media_type="video/mp4")


def _encode(project: Project, wanted: ClipRequest) -> bytes:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video", "a film clip") from error
    from fractions import Fraction

    movie = project.layer(wanted.layer).recording
    rows, columns = movie.shape[1:]
    factor = max(1, CLIP_SIDE // max(rows, columns))
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        rate = Fraction(wanted.frames_per_second).limit_denominator(1000)
        stream: Any = container.add_stream("libx264", rate=rate)
        # chroma is stored for 2 x 2 pixels: sides are made even
        stream.height = rows * factor + rows * factor % 2
        stream.width = columns * factor + columns * factor % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18"}
        for t in range(wanted.first, wanted.last + 1):
            block = project.cache.frames(wanted.layer, movie, t, 1)[0]
            image = enlarge(map_contrast(block, wanted.low, wanted.high), factor)
            if wanted.outlines and project.events is not None:
                paint_outlines(image, project, t, factor, wanted.colours)
            odd = (stream.height - image.shape[0], stream.width - image.shape[1])
            image = np.pad(image, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def enlarge(grey: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return a grey picture (row, column) as colours (row, column, 3), enlarged."""
    large = np.repeat(np.repeat(grey, factor, axis=0), factor, axis=1)
    return np.repeat(large[:, :, None], 3, axis=2)


def paint_outlines(
    image: NDArray[np.uint8],
    project: Project,
    frame: int,
    factor: int,
    colours: dict[int, str],
) -> None:
    """Paint the outlines of the events of a frame that have a colour; changes image."""
    found = project.events
    if found is None:
        return
    outlines = found.outlines(frame)
    half = max(1, factor // 3)
    for i, event in enumerate(found.numbers.tolist()):
        if event not in colours:
            continue
        code = colours[event]
        colour = [int(code[k : k + 2], 16) for k in (1, 3, 5)]
        for r0, c0, r1, c1 in (
            outlines.points[outlines.offsets[i] : outlines.offsets[i + 1]] * factor
        ).tolist():
            low = (max(0, min(r0, r1) - half // 2), max(0, min(c0, c1) - half // 2))
            image[low[0] : max(r0, r1) + half, low[1] : max(c0, c1) + half] = colour
