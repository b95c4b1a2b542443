"""The event store: a directory that holds what detection found.

``event_map.*`` label volume (frame, row, column), 0 background, n the voxels of event n
``time_map.npy`` bool (frames, events + 1): in which frames each event is active, column
n for event n ``events.parquet`` the event table, see `astrocast.events.schema`; masks
and footprints as packed bits ``events.csv``, ``events.columns.json`` its numbers as
text, and what each column means ``meta.json`` parameters, input, versions

Nothing in it needs pickle. A store is written as ``<name>.partial`` and renamed when it
is complete.
"""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidValueError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.events.schema import COLUMNS, INDEX, Column
from astrocast.io.memory import ArrayRecording
from astrocast.io.recording import Metadata, Recording, RecordingWriter, check_block
from astrocast.io.registry import create_recording, open_recording
from astrocast.kernels.masks.packbits import pack_labels
from astrocast.kernels.masks.runs import Runs, label_runs_of_volume, paint_runs

EVENT_MAP_SUFFIXES = (".tiff", ".h5", ".zarr", ".tdb")
TABLE, CSV, DESCRIPTION, META, TIME_MAP = (
    "events.parquet",
    "events.csv",
    "events.columns.json",
    "meta.json",
    "time_map.npy",
)
#: dataset of the event map in formats that hold several
EVENT_MAP_LOC = "event_map"
#: values of one ragged column of a batch: all values one after the other, and where
#: each event's begin (events + 1)
Ragged = tuple[NDArray[Any], NDArray[np.int64]]


def store_path(recording: Path, loc: str | None = None) -> Path:
    """Return the path of the event store of a recording.

    ``<stem>.<last part of loc>.roi`` beside the recording.

    Examples
    --------
    >>> store_path(Path("session/a.h5"), "df/ch0").name
    'a.ch0.roi'
    >>> store_path(Path("session/a.tiff")).name
    'a.roi'
    """
    last = (loc or "").strip("/").split("/")[-1]
    return recording.with_name(
        f"{recording.stem}.{last}.roi" if last else f"{recording.stem}.roi"
    )


def _arrow_type(column: Column) -> pa.DataType:
    if column.dtype in ("mask", "footprint"):
        return pa.binary()
    return {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "str": pa.string(),
        "float32[]": pa.list_(pa.float32()),
    }[column.dtype]


def _is_stored(column: Column) -> bool:
    return column.dtype != "contours"


def _schema(columns: Sequence[Column]) -> pa.Schema:
    fields = [
        pa.field(
            INDEX,
            pa.int64(),
            nullable=False,
            metadata={"description": "Number in the event map."},
        )
    ]
    fields += [pa.field(c.name, _arrow_type(c), metadata=c.to_dict()) for c in columns]
    return pa.schema(
        fields, metadata={"format": "astrocast events", "format_version": "1"}
    )


class EventTableWriter:
    """Write the event table in batches.

    The file gets its name when the context ends without an error.

    Parameters
    ----------
    directory
        The event store.
    extra
        Columns beyond the base table, in the order they are appended.
    """

    def __init__(self, directory: Path, extra: Sequence[Column] = ()) -> None:
        self.columns = [c for c in (*COLUMNS, *extra) if _is_stored(c)]
        self.schema = _schema(self.columns)
        self.directory = directory
        self.rows = 0
        self._table = pq.ParquetWriter(
            directory / (TABLE + ".partial"), self.schema, compression="zstd"
        )
        self._csv = (directory / (CSV + ".partial")).open(
            "w", encoding="utf-8", newline=""
        )
        self._csv.write(
            ",".join([INDEX, *(c.name for c in self.columns if c.is_scalar)]) + "\n"
        )

    def write(self, event_id: NDArray[np.int64], batch: Mapping[str, Any]) -> None:
        """Append events.

        Parameters
        ----------
        event_id
            Numbers of the events, (events,).
        batch
            Column name -> values: an array for scalars; for ragged columns a list of
            arrays, or all values one after the other with the offsets of each event
            (float32 for traces; packed bits, see `pack`, for masks).
        """
        expected = {c.name for c in self.columns}
        if set(batch) != expected:
            raise InvalidValueError(
                "a batch of events needs exactly the columns of the schema; missing"
                f" {sorted(expected - set(batch))}, unknown"
                f" {sorted(set(batch) - expected)}"
            )
        arrays = [pa.array(event_id, pa.int64())]
        arrays += [_arrow_array(c, batch[c.name]) for c in self.columns]
        self._table.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
        scalars = {INDEX: event_id} | {
            c.name: batch[c.name] for c in self.columns if c.is_scalar
        }
        pd.DataFrame(scalars).to_csv(self._csv, index=False, header=False)
        self.rows += len(event_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._table.close()
        self._csv.close()
        for name in (TABLE, CSV):
            partial = self.directory / (name + ".partial")
            if kind is None:
                os.replace(partial, self.directory / name)  # noqa: PTH105 - atomic on every system
            else:
                partial.unlink(missing_ok=True)
        if kind is None:
            described = [
                c.to_dict()
                for c in (
                    *COLUMNS,
                    *self.columns[len([c for c in COLUMNS if _is_stored(c)]) :],
                )
            ]
            (self.directory / DESCRIPTION).write_text(
                json.dumps(described, indent=1) + "\n", encoding="utf-8"
            )


def _arrow_array(column: Column, values: Any) -> pa.Array:
    if column.is_scalar:
        # NaN stays NaN in a float column: a missing property and an undefined one are
        # the same to the analysis
        return pa.array(values, _arrow_type(column))
    if not isinstance(values, tuple):
        items = (
            [pack(v) for v in values]
            if column.dtype in ("mask", "footprint")
            else [np.asarray(v) for v in values]
        )
        offsets = np.concatenate(
            [[0], np.cumsum([len(v) for v in items], dtype=np.int64)]
        )
        values = (np.concatenate(items) if items else np.empty(0), offsets)
    flat, offsets = values
    if offsets[-1] >= 2**31:
        raise InvalidValueError(
            f"a batch of events holds {offsets[-1]} values in {column.name!r}; write"
            " smaller batches"
        )
    starts = offsets.astype(np.int32)
    if column.dtype == "float32[]":
        return pa.ListArray.from_arrays(
            pa.array(starts), pa.array(np.ascontiguousarray(flat, np.float32))
        )
    bits = pa.py_buffer(np.ascontiguousarray(flat, np.uint8))
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(starts) - 1, [None, pa.py_buffer(starts), bits]
    )


def pack(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the bits of a mask as bytes.

    In C order, the first bit in the lowest bit of the first byte.

    Examples
    --------
    >>> pack(np.array([[True, False], [False, True]]))
    array([9], dtype=uint8)
    """
    return np.packbits(mask, axis=None, bitorder="little")


def unpack(bits: bytes, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask that `pack` packed."""
    flat = np.frombuffer(bits, np.uint8)
    return (
        np.unpackbits(flat, count=int(np.prod(shape)), bitorder="little")
        .view(np.bool_)
        .reshape(shape)
    )


def write_events(
    directory: Path, table: pd.DataFrame, extra: Sequence[Column] = ()
) -> None:
    """Write a whole event table into a store; refuse an existing one.

    The index of the table is the number of each event.
    """
    if (directory / TABLE).exists():
        raise OutputExistsError(
            f"{directory / TABLE} is already there; choose another directory"
        )
    with EventTableWriter(directory, extra) as writer:
        batch = {
            c.name: table[c.name].to_numpy() if c.is_scalar else list(table[c.name])
            for c in writer.columns
        }
        writer.write(table.index.to_numpy(np.int64), batch)


def read_events(directory: Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read the event table.

    Parameters
    ----------
    directory
        An event store.
    columns
        Names to read; every column but ``contours`` when None. Masks of 200,000 events
        take gigabytes when unpacked: name the columns that are needed.

    Returns
    -------
    pandas.DataFrame
        One row per event in the order of their numbers, the index (``event_id``) being
        the number in the event map.
    """
    path = directory / TABLE
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{directory} holds no {TABLE}; it is no event store, or detection was"
            " interrupted"
        )
    stored = pq.read_schema(path)
    names = [n for n in stored.names if n != INDEX]
    wanted = names if columns is None else list(columns)
    unknown = [n for n in wanted if n not in names and n != "contours"]
    if unknown:
        raise DatasetNotFoundError(
            f"{path} has no columns {unknown}; it has {', '.join([*names, 'contours'])}"
        )
    kinds = {n: stored.field(n).metadata[b"dtype"].decode() for n in names}
    needed = set(wanted) | (
        {"mask", "z0", "x0", "y0"} if "contours" in wanted else set()
    )
    boxed = any(kinds[n] in ("mask", "footprint") for n in needed if n in kinds)
    needed |= {"dz", "dx", "dy"} if boxed else set()
    table = pq.read_table(path, columns=[INDEX, *(n for n in names if n in needed)])
    frame = pd.DataFrame(index=pd.Index(table[INDEX].to_numpy(), name=INDEX))
    for name in table.column_names[1:]:
        frame[name] = _read_column(table, name, kinds[name])
    if "contours" in wanted:
        frame["contours"] = _contours(frame)
    return frame[wanted].sort_index()


def _read_column(table: pa.Table, name: str, kind: str) -> Any:
    if kind in ("mask", "footprint"):
        axes = ("dz", "dx", "dy") if kind == "mask" else ("dx", "dy")
        shapes = zip(*(table[a].to_numpy().tolist() for a in axes), strict=True)
        items = [
            unpack(bits, shape)
            for bits, shape in zip(table[name].to_pylist(), shapes, strict=True)
        ]
        return _objects(items)
    if kind == "float32[]":
        return _objects([v for chunk in table[name].chunks for v in _split(chunk)])
    return (
        table[name].to_pandas().to_numpy() if kind == "str" else table[name].to_numpy()
    )


def _split(chunk: pa.ListArray) -> list[NDArray[np.float32]]:
    values = chunk.values.to_numpy(zero_copy_only=False)
    ends = chunk.offsets.to_numpy()
    return [values[a:b].copy() for a, b in pairwise(ends)]


def _objects(items: list[Any]) -> NDArray[np.object_]:
    # item by item: NumPy would stack arrays of one shape
    out = np.empty(len(items), object)
    for i, item in enumerate(items):
        out[i] = item
    return out


def _contours(frame: pd.DataFrame) -> NDArray[np.object_]:
    from astrocast.kernels.masks.contours import mask_contours

    origins = frame[["z0", "x0", "y0"]].to_numpy()
    return _objects(
        [
            mask_contours(m, tuple(o))
            for m, o in zip(frame["mask"], origins.tolist(), strict=True)
        ]
    )


# --------------------------------------------------------------------------------------
# event map


class EventMapWriter(RecordingWriter):
    """Writes an event map, from volumes of labels or from their runs."""

    @abstractmethod
    def write_runs(self, start: int, runs: Runs, labels: NDArray[np.int32]) -> None:
        """Write a block of labels.

        It begins at frame ``start`` and has ``labels`` on its ``runs``.
        """


class TiffMapWriter(EventMapWriter):
    """Write the event map as a TIFF that ImageJ and other programs open.

    Pages of int32 are compressed by PackBits.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], dtype: DTypeLike = np.int32
    ) -> None:
        self.shape, self.dtype, self.path = shape, np.dtype(dtype), path
        self._partial = path.with_name(path.name + ".partial")
        self._file = tifffile.TiffWriter(self._partial, bigtiff=True, byteorder="<")
        self._next = 0

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Append the pages of a block, see `RecordingWriter.write`."""
        check_block(self, start, block)
        if self.dtype == np.int32:
            self.write_runs(start, *label_runs_of_volume(block))
            return
        self._expect(start, len(block))
        self._file.write(
            block.astype(self.dtype, copy=False),
            photometric="minisblack",
            compression="zlib",
            metadata=None,
        )

    def write_runs(self, start: int, runs: Runs, labels: NDArray[np.int32]) -> None:
        """Append the pages of a block, see `EventMapWriter.write_runs`."""
        self._expect(start, runs.shape[0])
        self._file.write(
            iter(pack_labels(runs, labels)),
            shape=runs.shape,
            dtype=np.int32,
            photometric="minisblack",
            compression="packbits",
            rowsperstrip=runs.shape[1],
            metadata=None,
        )

    def _expect(self, start: int, frames: int) -> None:
        if start != self._next:
            raise InvalidValueError(
                f"blocks are written in order: expected frame {self._next}, got {start}"
            )
        self._next += frames

    def commit(self) -> None:
        """Close and give the file its name."""
        self._file.close()
        os.replace(self._partial, self.path)  # noqa: PTH105 - atomic on every system

    def discard(self) -> None:
        """Close and remove what was written."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


class PaintedMapWriter(EventMapWriter):
    """Writes the event map through the writer of a recording."""

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer, self.shape, self.dtype = writer, writer.shape, writer.dtype

    def write(self, start: int, block: NDArray[Any]) -> None:
        """See `RecordingWriter.write`."""
        self.writer.write(start, block)

    def write_runs(self, start: int, runs: Runs, labels: NDArray[np.int32]) -> None:
        """Paint the runs and write them, see `EventMapWriter.write_runs`."""
        self.writer.write(start, paint_runs(runs, labels))

    def commit(self) -> None:
        """See `RecordingWriter.commit`."""
        self.writer.commit()

    def discard(self) -> None:
        """See `RecordingWriter.discard`."""
        self.writer.discard()


def create_event_map(
    directory: Path,
    shape: tuple[int, int, int],
    suffix: str = ".tiff",
    metadata: Metadata | None = None,
) -> EventMapWriter:
    """Return a writer for the event map in the format of ``suffix``.

    The map is int32 (frame, row, column).
    """
    if suffix not in EVENT_MAP_SUFFIXES:
        raise InvalidValueError(
            f"event_map_export_format is {suffix!r}; choose one of"
            f" {', '.join(EVENT_MAP_SUFFIXES)}"
        )
    path = directory / f"event_map{suffix}"
    if suffix == ".tiff":
        return TiffMapWriter(path, shape)
    compression = None if suffix == ".tdb" else "lz4"
    return PaintedMapWriter(
        create_recording(
            path,
            EVENT_MAP_LOC,
            shape,
            np.int32,
            compression=compression,
            metadata=metadata,
        )
    )


def event_map_path(directory: Path) -> Path:
    """Return the file of the event map in a store."""
    for suffix in (*EVENT_MAP_SUFFIXES, ".tif"):
        path = directory / f"event_map{suffix}"
        if path.exists():
            return path
    raise RecordingNotFoundError(
        f"{directory} holds no event map; looked for"
        f" {', '.join('event_map' + s for s in EVENT_MAP_SUFFIXES)}"
    )


def open_event_map(directory: Path) -> Recording:
    """Open the event map of a store lazily.

    Returns a recording of labels (frame, row, column).
    """
    path = event_map_path(directory)
    if path.suffix in (".tiff", ".tif"):
        with tifffile.TiffFile(path) as file:
            if len(file.pages) == 1:  # a single page has no frame axis
                return ArrayRecording(file.pages[0].asarray()[None], path=path)
    return open_recording(path, EVENT_MAP_LOC if path.suffix == ".h5" else None)


# --------------------------------------------------------------------------------------
# time map


def write_time_map(
    directory: Path, n_frames: int, z0: NDArray[np.int64], z1: NDArray[np.int64]
) -> None:
    """Write the frames in which each event is active.

    bool (n_frames, events + 1): column n for event n; column 0 is never set.

    Parameters
    ----------
    directory
        The event store.
    n_frames
        Frames of the event map.
    z0, z1
        First frame of each event and the one after its last, counted in the event map,
        (events,).
    """
    path = directory / TIME_MAP
    partial = path.with_name(path.name + ".partial")
    columns = len(z0) + 1
    step = max(1, (16 << 20) // columns)
    with partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|b1", "fortran_order": False, "shape": (n_frames, columns)}
        )
        for start in range(0, n_frames, step):
            frames = np.arange(start, min(start + step, n_frames))[:, None]
            rows = np.zeros((len(frames), columns), np.bool_)
            np.logical_and(frames >= z0, frames < z1, out=rows[:, 1:])
            # column 0: frames without any event, as background has no event to be
            # active
            rows.tofile(file)
    os.replace(partial, path)  # noqa: PTH105 - atomic on every system


def read_time_map(directory: Path) -> NDArray[np.bool_]:
    """Return the time map, memory-mapped: bool (frames, events + 1)."""
    path = directory / TIME_MAP
    if not path.is_file():
        raise RecordingNotFoundError(f"{directory} holds no {TIME_MAP}")
    return np.load(path, mmap_mode="r", allow_pickle=False)


# --------------------------------------------------------------------------------------
# meta


def read_meta(directory: Path) -> dict[str, Any]:
    """Return ``meta.json``: parameters, input, versions and counts of the run."""
    path = directory / META
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{directory} holds no {META}; it is no event store, or detection was"
            " interrupted"
        )
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise FormatError(f"{path} is no JSON: {error}") from error
