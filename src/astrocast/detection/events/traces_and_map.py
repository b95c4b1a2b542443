"""Measure the signal of each event, and write the event map."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.segmentation import Segmentation
from astrocast.io.recording import Recording
from astrocast.io.stores.event_map import EventMapWriter
from astrocast.kernels.event_features.features import Boxes, measure_signals
from astrocast.kernels.masks.runs import Runs
from astrocast.runtime.blocks import Block, map_blocks
from astrocast.runtime.provenance import ContentHash, hash_frames

_SIGNAL = "signal"


@dataclass(frozen=True)
class EventSignals:
    """Signals of all events.

    Parameters
    ----------
    trace, noise
        float32: one value per frame of each event, all events concatenated.
    offsets
        int64 (events + 1,): index of the first value of each event.
    invalid
        int64 (events,): number of NaN and infinite voxels of each event.
    """

    trace: NDArray[np.float32]
    noise: NDArray[np.float32]
    offsets: NDArray[np.int64]
    invalid: NDArray[np.int64]


def measure_events(
    recording: Recording, segmentation: Segmentation, pool: Executor | None
) -> EventSignals:
    """Return the signals of all events, without writing an event map or a hash."""
    measured = _empty_signals(segmentation)
    checkpoint, blocks = segmentation.checkpoint, segmentation.blocks
    given = (_events_of(segmentation, index) for index in range(len(blocks)))
    for index, (_, found) in enumerate(
        map_blocks(recording, signals_of_block, blocks, given, pool=pool)
    ):
        signals = found or checkpoint.load(_SIGNAL, index)
        if found:
            checkpoint.save(_SIGNAL, index, **found)
        _add_signals(signals, measured, segmentation.boxes.low[:, 0])
    return measured


def _empty_signals(segmentation: Segmentation) -> EventSignals:
    boxes = segmentation.boxes
    offsets = np.zeros(len(boxes.area) + 1, np.int64)
    np.cumsum(boxes.high[:, 0] - boxes.low[:, 0], out=offsets[1:])
    unknown = np.full(offsets[-1], np.nan, np.float32)
    return EventSignals(
        unknown, unknown.copy(), offsets, np.zeros(len(boxes.area), np.int64)
    )


def measure_and_map_events(
    recording: Recording,
    segmentation: Segmentation,
    event_map: EventMapWriter,
    pool: Executor | None,
    advance: Callable[[int], None],
) -> tuple[EventSignals, str]:
    """Measure the remaining blocks and write the event map.

    Returns the signals of all events, and the hash of the recording.
    """
    boxes = segmentation.boxes
    measured = _empty_signals(segmentation)
    digest = ContentHash(recording)
    checkpoint, blocks = segmentation.checkpoint, segmentation.blocks
    with ThreadPoolExecutor(1, thread_name_prefix="astrocast-write") as behind:
        last: Future[None] | None = None
        # blocks that are measured already are read as well, for the hash
        given = (_events_of(segmentation, index) for index in range(len(blocks)))
        for index, (block, (hashes, signals)) in enumerate(
            map_blocks(recording, measure_block, blocks, given, pool=pool)
        ):
            if last is not None:
                last.result()
            last = behind.submit(
                event_map.write_runs, block.start, *segmentation.load(index)
            )
            digest.add(hashes)
            if signals is None:
                signals = checkpoint.load(_SIGNAL, index)
            else:
                checkpoint.save(_SIGNAL, index, **signals)
            _add_signals(signals, measured, boxes.low[:, 0])
            advance(block.stop - block.start)
        if last is not None:
            last.result()
    return measured, digest.hexdigest()


@dataclass(frozen=True)
class EventsOfBlock:
    """The events in a block, numbered from 1 in the block.

    Parameters
    ----------
    number
        int64, ascending: number of each event in the recording.
    runs, labels
        Runs of the events, and the event (number in the block) of each run.
    boxes
        Boxes of the events in the whole recording.
    """

    number: NDArray[np.int64]
    runs: Runs
    labels: NDArray[np.int32]
    boxes: Boxes


def _events_of(segmentation: Segmentation, index: int) -> EventsOfBlock | None:
    """Return the events of a block; None if they are measured already."""
    if segmentation.checkpoint.has(_SIGNAL, index):
        return None
    runs, labels = segmentation.load_events(index)
    number, own = np.unique(labels, return_inverse=True)
    boxes = segmentation.boxes
    at = number - 1
    part = Boxes(boxes.low[at], boxes.high[at], boxes.area[at])
    return EventsOfBlock(
        number.astype(np.int64), runs, (own + 1).astype(np.int32), part
    )


def measure_block(
    frames: NDArray[Any],
    block: Block,
    pool: Executor | None,
    events: EventsOfBlock | None,
) -> tuple[bytes, dict[str, NDArray[Any]] | None]:
    """Return the hash of each frame, and the signals of the events in a block."""
    return hash_frames(frames, pool), signals_of_block(frames, block, pool, events)


def signals_of_block(
    frames: NDArray[Any],
    block: Block,
    pool: Executor | None,
    events: EventsOfBlock | None,
) -> dict[str, NDArray[Any]] | None:
    """Return the signals of the events in a block; None without ``events``."""
    if events is None:
        return None
    found = measure_signals(frames, events.runs, events.labels, events.boxes, pool)
    return {
        "event": events.number[found.event - 1],
        "frame": found.frame + block.start,
        "mean": found.mean,
        "noise": found.noise,
        "invalid": found.invalid,
    }


def _add_signals(
    signals: dict[str, NDArray[Any]], measured: EventSignals, z0: NDArray[np.int64]
) -> None:
    """Copy the signals of a block into those of all events (changed in place)."""
    event = signals["event"] - 1
    at = measured.offsets[event] + signals["frame"] - z0[event]
    measured.trace[at], measured.noise[at] = signals["mean"], signals["noise"]
    np.add.at(measured.invalid, event, signals["invalid"])
