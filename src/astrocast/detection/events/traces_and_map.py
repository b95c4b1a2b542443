"""Second pass: the signal of each event, and the event map."""

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
from astrocast.kernels.event_features.features import measure_signals
from astrocast.kernels.masks.runs import Runs
from astrocast.runtime.blocks import read_blocks
from astrocast.runtime.provenance import ContentHash

_SIGNAL = "signal"


@dataclass(frozen=True)
class EventSignals:
    """Signals of all events.

    Parameters
    ----------
    trace, noise
        One value per frame of each event, all events one after the other, float32.
    offsets
        Where each event's begin, int64, (events + 1,).
    invalid
        NaN and infinite voxels of each event, int64, (events,).
    """

    trace: NDArray[np.float32]
    noise: NDArray[np.float32]
    offsets: NDArray[np.int64]
    invalid: NDArray[np.int64]


def measure_events(
    recording: Recording, segmentation: Segmentation, pool: Executor | None
) -> EventSignals:
    """Measure the signals of all events, without an event map or a hash."""
    measured = _empty_signals(segmentation)
    for index, (_, frames) in enumerate(read_blocks(recording, segmentation.blocks)):
        signals = _signals(segmentation, index, frames, pool)
        _place(signals, measured, segmentation.boxes.low[:, 0])
    return measured


def _empty_signals(segmentation: Segmentation) -> EventSignals:
    boxes = segmentation.boxes
    offsets = np.zeros(len(boxes.area) + 1, np.int64)
    np.cumsum(boxes.high[:, 0] - boxes.low[:, 0], out=offsets[1:])
    unknown = np.full(offsets[-1], np.nan, np.float32)
    return EventSignals(
        unknown, unknown.copy(), offsets, np.zeros(len(boxes.area), np.int64)
    )


def measure(
    recording: Recording,
    segmentation: Segmentation,
    event_map: EventMapWriter,
    pool: Executor | None,
    advance: Callable[[int], None],
) -> tuple[EventSignals, str]:
    """Measure the remaining blocks and write the event map.

    Returns the signals and the hash of the input.
    """
    boxes = segmentation.boxes
    measured = _empty_signals(segmentation)
    digest = ContentHash(recording)

    def keep(
        start: int, frames: NDArray[Any], runs: Runs, labels: NDArray[np.int32]
    ) -> None:
        event_map.write_runs(start, runs, labels)
        digest.update(frames)

    with ThreadPoolExecutor(1, thread_name_prefix="astrocast-write") as behind:
        last: Future[None] | None = None
        # every block is read, even one that is measured: the hash is of the whole
        # recording
        for index, (block, frames) in enumerate(
            read_blocks(recording, segmentation.blocks)
        ):
            if last is not None:
                last.result()
            last = behind.submit(keep, block.start, frames, *segmentation.load(index))
            signals = _signals(segmentation, index, frames, pool)
            _place(signals, measured, boxes.low[:, 0])
            advance(block.stop - block.start)
        if last is not None:
            last.result()
    return measured, digest.hexdigest()


def _signals(
    segmentation: Segmentation,
    index: int,
    frames: NDArray[Any],
    pool: Executor | None,
) -> dict[str, NDArray[Any]]:
    checkpoint, block = segmentation.checkpoint, segmentation.blocks[index]
    if checkpoint.has(_SIGNAL, index):
        return checkpoint.load(_SIGNAL, index)
    found = measure_signals(
        frames, *segmentation.load_events(index), segmentation.boxes, pool
    )
    signals: dict[str, NDArray[Any]] = {
        "event": found.event,
        "frame": found.frame + block.start,
        "mean": found.mean,
        "noise": found.noise,
        "invalid": found.invalid,
    }
    checkpoint.save(_SIGNAL, index, **signals)
    return signals


def _place(
    signals: dict[str, NDArray[Any]], measured: EventSignals, z0: NDArray[np.int64]
) -> None:
    event = signals["event"] - 1
    at = measured.offsets[event] + signals["frame"] - z0[event]
    measured.trace[at], measured.noise[at] = signals["mean"], signals["noise"]
    np.add.at(measured.invalid, event, signals["invalid"])
