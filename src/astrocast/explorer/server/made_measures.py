"""The columns for publication of an event that a curator made.

They are computed as in the detection, from the movies around the event. They are stored
in the log of decisions, so that later readers do not need the movies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.footprint_measures import (
    LEAST_CONTEXT,
    MOST_CONTEXT,
    FootprintMeasures,
    MeasureContext,
    MeasuredMovies,
    measure_rows,
)
from astrocast.kernels.curation.edit_masks import PlacedMask
from astrocast.kernels.event_features.event_shapes import EventRuns, event_shapes
from astrocast.kernels.event_features.features import Boxes
from astrocast.kernels.event_features.time_course import event_courses
from astrocast.kernels.masks.runs import find_runs
from astrocast.kernels.ragged.ragged import offsets_of
from astrocast.kernels.traces.extension import extend_windows
from astrocast.kernels.traces.footprint_traces import (
    FootprintTraces,
    MovieBlock,
    add_footprint_traces,
)
from astrocast.kernels.traces.traces import Pixels

#: labels of the event and of all others
OWN, OTHER = 1, 2


def measure_made_event(
    event: PlacedMask,
    others: list[PlacedMask],
    movies: MeasuredMovies,
    context: MeasureContext,
) -> dict[str, Any]:
    """Return the columns for publication of one event, as plain values.

    Parameters
    ----------
    event
        Voxels of the event.
    others
        Events near it; their voxels are not used.
    movies
        Movies from which the box of the event is read, with frames before and after it.
    context
        Units and frames of the recording.
    """
    low = np.array([event.origin], np.int64)
    high = low + event.mask.shape
    depth = int(high[0, 0] - low[0, 0])
    around = np.clip(np.array([depth]), LEAST_CONTEXT, MOST_CONTEXT)
    frames = movies.signal.shape[0]
    windows = extend_windows(low[:, 0], high[:, 0], around, around, (0, frames))
    start = int(windows.starts[0])
    stop = start + int(windows.offsets[1])
    box = slice(int(low[0, 1]), int(high[0, 1])), slice(int(low[0, 2]), int(high[0, 2]))
    labels = _labels(event, others, start, stop)
    signal = movies.signal.read(start, stop, *box)
    light = movies.fluorescence
    raw = light.read(start, stop, *box) if light is not None else None
    reference = movies.reference[box] if movies.reference is not None else None
    footprint = np.flatnonzero(event.mask.any(axis=0)).astype(np.int64)
    pixels = Pixels(footprint, offsets_of([len(footprint)]))
    traces = FootprintTraces.empty(windows)
    block = MovieBlock(start, signal, labels, raw, reference)
    add_footprint_traces(block, pixels, low[:, 0], high[:, 0], traces)
    courses = event_courses(
        traces.mean,
        windows.offsets,
        low[:, 0] - windows.starts,
        high[:, 0] - windows.starts,
    )
    measures = FootprintMeasures(traces, courses, np.array([len(footprint)]))
    boxes = Boxes(low, high, np.array([event.mask.sum()], np.int64))
    shapes = event_shapes(_runs(event), low, high)
    rows = measure_rows(measures, slice(0, 1), boxes, shapes, context)
    return {name: _plain(values) for name, values in rows.items()}


def _labels(
    event: PlacedMask, others: list[PlacedMask], start: int, stop: int
) -> NDArray[np.int32]:
    """Return the label of each voxel in the box of the event."""
    rows, columns = event.mask.shape[1:]
    labels = np.zeros((stop - start, rows, columns), np.int32)
    corner = np.array([start, *event.origin[1:]])
    for part, value in [*((other, OTHER) for other in others), (event, OWN)]:
        at = np.argwhere(part.mask) + part.origin - corner
        inside = ((at >= 0) & (at < labels.shape)).all(axis=1)
        labels[tuple(at[inside].T)] = value
    return labels


def _runs(event: PlacedMask) -> EventRuns:
    runs, (frame, row, column) = find_runs(event.mask), event.origin
    return EventRuns(
        runs.frame() + frame,
        runs.row() + row,
        runs.start.astype(np.int64) + column,
        runs.stop.astype(np.int64) + column,
        offsets_of([len(runs)]),
    )


def _plain(values: Any) -> Any:
    """Return the value of the event for JSON; a list for a trace, None for NaN."""
    if isinstance(values, tuple):
        return [_plain([v]) for v in np.asarray(values[0]).tolist()]
    value = np.asarray(values).tolist()[0]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
