"""Events by group: counts, frequency, summaries, averages, trials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.trace_formats import traces_of
from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.kernels.event_features.physiology import time_courses
from astrocast.kernels.traces.statistics import (
    average_traces,
    counts_around,
    counts_over_time,
)


def _identity(value: Any) -> Any:
    return value


def lookup_table(
    index: pd.Index[Any], labels: Sequence[Any], default: Any
) -> dict[Any, Any]:
    """Return index -> label, with a default for every other index."""
    if len(labels) > len(index):
        raise InvalidValueError(
            f"{len(labels)} labels were given for {len(index)} events; give one each"
        )
    # a partial of a named function, so that the table can be sent to another process
    table: dict[Any, Any] = defaultdict(partial(_identity, default))
    table.update(zip(index.tolist(), np.asarray(labels).tolist(), strict=False))
    return table


def looked_up(index: pd.Index[Any], table: Mapping[Any, Any]) -> list[Any]:
    """Return the label of each event; without changing a defaultdict, whose default
    stands for what is missing.
    """
    factory = getattr(table, "default_factory", None)
    return [
        table[i] if i in table else (factory() if factory else None)
        for i in index.tolist()
    ]


def column_of(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column, saying which there are when it is missing."""
    if name not in table:
        raise DatasetNotFoundError(
            f"there is no column {name!r}; the events have"
            f" {', '.join(map(str, table.columns))}"
        )
    return table[name]


def codes_of(
    table: pd.DataFrame, group: str | None
) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the group of each event as a number, -1 where it has none, and the names
    of the groups.
    """
    if group is None:
        return np.zeros(len(table), np.int64), ["all"]
    codes, names = pd.factorize(column_of(table, group), sort=True)
    return codes.astype(np.int64), list(names)


def counts_per_cluster(
    table: pd.DataFrame, cluster: str, group: str | None
) -> pd.DataFrame:
    """Return events per cluster (rows) and group (columns; one column ``counts``
    without groups).
    """
    clusters = column_of(table, cluster)
    if group is None:
        return (
            clusters.value_counts(sort=False)
            .sort_index()
            .rename_axis(cluster)
            .to_frame("counts")
        )
    counts = pd.crosstab(clusters, column_of(table, group))
    counts.columns = pd.Index(list(counts.columns), name=group)
    return counts


def frequency(
    table: pd.DataFrame,
    group: str | None,
    edges: NDArray[np.float64],
    time: str,
    unit: float,
) -> pd.DataFrame:
    """Return events that begin per ``unit`` of time, rows the left edges of the bins, a
    column per group.
    """
    codes, names = codes_of(table, group)
    times = column_of(table, time).to_numpy(np.float64)
    chosen = codes >= 0
    counts = counts_over_time(times[chosen], codes[chosen], len(names), edges)
    return pd.DataFrame(
        counts / np.diff(edges)[:, None] * unit,
        index=pd.Index(edges[:-1], name="time"),
        columns=pd.Index(names, name=group),
    )


def summary(
    table: pd.DataFrame, group: str | None, columns: Sequence[str] | None
) -> pd.DataFrame:
    """Return count, mean, standard deviation, standard error, median and quartiles of
    numeric columns per group.

    Rows are (group, column). ``n`` counts what is not NaN.
    """
    if columns is None:
        names = [
            c
            for c in table.select_dtypes("number").columns
            if str(c).startswith("v_") or c in ("dz", "dt")
        ]
    else:
        names = [str(column_of(table, c).name) for c in columns]
    codes, groups = codes_of(table, group)
    parts = {}
    for code, name in enumerate(groups):
        numbers = table.loc[codes == code, names].astype(np.float64)
        parts[name] = pd.DataFrame(
            {
                "n": numbers.count(),
                "mean": numbers.mean(),
                "std": numbers.std(),
                "sem": numbers.sem(),
                "q25": numbers.quantile(0.25),
                "median": numbers.median(),
                "q75": numbers.quantile(0.75),
            }
        )
    return pd.concat(parts, names=[group or "group", "column"])


def trials(
    table: pd.DataFrame,
    stimuli: Sequence[float],
    window: tuple[float, float],
    bin_width: float,
    time: str,
) -> pd.DataFrame:
    """Return how many events begin around each stimulus, rows the stimuli, columns the
    time from it (left edges).
    """
    before, after = window
    if before < 0 or after <= 0 or bin_width <= 0:
        raise InvalidValueError(
            f"before is {before}, after {after}, bin_width {bin_width}; times before a"
            " stimulus are positive numbers, after and bin_width above 0"
        )
    # edges on both sides of 0, so that no bin mixes before and after
    edges = np.concatenate(
        [
            -np.arange(round(before / bin_width), 0, -1),
            np.arange(round(after / bin_width) + 1),
        ]
    )
    edges = edges * bin_width
    at = np.asarray(stimuli, np.float64)
    counts = counts_around(column_of(table, time).to_numpy(np.float64), at, edges)
    return pd.DataFrame(
        counts,
        index=pd.Index(at, name="stimulus"),
        columns=pd.Index(edges[:-1], name="time from stimulus"),
    )


def average(table: pd.DataFrame, group: str | None, align: str) -> pd.DataFrame:
    """Return the average trace per group in long form: group, frame, mean, std, n."""
    traces = traces_of(table)
    if align not in ("onset", "peak"):
        raise InvalidValueError(
            f"align is {align!r}; traces are aligned at their 'onset' (first frame) or"
            " 'peak'"
        )
    places = np.zeros(len(table), np.int64)
    if align == "peak":
        places = np.nan_to_num(time_courses(traces.flat, traces.offsets).peak).astype(
            np.int64
        )
    codes, names = codes_of(table, group)
    found = average_traces(traces.flat, traces.offsets, places, codes, len(names))
    long = {
        "group": np.repeat(np.asarray(names, object), found.frames.size),
        "frame": np.tile(found.frames, len(names)),
        "mean": found.mean.ravel(),
        "std": found.std.ravel(),
        "n": found.n.ravel(),
    }
    result = pd.DataFrame(long)
    return result[result["n"] > 0].reset_index(drop=True)
