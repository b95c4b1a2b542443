"""Read and write TileDB arrays (``.tdb``) with the optional package tiledb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    FormatError,
    InvalidValueError,
    MissingExtraError,
    OutputError,
)
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    RecordingWriter,
    check_movie_shape,
    named_errors,
)
from astrocast.io.writing.files import Replacement, check_space
from astrocast.io.writing.slabs import SlabBuffer

COMPRESSIONS = ("gzip", "lz4", "zstd")
#: key of the metadata that this package writes
KEY = "astrocast"


def _tiledb() -> Any:
    try:
        import tiledb
    except ImportError as error:
        raise MissingExtraError(
            "tiledb", "tiledb", "reading and writing .tdb recordings"
        ) from error
    return tiledb


class TileDBRecording(Recording):
    """A dense TileDB array of three dimensions and one attribute."""

    path: Path

    def __init__(self, path: Path, loc: str | None = None) -> None:
        tiledb = _tiledb()
        self.path = path
        try:
            self.array = tiledb.open(str(path), mode="r")
        except tiledb.TileDBError as error:
            raise FormatError(f"{path} cannot be read as TileDB: {error}") from error
        schema = self.array.schema
        if schema.sparse or schema.nattr != 1:
            self.array.close()
            raise FormatError(
                f"{path} {'is sparse' if schema.sparse else 'has several attributes'};"
                " expected a dense array with one attribute"
            )
        try:
            self.shape = check_movie_shape(schema.shape, str(path))
        except InvalidValueError:
            self.array.close()
            raise
        self.dtype = np.dtype(schema.attr(0).dtype)
        self.metadata = Metadata.from_attributes(
            json.loads(self.array.meta.get(KEY, "{}"))
        )
        self.chunk_frames = int(schema.domain.dim(0).tile or 1)
        # arrays of other programs may start at an index other than 0
        self._origin = [int(schema.domain.dim(i).domain[0]) for i in range(3)]

    @named_errors
    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        if stop <= start:
            return np.empty(
                (0, *np.empty(self.shape[1:])[rows, columns].shape), self.dtype
            )
        r0, r1, _ = rows.indices(self.shape[1])
        c0, c1, _ = columns.indices(self.shape[2])
        z, x, y = self._origin
        found = self.array[z + start : z + stop, x + r0 : x + r1, y + c0 : y + c1]
        if isinstance(found, dict):  # an attribute with a name
            (found,) = found.values()
        return np.ascontiguousarray(found[:, :: rows.step or 1, :: columns.step or 1])

    def close(self) -> None:
        """Close the array."""
        self.array.close()


class TileDBWriter(RecordingWriter):
    """Write a dense array, which is renamed when it is complete."""

    def __init__(
        self,
        path: Path,
        loc: str | None,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        **options: Any,
    ):
        tiledb = _tiledb()
        self.path, self.shape, self.dtype = path, shape, dtype
        self._new = Replacement(path, overwrite=options.get("overwrite", False))
        check_space(
            path.parent, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, path
        )
        chunks = options["chunks"]
        names = ("z", "x", "y")
        domain = tiledb.Domain(
            *[
                tiledb.Dim(name=n, domain=(0, s - 1), tile=c, dtype=np.int64)
                for n, s, c in zip(names, shape, chunks, strict=True)
            ]
        )
        attribute = tiledb.Attr(
            dtype=dtype, filters=_filters(tiledb, options.get("compression"))
        )
        try:
            tiledb.Array.create(
                str(self._new.beside),
                tiledb.ArraySchema(domain=domain, attrs=[attribute], sparse=False),
            )
        except tiledb.TileDBError as error:
            raise OutputError(
                f"{path.parent} cannot be written to: {error}; choose another folder"
            ) from error
        self.array = tiledb.open(str(self._new.beside), mode="w")
        known = {
            **(options.get("attributes") or {}),
            **(options.get("metadata") or Metadata()).to_attributes(),
        }
        self.array.meta[KEY] = json.dumps(known)
        self._slabs = SlabBuffer(self, chunks[0])

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write the whole tiles of a block; the rest waits for the next block."""
        for first, slab in self._slabs.add(start, block):
            self.array[first : first + len(slab)] = np.ascontiguousarray(slab)

    def commit(self) -> None:
        """Close and rename."""
        self.array.close()
        try:
            self._slabs.check_complete(str(self.path))
        except InvalidValueError:
            self.discard()
            raise
        self._new.commit()

    def discard(self) -> None:
        """Close and remove the unfinished output."""
        self.array.close()
        self._new.discard()


def _filters(tiledb: Any, compression: str | None) -> Any:
    if compression is None:
        return tiledb.FilterList([])
    if compression not in COMPRESSIONS:
        raise InvalidValueError(
            f"compression is {compression!r}; choose one of"
            f" {', '.join(COMPRESSIONS)} or None for TileDB"
        )
    kinds = {
        "gzip": tiledb.GzipFilter,
        "lz4": tiledb.LZ4Filter,
        "zstd": tiledb.ZstdFilter,
    }
    return tiledb.FilterList([tiledb.ByteShuffleFilter(), kinds[compression]()])
