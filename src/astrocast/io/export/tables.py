"""Export the event table as CSV, Parquet or Excel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from astrocast.errors import (
    InvalidValueError,
    MissingExtraError,
    OutputError,
    OutputExistsError,
)
from astrocast.events.array_columns import MaskArray, TraceArray
from astrocast.events.schema import Column
from astrocast.io.writing.files import replacing

#: largest number of rows of an Excel sheet, with the header
EXCEL_ROWS = 1_048_576
#: a text that starts with one of these characters is a formula in a spreadsheet
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def scalars(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns with one number or text per event."""
    arrays = [
        name
        for name, column in table.items()
        if isinstance(column.array, TraceArray | MaskArray)
        or (
            column.dtype == object
            and any(hasattr(v, "__len__") and not isinstance(v, str) for v in column)
        )
    ]
    return table.drop(columns=arrays)


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """Add an apostrophe before texts that a spreadsheet would run as a formula.

    For Excel and similar programs, a text that starts with ``=``, ``+``, ``-`` or ``@``
    is a formula; names of recordings and groups can contain any text.
    """

    def mark(value: Any) -> Any:
        if isinstance(value, str) and value.startswith(FORMULA):
            return "'" + value
        return value

    marked = table.copy(deep=False)
    for name in table:
        if table[name].dtype.kind not in "biufcmM":
            marked[name] = table[name].map(mark)
    marked.columns = [mark(name) for name in table.columns]
    if table.index.dtype.kind not in "biufcmM":
        marked.index = table.index.map(mark)
    return marked


def remove_marks(table: pd.DataFrame) -> pd.DataFrame:
    """Remove the apostrophes that `harmless` has added."""

    def unmark(value: Any) -> Any:
        marked = isinstance(value, str) and value.startswith("'")
        return value[1:] if marked and value[1:].startswith(FORMULA) else value

    plain = table.copy(deep=False)
    for name in table:
        if table[name].dtype.kind not in "biufcmM":
            plain[name] = table[name].map(unmark)
    plain.columns = [unmark(name) for name in table.columns]
    return plain


def write_whole(path: Path, write: Callable[[Path], object], overwrite: bool) -> Path:
    """Write a complete file or none; an existing file needs ``overwrite``."""
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} already exists; choose another name or overwrite=True"
        )
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")
    # some writers choose their format by the suffix
    with replacing(path, suffix=path.suffix) as beside:
        write(beside)
    return path


def write_csv(path: Path, table: pd.DataFrame, overwrite: bool = False) -> Path:
    """Write the numbers and texts of a table; the index becomes column ``event``."""
    return write_whole(
        path,
        lambda to: harmless(scalars(table)).to_csv(to, index_label="event"),
        overwrite,
    )


def write_parquet(
    path: Path,
    table: pd.DataFrame,
    described: Iterable[Column] = (),
    overwrite: bool = False,
) -> Path:
    """Write a table with its arrays; the schema contains the meaning of each column.

    Masks are packed bits.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = table[
        [
            c
            for c in table
            if c in scalars(table) or isinstance(table[c].array, TraceArray | MaskArray)
        ]
    ]
    arrow = pa.Table.from_pandas(
        kept.rename_axis("event").reset_index(), preserve_index=False
    )
    meaning = {c.name: c.to_dict() for c in described}
    fields = [
        f.with_metadata(meaning[f.name]) if f.name in meaning else f
        for f in arrow.schema
    ]
    arrow = arrow.cast(pa.schema(fields, metadata=arrow.schema.metadata))
    return write_whole(
        path, lambda to: pq.write_table(arrow, to, compression="zstd"), overwrite
    )


def write_excel(
    path: Path,
    table: pd.DataFrame,
    described: Iterable[Column] = (),
    overwrite: bool = False,
) -> Path:
    """Write numbers and texts to sheet ``events``, meanings to ``columns``."""
    try:
        import_module("openpyxl")  # pandas writes with it
    except ImportError as error:
        raise MissingExtraError("openpyxl", "export", "writing Excel") from error
    if len(table) >= EXCEL_ROWS:
        raise InvalidValueError(
            f"{len(table)} events do not fit into an Excel sheet, which has"
            f" {EXCEL_ROWS} rows; write CSV or Parquet"
        )
    meaning = pd.DataFrame(
        [c.to_dict() for c in described if c.name in table],
        columns=["name", "unit", "description"],
    )

    def write(to: Path) -> None:
        with pd.ExcelWriter(to, engine="openpyxl") as book:
            harmless(scalars(table)).to_excel(
                book, sheet_name="events", index_label="event"
            )
            meaning.to_excel(book, sheet_name="columns", index=False)

    return write_whole(path, write, overwrite)
