"""Second pass: the signal of each event, and the event map."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.segmentation import Segmentation
from astrocast.io.recording import Recording, RecordingWriter
from astrocast.kernels.features import measure_signals
from astrocast.kernels.runs import paint_runs
from astrocast.runtime.blocks import WriteBehind, read_blocks
from astrocast.runtime.provenance import ContentHash

_SIGNAL = "signal"


@dataclass(frozen=True)
class Measured:
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


def measure(
    recording: Recording,
    segmentation: Segmentation,
    event_map: RecordingWriter,
    pool: Executor | None,
    advance: Callable[[int], None],
) -> tuple[Measured, str]:
    """Measure the blocks that are not measured yet and write the event map; return the signals and the input's hash."""
    boxes, checkpoint = segmentation.boxes, segmentation.checkpoint
    offsets = np.zeros(len(boxes.area) + 1, np.int64)
    np.cumsum(boxes.high[:, 0] - boxes.low[:, 0], out=offsets[1:])
    measured = Measured(
        np.full(offsets[-1], np.nan, np.float32),
        np.full(offsets[-1], np.nan, np.float32),
        offsets,
        np.zeros(len(boxes.area), np.int64),
    )
    digest = ContentHash(recording)
    behind = WriteBehind(event_map)
    try:
        # every block is read, even one that is measured: the hash is of the whole recording
        for index, (block, frames) in enumerate(read_blocks(recording, segmentation.blocks)):
            runs, labels = segmentation.load(index)
            behind.write(block.start, paint_runs(runs, labels, pool))
            digest.update(frames)
            if not checkpoint.has(_SIGNAL, index):
                signals = measure_signals(frames, runs, labels, boxes, pool)
                checkpoint.save(
                    _SIGNAL, index, event=signals.event, frame=signals.frame + block.start, mean=signals.mean,
                    noise=signals.noise, invalid=signals.invalid,
                )  # fmt: skip
            _place(checkpoint.load(_SIGNAL, index), measured, boxes.low[:, 0])
            advance(block.stop - block.start)
        behind.wait()
    finally:
        behind.close()
    return measured, digest.hexdigest()


def _place(signals: dict[str, NDArray[Any]], measured: Measured, z0: NDArray[np.int64]) -> None:
    event = signals["event"] - 1
    at = measured.offsets[event] + signals["frame"] - z0[event]
    measured.trace[at], measured.noise[at] = signals["mean"], signals["noise"]
    np.add.at(measured.invalid, event, signals["invalid"])
