"""Dividing events between the first and the second pass (`split_events`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.segmentation import Segmentation
from astrocast.io.recording import Recording
from astrocast.kernels.features import Boxes
from astrocast.kernels.runs import label_runs_of_volume, paint_runs
from astrocast.kernels.splitting import divide

_DIVIDED = "divided"


def divide_events(recording: Recording, segmentation: Segmentation, advance: Callable[[int], None]) -> Segmentation:
    """Return the segmentation with events divided where several maxima can be followed through them.

    Events are numbered in raster order again; their names keep the number from before.
    """
    parts: dict[int, NDArray[np.int32]] = {}
    for event in range(len(segmentation.boxes.area)):
        found = _parts(recording, segmentation, event)
        if found.max() > 1:
            parts[event] = found
        advance(1)
    return _renumber(segmentation, parts)


def _parts(recording: Recording, segmentation: Segmentation, event: int) -> NDArray[np.int32]:
    low, high = segmentation.boxes.low[event], segmentation.boxes.high[event]
    rows, columns = slice(low[1], high[1]), slice(low[2], high[2])
    mask = np.zeros(high - low, np.bool_)
    for index, block in enumerate(segmentation.blocks):
        if block.start < high[0] and block.stop > low[0]:
            a, b = max(block.start, low[0]), min(block.stop, high[0])
            volume = paint_runs(*segmentation.load(index))
            mask[a - low[0] : b - low[0]] = volume[a - block.start : b - block.start, rows, columns] == event + 1
    return divide(recording.read(int(low[0]), int(high[0]), rows, columns), mask)


def _renumber(segmentation: Segmentation, parts: dict[int, NDArray[np.int32]]) -> Segmentation:
    n = len(segmentation.boxes.area)
    # a provisional number for every part; the first part keeps the event's
    undivided, part, more = list(range(1, n + 1)), [0] * n, n
    tables: dict[int, NDArray[np.int32]] = {}
    for event, found in parts.items():
        count = int(found.max())
        part[event] = 1
        tables[event] = np.concatenate([[0, event + 1], np.arange(more + 1, more + count)]).astype(np.int32)
        undivided += [event + 1] * (count - 1)
        part += range(2, count + 1)
        more += count - 1
    volumes = _overlay(segmentation, parts, tables)
    order = np.full(more + 1, np.iinfo(np.int64).max)
    for index, block in enumerate(segmentation.blocks):
        runs, labels = label_runs_of_volume(volumes(index))
        at = ((runs.frame() + block.start) * runs.shape[1] + runs.row()) * runs.shape[2] + runs.start
        np.minimum.at(order, labels, at)
    number = np.zeros(more + 1, np.int32)
    number[1 + np.argsort(order[1:], kind="stable")] = np.arange(1, more + 1)
    boxes = Boxes.empty(more)
    for index, block in enumerate(segmentation.blocks):
        runs, labels = label_runs_of_volume(number[volumes(index)])
        segmentation.checkpoint.save(_DIVIDED, index, start=runs.start, stop=runs.stop, first=runs.first, labels=labels)
        boxes.add(runs, labels, block.start)
    before = np.argsort(number[1:])
    identity = np.arange(more + 1, dtype=np.int32)
    return replace(
        segmentation,
        boxes=boxes,
        final=[identity] * len(segmentation.blocks),
        step=_DIVIDED,
        undivided=np.array(undivided, np.int64)[before],
        part=np.array(part, np.int64)[before],
    )


def _overlay(
    segmentation: Segmentation, parts: dict[int, NDArray[np.int32]], tables: dict[int, NDArray[np.int32]]
) -> Callable[[int], NDArray[np.int32]]:
    def volume(index: int) -> NDArray[np.int32]:
        block = segmentation.blocks[index]
        out = paint_runs(*segmentation.load(index))
        for event, found in parts.items():
            low, high = segmentation.boxes.low[event], segmentation.boxes.high[event]
            a, b = max(block.start, low[0]), min(block.stop, high[0])
            if a < b:
                box = out[a - block.start : b - block.start, low[1] : high[1], low[2] : high[2]]
                own = found[a - low[0] : b - low[0]]
                box[own > 0] = tables[event][own[own > 0]]
        return out

    return volume
