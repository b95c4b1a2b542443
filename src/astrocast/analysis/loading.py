"""From directories to one table of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidTypeError,
    InvalidValueError,
    RecordingNotFoundError,
)
from astrocast.events.schema import INDEX
from astrocast.io.stores.event_store import TABLE
from astrocast.io.stores.event_table import read_event_table
from astrocast.io.stores.legacy import LEGACY_TABLE, read_legacy_events

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
}
#: how the contract also spells it
_SPELLINGS = {"v_ara_footprint": "v_area_footprint"}


def read_directory(directory: Path) -> pd.DataFrame:
    """Return the events in a directory, an event store or one that astroCAST 0.4 made.

    The index is the number of each event in the event map; a column ``event_id`` holds
    it too, for when the index changes.
    """
    if not directory.is_dir():
        raise RecordingNotFoundError(
            f"there is no directory {directory}; name the .roi directory that detection"
            " made"
        )
    if (directory / TABLE).is_file():
        table = read_event_table(directory)
    elif (directory / LEGACY_TABLE).is_file():
        table = read_legacy_events(directory / LEGACY_TABLE)
    else:
        found = ", ".join(sorted(p.name for p in directory.iterdir())) or "nothing"
        raise FormatError(
            f"{directory} holds neither {TABLE} nor {LEGACY_TABLE}; it holds {found}"
        )
    return table.assign(**{INDEX: table.index}).rename_axis(None)


def within(table: pd.DataFrame, z_slice: tuple[int, int] | None) -> pd.DataFrame:
    """Return the events that lie wholly within frames ``z_slice`` (half-open)."""
    if z_slice is None:
        return table
    first, stop = check_slice(z_slice)
    return table[(table["z0"] >= first) & (table["z1"] <= stop)]


def check_slice(z_slice: Sequence[int]) -> tuple[int, int]:
    """Return the slice when it is (first, last + 1)."""
    if len(z_slice) != 2 or not 0 <= z_slice[0] < z_slice[1]:
        raise InvalidValueError(
            f"z_slice is {tuple(z_slice)}; it is (first frame, last frame + 1), for"
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
        Names (`CUSTOM_COLUMNS`), ``{name: function of the table}``, or a list of both.
    """
    functions: dict[str, ColumnFunction] = {}
    for item in [columns] if isinstance(columns, (str, Mapping)) else columns or ():
        if isinstance(item, Mapping):
            functions.update(item)
        elif isinstance(item, str) and _SPELLINGS.get(item, item) in CUSTOM_COLUMNS:
            functions[item] = CUSTOM_COLUMNS[_SPELLINGS.get(item, item)]
        else:
            raise InvalidValueError(
                f"custom_columns has {item!r}; known are {', '.join(CUSTOM_COLUMNS)},"
                " others are given as {name: function of the table}"
            )
    for name, function in functions.items():
        if not callable(function):
            raise InvalidTypeError(
                f"custom column {name!r} is {function!r}; it has to be a function of"
                " the table"
            )
        try:
            table = table.assign(**{name: function(table)})
        except KeyError as error:
            raise DatasetNotFoundError(
                f"custom column {name!r} needs the column {error}, which these events"
                " lack"
            ) from error
    return table


def add_identity(
    table: pd.DataFrame, group: Any, subject_id: Any, file_name: str
) -> pd.DataFrame:
    """Return the table with what its events belong to, as categories: ``group``,
    ``subject_id``, ``file_name``.
    """
    values = {"group": group, "subject_id": subject_id, "file_name": file_name}
    return table.assign(
        **{
            name: pd.Categorical(
                [np.nan if value is None else value] * len(table),
                categories=_only(value),
            )
            for name, value in values.items()
        }
    )


def _only(value: Any) -> list[Any]:
    return [] if value is None else [value]


def join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the events of several recordings in one table; categories are united."""
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
            "two events have the same index; give every recording an index_prefix of"
            " its own"
        )
    return joined
