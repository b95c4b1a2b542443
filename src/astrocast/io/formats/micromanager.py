"""Read stacks of Micro-Manager without OME-XML, from the metadata of each page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.formats.tiff_pages import open_tiff
from astrocast.io.recording import Metadata

#: tag of a page that contains its metadata as JSON
TAG = 51123
#: names of the index of each axis in the metadata of a page
INDEX = {
    "P": ("PositionIndex",),
    "T": ("FrameIndex", "Frame"),
    "Z": ("SliceIndex", "Slice"),
    "C": ("ChannelIndex",),
}


@dataclass(frozen=True)
class MicroManagerSet:
    """The files of a recording, and the plane of each page.

    Parameters
    ----------
    paths
        The files.
    index
        Position, frame, plane and channel of each page, int64, (pages, 4).
    part_of, page_of
        Number of the file of each page, and number of the page in it, (pages,).
    times
        Time of each page in seconds, (pages,); NaN if it has none.
    metadata
        Physical metadata.
    """

    paths: list[Path]
    index: NDArray[np.int64]
    part_of: NDArray[np.int64]
    page_of: NDArray[np.int64]
    times: NDArray[np.float64]
    metadata: Metadata


def read_micromanager(path: Path) -> MicroManagerSet:
    """Return the recording that a file of Micro-Manager belongs to."""
    paths = find_parts(path)
    rows, parts, pages, times = [], [], [], []
    for number, part in enumerate(paths):
        for page, known in enumerate(read_pages(part)):
            rows.append([_index(known, names, part) for names in INDEX.values()])
            elapsed = known.get("ElapsedTime-ms")
            times.append(np.nan if elapsed is None else float(elapsed) / 1000)
            parts.append(number)
            pages.append(page)
    first = read_pages(paths[0], only_first=True)[0]
    with open_tiff(paths[0]) as file:
        summary = (file.micromanager_metadata or {}).get("Summary") or {}
    pixel = first.get("PixelSizeUm") or summary.get("PixelSize_um")
    interval = summary.get("Interval_ms")
    names = summary.get("ChNames") or ()
    metadata = Metadata(
        pixel_size=(float(pixel), float(pixel)) if pixel and float(pixel) > 0 else None,
        frame_rate=1000.0 / float(interval)
        if interval and float(interval) > 0
        else None,
        channel_names=tuple(str(n) for n in names),
        acquisition_time=summary.get("StartTime") or summary.get("Time") or None,
    )
    return MicroManagerSet(
        paths,
        np.array(rows, np.int64),
        np.array(parts, np.int64),
        np.array(pages, np.int64),
        np.array(times),
        metadata,
    )


def find_parts(path: Path) -> list[Path]:
    """Return the files of the recording in order: ``x_MMStack.tif``, ``..._1.tif``."""
    stem = re.sub(r"\.ome$", "", path.stem)
    prefix = stem.split("_MMStack")[0] if "_MMStack" in stem else stem
    prefix = re.sub(r"_\d+$", "", prefix) if "_MMStack" not in stem else prefix
    pattern = re.escape(prefix) + r"(_MMStack.*)?(_\d+)?(\.ome)?"
    found = [
        p
        for p in path.parent.iterdir()
        if p.suffix.lower() in (".tif", ".tiff") and re.fullmatch(pattern, p.stem)
    ]
    return sorted(
        (p for p in found if p == path or has_tag(p)),
        key=lambda p: [int(n) for n in re.findall(r"\d+", p.stem[len(prefix) :])],
    )


def has_tag(path: Path) -> bool:
    """Return whether the pages of a file have metadata of Micro-Manager."""
    with open_tiff(path) as file:
        return TAG in file.pages.first.tags


def read_pages(path: Path, only_first: bool = False) -> list[dict[str, Any]]:
    """Return the metadata of each page."""
    with open_tiff(path) as file:
        count = 1 if only_first else len(file.pages)
        found = []
        for i in range(count):
            tag = file.pages[i].aspage().tags.get(TAG)
            value = {} if tag is None else tag.value
            found.append(json.loads(value) if isinstance(value, str | bytes) else value)
    return [dict(f or {}) for f in found]


def _index(known: dict[str, Any], names: tuple[str, ...], path: Path) -> int:
    """Return the index of a page along an axis; 0 if it is not given."""
    for name in names:
        if name in known:
            return int(known[name])
    if "FrameIndex" in names and not known:
        raise FormatError(
            f"a page of {path} has no frame number; the file is damaged, or was changed"
            " by another program"
        )
    return 0
