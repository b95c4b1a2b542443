"""Find the planes of the recording that a TIFF file belongs to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from astrocast.errors import AstrocastWarning, FormatError, stack_level
from astrocast.io.formats.axes import Layout, merge_names, read_layout
from astrocast.io.formats.imagej import describe_imagej, read_calibration
from astrocast.io.formats.micromanager import INDEX, TAG, read_micromanager
from astrocast.io.formats.ome_map import OmeSet, read_ome_set
from astrocast.io.formats.prairie import describe_prairie, find_prairie_xml
from astrocast.io.formats.scanimage import (
    describe_scanimage,
    is_scanimage,
    read_scanimage,
    read_settings,
)
from astrocast.io.formats.tiff_metadata import centimetres, date_tag, describe_shaped
from astrocast.io.formats.tiff_pages import (
    Part,
    TiffPlanes,
    check_ends,
    index_part,
    open_tiff,
    page_place,
)
from astrocast.io.recording import Metadata
from astrocast.io.selection import Selection, choose

#: largest number of names in a message
LISTED = 8


@dataclass(frozen=True)
class TiffSource:
    """The planes of a recording in TIFF files.

    Parameters
    ----------
    planes
        The planes in the order of the recording: frame by frame, channels alternating.
    channels
        Number of channels.
    metadata
        Physical metadata.
    choices
        Names of all planes and positions of the file.
    remarks
        Remarks for the user.
    convert
        dtype and function that convert stored values to those of the recording; None:
        no conversion.
    """

    planes: TiffPlanes
    channels: int
    metadata: Metadata
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    convert: tuple[np.dtype[Any], Callable[[NDArray[Any]], NDArray[Any]]] | None = None


def find_source(path: Path, selection: Selection, whole: bool = False) -> TiffSource:
    """Return the planes of the recording that a file belongs to.

    Parameters
    ----------
    path
        TIFF file, or companion file of an OME-TIFF.
    selection
        Plane and position to read.
    whole
        Whether the folder was opened, not this file: otherwise a file with a single
        position chooses this position.
    """
    if path.suffix.lower() == ".ome":
        found = read_ome_set(path)
        if found is None:
            raise FormatError(
                f"{path} is not an OME-XML document with images; open a TIFF file"
            )
        return from_ome(path, found, selection, whole=True)
    with open_tiff(path) as file:
        if file.is_ome and selection.axes is None:
            found = read_ome_set(path, file.ome_metadata)
            if found is not None:
                return from_ome(path, found, selection, whole, date_tag(file))
        if selection.axes is None:
            if is_scanimage(file):
                return from_scanimage([path], file, selection)
            if TAG in file.pages.first.tags:
                return from_micromanager(path, selection, whole)
        return from_series(path, file, selection)


def from_ome(
    path: Path,
    found: OmeSet,
    selection: Selection,
    whole: bool = False,
    date: str | None = None,
) -> TiffSource:
    """Return the planes of an OME-TIFF, as described by its OME-XML."""
    names = merge_names([i.name for i in found.images], len(found.images))
    position = selection.position
    own = [] if whole else found.images_of(path)
    if position is None and len(own) == 1 and len(found.files.paths) > 1:
        position = own[0]  # the file contains a single position
    number = choose("position", names, position, str(path))
    image = found.images[number]
    layout = read_layout(
        image.axes + "YX",
        (*image.shape, *image.size),
        str(path),
        replace(selection, position=None),
    )
    remarks: list[str] = []
    chosen = layout.planes(0, layout.frames * layout.channels)
    kept = complete_frames(
        image.file_of[chosen].reshape(-1, layout.channels) >= 0, path, remarks
    )
    chosen = chosen[: kept * layout.channels]
    files, pages = image.file_of[chosen], image.page_of[chosen]
    planes = TiffPlanes(read_parts(path, found, files, pages), files, pages)
    if planes.size != image.size:
        raise FormatError(
            f"the OME-XML of {found.files.holder} states {image.size} rows and columns,"
            f" but the planes have {planes.size}; the file was changed, use the"
            " original"
        )
    metadata = image.metadata.with_times(image.times[chosen[:: layout.channels]])
    metadata = add_prairie(metadata, found.files.holder, kept)
    if metadata.acquisition_time is None:
        metadata = replace(metadata, acquisition_time=date)
    if len(found.files.paths) > 1:
        remarks.append(f"{len(np.unique(files))} files, named by the OME-XML")
    choices = dict(layout.choices)
    if len(names) > 1:
        choices["position"] = tuple(n or str(i) for i, n in enumerate(names))
    return TiffSource(planes, layout.channels, metadata, choices, tuple(remarks))


def complete_frames(there: NDArray[np.bool_], path: Path, remarks: list[str]) -> int:
    """Return the number of complete frames at the start of a recording.

    Parameters
    ----------
    there
        Whether a plane exists, (frame, channel).
    path
        File, for messages.
    remarks
        A remark is added if the recording ends early.

    Raises
    ------
    FormatError
        A frame before the last one is missing.
    """
    whole: NDArray[np.bool_] = np.all(there, axis=1)
    kept = int(np.flatnonzero(whole).max(initial=-1)) + 1
    gaps = np.flatnonzero(~whole[:kept])
    if kept == 0 or len(gaps):
        named = ", ".join(map(str, gaps[:LISTED])) + (
            ", ..." if len(gaps) > LISTED else ""
        )
        raise FormatError(
            f"{path} states {len(whole)} frames, but not the location of"
            f" {'frames ' + named if named else 'any of them'}; export the recording"
            " again"
        )
    if kept < len(whole):
        text = (
            f"{path} states {len(whole)} frames but contains only the first {kept}: the"
            " acquisition was stopped, and the recording ends there"
        )
        remarks.append(text)
        warnings.warn(text, AstrocastWarning, stacklevel=stack_level())
    return kept


def read_parts(
    path: Path, found: OmeSet, files: NDArray[np.int64], pages: NDArray[np.int64]
) -> list[Part | None]:
    """Return the offsets of the pages of each file; a missing one is an error."""
    missing = found.files.missing(files)
    if missing:
        named = ", ".join(missing[:LISTED]) + (", ..." if len(missing) > LISTED else "")
        raise FormatError(
            f"{len(missing)} of {len(np.unique(files))} files of the recording {path}"
            f" are missing: {named}. Copy all files of the recording into one folder"
        )
    known = {u for u in found.files.uuids if u}
    parts: list[Part | None] = [None] * len(found.files.paths)
    for number in np.unique(files).tolist():
        part = index_part(found.files.paths[number] or path, pages[files == number])
        if part.uuid and len(known) == len(parts) > 1 and part.uuid not in known:
            raise FormatError(
                f"{part.path} belongs to another recording: its UUID is {part.uuid},"
                f" but the OME-XML of {found.files.holder.name} contains"
                f" {found.files.uuids[number]}. Copy the original file back"
            )
        parts[number] = part
    return parts


def add_prairie(metadata: Metadata, path: Path, frames: int) -> Metadata:
    """Complete the metadata from the XML file of a Bruker recording, if any."""
    if metadata.frame_times or None not in (metadata.frame_rate, metadata.pixel_size):
        return metadata
    root = find_prairie_xml(path)
    if root is None:
        return metadata
    more = describe_prairie(root, frames)
    return replace(
        metadata,
        pixel_size=metadata.pixel_size or more.pixel_size,
        frame_rate=metadata.frame_rate or more.frame_rate,
        frame_times=() if metadata.frame_rate else more.frame_times,
        acquisition_time=metadata.acquisition_time or more.acquisition_time,
    )


def from_scanimage(
    paths: Sequence[Path], file: tifffile.TiffFile, selection: Selection
) -> TiffSource:
    """Return the planes of a ScanImage recording in one or several files.

    Parameters
    ----------
    paths
        The files in order.
    file
        The first file, open.
    selection
        Plane to read.
    """
    parts = [index_part(p) for p in paths]
    counts = [len(p.offsets) for p in parts]
    part_of = np.repeat(np.arange(len(parts)), counts)
    page_of = np.concatenate([np.arange(n) for n in counts])
    settings, where = read_settings(file), str(paths[0])
    order = read_scanimage(settings, len(page_of))
    if order.pages == 0:
        raise FormatError(
            f"{where} does not contain a complete"
            f" {'volume' if 'Z' in order.axes else 'frame'}: {len(page_of)} pages"
        )
    layout = read_layout(
        order.axes + "YX",
        (*order.shape, *parts[0].size),
        where,
        selection,
        {"plane": [""] * order.planes},
        stacks=True,
    )
    metadata, remarks = describe_scanimage(
        settings, order, parts[0].size, file.pages.first.description
    )
    if metadata.pixel_size is None:
        metadata = replace(metadata, pixel_size=centimetres(file))
    left = len(page_of) - order.pages
    if left:
        what = "volume" if "Z" in order.axes else "frame"
        text = (
            f"{where}: the acquisition was stopped during a {what}; the incomplete"
            f" {what} is left out (the last {left} of {len(page_of)} pages)"
        )
        warnings.warn(text, AstrocastWarning, stacklevel=stack_level())
        remarks = (*remarks, text)
    if "Z" in order.axes and order.shape[order.axes.index("Z")] > order.planes:
        fly = order.shape[order.axes.index("Z")] - order.planes
        remarks = (*remarks, f"{fly} flyback frames of each volume are left out")
    chosen = layout.planes(0, layout.frames * layout.channels)
    planes = TiffPlanes([*parts], part_of[chosen], page_of[chosen])
    return TiffSource(planes, layout.channels, metadata, layout.choices, remarks)


def from_micromanager(path: Path, selection: Selection, whole: bool) -> TiffSource:
    """Return the planes of a Micro-Manager recording, from metadata of its pages."""
    found = read_micromanager(path)
    position = selection.position
    if position is None and not whole:
        numbers = [i for i, p in enumerate(found.paths) if p == path]
        own = np.unique(found.index[np.isin(found.part_of, numbers), 0])
        position = int(own[0]) if len(own) == 1 else None
    used = np.unique(found.part_of).tolist()
    parts = [index_part(found.paths[i]) for i in used]
    shape = tuple(int(n) for n in found.index.max(axis=0) + 1)
    axes = "".join(INDEX)
    if shape[0] == 1:
        position = None
    layout = read_layout(
        axes + "YX",
        (*shape, *parts[0].size),
        str(path),
        replace(selection, position=position),
    )
    place = np.full(int(np.prod(shape)), -1, np.int64)
    place[np.ravel_multi_index(tuple(found.index.T), shape)] = np.arange(
        len(found.index)
    )
    remarks: list[str] = []
    chosen = place[layout.planes(0, layout.frames * layout.channels)]
    kept = complete_frames(chosen.reshape(-1, layout.channels) >= 0, path, remarks)
    chosen = chosen[: kept * layout.channels]
    planes = TiffPlanes([*parts], found.part_of[chosen], found.page_of[chosen])
    metadata = found.metadata.with_times(found.times[chosen[:: layout.channels]])
    if len(parts) > 1:
        remarks.append(f"{len(parts)} files of Micro-Manager")
    return TiffSource(planes, layout.channels, metadata, layout.choices, tuple(remarks))


def from_series(
    path: Path, file: tifffile.TiffFile, selection: Selection
) -> TiffSource:
    """Return the planes of a single TIFF file without OME-XML."""
    if selection.axes is None and is_page_by_page(file):
        return from_pages(path, file, selection)
    series = only_series(path, file)
    axes, size = series.axes, tuple(int(n) for n in series.shape)
    if "S" in axes:
        raise FormatError(
            f"{path} has axes {axes} of shape {size}; expected frames of one value per"
            " pixel, not colour: convert it to grey values first"
        )
    if selection.axes is not None:
        axes = selection.axes
        if len(axes) != len(size) or not axes.endswith("YX"):
            raise FormatError(
                f"{path} has {len(size)} axes of shape {size}, but axes={axes!r};"
                " expected one letter for each axis, the last two YX"
            )
    # in ImageJ and plain stacks, the axis of the frames may be named channel or depth
    layout = read_layout(axes, size, str(path), selection)
    stored = np.dtype(series.dtype).newbyteorder(file.byteorder)
    total = int(np.prod(size[:-2]))
    offsets, pages = series_places(path, series, total, stored.itemsize)
    part = Part(path, (size[-2], size[-1]), stored, offsets)
    metadata = describe_series(file, layout)
    places = np.full(max(pages.max(), len(offsets) - 1) + 1, -1, np.int64)
    places[pages] = offsets
    chosen = pages[layout.planes(0, layout.frames * layout.channels)]
    planes = TiffPlanes(
        [replace(part, offsets=places)], np.zeros(len(chosen), np.int64), chosen
    )
    calibrated = read_calibration(file, stored) if file.is_imagej else None
    remarks = ("calibration of ImageJ is applied",) if calibrated else ()
    return TiffSource(
        planes, layout.channels, metadata, layout.choices, remarks, calibrated
    )


def is_page_by_page(file: tifffile.TiffFile) -> bool:
    """Return whether each page is a separate series, all of the same kind.

    Programs that write frame by frame create such files, for example with
    ``TiffWriter.write`` in a loop.
    """
    series = file.series
    if len(series) < 2 or len(series) != len(file.pages) or file.is_imagej:
        return False
    first = series[0]
    return len(first.shape) == 2 and all(
        (s.kind, s.shape, s.dtype, s.axes)
        == (first.kind, first.shape, first.dtype, first.axes)
        for s in series
    )


def from_pages(path: Path, file: tifffile.TiffFile, selection: Selection) -> TiffSource:
    """Return the planes of a file in which each page is a frame."""
    part = index_part(path)
    count = len(part.offsets)
    layout = read_layout("TYX", (count, *part.size), str(path), selection)
    pages = layout.planes(0, layout.frames * layout.channels)
    planes = TiffPlanes([part], np.zeros(len(pages), np.int64), pages)
    remark = f"written page by page: {count} pages are read as frames"
    metadata = describe_series(file, layout)
    return TiffSource(planes, layout.channels, metadata, layout.choices, (remark,))


def describe_series(file: tifffile.TiffFile, layout: Layout) -> Metadata:
    """Return the metadata of a TIFF file without OME-XML."""
    if file.is_imagej:
        metadata = describe_imagej(file, layout.channels)
    elif file.is_shaped:
        metadata = describe_shaped(file)
    else:
        metadata = Metadata()
    if metadata.acquisition_time is None:
        metadata = replace(metadata, acquisition_time=date_tag(file))
    return metadata


def only_series(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the image series of a file; raise an error if there are several."""
    series = [s for s in file.series if s.kind != "thumbnail"]
    if not series:
        raise FormatError(f"{path} is a TIFF file without images; check the export")
    if len(series) > 1:
        shapes = ", ".join(f"{s.shape} {s.dtype}" for s in series[:6])
        raise FormatError(
            f"{path} contains {len(series)} image series ({shapes}); expected one with"
            " equal frames. Possibly it is truncated, or files were appended to it"
        )
    if series[0].dtype is None or np.dtype(series[0].dtype).kind not in "biuf":
        raise FormatError(
            f"{path} has pixels of type {series[0].dtype}; expected real numbers"
        )
    return series[0]


def series_places(
    path: Path, series: tifffile.TiffPageSeries, planes: int, itemsize: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first byte of each plane (-1: has to be decoded), and its page."""
    frame = int(np.prod(series.shape[-2:])) * itemsize
    if series.dataoffset is not None:
        offsets = series.dataoffset + frame * np.arange(planes, dtype=np.int64)
        size = path.stat().st_size
        if planes and offsets[-1] + frame > size:
            whole = max(0, size - int(series.dataoffset)) // frame
            raise FormatError(
                f"{path} is truncated: only {whole} of {planes} planes are complete."
                " Copy it again from the microscope"
            )
        return offsets, np.arange(planes)
    if len(series) != planes or any(p is None for p in series.pages):
        raise FormatError(
            f"{path} is truncated: it has {len(series)} pages for {planes} planes. Copy"
            " it again from the microscope"
        )
    places = [page_place(p, series.keyframe, frame) for p in series.pages]
    check_ends(path, [end for _, end in places], planes)
    return (
        np.array([begin for begin, _ in places], np.int64),
        np.array([p.index for p in series.pages], np.int64),
    )
