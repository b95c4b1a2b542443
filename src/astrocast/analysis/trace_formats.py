"""The traces of a table in the shapes that other tools take them in."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import AstrocastWarning, DatasetNotFoundError, InvalidValueError
from astrocast.events.array_columns import TraceArray, as_traces
from astrocast.kernels.ragged import ragged
from astrocast.kernels.ragged.normalize import Step, apply_steps
from astrocast.settings.analysis import LengthSettings

#: first frame of a trace that begins elsewhere than its event (after an extension or an
#: alignment)
TRACE_START = "z0_trace"
#: values of traces from which threads are worth their start
_MANY_VALUES = 500_000


def traces_of(table: pd.DataFrame, column: str = "trace") -> TraceArray:
    """Return a column of traces, saying which columns there are when it is missing."""
    if column not in table:
        raise DatasetNotFoundError(
            f"there is no column {column!r}; the events have"
            f" {', '.join(map(str, table.columns))}"
        )
    return as_traces(table[column])


def starts_of(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the frame that each trace begins with."""
    return table[TRACE_START if TRACE_START in table else "z0"].to_numpy(np.int64)


def normalized(traces: TraceArray, steps: list[Step]) -> TraceArray:
    """Return the traces after all steps; warns where a divisor was 0."""
    with (
        ThreadPoolExecutor(os.cpu_count())
        if traces.flat.size > _MANY_VALUES
        else nullcontext()
    ) as pool:
        values, zeros = apply_steps(traces.flat, traces.offsets, steps, pool)
    if zeros:
        warnings.warn(
            f"a divisor is 0 in {zeros} place(s); those traces are left undivided",
            AstrocastWarning,
            stacklevel=3,
        )
    # an instruction list without effect still gives traces of its own
    return TraceArray(
        values.copy() if values is traces.flat else values, traces.offsets
    )


def with_length(table: pd.DataFrame, settings: LengthSettings) -> pd.DataFrame:
    """Return the table with its traces padded and cut, ``dz`` following."""
    low, high = settings.min_length, settings.max_length
    if low is not None and high is not None and low > high:
        raise InvalidValueError(
            f"min_length {low} is above max_length {high}; no trace can have both"
        )
    traces = traces_of(table)
    lengths = np.diff(traces.offsets)
    wanted = np.clip(
        lengths, low or 0, high if high is not None else np.iinfo(np.int64).max
    )
    room = wanted - lengths
    lead = {"start": np.zeros_like(room), "center": room // 2, "end": room}[
        settings.align
    ]
    resized = TraceArray(
        *ragged.resize(traces.flat, traces.offsets, wanted, lead, settings.pad_mode)
    )
    changed: dict[str, Any] = {"trace": resized, "dz": wanted}
    if settings.align != "start" or TRACE_START in table:
        changed[TRACE_START] = starts_of(table) - lead
    return table.assign(**changed)


def as_matrix(table: pd.DataFrame, first_frame: int, frames: int, masked: bool) -> Any:
    """Return (events, frames), every trace at its place in the recording; elsewhere
    NaN, or masked.
    """
    traces = traces_of(table)
    matrix = ragged.place(
        traces.flat, traces.offsets, starts_of(table) - first_frame, frames
    )
    if not masked:
        return matrix
    return np.ma.masked_array(np.nan_to_num(matrix, copy=True), mask=np.isnan(matrix))


def as_objects(traces: TraceArray) -> NDArray[np.object_]:
    """Return an object array of the traces."""
    return traces.__array__()


def as_long(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per event and frame: ``id``, ``time`` from 0 in each event,
    ``dim_0``; NaN becomes 0.
    """
    traces = traces_of(table)
    lengths = np.diff(traces.offsets)
    return pd.DataFrame(
        {
            "id": np.repeat(table.index.to_numpy(), lengths),
            "time": (
                np.arange(traces.flat.size) - np.repeat(traces.offsets[:-1], lengths)
            ),
            "dim_0": np.nan_to_num(traces.flat, nan=0.0),
        }
    )
