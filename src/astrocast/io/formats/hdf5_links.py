"""HDF5 files that reach into other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from astrocast.errors import FormatError


def refuse_links_to_files(path: Path) -> None:
    """Raise when an HDF5 file reads other files of the disk when it is read.

    Such a file shows whatever the person who made it chose to name: external storage,
    external links, virtual datasets.

    Raises
    ------
    FormatError
        The message names each place and the file it points to.
    """
    try:
        with h5py.File(path, "r") as file:
            found = _links_in(file)
    except OSError as error:
        raise FormatError(
            f"{path} cannot be read as HDF5: {error}. The file is damaged or of another"
            " format"
        ) from error
    if found:
        raise FormatError(
            f"{path} refers to other files: {'; '.join(found)}. It is not opened here;"
            " copy the data into one file (h5repack, or astrocast convert)"
        )


def _links_in(group: Any, at: str = "") -> list[str]:
    """Return a line per place in ``group`` that refers to another file."""
    found: list[str] = []
    for name in group:
        place = f"{at}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            found.append(f"{place} is a link to {link.filename}")
            continue
        if isinstance(link, h5py.SoftLink):
            continue  # within the file: the target is visited by its own name
        item = group[name]
        if isinstance(item, h5py.Group):
            found += _links_in(item, place)
        elif isinstance(item, h5py.Dataset):
            found += _sources_of(item, place)
    return found


def _sources_of(dataset: Any, place: str) -> list[str]:
    if dataset.external:
        return [f"{place} is stored in {', '.join(e[0] for e in dataset.external)}"]
    if dataset.is_virtual:
        files = {s.file_name for s in dataset.virtual_sources()} - {"."}
        return [f"{place} is made of {', '.join(sorted(files))}"] if files else []
    return []
