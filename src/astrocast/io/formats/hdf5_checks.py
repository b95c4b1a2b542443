"""Whether the pixels of an HDF5 dataset are in the file, all of them, as written."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.access import Access

#: group of the checksums: ``checksums/<name of the dataset>`` holds the CRC-32 of the
#: bytes of each frame, uint32 (frames,)
CHECKSUMS = "checksums"
_ALLOW = "convert the recording with {} if that is meant"
_OTHER_FILES = _ALLOW.format("other_files=True")
_MISSING = _ALLOW.format("missing_chunks=True")


def find_other_files(item: Any, file: h5py.File) -> str | None:
    """Return in which way pixels lie in another file; None where they do not.

    Parameters
    ----------
    item
        A dataset, or the link by which a file names it (``get(name, getlink=True)``).
    file
        The file that was opened.
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
            return f"is put together from {', '.join(sorted(names))}"
    if item.external:
        return f"has its pixels in {', '.join(str(e[0]) for e in item.external)}"
    return None


def refuse_other_files(path: Path) -> None:
    """Raise where anything in an HDF5 file is read from other files of the disk.

    Such a file can show the content of any other file: external storage,
    external links, virtual datasets.

    Raises
    ------
    FormatError
        The message names each place and the file it points to.
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
            f"{path} refers to other files: {'; '.join(found)}. It is not opened here;"
            " copy the data into one file (h5repack, or astrocast convert)"
        )


def _list_other_files(group: Any, file: h5py.File) -> list[str]:
    """Return a line per place in ``group`` that is read from another file."""
    found: list[str] = []
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            continue  # within the file: the target is visited by its own name
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

    Pixels in other files are refused unless allowed; missing ones always.
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
                    f"{where} {elsewhere}, but there is no file {name}; HDF5 would read"
                    " its frames as 0"
                )
    return False


def check_chunks_stored(dataset: h5py.Dataset, where: str, access: Access) -> None:
    """Refuse a dataset of which chunks were never written, which HDF5 reads as 0."""
    if access.missing_chunks or dataset.is_virtual or dataset.external:
        return
    if dataset.chunks is None:
        if dataset.id.get_storage_size() == 0 and dataset.size:
            raise FormatError(f"{where} was created, but no frame was written to it")
        return
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    wanted = int(np.prod([-(-n // c) for n, c in sizes], dtype=np.int64))
    stored = dataset.id.get_num_chunks()
    if stored < wanted:
        raise FormatError(
            f"{where} lacks {wanted - stored} of {wanted} chunks, which would be read"
            f" as 0: it was not written completely. {_MISSING}"
        )


def read_checksums(
    file: h5py.File, name: str, frames: int
) -> NDArray[np.uint32] | None:
    """Return the checksum of each frame, uint32 (frames,); None without any.

    Checksums that are listed but cannot be read are damage, which is refused: without
    them damaged pixels would be read in silence.
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

    ``block`` is (frame, row, column) of any numeric dtype; big-endian values count as
    little-endian ones.
    """
    stored = np.ascontiguousarray(block)
    if stored.dtype.byteorder == ">":
        stored = stored.astype(stored.dtype.newbyteorder("<"))
    return np.array([crc32(frame.data) for frame in stored], np.uint32)


def check_frames(
    block: NDArray[Any], start: int, sums: NDArray[np.uint32], where: str
) -> None:
    """Refuse frames that differ from those written.

    ``block`` begins at frame ``start``.
    """
    wrong = np.flatnonzero(checksum_frames(block) != sums[start : start + len(block)])
    if len(wrong):
        name = where.rsplit(":", 1)[-1]
        raise FormatError(
            f"frame {start + int(wrong[0])} of {where} is not what was written"
            f" ({len(wrong)} of {len(block)} frames that were read now): the disk is"
            " damaged, or another program changed the pixels. Take the file from a"
            f" copy or compute it again; if the change is meant, remove the dataset"
            f" {CHECKSUMS}/{name}"
        )
