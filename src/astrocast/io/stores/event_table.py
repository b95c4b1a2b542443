"""Read the event table of a store: packed columns, arrays, or only its length."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastError,
    FormatError,
    RecordingNotFoundError,
)
from astrocast.events.array_columns import FootprintArray, MaskArray, TraceArray
from astrocast.events.required import require_names
from astrocast.events.schema import INDEX
from astrocast.io.stores.event_store import TABLE

_AXES = {"mask": ("dz", "dx", "dy"), "footprint": ("dx", "dy")}


def read_event_table(
    directory: Path, columns: Iterable[str] | None = None
) -> pd.DataFrame:
    """Read the event table of a store; masks and footprints stay packed.

    Parameters
    ----------
    directory
        An event store.
    columns
        Columns to read; None: all.

    Returns
    -------
    pandas.DataFrame
        One row per event, sorted by the index (``event_id``), the number in the event
        map. Columns of arrays: see `astrocast.events.array_columns`.
    """
    path = directory / TABLE
    try:
        return _read_columns(path, columns)
    except AstrocastError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OSError,
        pa.ArrowException,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> FormatError:
    return FormatError(
        f"{path} cannot be read: {error}. It is damaged or was changed; run the"
        " detection again"
    )


def _read_columns(path: Path, columns: Iterable[str] | None) -> pd.DataFrame:
    """Return the columns of a table file; a damaged file may raise any error."""
    stored = _read_footer(path).schema.to_arrow_schema()
    names = [n for n in stored.names if n != INDEX]
    wanted = names if columns is None else list(columns)
    require_names([INDEX], stored.names, str(path))
    require_names(wanted, names, str(path))
    kinds = {
        n: (stored.field(n).metadata or {}).get(b"dtype", b"").decode() for n in wanted
    }
    boxes = {axis for n in wanted for axis in _AXES.get(kinds[n], ())}
    table = pq.read_table(
        path,
        columns=[INDEX, *dict.fromkeys([*wanted, *sorted(boxes)])],
        page_checksum_verification=True,
    )
    index = pd.Index(table[INDEX].to_numpy(), name=INDEX)
    found = pd.DataFrame({n: _column(table, n, kinds[n]) for n in wanted}, index=index)
    return found if index.is_monotonic_increasing else found.sort_index()


def _column(table: pa.Table, name: str, kind: str) -> Any:
    if kind in _AXES:
        shapes = np.stack([table[axis].to_numpy() for axis in _AXES[kind]], axis=1)
        array = MaskArray if kind == "mask" else FootprintArray
        packed, offsets = _join_chunks(
            [_unpack_masks(c) for c in table[name].chunks], np.uint8
        )
        _check_boxes(name, offsets, shapes)
        return array(packed, offsets, shapes)
    if kind == "float32[]":
        return TraceArray(
            *_join_chunks([_values(chunk) for chunk in table[name].chunks], np.float32)
        )
    return (
        table[name].to_pandas().to_numpy()
        if pa.types.is_string(table[name].type)
        else table[name].to_numpy()
    )


def _check_boxes(name: str, offsets: NDArray[np.int64], shapes: NDArray[Any]) -> None:
    """Raise an error if the bounding boxes do not fit the packed bits."""
    if shapes.dtype.kind not in "iu":
        raise ValueError(
            f"the bounding boxes of {name} have the type {shapes.dtype}, not integer"
        )
    stored = np.diff(offsets)
    expected = -(-shapes.astype(np.float64).prod(axis=1) // 8)
    wrong = (shapes < 0).any(axis=1) | ((stored != expected) & (stored > 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} in row {row} has {stored[row]} bytes, which do not fit its"
            f" bounding box of {shapes[row].tolist()}"
        )


def _unpack_masks(chunk: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    _, places, data = chunk.buffers()
    kind = np.int64 if pa.types.is_large_binary(chunk.type) else np.int32
    offsets = np.frombuffer(places, kind)[
        chunk.offset : chunk.offset + len(chunk) + 1
    ].astype(np.int64)
    bits = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return bits, offsets


def _values(chunk: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    return chunk.values.to_numpy(zero_copy_only=False), chunk.offsets.to_numpy().astype(
        np.int64
    )


def _join_chunks(
    parts: list[tuple[NDArray[Any], NDArray[np.int64]]], dtype: Any
) -> tuple[Any, NDArray[np.int64]]:
    """Concatenate the chunks of a column into new arrays."""
    values, offsets, total = [np.empty(0, dtype)], [np.zeros(1, np.int64)], 0
    for flat, places in parts:
        values.append(flat[places[0] : places[-1]])
        offsets.append(places[1:] - places[0] + total)
        total += int(places[-1] - places[0])
    return np.concatenate(values), np.concatenate(offsets)


def read_events(directory: Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read the event table with NumPy arrays as masks, footprints and traces.

    Parameters
    ----------
    directory
        An event store.
    columns
        Columns to read; None: all but ``contours``. Unpacked masks of 200,000 events
        need gigabytes: choose only the columns that you need.

    Returns
    -------
    pandas.DataFrame
        One row per event, sorted by the index (``event_id``), the number in the event
        map.
    """
    wanted = None if columns is None else list(columns)
    if wanted is None or "contours" not in wanted:
        return _unpack_columns(read_event_table(directory, wanted))
    others = [n for n in wanted if n != "contours"]
    table = read_event_table(
        directory, dict.fromkeys([*others, "mask", "z0", "x0", "y0"])
    )
    frame = _unpack_columns(table)
    frame["contours"] = _trace_contours(frame)
    return frame[wanted]


def read_plain_columns(
    directory: Path, columns: Iterable[str] | None = None
) -> pa.Table:
    """Read numbers and texts of the event table of a store as an Arrow table.

    Parameters
    ----------
    directory
        An event store.
    columns
        Columns to read; missing ones are left out. None: all numbers and texts, with
        ``event_id``.
    """
    path = directory / TABLE
    stored = _read_footer(path).schema.to_arrow_schema()
    arrays = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    names = [f.name for f in stored if not any(test(f.type) for test in arrays)]
    wanted = names if columns is None else [n for n in columns if n in names]
    try:
        return pq.read_table(path, columns=wanted, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def column_names(directory: Path) -> list[str]:
    """Return the names of the columns of the event table, without its index."""
    stored = _read_footer(directory / TABLE).schema.to_arrow_schema().names
    return [name for name in stored if name != INDEX]


def event_numbers(directory: Path) -> list[int]:
    """Return the numbers of the events in a store, in the order of the file."""
    return list(read_plain_columns(directory, [INDEX])[INDEX].to_pylist())


def count_events(directory: Path) -> int:
    """Return the number of events in a store; reads only the end of the file."""
    return int(_read_footer(directory / TABLE).num_rows)


def _read_footer(path: Path) -> Any:
    """Return the Parquet metadata of an event table: its schema and number of rows."""
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{path.parent} has no {TABLE}: it is not an event store, or the detection"
            " was interrupted"
        )
    try:
        return pq.read_metadata(path)
    except pa.ArrowInvalid as error:
        raise FormatError(
            f"{path} cannot be read as Parquet: {error}. The file is damaged or of"
            " another format"
        ) from error


def _unpack_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with packed columns as columns of NumPy arrays."""
    unpacked = {
        # copy: a view would keep the traces of all events in memory
        name: _fill_objects([np.array(item) for item in table[name].array])
        if isinstance(table[name].array, MaskArray | TraceArray)
        else table[name].to_numpy()
        for name in table.columns
    }
    return pd.DataFrame(unpacked, index=table.index)


def _fill_objects(items: list[Any]) -> NDArray[np.object_]:
    """Return the arrays as one array of objects, (events,)."""
    # item by item: NumPy would stack arrays of equal shape
    out = np.empty(len(items), object)
    for i, item in enumerate(items):
        out[i] = item
    return out


def _trace_contours(frame: pd.DataFrame) -> NDArray[np.object_]:
    from astrocast.kernels.masks.contours import mask_contours

    origins = frame[["z0", "x0", "y0"]].to_numpy()
    return _fill_objects(
        [
            mask_contours(m, tuple(o))
            for m, o in zip(frame["mask"], origins.tolist(), strict=True)
        ]
    )
