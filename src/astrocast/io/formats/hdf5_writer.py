"""Write HDF5 recordings: to a new file, or as a further dataset of an existing file."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
)
from astrocast.io.formats.hdf5 import (
    BEING_WRITTEN,
    open_file,
    release_readers,
)
from astrocast.io.formats.hdf5_checks import CHECKSUMS, checksum_frames
from astrocast.io.formats.hdf5_chunks import AllocatedChunks
from astrocast.io.naming import PARTIAL
from astrocast.io.recording import Metadata, RecordingWriter
from astrocast.io.writing.atomic_update import UpdatedFile
from astrocast.io.writing.files import check_space, rename_over, sync
from astrocast.io.writing.lock import OutputLock
from astrocast.io.writing.resume import ATTRIBUTE, Resume
from astrocast.io.writing.slabs import SlabBuffer

Compression = Literal["gzip", "szip", "lzf", "lz4", "zstd"]
COMPRESSIONS = ("gzip", "szip", "lzf", "lz4", "zstd")
SIGNATURE = b"\x89HDF\r\n\x1a\n"


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


class HDF5Writer(RecordingWriter):
    """Write one dataset.

    A new file is written under a temporary name and renamed. In an existing file the
    dataset has the temporary name ``<loc>.partial``. Without compression its space is
    allocated before the first block. If the process is killed, the other datasets can
    still be read and the next process can resume, because the offsets of the chunks are
    known and the internal structures of HDF5 do not change during writing.
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
        self.shape, self.dtype, self.path = shape, dtype, path
        self.loc = (loc or "").strip("/")
        self._direct: AllocatedChunks | None = None
        self._resume: Resume | None = None
        self._update: UpdatedFile | None = None
        if not self.loc:
            raise InvalidValueError(
                f"writing to {path} needs the name of a dataset (loc), for example"
                " 'data/ch0'"
            )
        options = _filter_options(compression)
        if options and chunks is None:
            raise InvalidValueError(
                "compressed HDF5 is stored in chunks: set the shape of chunks"
            )
        # check the space before the first byte; compression is assumed to save half
        need = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        check_space(path.parent, need // 2 if compression else need, path)
        self._lock = _lock_new_file(path)
        # another process may have made it meanwhile
        self._beside = not path.exists()
        self._target = path.with_name(path.name + PARTIAL) if self._beside else path
        there = resume.frames() if resume is not None else 0
        if self._beside and not there:
            self._target.unlink(missing_ok=True)
        release_readers(path)
        self._partial = self.loc + PARTIAL
        self._sums_partial = f"{CHECKSUMS}/{self._partial}"
        described = {**(metadata or Metadata()).to_attributes(), **(attributes or {})}
        self._open()
        try:
            if self.loc in self.file and not overwrite:
                raise OutputExistsError(
                    f"{path} already has {self.loc!r}; choose another loc or"
                    " overwrite=True"
                )
            begun = self._find_unfinished(resume, chunks) if there else None
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
        self._sums = np.zeros(shape[0], np.uint32)
        if resume is not None and self._direct is not None and self._direct.straight:
            self._resume, self._slabs.received = resume, self.resumed
            if self.resumed:
                self._sums = np.asarray(self.file[self._sums_partial][:])
        else:
            self.resumed = 0

    def _open(self) -> None:
        """Open a new file, or an existing one for changes that are applied at the end.

        See `astrocast.io.writing.atomic_update`.
        """
        if self._beside:
            try:
                self.file = open_file(self._target, "a")
            except Exception:
                self._unlock()
                raise
            return
        import hdf5plugin  # noqa: F401 - registers the lz4 and zstd filters

        try:
            self._update = UpdatedFile(self.path, end_of_file(self.path))
            self.file = h5py.File(self._update, "r+")
            BEING_WRITTEN.add(self)
        except OSError as error:
            if self._update is not None:
                self._update.close()
            if isinstance(error, AstrocastError):
                raise
            raise OutputError(
                f"{self.path} cannot be written as HDF5: {_reason(error)}"
            ) from error

    def _find_unfinished(
        self, resume: Resume | None, chunks: tuple[int, int, int] | None
    ) -> h5py.Dataset | None:
        """Return the incomplete dataset of the journal; None if it does not fit."""
        found = self.file.get(self._partial)
        if (
            resume is None
            or not isinstance(found, h5py.Dataset)
            or found.attrs.get(ATTRIBUTE) != resume.key
        ):
            return None
        same = (
            found.shape == self.shape
            and self._sums_partial in self.file
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
        for name in (self._partial, self._sums_partial):
            if name in self.file:  # left by an interrupted run
                del self.file[name]
        dataset = self._create(chunks, options)
        self.file.create_dataset(self._sums_partial, data=np.zeros(self.shape[0], "u4"))
        dataset.attrs.update(attributes)
        self.file.flush()
        if self._update is not None:
            self._update.reserve()
            if resume is not None:  # the next process has to find the dataset
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
        """Write the whole chunks of a block; the rest waits for the next block."""
        for first, slab in self._slabs.add(start, block):
            try:
                self._store(first, slab)
                if self._resume is not None and self._direct is not None:
                    self._direct.write_beside(
                        self.file[self._sums_partial],
                        first,
                        self._sums[first : first + len(slab)],
                    )
                    self._resume.note(first + len(slab))
            except Exception as error:
                raise self._refusal(error) from error

    def _store(self, first: int, slab: NDArray[Any]) -> None:
        self._sums[first : first + len(slab)] = checksum_frames(slab)
        if self._direct is None:
            self.dataset[first : first + len(slab)] = slab
            if self._update is not None:
                self._update.check()
            return
        # whole chunks: writing by selections of HDF5 takes three times as long
        self._direct.write(first, slab)

    def commit(self) -> None:
        """Flush, rename the dataset and, if the file is new, the file."""
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
        """Return the error to raise: the error of the system, if writing failed."""
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
        self.file[self._sums_partial][:] = self._sums
        final_sums = f"{CHECKSUMS}/{self.loc}"
        for name in (self.loc, final_sums):
            if name in self.file:
                del self.file[name]
        self.file.move(self._partial, self.loc)
        self.file.move(self._sums_partial, final_sums)
        self.file.close()
        if self._update is not None:
            release_readers(self.path)
            self._update.commit()
            self._update.close()
            return
        with self._target.open("r+b") as file:
            sync(file)
        rename_over(self._target, self.path)
        self._unlock()

    def _close_direct(self) -> None:
        if self._direct is not None:
            self._direct.close()

    def discard(self) -> None:
        """Close and remove the unfinished output, unless it can be resumed."""
        self._close_direct()
        if self._update is not None:
            self._update.abandon()
        # closing may fail on a full disk; the content of an existing file is safe
        with suppress(Exception):
            self.file.close()
        if self._update is not None:
            self._update.close()
        elif self._resume is None:
            self._target.unlink(missing_ok=True)
        self._unlock()

    def _unlock(self) -> None:
        """Let other processes make the file."""
        if self._lock is not None:
            self._lock.release()


def _lock_new_file(path: Path) -> OutputLock | None:
    """Return the right to make a file; None if it exists, as changes have their own."""
    if path.exists():
        return None
    return OutputLock(path.with_name(path.name + ".lock"), path, temporary=True)


def _reason(error: Exception) -> str:
    """Return the reason of the system, which HDF5 hides in a long text."""
    strerror = getattr(error, "strerror", None)
    text = strerror or str(error)
    found = re.search(r"error message = '([^']+)'", text)
    return found[1] if found else text


def end_of_file(path: Path) -> int | None:
    """Return the end of the file according to its header; None with a user block.

    Bytes after this end were left by a killed process.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if not head.startswith(SIGNATURE):
        return None
    version, width = head[8], head[13] if head[8] < 2 else head[9]
    # the addresses start after 24 bytes in version 0, 28 in 1, 12 in 2 and 3; the third
    # address is the end of the file (HDF5 file format specification, section II.A)
    first = {0: 24, 1: 28}.get(version, 12)
    at = first + 2 * width
    return int.from_bytes(head[at : at + width], "little")
