"""Rows of the event table, measured in the latest frames."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.segment import CONFIDENCE, HEIGHT
from astrocast.detection.checkpoint import BlocksInMemory
from astrocast.detection.events.footprint_measures import (
    LEAST_CONTEXT,
    MOST_CONTEXT,
    MeasureContext,
    MeasuredMovies,
    measure_footprints,
)
from astrocast.detection.events.layers import (
    Part,
    block_edges,
    count_shared,
    number_events,
    parts_by_block,
    write_layers,
)
from astrocast.detection.events.segmentation import Segmentation
from astrocast.detection.events.table_rows import (
    Publication,
    SourceFrames,
    event_runs,
    write_table,
)
from astrocast.detection.events.traces_and_map import measure_events
from astrocast.events.measure_schema import KIND
from astrocast.events.schema import OVERLAP_VOXELS
from astrocast.io.recording import ALL, Recording
from astrocast.kernels.calibrated.overlap import LayeredEvent
from astrocast.kernels.calibrated.residual import background_of_frames
from astrocast.kernels.event_features.features import Boxes
from astrocast.live.detector import DetectedEvent
from astrocast.live.latest_frames import LatestFrames
from astrocast.live.noise import NoiseModel
from astrocast.runtime.blocks import plan_blocks

#: frames in a block of the window in which events are measured
_BLOCK_FRAMES = 32
#: number of frames of a recording that is still being written
_NO_END = 1 << 62
_STEP = "live"


class AboveBackground(Recording):
    """The latest frames minus the current background, float32."""

    def __init__(
        self, frames: LatestFrames, model: NoiseModel, start: int, stop: int
    ) -> None:
        self._frames = frames.view(start, stop)
        self._model, self._start = model, start
        self.shape, self.dtype = self._frames.shape, self._frames.dtype

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        shift = self._start - self._model.origin
        background = background_of_frames(
            start + shift, stop + shift, self._model.stretch.background
        )
        frames = self._frames.read(start, stop)
        return np.ascontiguousarray((frames - background)[:, rows, columns])


class BatchRows:
    """Collects the batches of rows that `write_table` makes."""

    def __init__(self) -> None:
        self.batches: list[tuple[NDArray[np.int64], Mapping[str, Any]]] = []

    def write(self, event_id: NDArray[np.int64], batch: Mapping[str, Any]) -> None:
        """Add a batch, see `EventTableWriter.write`."""
        self.batches.append((event_id, batch))


def measure_rows_of(
    events: list[DetectedEvent],
    numbers: list[int],
    frames: LatestFrames,
    model: NoiseModel,
    context: MeasureContext,
    pool: Executor | None,
) -> list[tuple[NDArray[np.int64], Mapping[str, Any]]]:
    """Return batches of rows of the event table: (numbers of events, columns).

    An event that is measured soon after its end has fewer frames of context than in
    the final table.

    Parameters
    ----------
    events, numbers
        The events, and the number of each in the table.
    frames, model
        The latest frames and their background.
    context
        Units, and the part of the frame that is searched.
    pool
        Threads that share the work.
    """
    start, stop = _choose_window(events, frames)
    found, order = _build_segmentation(events, frames, start, stop)
    given = np.array(numbers, np.int64)[order]
    # parts of an event have the number of the event in the table
    found = replace(found, undivided=given, part=np.zeros(len(given), np.int64))
    signal = AboveBackground(frames, model, start, stop)
    light = frames.view(start, stop)
    measured = measure_events(signal, found, pool)
    measures = measure_footprints(
        MeasuredMovies(signal, light),
        found,
        event_runs(found),
        pool,
        lambda n: None,
    )
    bad = None
    if context.bad_frames is not None:
        first = frames.stop - len(context.bad_frames)
        bad = np.zeros(stop - start, np.bool_)
        a = max(start, first)
        bad[a - start :] = context.bad_frames[a - first : stop - first]
    within = MeasureContext(
        context.metadata, start, _NO_END, context.looked_at, bad, context.relative
    )
    rows: Any = BatchRows()
    write_table(
        found,
        measured,
        rows,
        SourceFrames(start, bad),
        Publication(measures, within),
        pool,
    )
    return [(given[ids - 1], batch) for ids, batch in rows.batches]


def _choose_window(
    events: list[DetectedEvent], frames: LatestFrames
) -> tuple[int, int]:
    """Return (first frame, last frame + 1) of the window to measure events in."""
    pixels = int(np.prod(frames.view(frames.first, frames.stop).shape[1:]))
    low = min(int(e.layers.voxels[0]) for e in events) // pixels
    high = max(int(e.layers.voxels[-1]) for e in events) // pixels + 1
    context = int(np.clip(high - low, LEAST_CONTEXT, MOST_CONTEXT))
    return max(frames.first, low - context), min(frames.stop, high + context)


def _build_segmentation(
    events: list[DetectedEvent], frames: LatestFrames, start: int, stop: int
) -> tuple[Segmentation, NDArray[np.int64]]:
    """Return a segmentation with the events, and the index in ``events`` of each.

    Voxels before frame ``start`` are removed.
    """
    shape = frames.view(start, stop).shape
    pixels = shape[1] * shape[2]
    blocks = list(plan_blocks(shape[0], _BLOCK_FRAMES))
    edges = block_edges(blocks, shape)
    store = BlocksInMemory()
    parts: dict[int, list[Part]] = {}
    for number, event in enumerate(events, start=1):
        own = event.layers
        inside = own.voxels >= start * pixels
        layered = LayeredEvent(
            own.voxels[inside] - start * pixels, own.hidden[inside], own.filled[inside]
        )
        for index, part in parts_by_block(layered, edges):
            parts.setdefault(index, []).append((part, number))
    for index, block in enumerate(blocks):
        size = (block.stop - block.start, *shape[1:])
        write_layers(store, _STEP, index, size, parts.get(index, []))
    empty = Segmentation(store, shape, blocks, [], Boxes.empty(0), 0)
    measures = {
        CONFIDENCE.name: np.array([e.confidence for e in events]),
        HEIGHT.name: np.array([e.height for e in events]),
        KIND.name: np.array([e.kind for e in events]),
    }
    found, was = number_events(empty, _STEP, len(events), measures)
    found.measures[OVERLAP_VOXELS.name] = count_shared(found)
    return found, was - 1
