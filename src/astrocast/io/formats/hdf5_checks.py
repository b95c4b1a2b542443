"""Check that the pixels of an HDF5 dataset are in the file, complete and unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.access import Access

#: group of the checksums: ``checksums/<name of the dataset>`` contains the CRC-32 of
#: the bytes of each frame, uint32 (frames,)
CHECKSUMS = "checksums"
_ALLOW = "if this is intended, convert the recording with {}"
_OTHER_FILES = _ALLOW.format("other_files=True")
_MISSING = _ALLOW.format("missing_chunks=True")


def find_other_files(item: Any, file: h5py.File) -> str | None:
    """Return a text about the other file that contains the pixels, or None.

    Parameters
    ----------
    item
        A dataset, or the link to it (``get(name, getlink=True)``).
    file
        The open file.
    """
    if isinstance(item, h5py.ExternalLink):
        return f"is a link to {item.filename}"
    if not isinstance(item, h5py.Dataset):
        return None
    if h5py.h5o.get_info(item.id).fileno != h5py.h5o.get_info(file.id).fileno:
        return f"is a link to {item.file.filename}"
    if item.is_virtual:
        names = {source.file_name for source in item.virtual_sources()} - {"."}
        if names:
            return f"is composed of {', '.join(sorted(names))}"
    if item.external:
        return f"has its pixels in {', '.join(str(e[0]) for e in item.external)}"
    return None


def refuse_other_files(path: Path) -> None:
    """Raise an error if an HDF5 file refers to other files of the disk.

    External storage, external links and virtual datasets can show the content of any
    other file.

    Raises
    ------
    FormatError
        The message lists each reference and its file.
    """
    try:
        with h5py.File(path, "r") as file:
            found = _list_other_files(file, file)
    except OSError as error:
        raise FormatError(
            f"{path} cannot be read as HDF5: {error}. The file is damaged or of another"
            " format"
        ) from error
    if found:
        raise FormatError(
            f"{path} refers to other files: {'; '.join(found)}. Such a file is not"
            " opened here; copy the data into one file (h5repack, or astrocast convert)"
        )


def _list_other_files(group: Any, file: h5py.File) -> list[str]:
    """Return a line for each item of ``group`` that is in another file."""
    found: list[str] = []
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            continue  # a link within the file: its target is checked as well
        item = link if isinstance(link, h5py.ExternalLink) else group[name]
        if isinstance(item, h5py.Group):
            found += _list_other_files(item, file)
        elif elsewhere := find_other_files(item, file):
            found.append(f"{group.name.rstrip('/')}/{name} {elsewhere}")
    return found


def check_place(
    dataset: h5py.Dataset, file: h5py.File, where: str, path: Path, access: Access
) -> bool:
    """Return whether the pixels are in the file itself.

    It is an error if they are in other files and this is not allowed, or if a file is
    missing.
    """
    elsewhere = find_other_files(dataset, file)
    if elsewhere is None:
        return not dataset.is_virtual
    if not access.other_files:
        raise FormatError(f"{where} {elsewhere}; {_OTHER_FILES}")
    if dataset.is_virtual:
        for source in dataset.virtual_sources():
            name = source.file_name
            if name != "." and not (path.parent / name).exists():
                raise FormatError(
                    f"{where} {elsewhere}, but {name} does not exist; HDF5 would read"
                    " its frames as 0. Copy this file as well"
                )
    return False


def check_chunks_stored(dataset: h5py.Dataset, where: str, access: Access) -> None:
    """Raise an error if chunks of a dataset are missing, which HDF5 reads as 0."""
    if access.missing_chunks or dataset.is_virtual or dataset.external:
        return
    if dataset.chunks is None:
        if dataset.id.get_storage_size() == 0 and dataset.size:
            raise FormatError(
                f"{where} is empty: it was created, but no frame was written to it."
                " Write it again"
            )
        return
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    wanted = int(np.prod([-(-n // c) for n, c in sizes], dtype=np.int64))
    stored = dataset.id.get_num_chunks()
    if stored < wanted:
        raise FormatError(
            f"{where} lacks {wanted - stored} of {wanted} chunks, which would be read"
            f" as 0: it was not written completely; {_MISSING}"
        )


def read_checksums(
    file: h5py.File, name: str, frames: int
) -> NDArray[np.uint32] | None:
    """Return the checksum of each frame, uint32 (frames,); None if there are none.

    If checksums exist but cannot be read, the file is damaged. This is an error,
    because without checksums damaged pixels would not be noticed.
    """
    found: Any = file
    try:
        for part in f"{CHECKSUMS}/{name}".split("/"):
            if not isinstance(found, h5py.Group) or part not in list(found):
                return None
            found = found[part]
        if not isinstance(found, h5py.Dataset) or found.shape != (frames,):
            return None
        return np.asarray(found[:], np.uint32)
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise FormatError(
            f"{file.filename}:{name} is damaged: checksums cannot be read: {error}."
            " Use a copy, or convert the recording again"
        ) from error


def checksum_frames(block: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the CRC-32 of the bytes of each frame, uint32 (frames,).

    ``block`` (frame, row, column) of any numeric dtype; big-endian values are converted
    to little-endian first.
    """
    stored = np.ascontiguousarray(block)
    if stored.dtype.byteorder == ">":
        stored = stored.astype(stored.dtype.newbyteorder("<"))
    return np.array([crc32(frame.data) for frame in stored], np.uint32)


def check_frames(
    block: NDArray[Any], start: int, sums: NDArray[np.uint32], where: str
) -> None:
    """Raise an error if frames differ from their checksums.

    ``block`` starts at frame ``start``.
    """
    wrong = np.flatnonzero(checksum_frames(block) != sums[start : start + len(block)])
    if len(wrong):
        name = where.rsplit(":", 1)[-1]
        raise FormatError(
            f"frame {start + int(wrong[0])} of {where} does not match its checksum"
            f" ({len(wrong)} of the {len(block)} frames just read): the disk is"
            " damaged, or another program has changed the pixels. Use a copy of the"
            " file, or compute it again; if the change is intended, remove the dataset"
            f" {CHECKSUMS}/{name}"
        )
