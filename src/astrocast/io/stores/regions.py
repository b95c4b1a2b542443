"""Regions drawn by a person: cells, landmarks, axes, exclusion masks.

``<stem>.regions.geojson`` beside the recording: a GeoJSON FeatureCollection, which
QuPath can read. Coordinates are (x, y) = (column, row) in pixels; the centre of the
first pixel is (0.5, 0.5), as in ImageJ.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError, InvalidValueError, MissingExtraError
from astrocast.io.export.tables import write_whole
from astrocast.kernels.regions.polygons import polygon_mask

RegionKind = Literal[
    "cell", "soma", "process", "endfoot", "landmark", "axis", "exclusion"
]
#: kinds of parts of a cell
PARTS: tuple[RegionKind, ...] = ("soma", "process", "endfoot")
Point = tuple[float, float]
#: points (row, column) of a closed ring; the first is not repeated
Ring = tuple[Point, ...]
#: largest file that can be read, bytes
MOST_BYTES = 32 << 20


@dataclass(frozen=True)
class Region:
    """A region of the frame.

    Parameters
    ----------
    name
        Name, unique among the regions of a recording.
    kind
        ``cell``, its parts (``soma``, ``process``, ``endfoot``) and ``exclusion`` are
        areas; ``landmark`` is an area or a point; ``axis`` is a line towards its second
        end.
    rings
        Outlines of an area, holes included (even-odd rule); empty for points and axes.
    points
        The point of a landmark, or the two ends of an axis; empty for areas.
    """

    name: str
    kind: RegionKind
    rings: tuple[Ring, ...] = ()
    points: tuple[Point, ...] = ()

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels of an area, bool (row, column)."""
        return polygon_mask([np.array(ring, np.float64) for ring in self.rings], shape)


def regions_path(recording: Path) -> Path:
    """Return the file of a recording's regions.

    Examples
    --------
    >>> regions_path(Path("run/recording.h5")).name
    'recording.regions.geojson'
    """
    return recording.with_name(f"{recording.stem}.regions.geojson")


def check_regions(regions: Sequence[Region]) -> None:
    """Raise an error if regions are not valid; it lists all problems."""
    problems = []
    names = [region.name for region in regions]
    for name in dict.fromkeys(names):
        if not name.strip():
            problems.append("a region has no name")
        elif names.count(name) > 1:
            problems.append(f"the name {name!r} is used twice")
    problems += [text for region in regions for text in _problems(region)]
    if problems:
        raise InvalidValueError("; ".join(problems))


def _problems(region: Region) -> list[str]:
    """Return the problems of one region."""
    found = []
    ends = {"axis": 2, "landmark": 1}.get(region.kind, 0)
    if region.kind not in get_args(RegionKind):
        known = ", ".join(get_args(RegionKind))
        found.append(
            f"{region.name!r} has the unknown kind {region.kind!r}; known are {known}"
        )
    elif not region.rings and (not ends or len(region.points) != ends):
        what = {2: "two points", 1: "a point or an area"}.get(ends, "an area")
        found.append(f"the {region.kind} {region.name!r} needs {what}")
    if any(len(ring) < 3 for ring in region.rings):
        found.append(f"{region.name!r}: an outline needs at least three points")
    if region.kind == "axis" and len(set(region.points)) == 1:
        found.append(f"the axis {region.name!r} needs two different points")
    if not np.isfinite([v for p in _all_points(region) for v in p]).all():
        found.append(f"{region.name!r} has a NaN or infinite coordinate")
    return found


def _all_points(region: Region) -> list[Point]:
    return [*region.points, *(p for ring in region.rings for p in ring)]


def read_regions(recording: Path) -> list[Region]:
    """Return the regions of a recording; an empty list if there is no file."""
    path = regions_path(recording)
    if not path.exists():
        return []
    return parse_geojson(path.read_bytes(), str(path))


def write_regions(recording: Path, regions: Sequence[Region]) -> Path:
    """Write the regions of a recording; existing ones are replaced."""
    check_regions(regions)
    text = json.dumps(to_geojson(regions), indent=1) + "\n"
    return write_whole(
        regions_path(recording), lambda to: to.write_text(text, "utf-8"), True
    )


def to_geojson(regions: Sequence[Region]) -> dict[str, Any]:
    """Return regions as a GeoJSON FeatureCollection."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": _geometry(region),
                "properties": {
                    "name": region.name,
                    "kind": region.kind,
                    "objectType": "annotation",
                    "classification": {"name": region.kind},
                },
            }
            for region in regions
        ],
    }


def _geometry(region: Region) -> dict[str, Any]:
    if region.rings:
        rings = [[[c, r] for r, c in (*ring, ring[0])] for ring in region.rings]
        outer = [ring for ring in rings if not _is_hole(ring, rings)]
        if len(outer) == 1:
            holes = [ring for ring in rings if ring is not outer[0]]
            return {"type": "Polygon", "coordinates": [outer[0], *holes]}
        return {"type": "MultiPolygon", "coordinates": _nest(outer, rings)}
    places = [[c, r] for r, c in region.points]
    if region.kind == "axis":
        return {"type": "LineString", "coordinates": places}
    return {"type": "Point", "coordinates": places[0]}


def _nest(outer: list[Any], rings: list[Any]) -> list[Any]:
    holes = [ring for ring in rings if ring not in outer]
    return [[ring, *(h for h in holes if _inside(h[0], ring))] for ring in outer]


def _is_hole(ring: list[list[float]], rings: list[list[list[float]]]) -> bool:
    around = sum(_inside(ring[0], other) for other in rings if other is not ring)
    return around % 2 == 1


def _inside(point: Sequence[float], ring: list[list[float]]) -> bool:
    x, y = point
    found = False
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            found = not found
    return found


def parse_geojson(data: bytes, where: str = "the file") -> list[Region]:
    """Return the regions of a GeoJSON file of this or another program.

    Raises
    ------
    FormatError
        The file is too large, is not GeoJSON, or has an unsupported geometry.
    """
    if len(data) > MOST_BYTES:
        raise FormatError(
            f"{where} is larger than {MOST_BYTES >> 20} MB, the limit for regions"
        )
    try:
        stored = json.loads(data)
        features = stored.get("features", [stored])
        regions = [_region(f, i) for i, f in enumerate(features, start=1)]
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError(
            f"{where} is not GeoJSON of polygons, points and lines: {error!r}"
        ) from error
    named = _make_names_unique(regions)
    check_regions(named)
    return named


_AREAS: dict[str, RegionKind] = {
    kind: kind for kind in get_args(RegionKind) if kind != "axis"
}


def _region(feature: dict[str, Any], number: int) -> Region:
    properties = feature.get("properties") or {}
    geometry = feature["geometry"]
    found = str(geometry["type"])
    label = properties.get("classification") or {}
    kind = properties.get("kind") or str(label.get("name", "")).lower()
    name = str(properties.get("name") or f"region {number}")
    shapes = geometry["coordinates"]
    if found in ("Polygon", "MultiPolygon"):
        polygons = shapes if found == "MultiPolygon" else [shapes]
        rings = tuple(_ring(ring) for polygon in polygons for ring in polygon)
        return Region(name, _AREAS.get(kind, "cell"), rings)
    if found == "Point":
        return Region(name, "landmark", points=(_point(shapes),))
    if found == "LineString":
        return Region(name, "axis", points=(_point(shapes[0]), _point(shapes[-1])))
    raise FormatError(
        f"feature {number} is a {found}; expected Polygon, MultiPolygon, Point or"
        " LineString"
    )


def _point(place: Sequence[float]) -> Point:
    return float(place[1]), float(place[0])


def _ring(places: Sequence[Sequence[float]]) -> Ring:
    points = [_point(place) for place in places]
    return tuple(points[:-1] if points[0] == points[-1] else points)


def _make_names_unique(regions: list[Region]) -> list[Region]:
    """Add a number to names that occur several times."""
    seen: dict[str, int] = {}
    out = []
    for region in regions:
        seen[region.name] = seen.get(region.name, 0) + 1
        n = seen[region.name]
        name = region.name if n == 1 else f"{region.name} {n}"
        out.append(Region(name, region.kind, region.rings, region.points))
    return out


def _roifile() -> Any:
    try:
        import roifile
    except ImportError as error:
        raise MissingExtraError(
            "roifile", "export", "reading and writing ImageJ regions"
        ) from error
    return roifile


def parse_imagej(data: bytes, where: str = "the file") -> list[Region]:
    """Return the regions of an ImageJ ``.roi`` file, or of a zip of such files.

    Areas become cells, points landmarks, lines axes; areas written by `to_imagej` have
    their original kind.
    """
    roifile = _roifile()
    if len(data) > MOST_BYTES:
        raise FormatError(f"{where} is larger than {MOST_BYTES >> 20} MB")
    try:
        parts = [data]
        if zipfile.is_zipfile(BytesIO(data)):
            parts = _unzip(data, where)
        rois = [roifile.ImagejRoi.frombytes(part) for part in parts]
    except (ValueError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise FormatError(f"{where} is not an ImageJ region: {error}") from error
    regions = [_from_roi(roi, i) for i, roi in enumerate(rois, start=1)]
    named = _make_names_unique(regions)
    check_regions(named)
    return named


def _unzip(data: bytes, where: str) -> list[bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith(".roi")]
        if sum(m.file_size for m in members) > MOST_BYTES:
            raise FormatError(
                f"{where} contains more than {MOST_BYTES >> 20} MB, the limit for"
                " regions"
            )
        return [archive.read(m) for m in members]


def _from_roi(roi: Any, number: int) -> Region:
    roifile = _roifile()
    name = str(roi.name or f"region {number}")
    kinds = roifile.ROI_TYPE
    if roi.roitype == kinds.POINT:
        x, y = np.asarray(roi.coordinates(), np.float64).reshape(-1, 2)[0]
        return Region(name, "landmark", points=((float(y), float(x)),))
    if roi.roitype == kinds.LINE:
        ends = ((float(roi.y1), float(roi.x1)), (float(roi.y2), float(roi.x2)))
        return Region(name, "axis", points=ends)
    shapes = roi.coordinates(multi=True)
    rings = tuple(
        tuple((float(y), float(x)) for x, y in np.asarray(s).reshape(-1, 2))
        for s in shapes
    )
    closed = tuple(r[:-1] if len(r) > 3 and r[0] == r[-1] else r for r in rings)
    return Region(name, _AREAS.get(_kind_property(roi), "cell"), closed)


def _kind_property(roi: Any) -> str:
    """Return the kind from the properties of an ImageJ region; "" if there is none."""
    for line in str(roi.props or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "kind":
            return value.strip()
    return ""


def to_imagej(regions: Sequence[Region]) -> bytes:
    """Return regions as a zip of ImageJ regions, one for each ring."""
    roifile = _roifile()
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        n = 0
        for region in regions:
            shapes = region.rings or (region.points,)
            for i, shape in enumerate(shapes, start=1):
                n += 1
                title = region.name if len(shapes) == 1 else f"{region.name}-{i}"
                roi = _to_roi(roifile, region, shape, title)
                archive.writestr(f"{n:04d}.roi", roi.tobytes())
    return buffer.getvalue()


def _to_roi(roifile: Any, region: Region, shape: Sequence[Point], title: str) -> Any:
    points = np.array([[c, r] for r, c in shape], np.float64)
    roi = roifile.ImagejRoi.frompoints(points, name=title)
    roi.props = f"kind: {region.kind}\n"
    if region.kind == "axis":
        roi.roitype = roifile.ROI_TYPE.LINE
        (roi.x1, roi.y1), (roi.x2, roi.y2) = points[0], points[-1]
    elif not region.rings:
        roi.roitype = roifile.ROI_TYPE.POINT
    return roi
