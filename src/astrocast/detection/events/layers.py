"""Store events that share voxels, block by block: visible and hidden voxels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.events.segmentation import Segmentation
from astrocast.kernels.calibrated.overlap import LayeredEvent
from astrocast.kernels.event_features.features import Boxes
from astrocast.kernels.masks.runs import (
    first_voxels,
    label_runs_of_volume,
    list_runs,
    list_voxels,
)
from astrocast.kernels.segmentation.ordering import unique_values
from astrocast.runtime.blocks import Block

#: voxels of an event in one block (flat indices in the block), and the event's number
Part = tuple[LayeredEvent, int]


def block_edges(
    blocks: Sequence[Block], shape: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Return the first voxel of each block, and the end of the last; (blocks + 1,)."""
    size = shape[1] * shape[2]
    return np.array([b.start * size for b in blocks] + [shape[0] * size], np.int64)


def parts_by_block(
    event: LayeredEvent, edges: NDArray[np.int64]
) -> Iterator[tuple[int, LayeredEvent]]:
    """Yield (index of a block, voxels of the event in it as flat indices of the block).

    ``edges``: from `block_edges`.
    """
    if not len(event.voxels):
        return
    # search only the blocks from the first voxel to the last: there can be thousands
    first = int(np.searchsorted(edges, event.voxels[0], side="right")) - 1
    last = int(np.searchsorted(edges, event.voxels[-1], side="right"))
    cuts = np.searchsorted(event.voxels, edges[first : last + 1])
    for at in np.flatnonzero(np.diff(cuts)):
        index, part = first + int(at), slice(cuts[at], cuts[at + 1])
        yield (
            index,
            LayeredEvent(
                event.voxels[part] - edges[index],
                event.hidden[part],
                event.filled[part],
            ),
        )


def write_layers(
    checkpoint: Checkpoint,
    step: str,
    index: int,
    shape: tuple[int, int, int],
    parts: Sequence[Part],
) -> None:
    """Store the events of a block of ``shape`` (frame, row, column)."""
    volume = np.zeros(shape, np.int32)
    flat = volume.reshape(-1)
    # paint filled holes first, so that an event lying in a hole keeps its voxels
    for filled in (True, False):
        for event, number in parts:
            flat[event.voxels[~event.hidden & (event.filled == filled)]] = number
    shown, labels = label_runs_of_volume(volume)
    below = np.concatenate(
        [np.empty(0, np.int64), *(event.voxels[event.hidden] for event, _ in parts)]
    )
    owner = np.repeat(
        np.array([n for _, n in parts], np.int32),
        [int(event.hidden.sum()) for event, _ in parts],
    )
    runs, below_labels = list_runs(below, owner, shape)
    checkpoint.save(
        step,
        index,
        start=shown.start,
        stop=shown.stop,
        first=shown.first,
        labels=labels,
        below_start=runs.start,
        below_stop=runs.stop,
        below_first=runs.first,
        below_labels=below_labels,
    )


def number_events(
    segmentation: Segmentation,
    step: str,
    count: int,
    measures: dict[str, NDArray[Any]],
    layered: bool = True,
) -> tuple[Segmentation, NDArray[np.int64]]:
    """Return the events stored by `write_layers`, numbered by their first voxels.

    Also returns the previous number of each event, int64 (events,).

    Parameters
    ----------
    segmentation
        The candidates or events from which they were made.
    step
        Name of the step under which the blocks are stored.
    count
        Number of events.
    measures
        Column name -> values, in the order of the previous numbers.
    layered
        Whether events may share voxels.
    """
    first = np.full(count + 1, np.iinfo(np.int64).max)
    identity = np.arange(count + 1, dtype=np.int32)
    found = replace(
        segmentation,
        step=step,
        layered=layered,
        final=[identity] * len(segmentation.blocks),
    )
    for index, block in enumerate(found.blocks):
        runs, labels = found.load_events(index)
        np.minimum.at(
            first,
            labels,
            first_voxels(runs) + block.start * runs.shape[1] * runs.shape[2],
        )
    order = np.argsort(first[1:], kind="stable")
    number = np.zeros(count + 1, np.int32)
    number[1 + order] = np.arange(1, count + 1)
    boxes = Boxes.empty(count)
    for index, block in enumerate(found.blocks):
        runs, labels = found.load_events(index)
        boxes.add(runs, number[labels], block.start)
    ordered = {name: values[order] for name, values in measures.items()}
    found = replace(
        found, final=[number] * len(found.blocks), boxes=boxes, measures=ordered
    )
    return found, 1 + order


def count_shared(segmentation: Segmentation) -> NDArray[np.int64]:
    """Return the number of voxels that each event shares, int64 (events,)."""
    shared = np.zeros(len(segmentation.boxes.area) + 1, np.int64)
    for index in range(len(segmentation.blocks)):
        below, hidden = segmentation.load_hidden(index)
        if len(below):
            at, owner = list_voxels(below), np.repeat(hidden, below.stop - below.start)
            shared += np.bincount(owner, minlength=len(shared))
            shown, labels = segmentation.load(index)
            at = unique_values(at)
            run = np.searchsorted(first_voxels(shown), at, side="right") - 1
            shared += np.bincount(labels[run], minlength=len(shared))
    return shared[1:]
