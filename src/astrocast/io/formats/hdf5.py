"""Read HDF5 recordings: datasets named ``<loc>/ch<i>``, several in one file."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastError,
    FormatError,
    OutputError,
)
from astrocast.io.access import current_access
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.axes_recording import find_axes, split_labels
from astrocast.io.formats.contiguous import ContiguousFrames
from astrocast.io.formats.hdf5_checks import (
    check_chunks_stored,
    check_frames,
    check_place,
    read_checksums,
)
from astrocast.io.naming import PARTIAL, choose_dataset, default_dataset
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    as_dtype,
    check_movie_shape,
)
from astrocast.io.selection import Selection
from astrocast.io.writing.atomic_update import UpdatedFile, journal_path

#: recordings with an open file: HDF5 cannot open a file for writing while the same
#: process has it open for reading
_READERS: weakref.WeakSet[HDF5Recording] = weakref.WeakSet()
#: writers that add to an existing file; until they commit, its old content can be read
BEING_WRITTEN: weakref.WeakSet[Any] = weakref.WeakSet()


def dataset_names(path: Path) -> list[str]:
    """Return the names of all complete recordings in a file."""
    with open_file(path, "r") as file:
        return names_in(file)


def names_in(file: h5py.File) -> list[str]:
    """Return the names of all complete recordings in an open file.

    A recording is a dataset of real numbers with three to five axes.
    """
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and 3 <= item.ndim <= 5
            and item.dtype.kind in "biuf"
            and not name.endswith(PARTIAL)
        ):
            names.append(name)

    file.visititems(visit)
    return names


def open_file(path: Path, mode: str) -> h5py.File:
    """Open a file (mode ``r`` or ``a``), with all filters that can be needed."""
    import hdf5plugin  # noqa: F401 - registers the lz4 and zstd filters

    try:
        if mode == "r" and journal_path(path).exists():
            # a process died while it changed the file: read it with its journal
            return h5py.File(UpdatedFile(path, writable=False), "r")
        if mode == "r" and _is_being_written(path):
            return h5py.File(path, "r", locking=False)
        return h5py.File(path, mode)
    except BlockingIOError as error:
        raise FormatError(
            f"{path} is being written by another process; wait until it is done"
        ) from error
    except OSError as error:
        if mode == "r":
            raise FormatError(
                f"{path} cannot be read as HDF5: {error}. The file is damaged or of"
                " another format"
            ) from error
        raise OutputError(f"{path} cannot be written as HDF5: {error}") from error


def _is_being_written(path: Path) -> bool:
    """Return whether this process is writing to the file."""
    target = path.resolve()
    return any(
        w.path.resolve() == target and w._update is not None and not w._update.closed
        for w in list(BEING_WRITTEN)
    )


class HDF5Recording(Recording):
    """A dataset of an HDF5 file; frames of several channels alternate."""

    path: Path
    loc: str

    def __init__(
        self, path: Path, loc: str | None = None, selection: Selection | None = None
    ) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: h5py.File | None = None
        access, chosen = current_access(), selection or Selection()
        with open_file(path, "r") as file, reading(path):
            wanted = (loc or "").strip("/")
            if wanted not in file or not isinstance(file[wanted], h5py.Dataset):
                names = self._names(file)
                loc = default_dataset(loc, file.attrs, names)
                wanted = choose_dataset(names, loc, path)
            self.loc, self._stored = wanted, self._path_of(file, wanted)
            dataset = file[self._stored]
            where = f"{path}:{wanted}"
            inside = check_place(dataset, file, where, path, access)
            self.dtype = as_dtype(dataset.dtype, where).newbyteorder("=")
            if dataset.ndim < 3:
                check_movie_shape(dataset.shape, where)
            axes = self._axes(dataset, chosen)
            self._layout = read_layout(axes, dataset.shape, where, chosen)
            self.channels, self.choices = self._layout.channels, self._layout.choices
            self.shape = check_movie_shape(self._layout.movie_shape, where)
            check_chunks_stored(dataset, where, access)
            self.metadata = self._metadata(dataset)
            self.remarks = self._remarks(dataset)
            if axes not in ("TYX", "TCYX"):
                self.remarks = (f"axes: {axes}", *self.remarks)
            depth = (
                dataset.chunks[axes.index("T")] if dataset.chunks and "T" in axes else 1
            )
            self.chunk_frames = depth * self.channels
            plain = axes == "TYX"
            #: CRC-32 of each frame, uint32 (frames,); None if the file has none
            self.checksums = (
                read_checksums(file, wanted, self.shape[0]) if plain else None
            )
            #: frames that were compared with their checksums since this was opened
            self._compared = np.zeros(
                0 if self.checksums is None else self.shape[0], np.bool_
            )
            self._contiguous = self._plain_bytes(dataset) if inside and plain else None
        _READERS.add(self)

    def _names(self, file: h5py.File) -> list[str]:
        """Return the recordings of the file."""
        return names_in(file)

    def _path_of(self, file: h5py.File, name: str) -> str:
        """Return the path of the dataset of a recording within the file."""
        return name

    def _axes(self, dataset: h5py.Dataset, selection: Selection) -> str:
        """Return a letter for each axis of the dataset."""
        labels = [dimension.label for dimension in dataset.dims]
        if not all(labels) and "axes" in dataset.attrs:
            labels = split_labels(dataset.attrs["axes"])
        where = f"{self.path}:{self.loc}"
        return find_axes(dataset.ndim, dataset.shape, selection, where, labels)

    def _metadata(self, dataset: h5py.Dataset) -> Metadata:
        """Return the physical metadata of a dataset."""
        return _read_metadata(dataset)

    def _remarks(self, dataset: h5py.Dataset) -> tuple[str, ...]:
        """Return remarks for the user."""
        return ()

    def _plain_bytes(self, dataset: h5py.Dataset) -> ContiguousFrames | None:
        # an uncompressed contiguous dataset can be read directly from the file, which
        # avoids the global lock of HDF5
        offset = dataset.id.get_offset() if dataset.chunks is None else None
        if offset is None or dataset.dtype.kind not in "biuf":
            return None
        return ContiguousFrames(self.path, offset, self.shape, dataset.dtype)

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`.

        Whole frames are compared with their checksums when they are first read.
        """
        found = self._read(start, stop, rows, columns)
        if self.checksums is not None and (rows, columns) == (ALL, ALL):
            compared = self._compared[start : start + len(found)]
            if not compared.all():
                check_frames(found, start, self.checksums, f"{self.path}:{self.loc}")
                compared[:] = True
        return found

    def _read(self, start: int, stop: int, rows: slice, columns: slice) -> NDArray[Any]:
        if self._contiguous is not None:
            return self._contiguous.read(start, stop, rows, columns)
        return self._read_layout(start, stop, 1, rows, columns)

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame, see `Recording.read_every`."""
        if self.channels == 1 or step % self.channels:
            return super().read_every(start, stop, step, rows, columns)
        return self._read_layout(start, stop, step, rows, columns)

    def _read_layout(
        self, start: int, stop: int, step: int, rows: slice, columns: slice
    ) -> NDArray[Any]:
        with self._lock, reading(self.path, f"frames {start} to {stop} of "):
            if self._file is None:
                self._file = open_file(self.path, "r")
            dataset = self._file[self._stored]
            block = self._layout.read(dataset, start, stop, step, rows, columns)
            return block.astype(self.dtype, copy=False)

    def release(self) -> None:
        """Close the file until the next read."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def close(self) -> None:
        """Close the file."""
        self.release()


def release_readers(path: Path) -> None:
    """Close all readers of this process, of a file that will be written.

    The next read opens the file again.
    """
    target = path.resolve()
    for reader in list(_READERS):
        if reader.path.resolve() == target:
            reader.release()


@contextmanager
def reading(path: Path, what: str = "") -> Iterator[None]:
    """Turn errors of the library into a `FormatError` that names the file."""
    try:
        yield
    except (AstrocastError, MemoryError):
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{what}{path} cannot be read: {error}. The file is damaged, or was changed"
            " while it was open"
        ) from error


def _read_metadata(dataset: h5py.Dataset) -> Metadata:
    attributes = dict(dataset.attrs)
    names = attributes.get("channel_names")
    if isinstance(names, str):
        with suppress(ValueError, RecursionError):  # a single name is not JSON
            attributes["channel_names"] = json.loads(names)
    return Metadata.from_attributes(attributes)
