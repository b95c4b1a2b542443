"""Write the event table of a store, in batches or at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError, OutputExistsError
from astrocast.events.schema import COLUMNS, INDEX, Column
from astrocast.io.stores.event_store import CSV, DESCRIPTION, TABLE
from astrocast.io.writing.files import Replacement, replacing

#: values of one ragged column of a batch: all values concatenated, and the index at
#: which each event starts (events + 1)
Ragged = tuple[NDArray[Any], NDArray[np.int64]]


#: least number of rows of a group of the Parquet file: each group needs some kilobytes
GROUP_ROWS = 256


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

    The files get their names when the context ends without an error.

    Parameters
    ----------
    directory
        The event store.
    extra
        Columns in addition to the base table, in order.
    growing
        Whether the CSV file has its name from the start and contains each batch when
        `write` returns, for programs that read results while they are written.
    """

    def __init__(
        self, directory: Path, extra: Sequence[Column] = (), growing: bool = False
    ) -> None:
        self.columns = [c for c in (*COLUMNS, *extra) if _is_stored(c)]
        self.schema = _schema(self.columns)
        self.directory = directory
        self.rows = 0
        names = (TABLE,) if growing else (TABLE, CSV)
        self._new = [Replacement(directory / name) for name in names]
        table = self._new[0].beside
        text = directory / CSV if growing else self._new[1].beside
        self._waiting: list[pa.Table] = []
        self._table = pq.ParquetWriter(
            table, self.schema, compression="zstd", write_page_checksum=True
        )
        self._csv = text.open("w", encoding="utf-8", newline="")
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
            Values by column name: an array for scalars; for ragged columns a list of
            arrays, or all values concatenated and the offsets of the events (float32
            for traces; packed bits, see `pack`, for masks).
        """
        expected = {c.name for c in self.columns}
        if set(batch) != expected:
            raise InvalidValueError(
                "a batch of events has to have exactly the columns of the schema;"
                f" missing: {sorted(expected - set(batch))}, unknown:"
                f" {sorted(set(batch) - expected)}"
            )
        arrays = [pa.array(event_id, pa.int64())]
        arrays += [_arrow_array(c, batch[c.name]) for c in self.columns]
        self._waiting.append(pa.Table.from_arrays(arrays, schema=self.schema))
        if sum(map(len, self._waiting)) >= GROUP_ROWS:
            self._write_group()
        scalars = {INDEX: event_id} | {
            c.name: batch[c.name] for c in self.columns if c.is_scalar
        }
        pd.DataFrame(scalars).to_csv(self._csv, index=False, header=False)
        self._csv.flush()
        self.rows += len(event_id)

    def _write_group(self) -> None:
        """Write the collected batches as one group of rows."""
        if self._waiting:
            self._table.write_table(pa.concat_tables(self._waiting))
            self._waiting = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._write_group()
            self._table.close()
            self._csv.close()
            if kind is None:
                for new in self._new:
                    new.commit()
        finally:  # has no effect on committed files, which are renamed
            for new in self._new:
                new.discard()
        if kind is None:
            described = [
                c.to_dict()
                for c in (
                    *COLUMNS,
                    *self.columns[len([c for c in COLUMNS if _is_stored(c)]) :],
                )
            ]
            with replacing(self.directory / DESCRIPTION) as beside:
                beside.write_text(
                    json.dumps(described, indent=1) + "\n", encoding="utf-8"
                )


def _arrow_array(column: Column, values: Any) -> pa.Array:
    if column.is_scalar:
        # NaN stays NaN, not null: the analysis does not distinguish missing and
        # undefined values
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
            f"a batch of events has {offsets[-1]} values in {column.name!r}, more than"
            " 2^31 - 1; write smaller batches"
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
    """Return the bits of a mask as bytes, in C order.

    The first voxel is the lowest bit of the first byte.

    Examples
    --------
    >>> pack(np.array([[True, False], [False, True]]))
    array([9], dtype=uint8)
    """
    return np.packbits(mask, axis=None, bitorder="little")


def write_events(
    directory: Path, table: pd.DataFrame, extra: Sequence[Column] = ()
) -> None:
    """Write a whole event table into a store, in which there must not be one.

    The index of the table contains the numbers of the events.
    """
    if (directory / TABLE).exists():
        raise OutputExistsError(
            f"{directory / TABLE} already exists; choose another directory"
        )
    with EventTableWriter(directory, extra) as writer:
        batch = {
            c.name: table[c.name].to_numpy() if c.is_scalar else list(table[c.name])
            for c in writer.columns
        }
        writer.write(table.index.to_numpy(np.int64), batch)
