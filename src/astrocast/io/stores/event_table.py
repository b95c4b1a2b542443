"""Read the event table of a store as array columns; packed data stay packed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
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


def unpack(bits: bytes, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask that `pack` packed."""
    flat = np.frombuffer(bits, np.uint8)
    return (
        np.unpackbits(flat, count=int(np.prod(shape)), bitorder="little")
        .view(np.bool_)
        .reshape(shape)
    )
