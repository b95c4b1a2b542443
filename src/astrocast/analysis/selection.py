"""Which events are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import DatasetNotFoundError, InvalidValueError


def selected(table: pd.DataFrame, filters: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return which events pass all filters.

    Parameters
    ----------
    table
        Events.
    filters
        Column -> what is allowed. Numbers and times: ``(low, high)``, inclusive, None
        leaves a side open; NaN never passes a limit. Text, categories and truth values:
        the values allowed.
    """
    kept = np.ones(len(table), bool)
    problems = []
    for name, allowed in filters.items():
        if name not in table:
            known = ", ".join(map(str, table.columns))
            raise DatasetNotFoundError(
                f"there is no column {name!r} to filter by; the events have {known}"
            )
        try:
            kept &= _passes(table[name], allowed)
        except InvalidValueError as error:
            problems.append(str(error))
    if problems:
        raise InvalidValueError("; ".join(problems))
    return kept


def _passes(column: pd.Series[Any], allowed: Any) -> NDArray[np.bool_]:
    api = pd.api.types
    kind = column.dtype
    if (
        isinstance(kind, pd.CategoricalDtype)
        or api.is_bool_dtype(kind)
        or api.is_string_dtype(kind)
    ):
        values = (
            [allowed] if isinstance(allowed, (str, bool, int, float)) else list(allowed)
        )
        return column.isin(values).to_numpy(bool)
    if not (
        api.is_numeric_dtype(kind)
        or api.is_datetime64_any_dtype(kind)
        or api.is_timedelta64_dtype(kind)
    ):
        raise InvalidValueError(
            f"column {column.name!r} holds {kind}; filter by numbers (low, high) or by"
            " text and categories (the values)"
        )
    if not isinstance(allowed, (tuple, list)) or len(allowed) != 2:
        raise InvalidValueError(
            f"column {column.name!r} is of numbers: give (low, high), None for open;"
            f" got {allowed!r}"
        )
    low, high = allowed
    kept = np.ones(len(column), bool)
    if low is not None:
        kept &= (column >= low).to_numpy(bool)
    if high is not None:
        kept &= (column <= high).to_numpy(bool)
    return kept
