"""Zarr behind a URL of fsspec (``s3://``, ``gs://``, ``memory://`` ...).

Chunks are objects of their own: any number of processes read and write them side by
side. An array gets its description (``zarr.json``) last: what is not complete cannot be
opened. Keys, endpoints and other options come from the environment, as fsspec and the
providers' libraries read it (for example ``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from astrocast.errors import (
    FormatError,
    MissingExtraError,
    OutputError,
    OutputExistsError,
    RecordingNotFoundError,
    describe_error,
)
from astrocast.io.formats.zarr_chunks import DirectChunks
from astrocast.io.formats.zarr_store import codec_chain
from astrocast.io.naming import choose_dataset
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    RecordingWriter,
    check_movie_shape,
)
from astrocast.io.writing.slabs import SlabBuffer

DESCRIPTION = "zarr.json"
_GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(
            error.name or "s3fs", "cloud", f"reading {url}"
        ) from error
    except ValueError as error:
        raise RecordingNotFoundError(
            f"{url} cannot be opened: {error}; expected a URL such as s3://bucket/name"
        ) from error
    return system, path.rstrip("/")


class RemoteZarr(Recording):
    """One array of a zarr store behind a URL, (frame, row, column).

    Parameters
    ----------
    url
        Of the store.
    loc
        Name of the array; the only one of three axes when None.
    """

    portable = True

    def __init__(self, url: str, loc: str | None = None) -> None:
        path = file_system(url)[1]
        self.url = url
        names = array_names(url)
        if not names:
            raise RecordingNotFoundError(f"there is no zarr array at {url}")
        wanted = (loc or "").strip("/")
        if wanted in names:
            self.loc = wanted
        else:
            self.loc = choose_dataset(names, loc, Path(url)) or None
        where = f"{path}/{self.loc}" if self.loc else path
        try:
            store = zarr.storage.FsspecStore.from_url(
                f"{url}/{self.loc}" if self.loc else url, read_only=True
            )
            self.array: Any = zarr.open_array(store=store, mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(
                f"{where} cannot be read as zarr: {describe_error(error)}"
            ) from error
        self.shape = check_movie_shape(self.array.shape, where)
        self.dtype = np.dtype(self.array.dtype).newbyteorder("=")
        self.metadata = Metadata.from_attributes(dict(self.array.attrs))
        self.chunk_frames = self.array.chunks[0]
        self.reopen = partial(RemoteZarr, url, self.loc)

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        try:
            found = self.array[start:stop, rows, columns]
        except (OSError, ValueError, RuntimeError) as error:
            raise FormatError(
                f"frames {start} to {stop} of {self.url} cannot be read:"
                f" {describe_error(error)}"
            ) from error
        return np.ascontiguousarray(found).astype(self.dtype, copy=False)


def array_names(url: str) -> list[str]:
    """Return the complete arrays of a store; "" for a store that is one array."""
    system, path = file_system(url)
    system.invalidate_cache()
    names = []
    try:
        found = system.glob(f"{path}/**/{DESCRIPTION}")
    except OSError as error:
        raise RecordingNotFoundError(
            f"{url} cannot be listed: {describe_error(error)}; check the address and"
            " the keys in the environment"
        ) from error
    for place in [*found, f"{path}/{DESCRIPTION}"]:
        with suppress(FileNotFoundError):
            described = json.loads(system.cat_file(place))
            if described.get("node_type") == "array":
                names.append(place.removesuffix(DESCRIPTION).rstrip("/"))
    begin = path.lstrip("/")
    return sorted({n.lstrip("/").removeprefix(begin).strip("/") for n in names})


def remove_store(url: str) -> None:
    """Remove a store and all arrays in it."""
    system, path = file_system(url)
    with suppress(FileNotFoundError):
        system.rm(path, recursive=True)
    system.invalidate_cache()


class RemoteChunks(DirectChunks):
    """Encode chunks and write each to its object."""

    def __init__(self, url: str, array: Any, compression: str) -> None:
        super().__init__(Path(url), array, compression)
        self.url = url

    def _write_one(self, index: tuple[int, int, int], chunk: NDArray[Any]) -> None:
        system, path = file_system(self.url)
        place = f"{path}/c/{'/'.join(map(str, index))}"
        system.pipe_file(place, b"".join(self.encode(chunk)))


class RemoteWriter(RecordingWriter):
    """Writes an array of a zarr store behind a URL; described when it is complete."""

    def __init__(
        self,
        url: str,
        loc: str | None,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        **options: Any,
    ) -> None:
        self.url, self.loc = url.rstrip("/"), (loc or "").strip("/")
        self.shape, self.dtype = shape, dtype
        place = f"{self.url}/{self.loc}" if self.loc else self.url
        self._system, self._path = file_system(place)
        if self._system.exists(f"{self._path}/{DESCRIPTION}"):
            if not options.get("overwrite"):
                raise OutputExistsError(
                    f"{place} is there already; choose another loc or overwrite=True"
                )
            # first the description: half an array cannot be opened
            self._system.rm_file(f"{self._path}/{DESCRIPTION}")
        with suppress(FileNotFoundError):
            self._system.rm(f"{self._path}/c", recursive=True)
        attributes = {
            **(options.get("metadata") or Metadata()).to_attributes(),
            **(options.get("attributes") or {}),
        }
        described = zarr.storage.MemoryStore()
        array = zarr.create_array(
            store=described,
            shape=shape,
            dtype=dtype,
            chunks=options["chunks"],
            compressors=codec_chain(options.get("compression")),
            attributes=attributes,
            zarr_format=3,
        )
        self._description = json.dumps(
            array.metadata.to_dict(), default=_plain
        ).encode()
        self.chunk_frames, height, width = array.chunks
        self.chunk_shape = (self.chunk_frames, height, width)
        self._slabs = SlabBuffer(self, self.chunk_frames)
        self._chunks = RemoteChunks(place, array, options.get("compression") or "lz4")
        self._lock = threading.Lock()

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write what fills chunks; the rest waits for the next block."""
        for first, slab in self._slabs.add(start, block):
            self._chunks.write(first, slab)

    def chunk_writer(self) -> Callable[..., None]:
        """Return what writes whole chunks from any process."""
        return self._chunks.write

    def mark_written(self, frames: int) -> None:
        """Take note of frames that other processes wrote."""
        self._slabs.received += frames

    def commit(self) -> None:
        """Describe the array, and the groups that it is in."""
        self._slabs.check_complete(f"{self.url}:{self.loc}")
        store, root = file_system(self.url)
        parts = self.loc.split("/")[:-1] if self.loc else []
        groups = [root] if self.loc else []
        groups += ["/".join([root, *parts[: i + 1]]) for i in range(len(parts))]
        try:
            for group in groups:
                if not store.exists(f"{group}/{DESCRIPTION}"):
                    store.pipe_file(
                        f"{group}/{DESCRIPTION}", json.dumps(_GROUP).encode()
                    )
            self._system.pipe_file(f"{self._path}/{DESCRIPTION}", self._description)
        except OSError as error:
            raise OutputError(
                f"{self.url} cannot be written: {describe_error(error)}"
            ) from error

    def discard(self) -> None:
        """Remove what was written."""
        with suppress(FileNotFoundError):
            self._system.rm(f"{self._path}/c", recursive=True)


def _plain(value: Any) -> Any:
    """Return a value of a description in a form that JSON can hold."""
    return getattr(value, "value", None) or str(value)
