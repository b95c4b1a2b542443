"""HDF5 recordings: datasets named ``<loc>/ch<i>``, several in one file."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
)
from astrocast.io.recording import ALL, Metadata, Recording, RecordingWriter, check_block, check_movie_shape

Compression = Literal["gzip", "szip", "lzf", "lz4", "zstd"]
COMPRESSIONS = ("gzip", "szip", "lzf", "lz4", "zstd")
#: a dataset under construction carries this suffix until it is complete
PARTIAL = ".partial"


def _filter_options(compression: str | None) -> dict[str, Any]:
    if compression is None:
        return {}
    if compression not in COMPRESSIONS:
        raise InvalidValueError(f"compression is {compression!r}; choose one of {', '.join(COMPRESSIONS)} or None")
    if compression in ("gzip", "lzf"):
        return {"compression": compression, "shuffle": True}
    if compression == "szip":
        if not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
            raise InvalidValueError("this build of HDF5 cannot write szip; use 'gzip', 'lz4' or 'zstd'")
        return {"compression": "szip"}
    import hdf5plugin

    return dict(hdf5plugin.LZ4() if compression == "lz4" else hdf5plugin.Zstd(), shuffle=True)


def dataset_names(path: Path) -> list[str]:
    """Return the names of all 3-D datasets in the file, complete ones only."""
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 3 and not name.endswith(PARTIAL):
            names.append(name)

    with _open_file(path, "r") as file:
        file.visititems(visit)
    return names


def _open_file(path: Path, mode: str) -> h5py.File:
    import hdf5plugin  # noqa: F401 - registers the lz4 and zstd filters

    try:
        return h5py.File(path, mode)
    except OSError as error:
        if mode == "r":
            raise FormatError(
                f"{path} cannot be read as HDF5: {error}. The file is damaged or of another format"
            ) from error
        raise OutputError(f"{path} cannot be written as HDF5: {error}") from error


class HDF5Recording(Recording):
    """One dataset of an HDF5 file."""

    def __init__(self, path: Path, loc: str | None = None) -> None:
        self.path = path
        self.file = _open_file(path, "r")
        try:
            self.dataset = self._find(loc)
            self.shape = check_movie_shape(self.dataset.shape, f"{path}:{self.dataset.name}")
        except Exception:
            self.file.close()
            raise
        self.loc = str(self.dataset.name).strip("/")
        self.dtype = self.dataset.dtype
        self.metadata = _read_metadata(self.dataset)
        self.chunk_frames = self.dataset.chunks[0] if self.dataset.chunks else 1
        self._map = self._memory_map()

    def _find(self, loc: str | None) -> h5py.Dataset:
        wanted = (loc or "").strip("/")
        if wanted and wanted in self.file and isinstance(self.file[wanted], h5py.Dataset):
            return self.file[wanted]
        below = [n for n in dataset_names(self.path) if not wanted or n.startswith(wanted + "/")]
        if len(below) == 1:  # a group (or a file) with a single recording names it
            return self.file[below[0]]
        names = dataset_names(self.path)
        found = f"it has {', '.join(names)}" if names else "it has no 3-D dataset"
        asked = f"has no recording at {loc!r}" if wanted else "was opened without naming a dataset (loc)"
        raise DatasetNotFoundError(f"{self.path} {asked}; {found}")

    def _memory_map(self) -> NDArray[Any] | None:
        # An uncompressed contiguous dataset is plain bytes in the file: mapping them avoids HDF5's global lock.
        offset = self.dataset.id.get_offset() if self.dataset.chunks is None else None
        if offset is None or self.dataset.dtype.kind not in "biuf" or self.dataset.dtype.byteorder == ">":
            return None
        return np.memmap(self.path, dtype=self.dtype, mode="r", offset=offset, shape=self.shape)

    def read(self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        if self._map is not None:
            return np.array(self._map[start:stop, rows, columns], order="C", copy=True)
        return np.ascontiguousarray(self.dataset[start:stop, rows, columns])

    def close(self) -> None:
        """Close the file."""
        self._map = None
        self.file.close()


def _read_metadata(dataset: h5py.Dataset) -> Metadata:
    attributes = dict(dataset.attrs)
    names = attributes.get("channel_names")
    if isinstance(names, str):
        attributes["channel_names"] = json.loads(names)
    return Metadata.from_attributes(attributes)


class HDF5Writer(RecordingWriter):
    """Writes one dataset; a new file is written beside and renamed, an existing one gains the dataset when it is complete.

    In an existing file the dataset grows under ``<loc>.partial``. Without compression its space is allocated before the
    first block, so that a process that is killed while writing leaves the other datasets readable.
    """

    def __init__(
        self,
        path: Path,
        loc: str,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        chunks: tuple[int, int, int] | None = None,
        compression: str | None = None,
        metadata: Metadata | None = None,
        attributes: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.shape, self.dtype, self.path, self.loc = shape, dtype, path, loc.strip("/")
        if not self.loc:
            raise InvalidValueError(f"a dataset name (loc) is needed to write {path}, for example 'data/ch0'")
        self._beside = not path.exists()
        self._target = path.with_name(path.name + PARTIAL) if self._beside else path
        options = _filter_options(compression)
        if options and chunks is None:
            raise InvalidValueError("compressed HDF5 is stored in chunks: name the chunks")
        self._check_space(compression)
        if self._beside:
            self._target.unlink(missing_ok=True)
        self.file = _open_file(self._target, "a")
        try:
            if self.loc in self.file and not overwrite:
                raise OutputExistsError(f"{path} already has {self.loc!r}; choose another loc or overwrite=True")
            self._partial = self.loc + PARTIAL
            if self._partial in self.file:  # what an earlier, interrupted run left
                del self.file[self._partial]
            self.dataset = self._create(chunks, options)
            self.dataset.attrs.update((metadata or Metadata()).to_attributes())
            self.dataset.attrs.update(attributes or {})
            self.file.flush()
        except Exception:
            self.discard()
            raise
        self._depth = self.dataset.chunks[0] if self.dataset.chunks else 1
        self._next, self._pending = 0, np.empty((0, *shape[1:]), dtype)

    def _check_space(self, compression: str | None) -> None:
        need = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise OutputError(f"{self.path.parent} cannot be written to: {error}") from error
        # a full disk can leave an HDF5 file unreadable, so refuse before the first byte (compressed: half is a fair guess)
        if free < (need // 2 if compression else need) + (64 << 20):
            raise OutputError(f"{self.path} needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; free some space")

    def _create(self, chunks: tuple[int, int, int] | None, options: dict[str, Any]) -> h5py.Dataset:
        if options:
            return self.file.create_dataset(self._partial, self.shape, self.dtype, chunks=chunks, **options)
        parameters = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        parameters.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        parameters.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        if chunks is not None:
            parameters.set_chunk(chunks)
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        space = h5py.h5s.create_simple(self.shape)
        kind = h5py.h5t.py_create(self.dtype, logical=True)
        created = h5py.h5d.create(self.file.id, self._partial.encode(), kind, space, dcpl=parameters, lcpl=links)
        return h5py.Dataset(created)

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write the block; frames that do not fill a chunk wait for the next block."""
        check_block(self, start, block)
        if start != self._next:
            raise InvalidValueError(f"blocks are written in order: expected frame {self._next}, got {start}")
        self._next += len(block)
        block = block.astype(self.dtype, copy=False)
        if len(self._pending):
            block = np.concatenate([self._pending, block])
        whole = len(block) if self._next == self.shape[0] else len(block) // self._depth * self._depth
        first = self._next - len(block)
        if whole:
            self.dataset[first : first + whole] = block[:whole]
        self._pending = block[whole:].copy()

    def commit(self) -> None:
        """Flush, rename the dataset and, where the file is new, the file."""
        if self._next != self.shape[0]:
            self.discard()
            raise InvalidValueError(f"{self._next} of {self.shape[0]} frames were written to {self.path}:{self.loc}")
        self.file.flush()
        if self.loc in self.file:
            del self.file[self.loc]
        self.file.move(self._partial, self.loc)
        self.file.flush()
        self.file.close()
        if self._beside:
            os.replace(self._target, self.path)  # noqa: PTH105 - atomic on every system

    def discard(self) -> None:
        """Close and remove what was written."""
        if self._beside:
            with suppress(Exception):  # closing may fail on a full disk; the file goes anyway
                self.file.close()
            self._target.unlink(missing_ok=True)
        elif self.file:
            if getattr(self, "_partial", None) and self._partial in self.file:
                del self.file[self._partial]
            self.file.close()
