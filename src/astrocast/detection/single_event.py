"""Compute the table of a single event of an event map."""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.detection.events.table_rows import EventBatch, SourceFrames, event_rows
from astrocast.detection.events.traces_and_map import EventSignals
from astrocast.errors import InvalidValueError
from astrocast.io.stores.event_store import TABLE
from astrocast.io.stores.event_table_writer import EventTableWriter
from astrocast.kernels.event_features.event_shapes import EventRuns
from astrocast.kernels.event_features.features import Boxes, measure_signals
from astrocast.kernels.masks.runs import find_runs
from astrocast.kernels.segmentation.splitting import divide

#: shape, dtype, and the name of the shared memory or the path of the memory-mapped file
SharedArray = tuple[tuple[int, ...], DTypeLike, str]
DONE_BEFORE = 2


def read_shared(info: SharedArray, t0: int, t1: int, on_disk: bool) -> NDArray[Any]:
    """Return a copy of frames ``t0`` to ``t1`` of an array of another process."""
    shape, dtype, name = info
    if on_disk:
        if str(name).endswith(".npy"):
            return np.array(np.load(name, mmap_mode="r", allow_pickle=False)[t0:t1])
        return np.array(
            np.memmap(name, dtype=dtype, mode="r", shape=tuple(shape))[t0:t1]
        )
    shared = SharedMemory(name=name)
    try:
        return np.array(np.ndarray(tuple(shape), dtype, buffer=shared.buf)[t0:t1])
    finally:
        shared.close()


def characterise(
    number: int,
    t0: int,
    frames: NDArray[Any],
    labels: NDArray[Any],
    out: Path,
    *,
    split: bool,
) -> int | None:
    """Write the table of one event into the directory ``out``.

    A divided event has several rows. Returns `DONE_BEFORE` if ``out`` contains a table
    already, else None.

    Parameters
    ----------
    number
        Label of the event.
    t0
        Number of the first of ``frames`` in the recording.
    frames, labels
        Recording and event map over the frames of the event, (frame, row, column).
    out
        Directory of the table.
    split
        Divide the event if the signal drops between its maxima.
    """
    if (out / TABLE).exists():
        return DONE_BEFORE
    mask = labels == number
    if not mask.any():
        raise InvalidValueError(
            f"event {number} has no voxel in frames {t0} to {t0 + len(labels) - 1} of"
            " the event map; check t0, t1 and the label"
        )
    parts = divide(frames, mask) if split else mask.astype(np.int32)
    n = int(parts.max())
    out.mkdir(parents=True, exist_ok=True)
    with EventTableWriter(out) as writer:
        for part in range(1, n + 1):
            batch = _make_batch(number, frames, parts == part)
            rows = event_rows(batch, SourceFrames(t0))
            name = f"{number}_{part}" if n > 1 else str(number)
            rows |= {"name": [name], "part_of": np.array([number if n > 1 else 0])}
            writer.write(np.array([part if n > 1 else number]), rows)
    return None


def _make_batch(
    number: int, frames: NDArray[Any], mask: NDArray[np.bool_]
) -> EventBatch:
    """Return a batch of one event, given by its mask (frame, row, column)."""
    runs = find_runs(mask)
    own = np.ones(len(runs), np.int32)
    boxes = Boxes.empty(1)
    boxes.add(runs, own, 0)
    signals = measure_signals(frames, runs, own, boxes)
    columns = (
        runs.frame(),
        runs.row(),
        runs.start.astype(np.int64),
        runs.stop.astype(np.int64),
    )
    return EventBatch(
        np.array([number]),
        boxes,
        EventRuns(*columns, np.array([0, len(runs)])),
        EventSignals(
            signals.mean,
            signals.noise,
            np.array([0, len(signals.mean)]),
            signals.invalid.sum(keepdims=True),
        ),
    )
