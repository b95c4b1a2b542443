"""Check that a table has the columns that a function needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from astrocast.errors import DatasetNotFoundError


def require_columns(
    table: pd.DataFrame,
    names: Iterable[str],
    purpose: str = "",
    error: type[Exception] = DatasetNotFoundError,
) -> None:
    """Raise an error if columns are missing; it lists these and the existing ones.

    Parameters
    ----------
    table
        Any table.
    names
        Required columns.
    purpose
        Why they are needed, for example ``"to draw the event map"``.
    error
        Class of the error.
    """
    missing = [name for name in names if name not in table]
    if missing:
        kind = "column" if len(missing) == 1 else "columns"
        raise error(
            f"the table has no {kind} {', '.join(map(repr, missing))}"
            f"{', needed ' + purpose if purpose else ''};"
            f" it has {', '.join(map(str, table.columns)) or 'none'}"
        )


def column_of(table: pd.DataFrame, name: str, purpose: str = "") -> pd.Series[Any]:
    """Return a column; if it is missing, the error lists the existing columns."""
    require_columns(table, [name], purpose)
    return table[name]
