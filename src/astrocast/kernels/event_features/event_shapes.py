"""Masks, footprints and their shape for many events at once, from their runs."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.event_features.shape import (
    FOOTPRINT_PROPERTIES,
    MASK_PROPERTIES,
    footprint_values,
    mask_values,
)
from astrocast.kernels.parallel import run_in_threads
from astrocast.kernels.traces.traces import Pixels


class EventRuns(NamedTuple):
    """Runs of events, those of one event together and in raster order.

    Compiled functions take it as it is.

    Parameters
    ----------
    frame, row, start, stop
        Where each run is, int64, (runs,).
    first
        Where the runs of each event begin, int64, (events + 1,).
    """

    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    first: NDArray[np.int64]


@dataclass(frozen=True)
class EventShapes:
    """Shapes of events, with masks and footprints as packed bits.

    In C order, lowest bit first.

    Parameters
    ----------
    mask, footprint
        `MASK_PROPERTIES` and `FOOTPRINT_PROPERTIES` of each event, (events,
        properties); the former NaN for events of one frame.
    mask_bits, footprint_bits
        Bytes of all events one after the other.
    mask_offsets, footprint_offsets
        Where each event's bytes begin, int64, (events + 1,).
    """

    mask: NDArray[np.float64]
    footprint: NDArray[np.float64]
    mask_bits: NDArray[np.uint8]
    mask_offsets: NDArray[np.int64]
    footprint_bits: NDArray[np.uint8]
    footprint_offsets: NDArray[np.int64]


def event_shapes(
    runs: EventRuns,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    pool: Executor | None = None,
) -> EventShapes:
    """Return masks, footprints and shapes of events.

    Parameters
    ----------
    runs
        Runs of the events.
    low, high
        Their bounding boxes, see `Boxes`, (events, 3).
    pool
        Threads to share the work with.
    """
    size = high - low
    n = len(size)
    mask_offsets, footprint_offsets = (
        np.zeros(n + 1, np.int64),
        np.zeros(n + 1, np.int64),
    )
    np.cumsum(-(-size.prod(axis=1) // 8), out=mask_offsets[1:])
    np.cumsum(-(-size[:, 1:].prod(axis=1) // 8), out=footprint_offsets[1:])
    out = EventShapes(
        np.full((n, len(MASK_PROPERTIES)), np.nan),
        np.full((n, len(FOOTPRINT_PROPERTIES)), np.nan),
        np.zeros(mask_offsets[-1], np.uint8),
        mask_offsets,
        np.zeros(footprint_offsets[-1], np.uint8),
        footprint_offsets,
    )
    run_in_threads(
        pool,
        n,
        _shapes,
        runs,
        (low, high),
        (out.mask, out.mask_bits, mask_offsets),
        (out.footprint, out.footprint_bits, footprint_offsets),
    )
    return out


def footprint_pixels(
    runs: EventRuns, low: NDArray[np.int64], high: NDArray[np.int64], width: int
) -> Pixels:
    """Return the pixels that were part of each event in any frame.

    Parameters
    ----------
    runs
        Runs of the events.
    low, high
        Their bounding boxes, see `Boxes`, (events, 3).
    width
        Columns of a frame; a pixel is row * width + column.
    """
    offsets = np.zeros(len(low) + 1, np.int64)
    _footprints(runs, low, high, width, np.empty(0, np.int64), offsets)
    np.cumsum(offsets, out=offsets)
    flat = np.empty(int(offsets[-1]), np.int64)
    _footprints(runs, low, high, width, flat, offsets.copy())
    return Pixels(flat, offsets)


@njit(cache=True, nogil=True)
def _footprints(
    runs: Any, low: Any, high: Any, width: int, flat: Any, offsets: Any
) -> None:
    """Count the pixels of footprint ``e`` into ``offsets[e + 1]``, or list them.

    ``runs``: see `EventRuns`; ``low``, ``high``: int64 (events, 3). ``flat``
    int64: empty to count; else filled from ``offsets[e]`` on.
    """
    row, start, stop, first = runs.row, runs.start, runs.stop, runs.first
    for e in range(len(low)):
        rows, columns = high[e, 1] - low[e, 1], high[e, 2] - low[e, 2]
        seen = np.zeros((rows, columns), np.bool_)
        for r in range(first[e], first[e + 1]):
            for x in range(start[r] - low[e, 2], stop[r] - low[e, 2]):
                seen[row[r] - low[e, 1], x] = True
        n = 0
        for y in range(rows):
            for x in range(columns):
                if seen[y, x]:
                    if len(flat):
                        flat[offsets[e] + n] = (low[e, 1] + y) * width + low[e, 2] + x
                    n += 1
        if not len(flat):
            offsets[e + 1] = n


def pack_runs(
    runs: EventRuns, low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the runs of events as packed bits of their boxes, and byte offsets.

    See `EventShapes`; the voxels of an event may be fewer than those its box is of.
    """
    offsets = np.zeros(len(low) + 1, np.int64)
    np.cumsum(-(-(high - low).prod(axis=1) // 8), out=offsets[1:])
    bits = np.zeros(offsets[-1], np.uint8)
    _set_bits(runs, low, high, bits, offsets)
    return bits, offsets


@njit(cache=True, nogil=True)
def _set_bits(runs: Any, low: Any, high: Any, bits: Any, offsets: Any) -> None:
    """Set the bits of each run in the box of its event, in ``bits``, uint8.

    ``runs``: see `EventRuns`; ``low`` and ``high`` int64 (events, 3); ``offsets`` int64
    (events + 1,): first byte of each event.
    """
    frame, row, start, stop, first = runs
    for e in range(len(low)):
        rows, columns = high[e, 1] - low[e, 1], high[e, 2] - low[e, 2]
        for r in range(first[e], first[e + 1]):
            line = ((frame[r] - low[e, 0]) * rows + row[r] - low[e, 1]) * columns - low[
                e, 2
            ]
            for i in range(line + start[r], line + stop[r]):
                bits[offsets[e] + (i >> 3)] |= np.uint8(1 << (i & 7))


@njit(cache=True, nogil=True)
def _shapes(
    lo: int,
    hi: int,
    runs: Any,
    boxes: Any,
    masks: Any,
    footprints: Any,
) -> None:
    """Fill shapes, masks and footprints of events ``lo`` to ``hi``.

    ``runs``: see `EventRuns`; ``boxes``: low and high, int64 (events, 3); ``masks``,
    ``footprints``: values float64 (events, properties), bits uint8 (bytes,), and
    offsets int64 (events + 1,) of their bytes.
    """
    frame, row, start, stop, first = runs
    low, high = boxes
    mask_properties, mask_bits, mask_offsets = masks
    print_properties, print_bits, print_offsets = footprints
    for e in range(lo, hi):
        size = high[e] - low[e]
        mask = np.zeros((size[0], size[1], size[2]), np.uint8)
        footprint = np.zeros((size[1], size[2]), np.uint8)
        for r in range(first[e], first[e + 1]):
            t, y = frame[r] - low[e, 0], row[r] - low[e, 1]
            for x in range(start[r] - low[e, 2], stop[r] - low[e, 2]):
                mask[t, y, x] = 1
                footprint[y, x] = 1
        _pack(mask.ravel(), mask_bits[mask_offsets[e] : mask_offsets[e + 1]])
        _pack(footprint.ravel(), print_bits[print_offsets[e] : print_offsets[e + 1]])
        footprint_values(footprint, print_properties[e])
        if size[0] > 1:
            mask_values(mask, mask_properties[e])


@njit(cache=True, nogil=True)
def _pack(flat: Any, bits: Any) -> None:
    """Pack a mask into bits, lowest bit first.

    ``flat`` uint8 (voxels,), ``bits`` uint8 (bytes,).
    """
    for i in range(len(flat)):
        if flat[i]:
            bits[i >> 3] |= np.uint8(1 << (i & 7))
