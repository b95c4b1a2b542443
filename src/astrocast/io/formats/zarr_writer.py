"""Write an array of a zarr store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from astrocast.errors import (
    InvalidValueError,
    OutputError,
    OutputExistsError,
)
from astrocast.io.formats.zarr_chunks import DirectChunks
from astrocast.io.formats.zarr_store import codec_chain, is_store
from astrocast.io.naming import PARTIAL
from astrocast.io.recording import (
    Metadata,
    RecordingWriter,
)
from astrocast.io.writing.files import (
    check_space,
    rename_over,
    restore_replaced,
)
from astrocast.io.writing.resume import ATTRIBUTE, Resume
from astrocast.io.writing.slabs import SlabBuffer


class ZarrWriter(RecordingWriter):
    """Write an array of a zarr v3 store, which gets its name when it is complete.

    The array is written to a temporary store; then this store is renamed, or its array
    is moved to the existing store. Frames are collected until they fill whole chunks,
    so that each chunk is written once.
    """

    resumable = True

    def __init__(
        self,
        path: Path,
        loc: str | None,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        **options: Any,
    ):
        self.path, self.loc, self.shape, self.dtype = (
            path,
            (loc or "").strip("/"),
            shape,
            dtype,
        )
        self._check_target(overwrite=bool(options.get("overwrite", False)))
        check_space(
            path.parent, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize // 2, path
        )
        #: temporary store, from which the complete array is moved
        self.beside = path.with_name(path.name + PARTIAL)
        attributes = {
            **(options.get("metadata") or Metadata()).to_attributes(),
            **(options.get("attributes") or {}),
        }
        self._resume: Resume | None = options.get("resume")
        if self._resume is not None:
            attributes[ATTRIBUTE] = self._resume.key
            self.resumed = self._resume.frames()
        self.array = self._open_array(
            options["chunks"], options.get("compression"), attributes
        )
        self.chunk_frames, height, width = self.array.chunks
        self.chunk_shape = (self.chunk_frames, height, width)
        self._slabs = SlabBuffer(self, self.chunk_frames)
        self._slabs.received = self.resumed
        self._chunks = DirectChunks(
            self.beside / self.loc, self.array, options.get("compression") or "lz4"
        )

    def _check_target(self, *, overwrite: bool) -> None:
        """Raise an error if the store has another format, or has the array already."""
        path = self.path
        restore_replaced(path)
        restore_replaced(path / self.loc)
        if not path.exists():
            return
        if not is_store(path):
            raise OutputExistsError(
                f"{path} exists but is not a zarr store; choose another name"
            )
        if not overwrite and (not self.loc or (path / self.loc).exists()):
            raise OutputExistsError(
                f"{path} already has {self.loc or 'an array'!r}; choose another loc or"
                " overwrite=True"
            )

    def _open_array(
        self,
        chunks: tuple[int, int, int],
        compression: str | None,
        attributes: dict[str, Any],
    ) -> Any:
        """Return the array of an interrupted process, or a new one."""
        try:
            unfinished = self._find_unfinished(chunks) if self.resumed else None
            if unfinished is not None:
                return unfinished
            self._begin_anew()
            return zarr.create_array(
                store=str(self.beside),
                name=self.loc or None,
                shape=self.shape,
                dtype=self.dtype,
                chunks=chunks,
                compressors=codec_chain(compression),
                attributes=attributes,
                zarr_format=3,
            )
        except OSError as error:
            raise OutputError(
                f"{self.path.parent} cannot be written to: {error}; choose another"
                " folder"
            ) from error

    def _find_unfinished(self, chunks: tuple[int, int, int]) -> Any:
        """Return the incomplete array of the journal; None if it does not fit."""
        try:
            found = zarr.open_array(store=str(self.beside), path=self.loc, mode="r+")
        except (OSError, ValueError, KeyError):
            return None
        assert self._resume is not None
        same = (
            found.attrs.get(ATTRIBUTE) == self._resume.key and found.shape == self.shape
        )
        return (
            found
            if same
            and found.dtype == self.dtype
            and tuple(found.chunks) == tuple(chunks)
            else None
        )

    def _begin_anew(self) -> None:
        self.resumed = 0
        if self._resume is not None:
            self._resume.note(0)
        if self.beside.exists():
            shutil.rmtree(self.beside)

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write the whole chunks of a block; the rest waits for the next block."""
        for first, slab in self._slabs.add(start, block):
            self._chunks.write(first, slab)
            if self._resume is not None:
                self._resume.note(first + len(slab))

    def chunk_writer(self) -> Callable[..., None]:
        """Return the function that writes whole chunks, in any process."""
        return self._chunks.write

    def mark_written(self, frames: int) -> None:
        """Record that other processes have written frames."""
        self._slabs.received += frames

    def commit(self) -> None:
        """Rename the array, or the whole store if it is new."""
        try:
            self._slabs.check_complete(f"{self.path}:{self.loc}")
        except InvalidValueError:
            self.discard()
            raise
        if self._resume is not None:
            del self.array.attrs[ATTRIBUTE]
        install(self.beside, self.path, self.loc)
        if self._resume is not None:
            self._resume.remove()

    def discard(self) -> None:
        """Remove the unfinished output, unless it can be resumed."""
        if self._resume is None:
            shutil.rmtree(self.beside, ignore_errors=True)


def install(beside: Path, path: Path, loc: str) -> None:
    """Move the array ``loc`` from the temporary store to its final path."""
    if not loc or not path.exists():
        rename_over(beside, path)
        return
    target = path / loc
    parent = ""
    for part in loc.split("/")[:-1]:
        parent = f"{parent}/{part}" if parent else part
        zarr.open_group(store=str(path), mode="a").require_group(parent)
    rename_over(beside / loc, target)
    shutil.rmtree(beside)
