"""Convert the traces of a table: normalise, resize, make a matrix or long table."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import AstrocastWarning, InvalidValueError, stack_level
from astrocast.events.array_columns import TraceArray, as_traces
from astrocast.events.required import column_of
from astrocast.kernels.ragged import ragged, resizing
from astrocast.kernels.ragged.normalize import Step, apply_steps
from astrocast.runtime.threads import worker_threads
from astrocast.settings.analysis import LengthSettings

#: column with the first frame of each trace if it differs from that of the event (after
#: an extension or an alignment)
TRACE_START = "z0_trace"
#: from this number of values, threads are used
_MANY_VALUES = 500_000


def traces_of(table: pd.DataFrame, column: str = "trace") -> TraceArray:
    """Return a column of traces; raise an error that lists the columns if missing."""
    return as_traces(column_of(table, column))


def starts_of(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the first frame of each trace, int64."""
    return table[TRACE_START if TRACE_START in table else "z0"].to_numpy(np.int64)


def normalize_traces(traces: TraceArray, steps: list[Step]) -> TraceArray:
    """Return the traces after all steps; warn if a divisor is 0."""
    with (
        worker_threads("traces") if traces.flat.size > _MANY_VALUES else nullcontext()
    ) as pool:
        values, zeros = apply_steps(traces.flat, traces.offsets, steps, pool)
    if zeros:
        warnings.warn(
            f"a divisor is 0 in {zeros} place(s); those traces are not divided",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
    # steps without effect return the input itself: copy it, to share no memory
    return TraceArray(
        values.copy() if values is traces.flat else values, traces.offsets
    )


def resize_traces(table: pd.DataFrame, settings: LengthSettings) -> pd.DataFrame:
    """Return the table with its traces padded and cut; ``dz`` is the new length."""
    low, high = settings.min_length, settings.max_length
    if low is not None and high is not None and low > high:
        raise InvalidValueError(
            f"min_length {low} is above max_length {high}; give min_length <="
            " max_length"
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
        *resizing.resize(traces.flat, traces.offsets, wanted, lead, settings.pad_mode)
    )
    changed: dict[str, Any] = {"trace": resized, "dz": wanted}
    if settings.align != "start" or TRACE_START in table:
        changed[TRACE_START] = starts_of(table) - lead
    return table.assign(**changed)


def place_traces(
    table: pd.DataFrame, first_frame: int, frames: int, masked: bool
) -> Any:
    """Return an array (events, frames): each trace at its frames, NaN elsewhere."""
    traces = traces_of(table)
    matrix = ragged.place(
        traces.flat, traces.offsets, starts_of(table) - first_frame, frames
    )
    if not masked:
        return matrix
    return np.ma.masked_array(np.nan_to_num(matrix, copy=True), mask=np.isnan(matrix))


def object_array(traces: TraceArray) -> NDArray[np.object_]:
    """Return an object array of the traces."""
    return traces.__array__()


def long_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per event and frame: ``id``, ``time`` (from 0), ``dim_0``."""
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
