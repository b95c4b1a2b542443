"""Read directories of events into one table, and select rows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.curated import curated_table
from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidTypeError,
    InvalidValueError,
    RecordingNotFoundError,
)
from astrocast.events.array_columns import as_masks
from astrocast.events.required import column_of, require_columns
from astrocast.events.schema import INDEX
from astrocast.io.stores.curation import read_curation
from astrocast.io.stores.event_store import TABLE, list_stores
from astrocast.io.stores.event_table import read_event_table
from astrocast.io.stores.legacy import LEGACY_TABLE, read_legacy_events
from astrocast.kernels.masks.contours import mask_contours

ColumnFunction = Callable[[pd.DataFrame], Any]
CustomColumns = (
    Iterable[str | Mapping[str, ColumnFunction]]
    | Mapping[str, ColumnFunction]
    | str
    | None
)


def _area_norm(table: pd.DataFrame) -> Any:
    return table["v_area"] / table["dz"]


def _area_footprint(table: pd.DataFrame) -> Any:
    return table["v_fp_area"]


def _contours(table: pd.DataFrame) -> list[Any]:
    """Return the outlines of each event, float32 (points, 3): frame, row, column."""
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64).tolist()
    return [
        mask_contours(mask, tuple(origin))
        for mask, origin in zip(as_masks(table["mask"]), origins, strict=True)
    ]


def _row_centre(table: pd.DataFrame) -> Any:
    return table["x0"] + table["dx"] * table["v_fp_centroid_local-0"]


def _column_centre(table: pd.DataFrame) -> Any:
    return table["y0"] + table["dy"] * table["v_fp_centroid_local-1"]


#: columns that are computed on loading, by name
CUSTOM_COLUMNS: dict[str, ColumnFunction] = {
    "v_area_norm": _area_norm,
    "v_area_footprint": _area_footprint,
    "cx": _row_centre,
    "cy": _column_centre,
    "contours": _contours,
}
#: alternative spelling -> name; this one is a misspelling in the published interface
_SPELLINGS = {"v_ara_footprint": "v_area_footprint"}


def find_store(directory: Path) -> Path:
    """Return the event store: the given directory, or the store in a run directory.

    Raises
    ------
    InvalidValueError
        The run has events of several channels; the message lists them.
    """
    if (directory / TABLE).is_file() or not directory.is_dir():
        return directory
    stores = list_stores(directory)
    if len(stores) > 1:
        raise InvalidValueError(
            f"{directory} has events of several channels; give one of"
            f" {', '.join(str(s) for s in stores)}, or a list of them"
        )
    return stores[0] if stores else directory


#: columns that are always read
_ALWAYS = ("z0", "z1", "x0", "x1", "y0", "y1")


def read_directory(
    directory: Path,
    curated: bool | str = False,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the events of a directory written by astrocast or astroCAST 0.4.

    The index is the number of each event in the event map. The column ``event_id``
    contains it as well, because the index may be changed later.

    Parameters
    ----------
    directory
        The event store.
    curated
        True: apply the decisions without a name; a text: those of this curator; see
        `io.stores.curation`.
    columns
        Columns to read, in addition to the bounding box of each event; None: all.
    """
    if curated is not False and columns is not None:
        raise InvalidValueError(
            "the decisions of the explorer need all columns: give either curated or"
            " columns, not both"
        )
    if not directory.is_dir():
        raise RecordingNotFoundError(
            f"the directory {directory} does not exist; give the .roi directory that"
            " the detection wrote"
        )
    if (directory / TABLE).is_file():
        wanted = None if columns is None else dict.fromkeys((*_ALWAYS, *columns))
        table = read_event_table(directory, wanted)
    elif (directory / LEGACY_TABLE).is_file():
        table = read_legacy_events(directory / LEGACY_TABLE)
        if columns is not None:
            require_columns(table, columns, "to read")
            table = table[list(dict.fromkeys((*_ALWAYS, *columns)))]
    else:
        found = ", ".join(sorted(p.name for p in directory.iterdir())) or "nothing"
        raise FormatError(
            f"{directory} has neither {TABLE} nor {LEGACY_TABLE}; it contains {found}."
            " Give the .roi directory that the detection wrote"
        )
    table = table.assign(**{INDEX: table.index}).rename_axis(None)
    if curated is False:
        return table
    curator = curated if isinstance(curated, str) else ""
    return curated_table(table, read_curation(directory, curator, list(table.index)))


def select_frames(table: pd.DataFrame, z_slice: tuple[int, int] | None) -> pd.DataFrame:
    """Return the events that lie completely inside the frames (first, last + 1)."""
    if z_slice is None:
        return table
    first, stop = check_slice(z_slice)
    return table[(table["z0"] >= first) & (table["z1"] <= stop)]


def check_slice(z_slice: Sequence[int]) -> tuple[int, int]:
    """Return the slice as two ints; raise an error if it is not (first, last + 1)."""
    if len(z_slice) != 2 or not 0 <= z_slice[0] < z_slice[1]:
        raise InvalidValueError(
            f"z_slice is {tuple(z_slice)}; expected (first frame, last frame + 1), for"
            " example (0, 100)"
        )
    return int(z_slice[0]), int(z_slice[1])


def add_custom_columns(table: pd.DataFrame, columns: CustomColumns) -> pd.DataFrame:
    """Return the table with columns computed from it.

    Parameters
    ----------
    table
        Events.
    columns
        Names of `CUSTOM_COLUMNS`, ``{name: function of the table}``, or a list of both.
    """
    functions: dict[str, ColumnFunction] = {}
    for item in [columns] if isinstance(columns, (str, Mapping)) else columns or ():
        if isinstance(item, Mapping):
            functions.update(item)
        elif isinstance(item, str) and _SPELLINGS.get(item, item) in CUSTOM_COLUMNS:
            functions[item] = CUSTOM_COLUMNS[_SPELLINGS.get(item, item)]
        else:
            raise InvalidValueError(
                f"custom_columns contains {item!r}; choose from"
                f" {', '.join(CUSTOM_COLUMNS)}, or give {{name: function of the table}}"
            )
    for name, function in functions.items():
        if not callable(function):
            raise InvalidTypeError(
                f"custom column {name!r} is {function!r}; expected a function of the"
                " table"
            )
        try:
            table = table.assign(**{name: function(table)})
        except KeyError as error:
            raise DatasetNotFoundError(
                f"custom column {name!r} needs the column {error}, which these events"
                " do not have"
            ) from error
    return table


def add_identity(
    table: pd.DataFrame, group: Any, subject_id: Any, file_name: str
) -> pd.DataFrame:
    """Add the categories ``group``, ``subject_id`` and ``file_name`` to a table."""
    values = {"group": group, "subject_id": subject_id, "file_name": file_name}
    return table.assign(
        **{
            name: pd.Categorical(
                [np.nan if value is None else value] * len(table),
                categories=[] if value is None else [value],
            )
            for name, value in values.items()
        }
    )


def join_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the tables of several recordings, and unite their categories."""
    if len(tables) == 1:
        return tables[0]
    tables = list(tables)
    for name in ("group", "subject_id", "file_name"):
        values = dict.fromkeys(v for t in tables for v in t[name].cat.categories)
        kind = pd.CategoricalDtype(list(values))
        tables = [t.assign(**{name: t[name].astype(kind)}) for t in tables]
    joined = pd.concat(tables)
    if not joined.index.is_unique:
        raise InvalidValueError(
            "two events have the same index; give each recording its own index_prefix"
        )
    return joined


def select_events(table: pd.DataFrame, filters: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return a mask of the events that meet all filters.

    Parameters
    ----------
    table
        Events.
    filters
        Column -> allowed values. Numbers and times: ``(low, high)``, inclusive; None
        means no limit; NaN never meets a limit. Text, categories and booleans: the
        allowed values.

    Returns
    -------
    numpy.ndarray
        bool, one value per row.
    """
    passed = np.ones(len(table), bool)
    problems = []
    require_columns(table, filters, "to filter by")
    for name, allowed in filters.items():
        try:
            passed &= _check_values(column_of(table, name), allowed)
        except InvalidValueError as error:
            problems.append(str(error))
    if problems:
        raise InvalidValueError("; ".join(problems))
    return passed


def _check_values(column: pd.Series[Any], allowed: Any) -> NDArray[np.bool_]:
    """Return which values of a column are allowed."""
    api = pd.api.types
    kind = column.dtype
    if (
        isinstance(kind, pd.CategoricalDtype)
        or api.is_bool_dtype(kind)
        or api.is_string_dtype(kind)
    ):
        single = isinstance(allowed, (str, bool, int, float))
        return column.isin([allowed] if single else list(allowed)).to_numpy(bool)
    if not (
        api.is_numeric_dtype(kind)
        or api.is_datetime64_any_dtype(kind)
        or api.is_timedelta64_dtype(kind)
    ):
        raise InvalidValueError(
            f"column {column.name!r} contains {kind}; only numbers (low, high) and text"
            " or categories (allowed values) can be filtered"
        )
    if not isinstance(allowed, (tuple, list)) or len(allowed) != 2:
        raise InvalidValueError(
            f"column {column.name!r} contains numbers: give (low, high), with None for"
            f" no limit; found {allowed!r}"
        )
    low, high = allowed
    passed = np.ones(len(column), bool)
    if low is not None:
        passed &= (column >= low).to_numpy(bool)
    if high is not None:
        passed &= (column <= high).to_numpy(bool)
    return passed
