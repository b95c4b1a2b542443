"""Open recordings from paths and arrays, and create writers for paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from astrocast.errors import (
    AstrocastError,
    ChoiceError,
    FormatError,
    InvalidTypeError,
    OutputError,
    RecordingNotFoundError,
    describe_error,
)
from astrocast.io.access import allowing
from astrocast.io.check_recording import check_recording
from astrocast.io.chunks import ChunkStrategy, check_chunks, infer_chunks
from astrocast.io.known_formats import (
    FORMATS,
    Format,
    find_format,
    load_callable,
    suffixes,
)
from astrocast.io.memory import ArrayRecording, ArrayWriter, DaskRecording
from astrocast.io.naming import is_url, last_part
from astrocast.io.recording import (
    Metadata,
    Recording,
    RecordingWriter,
    as_dtype,
    check_movie_shape,
)
from astrocast.io.selection import Missing, Selection, choose
from astrocast.io.views import SlicedRecording
from astrocast.io.writing.files import REPLACED
from astrocast.io.writing.resume import Resume

__all__ = [
    "FORMATS",
    "Format",
    "create_recording",
    "find_format",
    "open_all_channels",
    "open_interleaved",
    "open_recording",
]


def open_recording(
    source: Any,
    loc: str | None = None,
    *,
    plane: int | str | None = None,
    position: int | str | None = None,
    channel: int | str | None = None,
    axes: str | None = None,
    missing: Missing | None = None,
    sep: str = "_",
    **aliases: int | str | None,
) -> Recording:
    """Open a recording of one channel for reading, lazily.

    Parameters
    ----------
    source
        Path of a file or folder, a NumPy or dask array (frame, row, column), or a
        `Recording`, returned as it is.
    loc
        Name of the dataset in formats that contain several (HDF5, zarr, NWB, MATLAB),
        of the image (LIF), or of the channel: ``"ch1"``, or the channel's name. It may
        also contain the choices below: ``"data/stack,plane=2"``.
    plane
        Number of the plane (depth), from 0. Also ``z``.
    position
        Number, from 0, or name of the position. Also ``series``, ``scene``.
    channel
        Number, from 0, or name of the channel.
    axes
        Axes of the array, if they are not (frame, row, column) and the file does not
        name them: T time, C channel, Z plane, P position, Y row, X column, for example
        ``"TZCYX"``.
    missing
        If the file names of a folder show that frames are missing: ``"refuse"`` the
        recording, insert ``"blank"`` frames, or ``"close"`` the gaps.
    sep
        Files of a folder are sorted by the number after the last ``sep``.
    **aliases
        ``z``, ``series`` or ``scene``.

    Raises
    ------
    RecordingNotFoundError
        The path does not exist.
    FormatError
        The file is damaged, or its format is not known.
    ChoiceError
        The file contains several planes, positions or channels, and none was chosen;
        also a `DatasetNotFoundError`, which is raised for several datasets.

    Examples
    --------
    >>> import numpy as np
    >>> open_recording(np.zeros((10, 4, 4))).shape
    (10, 4, 4)
    >>> open_recording(np.zeros((10, 3, 4, 5)), axes="TZYX", plane=2).shape
    (10, 4, 5)
    """
    selection = Selection.of(
        loc,
        sep,
        plane=plane,
        position=position,
        channel=channel,
        axes=axes,
        missing=missing,
        **aliases,
    )
    if isinstance(source, Recording) and selection == Selection(sep=sep):
        return source
    recording, rest = _open_path_or_array(source, selection)
    return choose_one_channel(check_recording(recording), rest, selection)


def open_all_channels(source: Any, loc: str | None = None) -> Recording:
    """Open a recording with all its channels, unless ``loc`` names one.

    The frames of several channels alternate; ``choices`` lists the channels.
    """
    selection = Selection.of(loc)
    recording, rest = _open_path_or_array(source, selection)
    recording = check_recording(recording)
    k, names = recording.channels, recording.metadata.channel_names
    last = last_part(rest)
    if k == 1 or selection.channel is not None or last in names:
        return choose_one_channel(recording, rest, selection)
    labels = [*names, *[""] * k][:k]
    listed = tuple(n or f"ch{i}" for i, n in enumerate(labels))
    recording.choices = {**recording.choices, "channel": listed}
    return recording


def choose_one_channel(
    recording: Recording, loc: str | None, selection: Selection
) -> Recording:
    """Return one channel of a recording, named by ``channel`` or by ``loc``."""
    names = recording.metadata.channel_names
    wanted = selection.channel
    named = recording.loc is not None and (loc or "").strip("/") == recording.loc
    if wanted is None and not named:
        wanted = last_part(loc) or None
    try:
        if recording.channels == 1:
            if selection.channel is not None:
                choose(
                    "channel", names[:1] or ("",), selection.channel, _name(recording)
                )
            return recording
        number = choose(
            "channel",
            [*names, *[""] * recording.channels][: recording.channels],
            wanted,
            _name(recording),
        )
    except Exception:
        recording.close()
        raise
    k = recording.channels
    one = SlicedRecording(recording, number, len(recording), k)
    one.metadata = recording.metadata.of_channel(number, k)
    labels = tuple(n or f"ch{i}" for i, n in enumerate([*names, *[""] * k][:k]))
    one.choices = {**recording.choices, "channel": labels}
    one.loc = replace(selection, channel=number).address(recording.loc)
    return one


def _name(recording: Recording) -> str:
    return str(recording.path or "the recording")


def open_interleaved(
    source: Any,
    loc: str | None = None,
    *,
    sep: str = "_",
    channels: int = 1,
    **choices: Any,
) -> Recording:
    """Open a recording in which the frames of several channels alternate.

    If the file states its number of channels, it has to equal ``channels``, unless
    ``channel`` names one of them. Other arguments as in `open_recording`.
    """
    selection = Selection.of(loc, sep, **choices)
    recording, rest = _open_path_or_array(source, selection)
    recording = check_recording(recording)
    names = recording.metadata.channel_names
    last = last_part(rest)
    if selection.channel is not None or (channels == 1 and last and last in names):
        recording = choose_one_channel(recording, rest, selection)
    if recording.channels not in (1, channels):
        k = recording.channels
        listed = ", ".join(names) or "without names"
        recording.close()
        raise ChoiceError(
            f"{recording.path} has {k} channels ({listed}), but channels={channels};"
            f" pass channels={k}, or a name for each, or choose one with channel=",
            {
                "channel": tuple(
                    n or f"ch{i}" for i, n in enumerate([*names, *[""] * k][:k])
                )
            },
        )
    return recording


def _open_path_or_array(
    source: Any, selection: Selection
) -> tuple[Recording, str | None]:
    """Return the recording with all channels, and ``loc`` without choices.

    In formats with one recording per file, ``loc`` may be the name of a channel.
    """
    loc = selection.loc
    if isinstance(source, Recording):
        return source, loc
    is_dask = hasattr(source, "dask") and hasattr(source, "chunks")
    if isinstance(source, np.ndarray) or is_dask:
        return _open_array(source, selection, is_dask), loc
    if not isinstance(source, (str, Path)):
        raise InvalidTypeError(
            "a recording has to be a path, an array or a Recording, found"
            f" {type(source).__name__}"
        )
    if is_url(source):
        from astrocast.io.formats.zarr_remote import RemoteZarr

        return RemoteZarr(str(source), loc), loc
    path = Path(source)
    if not path.exists():
        old = path.with_name(path.name + REPLACED)
        hint = (
            f"a process stopped while it replaced this file: rename {old.name}, the"
            " previous version"
            if old.exists()
            else "check the path"
        )
        raise RecordingNotFoundError(f"{path} does not exist; {hint}")
    if not path.is_file() and not path.is_dir():
        raise FormatError(
            f"{path} is neither a file nor a folder (a pipe, a socket or a device);"
            " save the recording to a file first"
        )
    kind = find_format(path)
    if path.is_dir() and (kind is None or not kind.folder):
        return _open_folder(path, selection), loc
    if kind is None:
        raise FormatError(
            f"the format of {path} is not known; known are folders of TIFF files, and"
            f" {suffixes()}"
        )
    if kind.folder and not path.is_dir():
        raise FormatError(
            f"{path} is a file, but {kind.name} stores are folders; check the path"
        )
    return _read(kind, path, selection), loc


def _read(kind: Format, path: Path, selection: Selection) -> Recording:
    """Open a recording with the reader of a format."""
    reader = load_callable(kind.reader)
    if kind.selects:
        with _named_errors(path, kind.name):
            recording: Recording = reader(path, selection.loc, selection)
    else:
        for name in ("plane", "position", "axes"):
            if getattr(selection, name) not in (None, 0, "0"):
                raise ChoiceError(
                    f"{path} is a {kind.name} file, in which no {name} can be chosen;"
                    f" leave {name} out"
                )
        with _named_errors(path, kind.name):
            recording = reader(path, selection.loc)
    chosen = selection.without_channel()
    if chosen.address() is not None and recording.loc != chosen.address(recording.loc):
        recording.loc = chosen.address(recording.loc)
    recording.reopen = partial(_reopen, kind, path.resolve(), selection)
    recording.portable = True
    return recording


def _reopen(kind: Format, path: Path, selection: Selection) -> Recording:
    """Open a recording again in another process.

    All reads are allowed, because the first process has checked the recording.
    """
    if not path.exists():
        raise RecordingNotFoundError(f"{path} does not exist; check the path")
    with allowing(other_files=True, missing_chunks=True):
        return _read(kind, path, selection)


def _open_array(array: Any, selection: Selection, is_dask: bool) -> Recording:
    """Return an array in memory, or a dask array, as a recording."""
    from astrocast.io.formats.axes import read_layout
    from astrocast.io.formats.axes_recording import AxesRecording, find_axes

    ndim, where = len(array.shape), "the array"
    if ndim < 3 or (ndim == 3 and selection.axes in (None, "TYX")):
        if ndim == 3:
            read_layout("TYX", array.shape, where, selection)
        return DaskRecording(array) if is_dask else ArrayRecording(array)
    axes = find_axes(ndim, array.shape, selection, where)
    return AxesRecording(array, axes, selection)


@contextmanager
def _named_errors(path: Path, kind: str) -> Iterator[None]:
    """Turn errors of a library into a `FormatError` that names the file."""
    try:
        yield
    except AstrocastError:
        raise
    except Exception as error:  # damaged bytes raise anything
        raise FormatError(
            f"{path} cannot be read as {kind}: {describe_error(error)}. The file is"
            " damaged, or of another format"
        ) from error


def _open_folder(path: Path, selection: Selection) -> Recording:
    """Open a zarr or TileDB store with any name, or a folder of TIFF files."""
    stored = {"zarr": ("zarr.json", ".zarray", ".zgroup"), "TileDB": ("__schema",)}
    for name, files in stored.items():
        if any((path / file).exists() for file in files):
            return _read(next(f for f in FORMATS if f.name == name), path, selection)
    from astrocast.io.formats.folder import open_folder

    return open_folder(path, selection)


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
    """Create a writer for a recording.

    Parameters
    ----------
    path
        File to write; its suffix determines the format, None writes to memory. The file
        appears when the recording is complete; a dataset is added to an existing HDF5
        file or zarr store.
    loc
        Name of the dataset, for formats that contain several.
    shape, dtype
        Shape (frame, row, column) and dtype of the recording.
    chunk_strategy, chunks
        Shape of a chunk, see `astrocast.io.chunks.infer_chunks`.
    compression
        Depends on the format, see the writer of each format.
    metadata, attributes
        Physical metadata, and other properties as numbers and texts.
    overwrite
        Whether an existing result is replaced.
    resume
        Journal with which an interrupted recording is resumed (zarr, and HDF5 without
        compression). ``resumed`` of the writer is the number of finished frames.
    """
    kind = as_dtype(dtype)
    shape = check_movie_shape(tuple(shape), str(path) if path else "the result")
    if path is None:
        return ArrayWriter(shape, kind)
    if is_url(path):
        from astrocast.io.formats.zarr_remote import RemoteWriter

        return RemoteWriter(
            str(path),
            loc,
            shape,
            kind,
            chunks=check_chunks(chunks, shape)
            if chunks
            else infer_chunks(shape, kind, chunk_strategy),
            compression=compression,
            metadata=metadata,
            attributes=attributes,
            overwrite=overwrite,
        )
    path = Path(path)
    target = find_format(path)
    if target is None or target.writer is None:
        raise FormatError(
            f"{path} cannot be written: its format is not known; choose one of the"
            f" suffixes {suffixes(writable=True)}"
        )
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")
    cut = (
        check_chunks(chunks, shape)
        if chunks
        else infer_chunks(shape, kind, chunk_strategy)
    )
    make = load_callable(target.writer)
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
