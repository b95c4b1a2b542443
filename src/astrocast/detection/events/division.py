"""Divide events at minima between their maxima (`split_events`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.layers import (
    Part,
    block_edges,
    number_events,
    parts_by_block,
    write_layers,
)
from astrocast.detection.events.segmentation import Segmentation
from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.overlap import LayeredEvent
from astrocast.kernels.masks.runs import list_voxels
from astrocast.kernels.segmentation.splitting import divide
from astrocast.runtime.blocks import read_blocks

_DIVIDED = "divided"
#: events whose bounding box has more voxels are not divided: the box is in memory
_BOX_VOXELS = 64 << 20


def divide_events(
    recording: Recording,
    segmentation: Segmentation,
    advance: Callable[[int], None],
    still: bool = False,
) -> Segmentation:
    """Return the segmentation with events divided where the signal drops.

    That is, between the maxima of an event. The recording is read once, block by block:
    an event is divided as soon as its last block was read, and a block is written as
    soon as its last event is divided. Events are numbered again in raster order; their
    names contain the number before the division.

    ``still``: the recording is raw, so it contains a constant background.
    """
    boxes, blocks = segmentation.boxes, segmentation.blocks
    ends = np.array([b.stop for b in blocks])
    last = np.searchsorted(ends, boxes.high[:, 0])
    first = np.searchsorted(ends, boxes.low[:, 0], side="right")
    # for each block: the first block with an event that ends in this block or later
    waiting = np.full(len(blocks) + 1, len(blocks))
    np.minimum.at(waiting, last, first)
    waiting = np.minimum.accumulate(waiting[::-1])[::-1]
    collected: dict[int, _Event] = {}
    done = _DividedEvents(segmentation)
    for index, (block, frames) in enumerate(read_blocks(recording, blocks)):
        for event in np.flatnonzero((first <= index) & (last >= index)).tolist():
            if event not in collected:
                collected[event] = _Event.of(boxes.low[event], boxes.high[event])
            collected[event].copy_frames(block.start, frames)
        _collect(segmentation, index, collected)
        for event in np.flatnonzero(last == index).tolist():
            done.add(event, *collected.pop(event).divide(segmentation.shape, still))
            advance(1)
        done.write(int(waiting[index + 1]))
    return done.number_in_raster_order()


@dataclass
class _Event:
    """One event: its voxels, which of them are hidden, and the movie in its box."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    box: NDArray[Any] | None
    voxels: list[NDArray[np.int64]] = field(default_factory=list)
    hidden: list[NDArray[np.bool_]] = field(default_factory=list)

    @classmethod
    def of(cls, low: NDArray[np.int64], high: NDArray[np.int64]) -> _Event:
        size = high - low
        return cls(
            low,
            high,
            np.zeros(size, np.float32) if size.prod() <= _BOX_VOXELS else None,
        )

    def copy_frames(self, start: int, frames: NDArray[Any]) -> None:
        """Copy the part of a block in the box; ``start``: first frame of the block."""
        if self.box is not None:
            a, b = max(start, self.low[0]), min(start + len(frames), self.high[0])
            inside = frames[
                a - start : b - start,
                self.low[1] : self.high[1],
                self.low[2] : self.high[2],
            ]
            self.box[a - self.low[0] : b - self.low[0]] = inside

    def divide(
        self, shape: tuple[int, int, int], still: bool
    ) -> tuple[LayeredEvent, NDArray[np.int32]]:
        """Return the voxels of the event, and the part (from 1) of each voxel."""
        voxels, hidden = np.concatenate(self.voxels), np.concatenate(self.hidden)
        order = np.argsort(voxels, kind="stable")
        event = LayeredEvent(
            voxels[order], hidden[order], np.zeros(len(voxels), np.bool_)
        )
        if self.box is None:
            return event, np.ones(len(voxels), np.int32)
        place = tuple(
            at - low
            for at, low in zip(
                np.unravel_index(event.voxels, shape), self.low, strict=True
            )
        )
        mask = np.zeros(self.box.shape, np.bool_)
        mask[place] = True
        return event, divide(self.box, mask, still)[place]


def _collect(segmentation: Segmentation, index: int, events: dict[int, _Event]) -> None:
    """Add the voxels of a block to their events."""
    start = (
        segmentation.blocks[index].start * segmentation.shape[1] * segmentation.shape[2]
    )
    for load, hidden in ((segmentation.load, False), (segmentation.load_hidden, True)):
        runs, labels = load(index)
        if not len(runs):
            continue
        voxels = list_voxels(runs) + start
        label = np.repeat(labels, runs.stop - runs.start)
        order = np.argsort(label, kind="stable")
        found, cuts = np.unique(label[order], return_index=True)
        for event, own in zip(
            found.tolist(), np.split(voxels[order], cuts[1:]), strict=True
        ):
            events[event - 1].voxels.append(own)
            events[event - 1].hidden.append(np.full(len(own), hidden))


class _DividedEvents:
    """The divided events so far; each part has a provisional number."""

    def __init__(self, segmentation: Segmentation) -> None:
        self.segmentation = segmentation
        self.waiting: dict[int, list[Part]] = {}
        self.event: list[int] = []
        self.part: list[int] = []
        self.edges = block_edges(segmentation.blocks, segmentation.shape)
        self.written = 0

    def add(self, event: int, whole: LayeredEvent, part: NDArray[np.int32]) -> None:
        """Add an event; ``part``: the part of each of its voxels."""
        count = int(part.max())
        for number in range(1, count + 1):
            self.event.append(event)
            self.part.append(number if count > 1 else 0)
            own = part == number
            piece = LayeredEvent(
                whole.voxels[own], whole.hidden[own], whole.filled[own]
            )
            for index, inside in parts_by_block(piece, self.edges):
                self.waiting.setdefault(index, []).append((inside, len(self.event)))

    def write(self, stop: int) -> None:
        """Write the blocks before ``stop``, whose events are all divided."""
        for index in range(self.written, stop):
            block = self.segmentation.blocks[index]
            shape = (block.stop - block.start, *self.segmentation.shape[1:])
            write_layers(
                self.segmentation.checkpoint,
                _DIVIDED,
                index,
                shape,
                self.waiting.pop(index, []),
            )
        self.written = max(self.written, stop)

    def number_in_raster_order(self) -> Segmentation:
        """Return the events in raster order."""
        event, part = np.array(self.event, np.int64), np.array(self.part, np.int64)
        measures = {
            name: values[event] for name, values in self.segmentation.measures.items()
        }
        layered = self.segmentation.layered
        found, was = number_events(
            self.segmentation, _DIVIDED, len(event), measures, layered
        )
        return replace(found, undivided=1 + event[was - 1], part=part[was - 1])
