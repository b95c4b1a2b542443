"""Make the rows of the event table, in batches of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.footprint_measures import (
    FootprintMeasures,
    MeasureContext,
    measure_rows,
)
from astrocast.detection.events.segmentation import Segmentation
from astrocast.detection.events.traces_and_map import EventSignals
from astrocast.events.schema import HIDDEN
from astrocast.io.stores.event_table_writer import EventTableWriter
from astrocast.kernels.event_features.event_shapes import (
    EventRuns,
    EventShapes,
    event_shapes,
    pack_runs,
)
from astrocast.kernels.event_features.features import Boxes, trace_properties
from astrocast.kernels.event_features.shape import FOOTPRINT_PROPERTIES, MASK_PROPERTIES
from astrocast.kernels.masks.runs import Runs
from astrocast.runtime.cluster import map_tasks

#: most events of a batch, and most voxels of their boxes
_EVENTS, _VOXELS = 2000, 64 << 20


@dataclass(frozen=True)
class EventBatch:
    """Events whose rows are made together; all arrays are in the order of ``number``.

    Parameters
    ----------
    number
        int64 (events,): number of each event in the event map.
    boxes
        Bounding boxes; frames are counted from the first processed frame.
    runs
        Voxels of the events.
    measured
        Signals of the events.
    measures
        Traces over fixed footprints; None if they were not measured.
    hidden
        Hidden voxels; None if events do not share voxels.
    """

    number: NDArray[np.int64]
    boxes: Boxes
    runs: EventRuns
    measured: EventSignals
    measures: FootprintMeasures | None = None
    hidden: EventRuns | None = None


@dataclass(frozen=True)
class SourceFrames:
    """Position of the processed frames in the recording, and their quality.

    Parameters
    ----------
    first_frame
        Number of frame 0 of the boxes in the recording (`z_slice`).
    bad_frames
        bool (frame,): bad frames; None if the quality is unknown.
    """

    first_frame: int = 0
    bad_frames: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Publication:
    """Input of the columns for publication, see `measure_rows`."""

    measures: FootprintMeasures
    context: MeasureContext


def write_table(
    segmentation: Segmentation,
    measured: EventSignals,
    writer: EventTableWriter,
    context: SourceFrames,
    publication: Publication,
    pool: Executor | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Write the row of each event.

    ``advance`` is called with the number of events after each batch.
    """
    batches = list(_plan_batches(segmentation))
    found = map_tasks(
        RowsOfBatch(context, publication.context),
        (_gather(segmentation, measured, publication, a, b) for a, b in batches),
        pool,
        describe=lambda batch: (f"{len(batch.number)} events", 1 << 30),
    )
    for (a, b), rows in zip(batches, found, strict=True):
        rows |= {"name": segmentation.names(a, b), "part_of": segmentation.part_of[a:b]}
        rows |= {name: measure[a:b] for name, measure in segmentation.measures.items()}
        writer.write(np.arange(a + 1, b + 1), rows)
        advance(b - a)


def _gather(
    segmentation: Segmentation,
    measured: EventSignals,
    publication: Publication,
    a: int,
    b: int,
) -> EventBatch:
    """Return events ``a + 1`` to ``b`` with all input for their rows."""
    boxes = segmentation.boxes
    values = slice(measured.offsets[a], measured.offsets[b])
    return EventBatch(
        np.arange(a + 1, b + 1),
        Boxes(boxes.low[a:b], boxes.high[a:b], boxes.area[a:b]),
        _load_runs(segmentation.load_events, segmentation, a, b),
        EventSignals(
            measured.trace[values],
            measured.noise[values],
            measured.offsets[a : b + 1] - measured.offsets[a],
            measured.invalid[a:b],
        ),
        publication.measures.of_events(a, b),
        _load_runs(segmentation.load_hidden, segmentation, a, b)
        if segmentation.layered
        else None,
    )


@dataclass(frozen=True)
class RowsOfBatch:
    """Make the rows of a batch of events; a task for `map_tasks`.

    Parameters
    ----------
    context
        Position and quality of the frames.
    publication
        What the columns for publication depend on.
    """

    context: SourceFrames
    publication: MeasureContext

    def __call__(self, batch: EventBatch, pool: Executor | None) -> dict[str, Any]:
        """Return the columns, except names and those of the method of detection."""
        low, high = batch.boxes.low, batch.boxes.high
        shapes = event_shapes(batch.runs, low, high, pool)
        rows = event_rows(batch, self.context, pool, shapes)
        if batch.measures is not None:
            rows |= measure_rows(
                batch.measures,
                slice(0, len(batch.number)),
                batch.boxes,
                shapes,
                self.publication,
                pool,
            )
        if batch.hidden is not None:
            rows[HIDDEN.name] = pack_runs(batch.hidden, low, high)
        return rows


def _plan_batches(segmentation: Segmentation) -> Iterator[tuple[int, int]]:
    """Yield (a, b) for batches of the events ``a + 1`` to ``b``."""
    boxes = segmentation.boxes
    voxels = np.cumsum((boxes.high - boxes.low).prod(axis=1))
    a = 0
    while a < len(voxels):
        limit = (voxels[a - 1] if a else 0) + _VOXELS
        b = int(
            min(a + _EVENTS, max(a + 1, np.searchsorted(voxels, limit, side="right")))
        )
        yield a, b
        a = b


def _load_runs(
    load: Callable[[int], tuple[Runs, NDArray[np.int32]]],
    segmentation: Segmentation,
    a: int,
    b: int,
) -> EventRuns:
    """Return the runs of events ``a + 1`` to ``b``, ordered by event."""
    boxes = segmentation.boxes
    z0, z1 = boxes.low[a:b, 0].min(), boxes.high[a:b, 0].max()
    parts: list[NDArray[np.int64]] = []
    for index, block in enumerate(segmentation.blocks):
        if block.start < z1 and block.stop > z0:
            runs, labels = load(index)
            own = np.flatnonzero((labels > a) & (labels <= b))
            columns = (
                labels,
                runs.frame() + block.start,
                runs.row(),
                runs.start,
                runs.stop,
            )
            parts.append(np.stack([c[own].astype(np.int64) for c in columns]))
    label, frame, row, start, stop = np.concatenate(parts, axis=1)
    order = np.argsort(label, kind="stable")
    first = np.searchsorted(label[order], np.arange(a + 1, b + 2))
    return EventRuns(frame[order], row[order], start[order], stop[order], first)


def event_runs(segmentation: Segmentation) -> Iterator[tuple[EventRuns, Boxes]]:
    """Yield runs and boxes of events in batches, in the order of their numbers."""
    boxes = segmentation.boxes
    for a, b in _plan_batches(segmentation):
        part = Boxes(boxes.low[a:b], boxes.high[a:b], boxes.area[a:b])
        yield _load_runs(segmentation.load_events, segmentation, a, b), part


def event_rows(
    batch: EventBatch,
    context: SourceFrames,
    pool: Executor | None = None,
    shapes: EventShapes | None = None,
) -> dict[str, Any]:
    """Return the base columns of the event table for a batch of events, except names.

    ``shapes``: shapes of the events if they are computed already.
    """
    low, high, measured = batch.boxes.low, batch.boxes.high, batch.measured
    size = high - low
    rows: dict[str, Any] = {}
    for axis, letter in enumerate("zxy"):
        shift = context.first_frame if letter == "z" else 0
        rows |= {
            f"{letter}0": low[:, axis] + shift,
            f"{letter}1": high[:, axis] + shift,
            f"d{letter}": size[:, axis],
        }
    rows |= {
        "v_length": size[:, 0],
        "v_diameter": np.hypot(size[:, 1], size[:, 2]),
        "v_area": batch.boxes.area,
        "v_bbox_pix_num": size.prod(axis=1),
    }
    if shapes is None:
        shapes = event_shapes(batch.runs, low, high, pool)
    rows |= {
        f"v_mask_{name}": shapes.mask[:, i] for i, name in enumerate(MASK_PROPERTIES)
    }
    rows |= {
        f"v_fp_{name}": shapes.footprint[:, i]
        for i, name in enumerate(FOOTPRINT_PROPERTIES)
    }
    rows["v_fp_cx"] = low[:, 1] + rows["v_fp_centroid_local-0"] * size[:, 1]
    rows["v_fp_cy"] = low[:, 2] + rows["v_fp_centroid_local-1"] * size[:, 2]
    rows |= trace_properties(measured.trace, measured.noise, measured.offsets)
    unknown = np.isnan(measured.trace)
    rows["error"] = np.maximum.reduceat(unknown, measured.offsets[:-1]).astype(np.int64)
    rows["invalid_voxels"] = measured.invalid
    rows["bad_frames_share"] = _share_bad_frames(
        low[:, 0], high[:, 0], context.bad_frames
    )
    rows |= {
        "trace": (measured.trace, measured.offsets),
        "noise_mask_trace": (measured.noise, measured.offsets),
    }
    rows["mask"] = (shapes.mask_bits, shapes.mask_offsets)
    rows["footprint"] = (shapes.footprint_bits, shapes.footprint_offsets)
    return rows


def _share_bad_frames(
    z0: NDArray[np.int64], z1: NDArray[np.int64], bad_frames: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return the fraction of bad frames in each event; NaN if it is unknown."""
    if bad_frames is None:
        return np.full(len(z0), np.nan)
    before = np.concatenate([[0], np.cumsum(bad_frames)])
    return (before[z1] - before[z0]) / (z1 - z0)
