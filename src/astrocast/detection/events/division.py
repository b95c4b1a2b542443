"""Divide events at minima between their maxima (`split_events`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
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
from astrocast.runtime.cluster import connected_client, map_tasks

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

    On a cluster, the events that end in a block are one task, which reads their boxes.

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
    apart = connected_client() is not None and recording.portable
    frames = None if apart else (f for _, f in read_blocks(recording, blocks))
    done = _DividedEvents(segmentation)
    found = map_tasks(
        DivideEvents(recording, segmentation.shape, still),
        _collect_ended_events(segmentation, first, last, frames),
        None,
        recordings=(recording,),
    )
    for index, divided in enumerate(found):
        for event, parts in zip(
            np.flatnonzero(last == index).tolist(), divided, strict=True
        ):
            done.add(event, *parts)
            advance(1)
        done.write(int(waiting[index + 1]))
    return done.number_in_raster_order()


def _collect_ended_events(
    segmentation: Segmentation,
    first: NDArray[np.intp],
    last: NDArray[np.intp],
    frames: Iterator[NDArray[Any]] | None,
) -> Iterator[list[_Event]]:
    """Yield the events that end in each block.

    ``first`` and ``last`` are the first and last block of each event. Without
    ``frames`` the boxes of the events are empty.
    """
    boxes = segmentation.boxes
    collected: dict[int, _Event] = {}
    for index, block in enumerate(segmentation.blocks):
        own = next(frames) if frames is not None else None
        for event in np.flatnonzero((first <= index) & (last >= index)).tolist():
            if event not in collected:
                collected[event] = _Event(boxes.low[event], boxes.high[event])
            if own is not None:
                collected[event].copy_frames(block.start, own)
        _collect(segmentation, index, collected)
        yield [collected.pop(event) for event in np.flatnonzero(last == index).tolist()]


@dataclass(frozen=True)
class DivideEvents:
    """Divide events where the signal drops; a task for `map_tasks`.

    Parameters
    ----------
    recording
        Recording, from which empty boxes are read.
    shape
        Shape of the recording.
    still
        See `divide_events`.
    """

    recording: Recording
    shape: tuple[int, int, int]
    still: bool

    def __call__(
        self, events: list[_Event], pool: Executor | None
    ) -> list[tuple[LayeredEvent, NDArray[np.int32]]]:
        """Return the voxels of each event, and the part of each voxel."""
        found = []
        for event in events:
            if event.box is None and event.fits:
                event.read(self.recording)
            found.append(event.divide(self.shape, self.still))
            event.box = None
        return found


@dataclass
class _Event:
    """One event: its voxels, which of them are hidden, and the movie in its box."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    box: NDArray[Any] | None = None
    voxels: list[NDArray[np.int64]] = field(default_factory=list)
    hidden: list[NDArray[np.bool_]] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether the event is small enough to be divided."""
        return bool((self.high - self.low).prod() <= _BOX_VOXELS)

    def read(self, recording: Recording) -> None:
        """Read the part of the recording in the box."""
        (z0, x0, y0), (z1, x1, y1) = self.low.tolist(), self.high.tolist()
        box = recording.read(z0, z1, slice(x0, x1), slice(y0, y1))
        recording.release()
        self.box = box.astype(np.float32, copy=False)

    def copy_frames(self, start: int, frames: NDArray[Any]) -> None:
        """Copy the part of a block in the box; ``start``: first frame of the block."""
        if self.box is None and self.fits:
            self.box = np.zeros(self.high - self.low, np.float32)
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
