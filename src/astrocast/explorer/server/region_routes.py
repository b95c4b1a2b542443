"""Routes for regions: draw, name, save, load."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import Field

from astrocast.analysis.cells import segment_cells
from astrocast.errors import FormatError
from astrocast.explorer.server.curation import Place
from astrocast.explorer.server.curation import Request as Body
from astrocast.explorer.server.look import Opened
from astrocast.io.stores.regions import (
    MOST_BYTES,
    Region,
    RegionKind,
    parse_geojson,
    parse_imagej,
    read_regions,
    to_geojson,
    to_imagej,
    write_regions,
)
from astrocast.kernels.masks.packed_masks import pack_masks
from astrocast.kernels.masks.pixel_outlines import outline_frames
from astrocast.kernels.regions.outline_rings import trace_rings
from astrocast.kernels.regions.polygons import brush_mask

router = APIRouter(prefix="/api/projects/{project}", tags=["regions"])


Rings = list[Annotated[list[Place], Field(min_length=3)]]


class RegionBody(Body):
    """A region as the page draws it."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    kind: RegionKind
    rings: Rings = Field(default_factory=list)
    points: list[Place] = Field(default_factory=list)

    def to_region(self) -> Region:
        """Return the region that is stored."""
        rings = tuple(tuple(ring) for ring in self.rings)
        return Region(self.name.strip(), self.kind, rings, tuple(self.points))


class Stroke(Body):
    """A stroke of the brush over a region, or away from it."""

    rings: Rings = Field(default_factory=list)
    path: Annotated[list[Place], Field(min_length=1, max_length=20000)]
    radius: Annotated[float, Field(gt=0, le=500)]
    erase: bool = False


@router.get("/regions")
def regions(project: Opened) -> list[dict[str, Any]]:
    """Return the regions of the recording."""
    return [_to_json(r) for r in read_regions(project.place.recording)]


@router.put("/regions")
def save(project: Opened, wanted: list[RegionBody]) -> list[dict[str, Any]]:
    """Replace the regions of the recording."""
    found = [body.to_region() for body in wanted]
    write_regions(project.place.recording, found)
    return [_to_json(r) for r in found]


@router.post("/regions/brush")
def brush(project: Opened, wanted: Stroke) -> dict[str, Any]:
    """Return the outlines of a region after a stroke of the brush."""
    shape = project.shape[1:]
    region = Region("", "cell", tuple(tuple(ring) for ring in wanted.rings))
    painted = brush_mask(np.array(wanted.path, np.float64), wanted.radius, shape)
    before = region.mask(shape) if wanted.rings else np.zeros(shape, bool)
    mask = before & ~painted if wanted.erase else before | painted
    found = outline_frames(pack_masks([mask[None]]), np.zeros((1, 3), np.int64), None)
    return {"rings": [ring.tolist() for ring in trace_rings(found.points)]}


class SegmentBody(Body):
    """Request to find cells in the mean image of a layer."""

    layer: str
    #: in micrometres, or in pixels if the pixel size is unknown
    diameter: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    parts: bool = False


@router.post("/regions/segment")
def segment(project: Opened, wanted: SegmentBody) -> list[dict[str, Any]]:
    """Return cells found from the mean image and the events; nothing is saved."""
    known = project.metadata.pixel_size
    pixels = wanted.diameter / (known[0] if known else 1.0)
    mean = project.projections(wanted.layer).mean
    events = project.events
    table = events.table if events is not None else None
    found = segment_cells(mean, pixels, table, parts=wanted.parts)
    return [_to_json(r) for r in found]


@router.post("/regions/import")
async def import_(project: Opened, request: Request) -> list[dict[str, Any]]:
    """Return the regions of a sent GeoJSON or ImageJ file; nothing is saved."""
    size = int(request.headers.get("content-length") or MOST_BYTES + 1)
    if size > MOST_BYTES:
        raise FormatError(f"the file is larger than {MOST_BYTES >> 20} MB")
    data = await request.body()
    is_text = data.lstrip()[:1] == b"{"
    found = parse_geojson(data) if is_text else parse_imagej(data)
    return [_to_json(r) for r in found]


@router.get("/regions/geojson")
def geojson(project: Opened) -> dict[str, Any]:
    """Return the regions as GeoJSON."""
    return to_geojson(read_regions(project.place.recording))


@router.get("/regions/imagej", response_class=Response)
def imagej(project: Opened) -> Response:
    """Return the regions as a zip of ImageJ regions."""
    data = to_imagej(read_regions(project.place.recording))
    return Response(data, media_type="application/zip")


def _to_json(region: Region) -> dict[str, Any]:
    return {
        "name": region.name,
        "kind": region.kind,
        "rings": [[list(p) for p in ring] for ring in region.rings],
        "points": [list(p) for p in region.points],
    }
