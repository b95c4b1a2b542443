"""Traces over fixed footprints in one block of a recording; tasks for `map_blocks`."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.segmentation import Segmentation
from astrocast.io.recording import Recording
from astrocast.kernels.masks.runs import Runs, paint_over, paint_runs
from astrocast.kernels.traces.footprint_traces import (
    SHARED,
    FootprintTraces,
    MovieBlock,
    add_footprint_traces,
)
from astrocast.kernels.traces.traces import Pixels, Windows
from astrocast.runtime.blocks import Block


@dataclass(frozen=True)
class FootprintsOfBlock:
    """Events whose traces cover frames of a block, numbered from 0 in the block.

    Parameters
    ----------
    near
        int64, ascending: index of each event in the recording.
    pixels, z0, z1
        Footprint, first frame, and frame after the last, of each event.
    windows
        Frames of the block that each trace covers.
    runs, labels, hidden
        Visible runs, the event of each (from 1, in the block), and hidden runs.
    """

    near: NDArray[np.int64]
    pixels: Pixels
    z0: NDArray[np.int64]
    z1: NDArray[np.int64]
    windows: Windows
    runs: Runs
    labels: NDArray[np.int32]
    hidden: Runs | None


def footprints_of_block(
    segmentation: Segmentation, index: int, pixels: Pixels, windows: Windows
) -> FootprintsOfBlock:
    """Return the footprints and windows of the events near a block."""
    block = segmentation.blocks[index]
    stops = windows.starts + np.diff(windows.offsets)
    near = np.flatnonzero((windows.starts < block.stop) & (stops > block.start))
    length = np.diff(pixels.offsets)[near]
    offsets = np.zeros(len(near) + 1, np.int64)
    np.cumsum(length, out=offsets[1:])
    first = np.repeat(pixels.offsets[near] - offsets[:-1], length)
    starts = np.maximum(windows.starts[near], block.start)
    frames = np.zeros(len(near) + 1, np.int64)
    np.cumsum(np.minimum(stops[near], block.stop) - starts, out=frames[1:])
    runs, labels = segmentation.load(index)
    hidden = segmentation.load_hidden(index)[0] if segmentation.layered else None
    boxes = segmentation.boxes
    return FootprintsOfBlock(
        near,
        Pixels(pixels.flat[first + np.arange(offsets[-1])], offsets),
        boxes.low[near, 0],
        boxes.high[near, 0],
        Windows(starts, frames),
        runs,
        (np.searchsorted(near, labels - 1) + 1).astype(np.int32),
        hidden,
    )


@dataclass(frozen=True)
class TraceFootprints:
    """Compute traces over footprints in a block; a task for `map_blocks`.

    Parameters
    ----------
    light
        Fluorescence, if it is another recording than the signal; else None.
    is_light
        Whether the signal is the fluorescence.
    reference
        Image that is subtracted from each frame of the signal, or None.
    """

    light: Recording | None
    is_light: bool
    reference: NDArray[np.float32] | None

    def __call__(
        self,
        frames: NDArray[Any],
        block: Block,
        pool: Executor | None,
        events: FootprintsOfBlock,
    ) -> tuple[NDArray[np.int64], FootprintTraces]:
        """Return the indices of the events, and the part of their traces."""
        raw = frames if self.is_light else None
        if self.light is not None:
            raw = self.light.read(block.start, block.stop)
        labels = paint_runs(events.runs, events.labels, pool)
        if events.hidden is not None:
            paint_over(events.hidden, SHARED, labels, pool)
        part = FootprintTraces.empty(events.windows)
        movie = MovieBlock(block.start, frames, labels, raw, self.reference)
        add_footprint_traces(movie, events.pixels, events.z0, events.z1, part, pool)
        return events.near, part


def add_part(
    traces: FootprintTraces, near: NDArray[np.int64], part: FootprintTraces
) -> None:
    """Copy the traces of a block into ``traces``; ``near``: indices of its events."""
    length = np.diff(part.windows.offsets)
    begin = (
        traces.windows.offsets[near] + part.windows.starts - traces.windows.starts[near]
    )
    at = np.repeat(begin - part.windows.offsets[:-1], length)
    traces.mean[at + np.arange(len(part.mean))] = part.mean
    traces.fluorescence[near] += part.fluorescence
    traces.fluorescence_frames[near] += part.fluorescence_frames
    traces.left_out[near] += part.left_out
