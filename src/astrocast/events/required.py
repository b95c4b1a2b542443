"""Check that a table has the columns that a function needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from astrocast.errors import DatasetNotFoundError

if TYPE_CHECKING:
    import pandas as pd


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
    require_names(names, table.columns, "the table", purpose, error)


def require_names(
    names: Iterable[str],
    present: Iterable[Any],
    what: str,
    purpose: str = "",
    error: type[Exception] = DatasetNotFoundError,
) -> None:
    """Raise an error if names of columns are missing, see `require_columns`.

    Parameters
    ----------
    names
        Required columns.
    present
        Names of the columns that exist.
    what
        The table, for the message: ``"the cohort"``, or the path of a file.
    purpose, error
        See `require_columns`.
    """
    existing = [str(name) for name in present]
    missing = [name for name in dict.fromkeys(names) if name not in existing]
    if missing:
        kind = "column" if len(missing) == 1 else "columns"
        raise error(
            f"{what} has no {kind} {', '.join(map(repr, missing))}"
            f"{', needed ' + purpose if purpose else ''};"
            f" it has {', '.join(existing) or 'none'}"
        )


def column_of(table: pd.DataFrame, name: str, purpose: str = "") -> pd.Series[Any]:
    """Return a column; if it is missing, the error lists the existing columns."""
    require_columns(table, [name], purpose)
    return table[name]
