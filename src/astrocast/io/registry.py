"""From a path or an array to a recording, and from a path to a writer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from astrocast.errors import (
    FormatError,
    InvalidTypeError,
    InvalidValueError,
    OutputError,
    RecordingNotFoundError,
)
from astrocast.io.chunks import ChunkStrategy, check_chunks, infer_chunks
from astrocast.io.door import check_at_door
from astrocast.io.memory import ArrayRecording, ArrayWriter, DaskRecording
from astrocast.io.naming import choose_channel
from astrocast.io.recording import (
    Metadata,
    Recording,
    RecordingWriter,
    as_dtype,
    check_movie_shape,
)
from astrocast.io.views import SlicedRecording
from astrocast.io.writing.resume import Resume


@dataclass(frozen=True)
class Format:
    """A file format: its suffixes, and where its reader and writer are.

    Parameters
    ----------
    name
        What the format is called in messages.
    suffixes
        Endings of its files, lower case.
    reader, writer
        ``module:callable`` below `astrocast.io`, imported when they are needed; None
        where there is none. The reader is called with (path, loc), the writer with
        (path, loc, shape, dtype, **options).
    folder
        Whether it is a folder rather than a file.
    several
        Whether one file holds several recordings.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    writer: str | None = None
    folder: bool = False
    several: bool = False


FORMATS = (
    Format(
        "HDF5",
        (".h5", ".hdf5"),
        "formats.hdf5:HDF5Recording",
        "formats.hdf5_writer:HDF5Writer",
        several=True,
    ),
    Format(
        "TIFF",
        (".tif", ".tiff", ".btf", ".tf8"),
        "formats.tiff:TiffRecording",
        "formats.tiff:TiffWriter",
    ),
    Format(
        "zarr",
        (".zarr",),
        "formats.zarr_store:ZarrRecording",
        "formats.zarr_store:ZarrWriter",
        folder=True,
        several=True,
    ),
    Format("NumPy", (".npy",), "formats.npy:open_npy", "formats.npy:NpyWriter"),
    Format(
        "TileDB",
        (".tdb",),
        "formats.tiledb_array:TileDBRecording",
        "formats.tiledb_array:TileDBWriter",
        folder=True,
    ),
    Format(
        "video",
        (".mp4", ".avi"),
        "formats.video:VideoRecording",
        "formats.video:VideoWriter",
    ),
    Format("Zeiss CZI", (".czi",), "formats.czi:CziRecording"),
    Format("Leica LIF", (".lif",), "formats.lif:LifRecording"),
    Format("Nikon ND2", (".nd2",), "formats.nd2_file:ND2Recording"),
)


def find_format(path: Path) -> Format | None:
    """Return the format of a path by its suffix."""
    suffix = path.suffix.lower()
    return next((f for f in FORMATS if suffix in f.suffixes), None)


def suffixes(*, writable: bool = False) -> str:
    """Return the known suffixes for a message."""
    return ", ".join(s for f in FORMATS if f.writer or not writable for s in f.suffixes)


def _load(where: str) -> Callable[..., Any]:
    module, name = where.split(":")
    return getattr(import_module(f"astrocast.io.{module}"), name)


def open_recording(source: Any, loc: str | None = None) -> Recording:
    """Open a recording of one channel for reading, lazily.

    Parameters
    ----------
    source
        Path of a file or folder, a NumPy or dask array (frame, row, column), or a
        `Recording`, returned as it is.
    loc
        Name of the dataset in formats that hold several (HDF5, zarr), or of the channel
        in a file that says that it has several: ``"ch1"``, or the channel's name.

    Raises
    ------
    RecordingNotFoundError
        There is nothing at the path.
    FormatError
        It is damaged, or of no known format.
    DatasetNotFoundError
        It holds several recordings or channels, and ``loc`` names none of them.

    Examples
    --------
    >>> import numpy as np
    >>> open_recording(np.zeros((10, 4, 4))).shape
    (10, 4, 4)
    """
    if isinstance(source, Recording):
        return source
    recording, loc = _open_path_or_array(source, loc, "_")
    recording = check_at_door(recording)
    if recording.channels == 1:
        return recording
    try:
        channel = choose_channel(
            loc, recording.channels, recording.metadata.channel_names, recording.path
        )
    except Exception:
        recording.close()
        raise
    return SlicedRecording(recording, channel, len(recording), recording.channels)


def open_interleaved(
    source: Any, loc: str | None = None, *, sep: str = "_", channels: int = 1
) -> Recording:
    """Open a recording of which the frames of ``channels`` channels alternate.

    A file that says how many channels it has must agree. ``sep`` sorts the files of a
    folder, see `open_recording` for the rest.
    """
    recording, _ = _open_path_or_array(source, loc, sep)
    recording = check_at_door(recording)
    if recording.channels not in (1, channels):
        names = ", ".join(recording.metadata.channel_names) or "without names"
        recording.close()
        raise InvalidValueError(
            f"{recording.path} has {recording.channels} channels ({names}),"
            f" channels={channels} was asked for; pass channels={recording.channels},"
            " or a name for each"
        )
    return recording


def _open_path_or_array(
    source: Any, loc: str | None, sep: str
) -> tuple[Recording, str | None]:
    """Return the recording and what is left of ``loc``: the channel, in formats of one
    recording per file.
    """
    if isinstance(source, Recording):
        return source, None
    if isinstance(source, np.ndarray):
        return ArrayRecording(source), None
    if hasattr(source, "dask") and hasattr(source, "chunks"):
        return DaskRecording(source), None
    if not isinstance(source, (str, Path)):
        raise InvalidTypeError(
            f"a recording is a path or an array, got {type(source).__name__}"
        )
    path = Path(source)
    if not path.exists():
        raise RecordingNotFoundError(
            f"there is no file or folder {path}; check the path"
        )
    if not path.is_file() and not path.is_dir():
        raise FormatError(
            f"{path} is neither a file nor a folder (a pipe, a socket or a device);"
            " save the recording to a file first"
        )
    kind = find_format(path)
    if path.is_dir() and (kind is None or not kind.folder):
        return _open_folder(path, loc, sep)
    if kind is None:
        raise FormatError(
            f"{path} is of no format that can be read; known are folders of TIFFs, and"
            f" {suffixes()}"
        )
    if kind.folder and not path.is_dir():
        raise FormatError(f"{path} is a file; {kind.name} is a folder")
    return _load(kind.reader)(path, loc), loc


def _open_folder(path: Path, loc: str | None, sep: str) -> tuple[Recording, str | None]:
    """Open a zarr or TileDB store of any name, or a folder of TIFFs."""
    if any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        return _load("formats.zarr_store:ZarrRecording")(path, loc), loc
    if (path / "__schema").exists():
        return _load("formats.tiledb_array:TileDBRecording")(path, loc), loc
    return _load("formats.folder:FolderRecording")(path, loc, sep), loc


def create_recording(
    path: str | Path | None,
    loc: str | None,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    *,
    chunk_strategy: ChunkStrategy = "balanced",
    chunks: tuple[int, int, int] | None = None,
    compression: str | None = None,
    metadata: Metadata | None = None,
    attributes: dict[str, Any] | None = None,
    overwrite: bool = False,
    resume: Resume | None = None,
) -> RecordingWriter:
    """Create a writer for a recording; the suffix of ``path`` decides the format, None
    writes to memory.

    Parameters
    ----------
    path
        File to write. Nothing is at its place before the recording is complete; an
        existing HDF5 file or zarr store gains a dataset.
    loc
        Name of the dataset in formats that hold several.
    shape, dtype
        Of the recording (frame, row, column).
    chunk_strategy, chunks
        Shape of a chunk, see `astrocast.io.chunks.infer_chunks`.
    compression
        By format, see the formats' writers.
    metadata, attributes
        Physical metadata, and whatever else is worth keeping as plain numbers and
        strings.
    overwrite
        Replace what is there.
    resume
        Journal by which a recording that was interrupted goes on, in formats that can:
        zarr, and HDF5 without compression. The writer says in ``resumed`` where.
    """
    kind = as_dtype(dtype)
    shape = check_movie_shape(tuple(shape), str(path) if path else "the result")
    if path is None:
        return ArrayWriter(shape, kind)
    path = Path(path)
    target = find_format(path)
    if target is None or target.writer is None:
        raise FormatError(
            f"{path} is of no format that can be written; known are"
            f" {suffixes(writable=True)}"
        )
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")
    cut = (
        check_chunks(chunks, shape)
        if chunks
        else infer_chunks(shape, kind, chunk_strategy)
    )
    make = _load(target.writer)
    going_on = {"resume": resume} if getattr(make, "resumable", False) else {}
    writer: RecordingWriter = make(
        path,
        loc,
        shape,
        kind,
        chunks=cut,
        compression=compression,
        metadata=metadata,
        attributes=attributes,
        overwrite=overwrite,
        **going_on,
    )
    return writer
