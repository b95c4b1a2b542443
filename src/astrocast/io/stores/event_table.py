"""Read the event table of a store as array columns; packed data stay packed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrocast.errors import DatasetNotFoundError, FormatError, RecordingNotFoundError
from astrocast.events.array_columns import FootprintArray, MaskArray, TraceArray
from astrocast.events.schema import INDEX
from astrocast.io.stores.event_store import TABLE

_AXES = {"mask": ("dz", "dx", "dy"), "footprint": ("dx", "dy")}


def read_event_table(
    directory: Path, columns: Iterable[str] | None = None
) -> pd.DataFrame:
    """Read the event table of a store without unpacking anything.

    Parameters
    ----------
    directory
        An event store.
    columns
        Names to read; all when None.

    Returns
    -------
    pandas.DataFrame
        One row per event in the order of their numbers, the index (``event_id``) being
        the number in the event map. Columns of arrays are those of
        `astrocast.events.array_columns`.
    """
    path = directory / TABLE
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{directory} holds no {TABLE}; it is no event store, or detection was"
            " interrupted"
        )
    try:
        stored = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise FormatError(
            f"{path} cannot be read as Parquet: {error}. The file is damaged or of"
            " another format"
        ) from error
    names = [n for n in stored.names if n != INDEX]
    wanted = names if columns is None else list(columns)
    unknown = [n for n in wanted if n not in names]
    if unknown or INDEX not in stored.names:
        raise DatasetNotFoundError(
            f"{path} has no columns {unknown or [INDEX]}; it has"
            f" {', '.join(stored.names)}"
        )
    kinds = {
        n: (stored.field(n).metadata or {}).get(b"dtype", b"").decode() for n in wanted
    }
    boxes = {axis for n in wanted for axis in _AXES.get(kinds[n], ())}
    table = pq.read_table(
        path, columns=[INDEX, *dict.fromkeys([*wanted, *sorted(boxes)])]
    )
    index = pd.Index(table[INDEX].to_numpy(), name=INDEX)
    found = pd.DataFrame({n: _column(table, n, kinds[n]) for n in wanted}, index=index)
    return found if index.is_monotonic_increasing else found.sort_index()


def _column(table: pa.Table, name: str, kind: str) -> Any:
    if kind in _AXES:
        shapes = np.stack([table[axis].to_numpy() for axis in _AXES[kind]], axis=1)
        array = MaskArray if kind == "mask" else FootprintArray
        return array(
            *_joined([_packed(chunk) for chunk in table[name].chunks], np.uint8), shapes
        )
    if kind == "float32[]":
        return TraceArray(
            *_joined([_values(chunk) for chunk in table[name].chunks], np.float32)
        )
    return (
        table[name].to_pandas().to_numpy()
        if pa.types.is_string(table[name].type)
        else table[name].to_numpy()
    )


def _packed(chunk: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
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


def _joined(
    parts: list[tuple[NDArray[Any], NDArray[np.int64]]], dtype: Any
) -> tuple[Any, NDArray[np.int64]]:
    """Put the chunks of a column end to end, as arrays of our own."""
    values, offsets, total = [np.empty(0, dtype)], [np.zeros(1, np.int64)], 0
    for flat, places in parts:
        values.append(flat[places[0] : places[-1]])
        offsets.append(places[1:] - places[0] + total)
        total += int(places[-1] - places[0])
    return np.concatenate(values), np.concatenate(offsets)
