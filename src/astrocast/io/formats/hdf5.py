"""HDF5 recordings: datasets named ``<loc>/ch<i>``, several in one file."""

from __future__ import annotations

import json
import os
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    FormatError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
)
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.axes_recording import find_axes, split_labels
from astrocast.io.formats.contiguous import ContiguousFrames
from astrocast.io.formats.hdf5_chunks import AllocatedChunks
from astrocast.io.naming import PARTIAL, choose_dataset
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    RecordingWriter,
    check_movie_shape,
)
from astrocast.io.selection import Selection
from astrocast.io.writing.files import check_space
from astrocast.io.writing.resume import ATTRIBUTE, Resume
from astrocast.io.writing.slabs import SlabBuffer

Compression = Literal["gzip", "szip", "lzf", "lz4", "zstd"]
COMPRESSIONS = ("gzip", "szip", "lzf", "lz4", "zstd")
#: recordings that hold a file open: HDF5 refuses to open a file for writing that the
#: same process has open for reading
_READERS: weakref.WeakSet[HDF5Recording] = weakref.WeakSet()


def _filter_options(compression: str | None) -> dict[str, Any]:
    if compression is None:
        return {}
    if compression not in COMPRESSIONS:
        raise InvalidValueError(
            f"compression is {compression!r}; choose one of {', '.join(COMPRESSIONS)}"
            " or None"
        )
    if compression in ("gzip", "lzf"):
        return {"compression": compression, "shuffle": True}
    if compression == "szip":
        if not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
            raise InvalidValueError(
                "this build of HDF5 cannot write szip; use 'gzip', 'lz4' or 'zstd'"
            )
        return {"compression": "szip"}
    import hdf5plugin

    return dict(
        hdf5plugin.LZ4() if compression == "lz4" else hdf5plugin.Zstd(), shuffle=True
    )


def dataset_names(path: Path) -> list[str]:
    """Return the names of all recordings in the file, complete ones only."""
    with _open_file(path, "r") as file:
        return names_in(file)


def names_in(file: h5py.File) -> list[str]:
    """Return the names of all recordings of an open file, complete ones only.

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


def _open_file(path: Path, mode: str) -> h5py.File:
    import hdf5plugin  # noqa: F401 - registers the lz4 and zstd filters

    try:
        return h5py.File(path, mode)
    except OSError as error:
        if mode == "r":
            raise FormatError(
                f"{path} cannot be read as HDF5: {error}. The file is damaged or of"
                " another format"
            ) from error
        raise OutputError(f"{path} cannot be written as HDF5: {error}") from error


class HDF5Recording(Recording):
    """One dataset of an HDF5 file; frames of several channels alternate."""

    path: Path
    loc: str

    def __init__(
        self, path: Path, loc: str | None = None, selection: Selection | None = None
    ) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: h5py.File | None = None
        chosen = selection or Selection()
        with _open_file(path, "r") as file:
            wanted = (loc or "").strip("/")
            if wanted not in file or not isinstance(file[wanted], h5py.Dataset):
                wanted = choose_dataset(self._names(file), loc, path)
            dataset = self._dataset(file, wanted)
            self.loc, self._stored = self._name(dataset), str(dataset.name)
            where = f"{path}:{self.loc}"
            if dataset.dtype.kind not in "biuf" or dataset.ndim < 3:
                check_movie_shape(dataset.shape, where)
                raise FormatError(f"{where} holds {dataset.dtype}; expected numbers")
            axes = self._axes(dataset, chosen)
            self._layout = read_layout(axes, dataset.shape, where, chosen)
            self.channels, self.choices = self._layout.channels, self._layout.choices
            self.shape = check_movie_shape(self._layout.movie_shape, where)
            self.dtype = dataset.dtype.newbyteorder("=")
            self.metadata = self._metadata(dataset)
            self.remarks = self._remarks(dataset)
            if axes not in ("TYX", "TCYX"):
                self.remarks = (f"axes: {axes}", *self.remarks)
            depth = (
                dataset.chunks[axes.index("T")] if dataset.chunks and "T" in axes else 1
            )
            self.chunk_frames = depth * self.channels
            self._contiguous = self._plain_bytes(dataset) if axes == "TYX" else None
        _READERS.add(self)

    def _names(self, file: h5py.File) -> list[str]:
        """Return the recordings of the file."""
        return names_in(file)

    def _dataset(self, file: h5py.File, name: str) -> h5py.Dataset:
        """Return the dataset of a recording."""
        return file[name]

    def _name(self, dataset: h5py.Dataset) -> str:
        """Return by which name a dataset is opened again."""
        return str(dataset.name).strip("/")

    def _axes(self, dataset: h5py.Dataset, selection: Selection) -> str:
        """Return a letter for each axis of the dataset."""
        labels = [dimension.label for dimension in dataset.dims]
        if not all(labels) and "axes" in dataset.attrs:
            labels = split_labels(dataset.attrs["axes"])
        where = f"{self.path}:{self._name(dataset)}"
        return find_axes(dataset.ndim, dataset.shape, selection, where, labels)

    def _metadata(self, dataset: h5py.Dataset) -> Metadata:
        """Return the physical metadata of a dataset."""
        return _read_metadata(dataset)

    def _remarks(self, dataset: h5py.Dataset) -> tuple[str, ...]:
        """Return sentences for the user."""
        return ()

    def _plain_bytes(self, dataset: h5py.Dataset) -> ContiguousFrames | None:
        # An uncompressed contiguous dataset is plain bytes in the file: reading them
        # avoids HDF5's global lock.
        offset = dataset.id.get_offset() if dataset.chunks is None else None
        if offset is None or dataset.dtype.kind not in "biuf":
            return None
        return ContiguousFrames(self.path, offset, self.shape, dataset.dtype)

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        if self._contiguous is not None:
            return self._contiguous.read(start, stop, rows, columns)
        return self._read_layout(start, stop, 1, rows, columns)

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame, see `Recording.read_every`."""
        if self._contiguous is not None or step % self.channels:
            return super().read_every(start, stop, step, rows, columns)
        return self._read_layout(start, stop, step, rows, columns)

    def _read_layout(
        self, start: int, stop: int, step: int, rows: slice, columns: slice
    ) -> NDArray[Any]:
        with self._lock:
            if self._file is None:
                self._file = _open_file(self.path, "r")
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
    """Close what this process reads of a file that is about to be written; it reopens
    at the next read.
    """
    target = path.resolve()
    for reader in list(_READERS):
        if reader.path.resolve() == target:
            reader.release()


def _read_metadata(dataset: h5py.Dataset) -> Metadata:
    attributes = dict(dataset.attrs)
    names = attributes.get("channel_names")
    if isinstance(names, str):
        attributes["channel_names"] = json.loads(names)
    return Metadata.from_attributes(attributes)


class HDF5Writer(RecordingWriter):
    """Writes one dataset; a new file is written beside and renamed, an existing one
    gains the complete dataset.

    In an existing file the dataset grows under ``<loc>.partial``. Without compression
    its space is allocated before the first block, so that a process that is killed
    while writing leaves the other datasets readable, and the next one can go on with
    it: the places of the chunks are known, and nothing of HDF5's own changes until all
    are written.
    """

    resumable = True

    def __init__(
        self,
        path: Path,
        loc: str | None,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        chunks: tuple[int, int, int] | None = None,
        compression: str | None = None,
        metadata: Metadata | None = None,
        attributes: dict[str, Any] | None = None,
        overwrite: bool = False,
        resume: Resume | None = None,
    ) -> None:
        self.shape, self.dtype, self.path, self.loc = (
            shape,
            dtype,
            path,
            (loc or "").strip("/"),
        )
        self._direct: AllocatedChunks | None = None
        self._resume: Resume | None = None
        if not self.loc:
            raise InvalidValueError(
                f"a dataset name (loc) is needed to write {path}, for example"
                " 'data/ch0'"
            )
        self._beside = not path.exists()
        self._target = path.with_name(path.name + PARTIAL) if self._beside else path
        options = _filter_options(compression)
        if options and chunks is None:
            raise InvalidValueError(
                "compressed HDF5 is stored in chunks: name the chunks"
            )
        # a full disk can leave an HDF5 file unreadable: refuse before the first byte
        # (compressed: half is a fair guess)
        need = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        check_space(path.parent, need // 2 if compression else need, path)
        there = resume.frames() if resume is not None else 0
        if self._beside and not there:
            self._target.unlink(missing_ok=True)
        release_readers(path)
        self.file = _open_file(self._target, "a")
        try:
            if self.loc in self.file and not overwrite:
                raise OutputExistsError(
                    f"{path} already has {self.loc!r}; choose another loc or"
                    " overwrite=True"
                )
            self._partial = self.loc + PARTIAL
            unfinished = (
                self._unfinished(resume, chunks)
                if there and resume is not None
                else None
            )
            if unfinished is None:
                there = 0
                described = {
                    **(metadata or Metadata()).to_attributes(),
                    **(attributes or {}),
                }
                unfinished = self._begin_anew(chunks, options, described, resume)
            self.dataset = unfinished
            if self.dataset.chunks is not None and not options:
                self._direct = AllocatedChunks(self._target, self.dataset)
        except Exception:
            self.discard()
            raise
        self.chunk_frames = self.dataset.chunks[0] if self.dataset.chunks else 1
        self._slabs = SlabBuffer(self, self.chunk_frames)
        if resume is not None and self._direct is not None and self._direct.straight:
            self._resume, self.resumed, self._slabs.received = resume, there, there

    def _unfinished(
        self, resume: Resume, chunks: tuple[int, int, int] | None
    ) -> h5py.Dataset | None:
        """Return the dataset that the journal tells of, None where it is not there."""
        found = self.file.get(self._partial)
        if (
            not isinstance(found, h5py.Dataset)
            or found.attrs.get(ATTRIBUTE) != resume.key
        ):
            return None
        same = (
            found.shape == self.shape
            and found.dtype == self.dtype
            and found.chunks == chunks
        )
        return found if same else None

    def _begin_anew(
        self,
        chunks: tuple[int, int, int] | None,
        options: dict[str, Any],
        attributes: dict[str, Any],
        resume: Resume | None,
    ) -> h5py.Dataset:
        if resume is not None:
            resume.note(0)
            attributes[ATTRIBUTE] = resume.key
        if self._partial in self.file:  # what an earlier, interrupted run left
            del self.file[self._partial]
        dataset = self._create(chunks, options)
        dataset.attrs.update(attributes)
        self.file.flush()
        return dataset

    def _create(
        self, chunks: tuple[int, int, int] | None, options: dict[str, Any]
    ) -> h5py.Dataset:
        if options:
            return self.file.create_dataset(
                self._partial, self.shape, self.dtype, chunks=chunks, **options
            )
        parameters = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        parameters.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        parameters.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        if chunks is not None:
            parameters.set_chunk(chunks)
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        space = h5py.h5s.create_simple(self.shape)
        kind = h5py.h5t.py_create(self.dtype, logical=True)
        created = h5py.h5d.create(
            self.file.id,
            self._partial.encode(),
            kind,
            space,
            dcpl=parameters,
            lcpl=links,
        )
        return h5py.Dataset(created)

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write the block; frames that do not fill a chunk wait for the next block."""
        for first, slab in self._slabs.add(start, block):
            try:
                self._store(first, slab)
                if self._resume is not None:
                    self._resume.note(first + len(slab))
            except OSError as error:
                raise OutputError(f"{self.path} cannot be written: {error}") from error

    def _store(self, first: int, slab: NDArray[Any]) -> None:
        if self._direct is None:
            self.dataset[first : first + len(slab)] = slab
            return
        # whole chunks as they are: HDF5's own way through selections takes three times
        # as long
        self._direct.write(first, slab)

    def commit(self) -> None:
        """Flush, rename the dataset and, where the file is new, the file."""
        try:
            self._slabs.check_complete(f"{self.path}:{self.loc}")
        except InvalidValueError:
            self.discard()
            raise
        if self._direct is not None:
            try:
                self._direct.finish()
            except OSError as error:
                self.discard()
                raise OutputError(f"{self.path} cannot be written: {error}") from error
        self._close_direct()
        if ATTRIBUTE in self.dataset.attrs:
            del self.dataset.attrs[ATTRIBUTE]
        self.file.flush()
        if self.loc in self.file:
            del self.file[self.loc]
        self.file.move(self._partial, self.loc)
        self.file.flush()
        self.file.close()
        with self._target.open("rb") as file:  # the rename must not overtake the data
            os.fsync(file.fileno())
        if self._beside:
            os.replace(self._target, self.path)  # noqa: PTH105 - atomic on every system
        if self._resume is not None:
            self._resume.remove()

    def _close_direct(self) -> None:
        if self._direct is not None:
            self._direct.close()

    def discard(self) -> None:
        """Close and remove what was written; what can be gone on with stays."""
        self._close_direct()
        if self._resume is not None:
            self.file.close()
        elif self._beside:
            # closing may fail on a full disk; the file goes anyway
            with suppress(Exception):
                self.file.close()
            self._target.unlink(missing_ok=True)
        elif self.file:
            if getattr(self, "_partial", None) and self._partial in self.file:
                del self.file[self._partial]
            self.file.close()
