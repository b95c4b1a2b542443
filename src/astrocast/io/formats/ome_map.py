"""Find the file and the page of each plane of an OME-TIFF.

For each plane, the OME-XML contains the file (UUID and name) and the page in it. A
recording may consist of thousands of files of one page each, with the XML in one of
them, in all, or in a companion file. See
https://ome-model.readthedocs.io/en/stable/ome-tiff/specification.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.formats.tiff_metadata import SECONDS, describe_pixels
from astrocast.io.formats.tiff_pages import open_tiff
from astrocast.io.recording import Metadata

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")


@dataclass(frozen=True)
class OmeImage:
    """An image (position) of an OME-XML document.

    Parameters
    ----------
    name
        Name of the image; may be empty.
    axes, shape
        Axes of the planes, without row and column, and their lengths.
    size
        Rows and columns.
    file_of, page_of
        Number of the file and of the page in it for each plane in the order of
        ``axes``, int64, (planes,); -1 if the document does not contain them.
    metadata
        Physical metadata.
    times
        Time of each plane in seconds, (planes,); NaN if the document has none.
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    size: tuple[int, int]
    file_of: NDArray[np.int64]
    page_of: NDArray[np.int64]
    metadata: Metadata
    times: NDArray[np.float64]


@dataclass
class OmeFiles:
    """The files of an OME-XML document.

    Parameters
    ----------
    holder
        File that contains the document.
    paths
        Path of each file; None if it was not found.
    names
        Name of each file in the document.
    uuids
        UUID of each file, lower case; may be empty.
    """

    holder: Path
    paths: list[Path | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    uuids: list[str] = field(default_factory=list)

    def missing(self, used: NDArray[np.int64]) -> list[str]:
        """Return the names of the files among ``used`` that were not found."""
        return [self.names[i] for i in np.unique(used[used >= 0]) if not self.paths[i]]


@dataclass(frozen=True)
class OmeSet:
    """A complete OME-TIFF recording: its images and files."""

    images: list[OmeImage]
    files: OmeFiles

    def images_of(self, path: Path) -> list[int]:
        """Return the numbers of the images with planes in a file."""
        numbers = [i for i, p in enumerate(self.files.paths) if p and p.samefile(path)]
        return [
            i
            for i, image in enumerate(self.images)
            if np.isin(image.file_of, numbers).any()
        ]


def read_ome_set(path: Path, xml: str | None = None) -> OmeSet | None:
    """Return the recording that a file belongs to; None if it is not an OME-TIFF.

    Parameters
    ----------
    path
        Any TIFF file of the recording, or its companion file.
    xml
        OME-XML of the file; None: read it from the file.
    """
    text = read_xml(path) if xml is None else xml
    root = parse_xml(text)
    seen = {path.name}
    while root is not None and (only := root.find("{*}BinaryOnly")) is not None:
        name = only.attrib.get("MetadataFile", "")
        holder = path.with_name(Path(name.replace("\\", "/")).name)
        if not name or not holder.exists():
            raise FormatError(
                f"{path} is a part of a recording that is described in"
                f" {name or 'another file'}, which is missing in {path.parent}; copy"
                " all files of the recording into one folder"
            )
        if holder.name in seen:
            raise FormatError(
                f"the metadata of {path} are missing: it refers to {holder}, which"
                " refers back. Export the recording again"
            )
        seen.add(holder.name)
        path, root = holder, parse_xml(read_xml(holder))
    if root is None or root.find("{*}Image/{*}Pixels") is None:
        return None
    return _SetReader(path, root).read()


def read_xml(path: Path) -> str:
    """Return the OME-XML of a TIFF or companion file; may be empty."""
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return path.read_text(encoding="utf-8", errors="replace")
    with open_tiff(path) as file:
        return file.ome_metadata or ""


def parse_xml(text: str) -> ElementTree.Element | None:
    """Return the root of an OME-XML document; None for any other text."""
    try:
        root = ElementTree.fromstring(text) if text else None
    except ElementTree.ParseError:  # frames can be read without the document
        return None
    return root if root is not None and root.tag.endswith("OME") else None


class _SetReader:
    """Read the files and planes of an OME-XML document."""

    def __init__(self, holder: Path, root: ElementTree.Element) -> None:
        self.root, self.files = root, OmeFiles(holder)
        self._numbers: dict[tuple[str, str], int] = {}
        self._siblings: dict[str, Path] | None = None
        self._page_counts: dict[int, int] = {}

    def read(self) -> OmeSet:
        """Return the images and files."""
        self._find_files()
        images = [
            self._read_image(image, pixels)
            for image in self.root.findall("{*}Image")
            if (pixels := image.find("{*}Pixels")) is not None
        ]
        return OmeSet(images, self.files)

    def _find_files(self) -> None:
        """Find all files of the document, and number them."""
        named = [_file_key(t) for t in self.root.iterfind(".//{*}TiffData")]
        keys = list(dict.fromkeys(k for k in named if k != ("", "")))
        alone = len(keys) <= 1 and self.files.holder.suffix.lower() in TIFF_SUFFIXES
        for uuid, name in keys:
            path = self.files.holder if alone else self._find(uuid, name)
            self._add((uuid, name), path)
        if (
            "",
            "",
        ) in named or not named:  # planes without a file name are in this file
            self._add(("", ""), self.files.holder)

    def _add(self, key: tuple[str, str], path: Path | None) -> None:
        self._numbers[key] = len(self.files.paths)
        self.files.paths.append(path)
        self.files.uuids.append(key[0])
        self.files.names.append(key[1] or (path.name if path else key[0]))

    def _find(self, uuid: str, name: str) -> Path | None:
        """Find a file by its name, else by its UUID; None if it is missing."""
        folder = self.files.holder.parent
        for candidate in (name, Path(name.replace("\\", "/")).name):
            if candidate and (folder / candidate).is_file():
                return folder / candidate
        own = self.root.attrib.get("UUID", "").lower()
        if uuid and uuid == own and self.files.holder.suffix.lower() in TIFF_SUFFIXES:
            return self.files.holder
        return self._by_uuid().get(uuid)

    def _by_uuid(self) -> dict[str, Path]:
        """Return the TIFF files of the folder by the UUID in their OME-XML."""
        if self._siblings is None:
            self._siblings = {}
            for path in sorted(self.files.holder.parent.iterdir()):
                if path.suffix.lower() in TIFF_SUFFIXES:
                    try:
                        text = read_xml(path)[:4000]
                    except FormatError:
                        continue
                    if own := re.search(r"<OME\b[^>]*\bUUID=\"([^\"]+)\"", text):
                        self._siblings.setdefault(own[1].lower(), path)
        return self._siblings

    def _read_image(
        self, image: ElementTree.Element, pixels: ElementTree.Element
    ) -> OmeImage:
        get = pixels.attrib
        order = get.get("DimensionOrder", "XYCZT")
        axes = order[:1:-1]  # slowest first, without XY
        samples = {
            c.attrib.get("SamplesPerPixel", "1") for c in pixels.iterfind("{*}Channel")
        }
        if samples - {"1"}:
            raise FormatError(
                f"{self.files.holder} has {max(samples)} samples per pixel (colour);"
                " expected frames of one value per pixel, not colour"
            )
        shape = tuple(int(get.get(f"Size{a}", 1)) for a in axes)
        count = int(np.prod(shape))
        file_of, page_of = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
        blocks = pixels.findall("{*}TiffData")
        for data in blocks or [ElementTree.Element("TiffData")]:
            self._place(data, axes, shape, file_of, page_of)
        return OmeImage(
            image.attrib.get("Name", ""),
            axes,
            shape,
            (int(get.get("SizeY", 0)), int(get.get("SizeX", 0))),
            file_of,
            page_of,
            describe_pixels(image, pixels),
            _plane_times(pixels, axes, shape),
        )

    def _place(
        self,
        data: ElementTree.Element,
        axes: str,
        shape: tuple[int, ...],
        file_of: NDArray[np.int64],
        page_of: NDArray[np.int64],
    ) -> None:
        """Enter the planes of one TiffData element into the map."""
        get = data.attrib.get
        at = [int(get(f"First{a}", 0)) for a in axes]
        if any(not 0 <= i < n for i, n in zip(at, shape, strict=True)):
            raise FormatError(
                f"the OME-XML of {self.files.holder} is not valid: it contains a plane"
                f" at {dict(zip(axes, at, strict=True))}, outside of its size"
                f" {dict(zip(axes, shape, strict=True))}"
            )
        first = int(np.ravel_multi_index(at, shape))
        number, page = self._numbers[_file_key(data)], int(get("IFD", 0))
        stated = get(
            "PlaneCount", get("NumPlanes", "1" if "IFD" in data.attrib else None)
        )
        count = int(stated) if stated is not None else self._pages(number) - page
        count = min(count, len(file_of) - first)
        file_of[first : first + count] = number
        page_of[first : first + count] = np.arange(page, page + count)

    def _pages(self, number: int) -> int:
        """Return the number of pages of a file."""
        path = self.files.paths[number]
        if path is None:
            raise FormatError(
                f"{self.files.names[number]} is missing in {self.files.holder.parent};"
                f" it is a part of the recording {self.files.holder.name}. Copy all"
                " files of the recording into one folder"
            )
        if number not in self._page_counts:
            with open_tiff(path) as file:
                self._page_counts[number] = len(file.pages)
        return self._page_counts[number]


def _file_key(data: ElementTree.Element) -> tuple[str, str]:
    """Return UUID and name of the file of a TiffData element; both may be empty."""
    uuid = data.find("{*}UUID")
    if uuid is None:
        return "", ""
    return (uuid.text or "").strip().lower(), uuid.attrib.get("FileName", "")


def _plane_times(
    pixels: ElementTree.Element, axes: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return DeltaT of each plane in seconds; NaN if it is missing."""
    times = np.full(int(np.prod(shape)), np.nan)
    for plane in pixels.iterfind("{*}Plane"):
        get: Callable[..., Any] = plane.attrib.get
        scale = SECONDS.get(str(get("DeltaTUnit", "s")).strip())
        at = [int(get(f"The{a}", 0)) for a in axes]
        inside = all(i < n for i, n in zip(at, shape, strict=True))
        if get("DeltaT") is not None and scale and inside:
            times[np.ravel_multi_index(at, shape)] = float(get("DeltaT")) * scale
    return times
