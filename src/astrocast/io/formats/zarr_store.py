"""Read zarr, versions 2 and 3: arrays, groups of arrays, and OME-Zarr."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr import codecs

from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidValueError,
)
from astrocast.io.access import current_access
from astrocast.io.formats.axes import read_layout
from astrocast.io.formats.axes_recording import find_axes
from astrocast.io.formats.tiff_metadata import length, pair, rate
from astrocast.io.formats.zarr_chunks import DirectChunks
from astrocast.io.naming import PARTIAL, choose_dataset, default_dataset
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    check_movie_shape,
    named_errors,
)
from astrocast.io.selection import Selection
from astrocast.io.writing.files import (
    REPLACED,
)

#: chunks of one depth are cached for the next block up to this size, bytes
SLAB_BYTES = 160 << 20
COMPRESSIONS = ("lz4", "zstd", "gzip")
#: errors of a damaged store: wrong checksum, bytes that cannot be decoded, missing or
#: damaged metadata
DAMAGE = (ValueError, RuntimeError, KeyError, OSError, TypeError, AttributeError)


def dataset_names(path: Path) -> list[str]:
    """Return the names of all complete arrays of a store and its groups."""
    root = zarr.open(store=str(path), mode="r")
    return [] if isinstance(root, zarr.Array) else sorted(_find_complete_arrays(root))


def is_store(path: Path) -> bool:
    """Return whether a folder is a zarr store, independent of its name."""
    return any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


class ZarrRecording(Recording):
    """An array of a zarr store.

    Frames of several channels alternate, for any order of the axes of the array.
    """

    path: Path
    portable = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the arguments with which another process opens the store again."""
        made_of = (self.path, self._dataset, self._selection)
        return type(self), made_of, {"loc": self.loc}

    def __init__(
        self, path: Path, loc: str | None = None, selection: Selection | None = None
    ) -> None:
        self.path, self._selection = path, selection or Selection()
        try:
            root = zarr.open(store=str(path), mode="r")
        except DAMAGE as error:
            raise FormatError(f"{path} cannot be read as zarr: {error}") from error
        self.array, self.loc, multiscale = _find_array(root, path, loc)
        self._dataset = self.loc
        shape = self.array.shape
        where = f"{path}:{self.loc}" if self.loc else str(path)
        if self.array.dtype.kind not in "biuf":
            raise FormatError(
                f"{where} holds {self.array.dtype}; expected real numbers"
            )
        _check_chunks_stored(self.array, where)
        if multiscale is None:
            self.metadata = Metadata.from_attributes(dict(self.array.attrs))
            labels = axis_labels(self.array)
            if len(shape) < 3:
                check_movie_shape(shape, where)
            self._axes = find_axes(len(shape), shape, self._selection, where, labels)
        else:
            self._axes, self.metadata = read_multiscale(
                multiscale, len(shape), dict(root.attrs)
            )
            self._axes = self._selection.axes or self._axes
        self._layout = read_layout(self._axes, shape, where, self._selection)
        self.channels, self.choices = self._layout.channels, self._layout.choices
        self.shape = check_movie_shape(self._layout.movie_shape, where)
        self.dtype = np.dtype(self.array.dtype).newbyteorder("=")
        self._slab: tuple[int, NDArray[Any]] | None = None
        self._lock = threading.Lock()
        self._direct = self._find_direct()
        depths = self.array.shards or self.array.chunks
        time = self._layout.time
        self.chunk_frames = (
            depths[self._axes.index(time)] * self.channels if time is not None else 1
        )

    @named_errors
    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        try:
            if self._direct is not None and (rows, columns) == (ALL, ALL):
                return self._read_slabs(self._direct, start, stop)
            found = self._layout.read(self.array, start, stop, 1, rows, columns)
        except DAMAGE as error:
            raise FormatError(
                f"frames {start} to {stop} of {self.path}:{self.loc} are damaged:"
                f" {error}"
            ) from error
        return np.ascontiguousarray(found).astype(self.dtype, copy=False)

    def _find_direct(self) -> DirectChunks | None:
        """Return a reader of the chunk files; None for arrays of other programs."""
        compression = written_compression(self.array)
        slab = (
            self.array.chunks[0]
            * self.array.shape[-1]
            * self.array.shape[-2]
            * self.array.dtype.itemsize
        )
        if compression is None or self._axes != "TYX" or slab > SLAB_BYTES:
            return None
        return DirectChunks(self.path / (self.loc or ""), self.array, compression)

    def _read_slabs(self, direct: DirectChunks, start: int, stop: int) -> NDArray[Any]:
        """Read whole frames.

        The last chunks are cached, because blocks rarely end at the end of a chunk.
        """
        depth = self.array.chunks[0]
        block = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        for number in range(start // depth, -(-stop // depth)):
            with self._lock:
                if self._slab is None or self._slab[0] != number:
                    self._slab = number, direct.read_slab(number, self.shape)
                slab = self._slab[1]
            first, last = (
                max(start, number * depth),
                min(stop, number * depth + len(slab)),
            )
            block[first - start : last - start] = slab[
                first - number * depth : last - number * depth
            ]
        return block

    def close(self) -> None:
        """Release the cached chunks."""
        self._slab = None


def axis_labels(array: Any) -> list[str]:
    """Return the names of an array's axes (zarr 3 or xarray); may be empty."""
    named = getattr(array.metadata, "dimension_names", None)
    named = named or dict(array.attrs).get("_ARRAY_DIMENSIONS") or ()
    return [str(n) for n in named]


def _check_chunks_stored(array: Any, where: str) -> None:
    """Raise an error if chunks are missing in the store and this is not allowed."""
    if current_access().missing_chunks:
        return
    try:
        stored, wanted = array.nchunks_initialized, array.nchunks
    except DAMAGE as error:
        raise FormatError(f"the chunks of {where} cannot be listed: {error}") from error
    if stored < wanted:
        raise FormatError(
            f"{where} lacks {wanted - stored} of {wanted} chunks, which would be read"
            f" as {array.fill_value}: it was not copied or not written completely. If"
            " this is intended, convert it with missing_chunks=True"
        )


def _find_array(
    root: Any, path: Path, loc: str | None
) -> tuple[Any, str | None, dict[str, Any] | None]:
    """Return the array ``loc``, its name, and its OME-Zarr metadata (or None)."""
    if isinstance(root, zarr.Array):
        if loc and loc.strip("/"):
            raise DatasetNotFoundError(
                f"{path} is a single array and has no {loc!r}; leave loc out"
            )
        return root, None, None
    attributes = dict(root.attrs)
    multiscales = dict(attributes.get("ome", attributes)).get("multiscales")
    stored = _find_complete_arrays(root)
    names = list(stored)
    if multiscales and (loc or "").strip("/") not in names:  # loc may be a channel
        name = multiscales[0]["datasets"][0]["path"]  # full resolution comes first
        return root[name], name, multiscales[0]
    movies = [n for n in names if 3 <= root[stored[n]].ndim <= 5]
    loc = default_dataset(loc, attributes, movies)
    wanted = (loc or "").strip("/")
    name = wanted if wanted in names else choose_dataset(movies, loc, path)
    return root[stored[name]], stored[name], None


def _find_complete_arrays(root: Any) -> dict[str, str]:
    """Return the path of each array of a store, by its name.

    Both are different if a process died while it replaced an array: then the old array
    is read, from a temporary path.
    """
    found = [
        n for n, item in root.members(max_depth=None) if isinstance(item, zarr.Array)
    ]
    stored = {n: n for n in found if not n.endswith((PARTIAL, REPLACED))}
    waiting = {n.removesuffix(REPLACED): n for n in found if n.endswith(REPLACED)}
    return waiting | stored


def read_multiscale(
    multiscale: dict[str, Any], ndim: int, attributes: dict[str, Any]
) -> tuple[str, Metadata]:
    """Return axes and physical metadata of OME-Zarr (https://ngff.openmicroscopy.org)."""
    axes = multiscale.get("axes") or ["t", "c", "z", "y", "x"][-ndim:]
    describe_codecs = [a if isinstance(a, dict) else {"name": a} for a in axes]
    letters = "".join(str(a["name"])[0].upper() for a in describe_codecs)
    steps = next(
        (
            t["scale"]
            for t in multiscale["datasets"][0].get("coordinateTransformations", [])
            if t["type"] == "scale"
        ),
        None,
    )
    units = {
        letter: (step, a.get("unit"))
        for letter, step, a in zip(letters, steps or [], describe_codecs, strict=False)
    }
    labels = (
        (attributes.get("ome") or attributes)
        .get("omero", attributes.get("omero", {}))
        .get("channels", [])
    )
    size = pair(
        *(length(*units[a]) if a in units and units[a][1] else None for a in "YX")
    )
    step, unit = units.get("T", (None, None))
    return letters, Metadata(
        pixel_size=size,
        frame_rate=rate(step, unit) if unit else None,
        channel_names=tuple(str(c.get("label", "")) for c in labels),
    )


def written_compression(array: Any) -> str | None:
    """Return the compression of an array that this package wrote, or None."""
    if (
        array.metadata.zarr_format != 3
        or array.shards
        or array.ndim != 3
        or array.dtype.byteorder == ">"
    ):
        return None

    def describe_codecs(chain: Any) -> list[tuple[str, str, str]]:
        options = [
            (c.to_dict(), dict(c.to_dict().get("configuration", {}))) for c in chain
        ]
        return [
            (str(c["name"]), str(o.get("cname")), str(o.get("shuffle")))
            for c, o in options
        ]

    return next(
        (
            n
            for n in COMPRESSIONS
            if describe_codecs(array.compressors) == describe_codecs(codec_chain(n))
        ),
        None,
    )


def codec_chain(compression: str | None) -> list[Any]:
    """Return the codecs of a chunk: Blosc, or gzip, each followed by a checksum.

    A truncated Blosc chunk can crash the interpreter. The checksum is compared first
    and prevents this.
    """
    chosen = compression or "lz4"
    if chosen not in COMPRESSIONS:
        raise InvalidValueError(
            f"compression is {compression!r}; choose one of"
            f" {', '.join(COMPRESSIONS)} for zarr"
        )
    packed: Any
    if chosen == "gzip":
        packed = codecs.GzipCodec(level=4)
    elif chosen == "zstd":
        packed = codecs.BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
    else:
        packed = codecs.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    return [packed, codecs.Crc32cCodec()]
