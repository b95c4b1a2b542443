"""Count, summarise and average events by group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.trace_formats import traces_of
from astrocast.errors import InvalidValueError
from astrocast.events.required import column_of
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
    """Return index -> label, with a default for all other indices."""
    if len(labels) > len(index):
        raise InvalidValueError(
            f"{len(labels)} labels were given for {len(index)} events; give one label"
            " per event"
        )
    # a partial of a named function can be pickled, a lambda cannot
    table: dict[Any, Any] = defaultdict(partial(_identity, default))
    table.update(zip(index.tolist(), np.asarray(labels).tolist(), strict=False))
    return table


def labels_of_events(index: pd.Index[Any], table: Mapping[Any, Any]) -> list[Any]:
    """Return the label of each event; missing ones get the default of the table.

    The lookup table (a dict or defaultdict) is not changed.
    """
    factory = getattr(table, "default_factory", None)
    return [
        table[i] if i in table else (factory() if factory else None)
        for i in index.tolist()
    ]


def codes_of(
    table: pd.DataFrame, group: str | None
) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the group of each event as a number (-1: none), and the group names."""
    if group is None:
        return np.zeros(len(table), np.int64), ["all"]
    codes, names = pd.factorize(column_of(table, group), sort=True)
    return codes.astype(np.int64), list(names)


def counts_per_cluster(
    table: pd.DataFrame, cluster: str, group: str | None
) -> pd.DataFrame:
    """Return events per cluster (rows) and group (columns).

    Without groups there is one column, ``counts``.
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


def time_column(table: pd.DataFrame, time: str | None) -> str:
    """Return the name of the column with the time at which events begin."""
    return time if time is not None else ("t0" if "t0" in table else "z0")


def bin_edges(
    table: pd.DataFrame, time: str, bin_width: float, frames: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the edges of time bins.

    Parameters
    ----------
    table
        Events.
    time
        Column with the time at which events begin.
    bin_width
        Width of a bin, in the unit of ``time``.
    frames
        (first frame, last frame + 1) of the recording: range of the bins if ``time`` is
        ``z0``, so that empty bins are included. For other columns the range is that of
        the events, extended to 0.
    """
    if bin_width <= 0:
        raise InvalidValueError(f"bin_width is {bin_width}; give a value above 0")
    begins = column_of(table, time).to_numpy(np.float64)
    by_frame = time == "z0"
    if by_frame:
        start, stop = float(frames[0]), float(frames[1])
    elif not len(begins):
        start, stop = 0.0, 1.0
    else:
        start, stop = min(0.0, np.nanmin(begins)), float(np.nanmax(begins))
    # for other columns the last event lies on the last edge: add one bin
    one_more = not by_frame or (stop - start) % bin_width > 0
    bins = max(1, int(np.floor((stop - start) / bin_width)) + one_more)
    return np.asarray(start + np.arange(bins + 1) * bin_width, np.float64)


def frequency(
    table: pd.DataFrame, group: str | None, edges: NDArray[np.float64], time: str
) -> pd.DataFrame:
    """Return onsets per unit of time: rows are bins, columns are groups."""
    codes, names = codes_of(table, group)
    times = column_of(table, time).to_numpy(np.float64)
    chosen = codes >= 0
    counts = counts_over_time(times[chosen], codes[chosen], len(names), edges)
    return pd.DataFrame(
        counts / np.diff(edges)[:, None],
        index=pd.Index(edges[:-1], name="time"),
        columns=pd.Index(names, name=group),
    )


def pooled_frequency(
    table: pd.DataFrame,
    group: str | None,
    bin_width: float,
    rates: Mapping[str, float | None],
    lengths: Mapping[str, int],
) -> pd.DataFrame:
    """Return onsets per unit of time, pooled over recordings, see `frequency`.

    Parameters
    ----------
    table
        Events with ``z0`` and ``file_name``.
    group
        Column to group by; None: all events together.
    bin_width
        Width of a bin: in seconds if all frame rates are known, in frames if none is.
    rates, lengths
        Recording -> frame rate (Hz; None if unknown), and number of frames.
    """
    unknown = sorted(name for name, rate in rates.items() if rate is None)
    if unknown and len(unknown) < len(rates):
        raise InvalidValueError(
            f"the frame rate of {', '.join(unknown)} is unknown, but that of the other"
            " recordings is known: frames and seconds cannot be pooled. Give the frame"
            " rate when you convert the recording, or give a column of times"
        )
    names = table["file_name"].astype(str)
    per_frame = names.map({n: 1.0 / (rate or 1.0) for n, rate in rates.items()})
    timed = table[[c for c in (group,) if c]].assign(
        onset=table["z0"].to_numpy(np.float64) * per_frame.to_numpy(np.float64)
    )
    stop = max(lengths[n] / (rate or 1.0) for n, rate in rates.items())
    bins = max(1, int(np.ceil(stop / bin_width - 1e-9)))
    edges = np.asarray(np.arange(bins + 1) * bin_width, np.float64)
    return frequency(timed, group, edges, "onset")


def summary(
    table: pd.DataFrame, group: str | None, columns: Sequence[str] | None
) -> pd.DataFrame:
    """Return n, mean, std, sem, median and quartiles of numeric columns per group.

    Rows are (group, column). ``n`` counts the values that are not NaN.
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
    """Return the number of onsets around each stimulus, see `Events.trials`."""
    before, after = window
    if before < 0 or after <= 0 or bin_width <= 0:
        raise InvalidValueError(
            f"before is {before}, after is {after}, bin_width is {bin_width}; before"
            " must be at least 0, after and bin_width must be above 0"
        )
    # 0 is an edge, so that no bin contains times before and after the stimulus
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
    """Return the mean trace per group as a table: group, frame, mean, std, n."""
    traces = traces_of(table)
    if align not in ("onset", "peak"):
        raise InvalidValueError(
            f"align is {align!r}; choose 'onset' (first frame) or 'peak'"
        )
    places = np.zeros(len(table), np.int64)
    if align == "peak":
        places = np.nan_to_num(time_courses(traces.flat, traces.offsets).peak).astype(
            np.int64
        )
    codes, names = codes_of(table, group)
    averages = average_traces(traces.flat, traces.offsets, places, codes, len(names))
    long = {
        "group": np.repeat(np.asarray(names, object), averages.frames.size),
        "frame": np.tile(averages.frames, len(names)),
        "mean": averages.mean.ravel(),
        "std": averages.std.ravel(),
        "n": averages.n.ravel(),
    }
    result = pd.DataFrame(long)
    return result[result["n"] > 0].reset_index(drop=True)
