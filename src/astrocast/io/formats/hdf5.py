"""HDF5 recordings: datasets named ``<loc>/ch<i>``, several in one file."""

from __future__ import annotations

import json
import os
import re
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastError,
    FormatError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
)
from astrocast.io.formats.contiguous import ContiguousFrames
from astrocast.io.formats.hdf5_chunks import AllocatedChunks
from astrocast.io.naming import PARTIAL, choose_dataset, default_dataset
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    RecordingWriter,
    check_movie_shape,
)
from astrocast.io.writing.atomic_update import UpdatedFile, journal_path
from astrocast.io.writing.files import check_space, sync
from astrocast.io.writing.resume import ATTRIBUTE, Resume
from astrocast.io.writing.slabs import SlabBuffer

Compression = Literal["gzip", "szip", "lzf", "lz4", "zstd"]
COMPRESSIONS = ("gzip", "szip", "lzf", "lz4", "zstd")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: recordings that hold a file open: HDF5 refuses to open a file for writing that the
#: same process has open for reading
_READERS: weakref.WeakSet[HDF5Recording] = weakref.WeakSet()
#: writers that are adding to an existing file; it may be read as it was until they
#: commit
_WRITERS: weakref.WeakSet[HDF5Writer] = weakref.WeakSet()


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
    """Return the names of all 3-D datasets in the file, complete ones only."""
    with _open_file(path, "r") as file:
        return names_in(file)


def names_in(file: h5py.File) -> list[str]:
    """Return the names of all 3-D datasets of an open file, complete ones only."""
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.ndim == 3
            and not name.endswith(PARTIAL)
        ):
            names.append(name)

    file.visititems(visit)
    return names


def _open_file(path: Path, mode: str) -> h5py.File:
    import hdf5plugin  # noqa: F401 - registers the lz4 and zstd filters

    try:
        if mode == "r" and journal_path(path).exists():
            # a process died while it changed the file: read it as it was to become
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
    """Return whether this process is adding to the file."""
    target = path.resolve()
    return any(
        w.path.resolve() == target and w._update is not None and not w._update.closed
        for w in list(_WRITERS)
    )


class HDF5Recording(Recording):
    """One dataset of an HDF5 file."""

    path: Path
    loc: str

    def __init__(self, path: Path, loc: str | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: h5py.File | None = None
        with _open_file(path, "r") as file:
            wanted = (loc or "").strip("/")
            if wanted not in file or not isinstance(file[wanted], h5py.Dataset):
                names = names_in(file)
                loc = default_dataset(loc, file.attrs, names)
                wanted = choose_dataset(names, loc, path)
            dataset = file[wanted]
            self.loc = str(dataset.name).strip("/")
            self.shape = check_movie_shape(dataset.shape, f"{path}:{self.loc}")
            self.dtype = dataset.dtype.newbyteorder("=")
            self.metadata = _read_metadata(dataset)
            self.chunk_frames = dataset.chunks[0] if dataset.chunks else 1
            self._contiguous = self._plain_bytes(dataset)
        _READERS.add(self)

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
        with self._lock:
            if self._file is None:
                self._file = _open_file(self.path, "r")
            found = np.ascontiguousarray(
                self._file[self.loc][start:stop, rows, columns]
            )
            return found.astype(self.dtype, copy=False)

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
        self._update: UpdatedFile | None = None
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
        # refuse before the first byte (compressed: half is a fair guess)
        need = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        check_space(path.parent, need // 2 if compression else need, path)
        there = resume.frames() if resume is not None else 0
        if self._beside and not there:
            self._target.unlink(missing_ok=True)
        release_readers(path)
        self._partial = self.loc + PARTIAL
        described = {**(metadata or Metadata()).to_attributes(), **(attributes or {})}
        self._open()
        try:
            if self.loc in self.file and not overwrite:
                raise OutputExistsError(
                    f"{path} already has {self.loc!r}; choose another loc or"
                    " overwrite=True"
                )
            begun = self._unfinished(resume, chunks) if there else None
            self.resumed = there if begun is not None else 0
            self.dataset = (
                begun
                if begun is not None
                else self._begin_anew(chunks, options, described, resume)
            )
            if self.dataset.chunks is not None and not options:
                self._direct = AllocatedChunks(self._target, self.dataset)
        except Exception as error:
            self.discard()
            raise self._refusal(error) from error
        self.chunk_frames = self.dataset.chunks[0] if self.dataset.chunks else 1
        self._slabs = SlabBuffer(self, self.chunk_frames)
        if resume is not None and self._direct is not None and self._direct.straight:
            self._resume, self._slabs.received = resume, self.resumed
        else:
            self.resumed = 0

    def _open(self) -> None:
        """Open a new file as it is; changes of an existing one wait until all of it is
        written, see `astrocast.io.writing.atomic_update`.
        """
        if self._beside:
            self.file = _open_file(self._target, "a")
            return
        import hdf5plugin  # noqa: F401 - registers the lz4 and zstd filters

        try:
            self._update = UpdatedFile(self.path, end_of_file(self.path))
            self.file = h5py.File(self._update, "r+")
            _WRITERS.add(self)
        except OSError as error:
            if self._update is not None:
                self._update.close()
            if isinstance(error, AstrocastError):
                raise
            raise OutputError(
                f"{self.path} cannot be written as HDF5: {_reason(error)}"
            ) from error

    def _unfinished(
        self, resume: Resume | None, chunks: tuple[int, int, int] | None
    ) -> h5py.Dataset | None:
        """Return the dataset that the journal tells of, None where it is not there."""
        found = self.file.get(self._partial)
        if (
            resume is None
            or not isinstance(found, h5py.Dataset)
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
        if self._update is not None:
            self._update.reserve()
            if resume is not None:  # so that the next process finds it
                self._update.commit()
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
            except Exception as error:
                raise self._refusal(error) from error

    def _store(self, first: int, slab: NDArray[Any]) -> None:
        if self._direct is None:
            self.dataset[first : first + len(slab)] = slab
            if self._update is not None:
                self._update.check()
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
        try:
            self._finish()
        except Exception as error:
            self.discard()
            raise self._refusal(error) from error
        if self._resume is not None:
            self._resume.remove()

    def _refusal(self, error: Exception) -> Exception:
        """Return the error to raise: that of the system, where it refused to write and
        the library stumbled over that.
        """
        if self._update is not None and self._update.error is not None:
            error = self._update.error
        if isinstance(error, AstrocastError) or not isinstance(
            error, OSError | RuntimeError
        ):
            return error
        return OutputError(f"{self.path} cannot be written: {_reason(error)}")

    def _finish(self) -> None:
        if self._direct is not None:
            self._direct.finish()
        self._close_direct()
        if ATTRIBUTE in self.dataset.attrs:
            del self.dataset.attrs[ATTRIBUTE]
        if self.loc in self.file:
            del self.file[self.loc]
        self.file.move(self._partial, self.loc)
        self.file.close()
        if self._update is not None:
            release_readers(self.path)
            self._update.commit()
            self._update.close()
            return
        with self._target.open("r+b") as file:
            sync(file)
        os.replace(self._target, self.path)  # noqa: PTH105 - atomic on every system

    def _close_direct(self) -> None:
        if self._direct is not None:
            self._direct.close()

    def discard(self) -> None:
        """Close and remove what was written; what can be gone on with stays."""
        self._close_direct()
        if self._update is not None:
            self._update.abandon()
        # closing may fail on a full disk; what is in an existing file is safe
        with suppress(Exception):
            self.file.close()
        if self._update is not None:
            self._update.close()
        elif self._resume is None:
            self._target.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Return why the system refused: HDF5 tells it in the middle of a long text."""
    strerror = getattr(error, "strerror", None)
    text = strerror or str(error)
    found = re.search(r"error message = '([^']+)'", text)
    return found[1] if found else text


def end_of_file(path: Path) -> int | None:
    """Return where the file's own account says that it ends; None where it has a user
    block. What lies behind was left by a process that died.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if not head.startswith(SIGNATURE):
        return None
    version, width = head[8], head[13] if head[8] < 2 else head[9]
    # before the addresses: 24 bytes in version 0, 28 in 1, 12 in 2 and 3; the third
    # address is the end (HDF5 file format specification, section II.A)
    first = {0: 24, 1: 28}.get(version, 12)
    at = first + 2 * width
    return int.from_bytes(head[at : at + width], "little")
