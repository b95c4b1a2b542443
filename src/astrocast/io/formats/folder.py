"""A folder of TIFF files as one recording."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from astrocast.errors import AstrocastWarning, FormatError, stack_level
from astrocast.io.formats.file_names import NamedFile, find_gaps, read_names
from astrocast.io.formats.micromanager import TAG, find_parts
from astrocast.io.formats.ome_map import OmeSet, read_ome_set, read_xml
from astrocast.io.formats.scanimage import is_scanimage
from astrocast.io.formats.tiff import TiffRecording
from astrocast.io.formats.tiff_pages import open_tiff
from astrocast.io.formats.tiff_source import from_scanimage
from astrocast.io.recording import Recording
from astrocast.io.selection import Selection, choose
from astrocast.io.views import ConcatenatedRecording, InterleavedRecording

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")
#: largest number of names in a message
LISTED = 8


def open_folder(path: Path, selection: Selection | None = None) -> Recording:
    """Open a folder of TIFF files.

    The order of the files of OME-TIFF, Micro-Manager and ScanImage is read from their
    metadata. Other files are sorted by the number in their names; channels, planes and
    positions are recognised by the names.

    Parameters
    ----------
    path
        The folder.
    selection
        Plane and position to read, separator of the numbers, and treatment of missing
        frames.
    """
    chosen = selection or Selection()
    files = sorted(
        p
        for p in path.iterdir()
        if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith(".")
    )
    companions = sorted(path.glob("*.companion.ome"))
    if not files and not companions:
        raise FormatError(
            f"the folder {path} has no TIFF file ({', '.join(SUFFIXES)}), and it is not"
            " a zarr or TileDB store"
        )
    found = _open_described(files, companions, chosen)
    recording = _open_named(path, files, chosen) if found is None else found
    recording.path = path
    return recording


def _open_described(
    files: list[Path], companions: list[Path], selection: Selection
) -> Recording | None:
    """Return a recording whose metadata describe its files; None without these."""
    sets = _find_sets(files, companions)
    if sets:
        leaders = [s.files.holder for s in sets]
        inside = {p.name for s in sets for p in s.files.paths if p is not None}
        inside |= {holder.name for holder in leaders}
        _refuse_extra([f for f in files if f.name not in inside], leaders[0])
        if len(sets) == 1:
            return TiffRecording(leaders[0], None, selection, whole=True)
        names = [p.name for p in leaders]
        number = choose("position", names, selection.position, str(files[0].parent))
        within = replace(selection, position=None)
        recording = TiffRecording(leaders[number], None, within, whole=True)
        recording.choices = {**recording.choices, "position": tuple(names)}
        return recording
    with open_tiff(files[0]) as file:
        if file.is_ome:
            return None
        if TAG in file.pages.first.tags:
            if set(find_parts(files[0])) != set(files):
                return None
            return TiffRecording(files[0], None, selection, whole=True)
        if is_scanimage(file) and len(files) > 1:
            ordered = [f.path for f in read_names(files, selection.sep)]
            source = from_scanimage(ordered, file, selection)
            return TiffRecording(files[0], None, selection, source)
    return None


def _find_sets(files: list[Path], companions: list[Path]) -> list[OmeSet]:
    """Return the OME-TIFF recordings of several files in a folder."""
    sets: list[OmeSet] = []
    inside: set[str] = set()
    for path in [*companions, *files]:
        if path.name in inside:
            continue
        if path in files and sets and not _is_ome(path):
            continue
        found = read_ome_set(path) if path in companions or _is_ome(path) else None
        if found is None or (len(found.files.paths) < 2 and path in files):
            if not sets:
                break  # each file is a recording
            continue
        sets.append(found)
        inside |= {p.name for p in found.files.paths if p is not None}
        inside.add(found.files.holder.name)
    return sets


def _is_ome(path: Path) -> bool:
    return bool(read_xml(path))


def _refuse_extra(extra: list[Path], of: Path) -> None:
    """Raise an error if a folder contains files that are not part of its recording."""
    if extra:
        names = ", ".join(p.name for p in extra[:LISTED])
        raise FormatError(
            f"{names} in {of.parent} is not a part of the recording {of.name},"
            " according to its OME-XML. If it is a projection or another recording,"
            f" move it out of the folder, or open {of.name}"
        )


def _open_named(path: Path, files: list[Path], selection: Selection) -> Recording:
    """Return a recording whose files have channel, plane or position in their names."""
    named = read_names(files, selection.sep)
    chosen, choices = named, {}
    for kind in ("position", "plane"):
        labels = list(dict.fromkeys(sorted({getattr(f, kind) for f in chosen})))
        if len(labels) > 1:
            number = choose(kind, labels, getattr(selection, kind), str(path))
            chosen = [f for f in chosen if getattr(f, kind) == labels[number]]
            choices[kind] = tuple(labels)
    within = replace(
        selection,
        position=None if "position" in choices else selection.position,
        plane=None if "plane" in choices else selection.plane,
    )
    names = sorted({f.channel for f in chosen})
    members = [
        _open_series(path, [f for f in chosen if f.channel == name], within)
        for name in names
    ]
    if len(members) == 1:
        recording = members[0]
    else:
        lengths = {n: len(m) for n, m in zip(names, members, strict=True)}
        if len(set(lengths.values())) > 1 or any(m.channels > 1 for m in members):
            raise FormatError(
                f"the channels of {path} have different numbers of frames:"
                f" {', '.join(f'{n} {k}' for n, k in lengths.items())}; copy the"
                " missing files"
            )
        _check_equal(path, [m for m in members if isinstance(m, Recording)])
        recording = InterleavedRecording(members, names)
    recording.choices = {**recording.choices, **choices}
    return recording


def _open_series(path: Path, files: list[NamedFile], selection: Selection) -> Recording:
    """Return the files of one channel as a recording; treat missing files."""
    opened = [TiffRecording(f.path, None, selection) for f in files]
    _check_equal(path, opened)
    usual = _check_lengths(path, opened)
    by_number: dict[int, Recording | None] = {
        f.number: r for f, r in zip(files, opened, strict=True)
    }
    gaps = find_gaps(list(by_number))
    remarks: tuple[str, ...] = ()
    if gaps:
        listed = ", ".join(map(str, gaps[:LISTED])) + (
            ", ..." if len(gaps) > LISTED else ""
        )
        text = (
            f"{path} has {len(files)} files numbered {files[0].number} to"
            f" {files[-1].number}; {len(gaps)} are missing: {listed}"
        )
        if selection.missing == "refuse":
            raise FormatError(
                f"{text}. Copy them again, insert blank frames (missing='blank'), or"
                " close the gaps (missing='close'); command line: --missing blank"
            )
        if selection.missing == "blank":
            by_number.update(dict.fromkeys(gaps))
            done = "blank frames are inserted"
        else:
            done = "the gaps are closed, so that later frames get too early times"
        remarks = (f"{text}; {done}",)
        warnings.warn(remarks[0], AstrocastWarning, stacklevel=stack_level())
    parts = [by_number[n] for n in sorted(by_number)]
    if len(parts) == 1:
        return opened[0]
    recording = ConcatenatedRecording(parts, usual)
    recording.metadata = replace(recording.metadata, frame_times=())
    recording.remarks = (*recording.remarks, *remarks)
    return recording


def _check_equal(path: Path, parts: Sequence[Recording]) -> None:
    """Raise an error if files are not parts of one recording."""
    kinds = Counter((p.shape[1:], p.dtype.name, p.channels) for p in parts)
    if len(kinds) > 1:
        usual = kinds.most_common(1)[0][0]
        odd = [p for p in parts if (p.shape[1:], p.dtype.name, p.channels) != usual]
        names = ", ".join(str(p.path.name) for p in odd[:LISTED] if p.path)
        raise FormatError(
            f"the files of {path} differ: most have frames of {usual[0]} {usual[1]},"
            f" {names} has {odd[0].shape[1:]} {odd[0].dtype}; move files that are not"
            " part of the recording (a projection?) out of the folder"
        )


def _check_lengths(path: Path, parts: Sequence[Recording]) -> int:
    """Return the usual number of frames of a file; warn of files with another one."""
    counts = [len(p) for p in parts]
    usual = Counter(counts).most_common(1)[0][0]
    odd = [
        f"{p.path.name} ({n})"
        for p, n in zip(parts[:-1], counts[:-1], strict=True)
        if n != usual and p.path
    ]
    last = parts[-1].path
    if counts[-1] > usual and last:
        odd.append(f"{last.name} ({counts[-1]})")
    if odd:
        warnings.warn(
            f"the files of {path} have {usual} frames each, except {', '.join(odd)};"
            " check whether files are incomplete",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
    return int(np.int64(usual))
