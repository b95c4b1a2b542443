"""Mean signals of many regions of a recording, in windows of frames.

A recording is read in blocks; each block adds its frames to the traces of all
regions, so the whole is the same however it is cut.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.packed_masks import Masks, is_set
from astrocast.kernels.ragged.ragged import Floats, Offsets, offsets_of


class Pixels(NamedTuple):
    """Pixels of many regions.

    Region ``i`` has ``flat[offsets[i]:offsets[i + 1]]``, each row * width + column.
    """

    flat: NDArray[np.int64]
    offsets: Offsets


class Windows(NamedTuple):
    """Frames of one trace per region.

    From ``starts[i]``, ``offsets[i + 1] - offsets[i]`` frames.
    """

    starts: NDArray[np.int64]
    offsets: Offsets


@njit(cache=True, nogil=True)
def _list_pixels(
    bits: NDArray[np.uint8],
    offsets: Offsets,
    shapes: NDArray[np.int64],
    origins: NDArray[np.int64],
    frame: tuple[int, int, int],
    found: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """List the pixels of each footprint in the frame, or count them.

    ``bits`` uint8, ``offsets`` int64 (events + 1,), ``shapes`` and ``origins`` int64
    (events, 3), ``found`` int64 (pixels,), ``counts`` int64 (events,).
    """
    height, width, which = frame
    total = 0
    for i in range(len(shapes)):
        depth, rows, columns = shapes[i]
        # one frame of the mask, or all of them
        begin = depth - 1 if which == 2 else 0
        end = 1 if which == 1 else depth
        for x in range(rows):
            for y in range(columns):
                inside = (
                    0 <= origins[i, 1] + x < height and 0 <= origins[i, 2] + y < width
                )
                for z in range(begin, end):
                    if inside and is_set(
                        bits, offsets[i], (z * rows + x) * columns + y
                    ):
                        if found.size:
                            found[total] = (
                                (origins[i, 1] + x) * width + origins[i, 2] + y
                            )
                        total += 1
                        counts[i] += 1
                        break
    return total


def list_pixels(
    masks: Masks,
    origins: NDArray[np.int64],
    frame_shape: tuple[int, int],
    which: Literal["footprint", "first", "last"] = "footprint",
) -> Pixels:
    """Return the pixels of each event: of all, its first, or its last frame.

    Parameters
    ----------
    masks, origins
        The events and the (frame, row, column) of the first corner of each; what lies
        outside the frame is left out.
    frame_shape
        Rows and columns of the recording.
    which
        Frames of the mask to take.
    """
    frame = (*frame_shape, ("footprint", "first", "last").index(which))
    counts = np.zeros(len(masks.shapes), np.int64)
    total = _list_pixels(
        masks.bits,
        masks.offsets,
        masks.shapes,
        origins,
        frame,
        np.empty(0, np.int64),
        counts,
    )
    found = np.empty(total, np.int64)
    if total:
        _list_pixels(
            masks.bits,
            masks.offsets,
            masks.shapes,
            origins,
            frame,
            found,
            np.zeros_like(counts),
        )
    return Pixels(found, offsets_of(counts))


@njit(cache=True, nogil=True)
def _surroundings(
    index: NDArray[np.int64],
    offsets: Offsets,
    frame_shape: tuple[int, int],
    reach: tuple[int, int],
    found: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """List the pixels of the ring around each footprint, or count them.

    ``index`` int64 with ``offsets`` int64 (events + 1,), ``found`` int64 (pixels,),
    ``counts`` int64 (events,).
    """
    height, width = frame_shape
    gap, outer = reach
    # 2 i + 1: near event i; 2 i + 2: within the gap, never part of the ring
    stamp = np.zeros(height * width, np.int64)
    total = 0
    for i in range(offsets.size - 1):
        for near, mark in ((gap, 2 * i + 2), (outer, 2 * i + 1)):
            for k in range(offsets[i], offsets[i + 1]):
                row, column = index[k] // width, index[k] % width
                for x in range(max(0, row - near), min(height, row + near + 1)):
                    for y in range(
                        max(0, column - near), min(width, column + near + 1)
                    ):
                        p = x * width + y
                        if stamp[p] < 2 * i + 1:
                            stamp[p] = mark
                            if mark == 2 * i + 1:
                                if found.size:
                                    found[total] = p
                                total += 1
                                counts[i] += 1
    return total


def surroundings(
    pixels: Pixels, frame_shape: tuple[int, int], gap: int = 1, width: int = 4
) -> Pixels:
    """Return the pixels of a ring around each region.

    Farther than ``gap`` pixels, and at most ``gap + width`` pixels from the region.

    Distances count diagonal steps as one. Pixels of other regions are kept: leave them
    out frame by frame, see `add_means`.
    """
    counts = np.zeros(pixels.offsets.size - 1, np.int64)
    reach = (gap, gap + width)
    total = _surroundings(
        pixels.flat, pixels.offsets, frame_shape, reach, np.empty(0, np.int64), counts
    )
    found = np.empty(total, np.int64)
    if total:
        _surroundings(
            pixels.flat,
            pixels.offsets,
            frame_shape,
            reach,
            found,
            np.zeros_like(counts),
        )
    return Pixels(found, offsets_of(counts))


@njit(cache=True, nogil=True)
def _add_means(
    frames: NDArray[Any],
    labels: NDArray[Any],
    first: int,
    pixels: tuple[NDArray[np.int64], Offsets],
    windows: tuple[NDArray[np.int64], Offsets],
    out: Floats,
) -> None:
    """Write the mean over pixels of each window and frame of a block into ``out``.

    ``frames`` of any real dtype (frame, row, column); the others int64; ``out`` float32
    or float64.
    """
    index, offsets = pixels
    starts, out_offsets = windows
    for i in range(starts.size):
        stop = starts[i] + out_offsets[i + 1] - out_offsets[i]
        for t in range(max(first, starts[i]), min(first + len(frames), stop)):
            total, n = 0.0, 0
            for k in range(offsets[i], offsets[i + 1]):
                p = index[k]
                if labels.size and labels[t - first, p] != 0:
                    continue
                value = np.float64(frames[t - first, p])
                if not np.isnan(value):
                    total += value
                    n += 1
            out[out_offsets[i] + t - starts[i]] = total / n if n else np.nan


def add_means(
    frames: NDArray[Any],
    first_frame: int,
    pixels: Pixels,
    windows: Windows,
    out: Floats,
    labels: NDArray[Any] | None = None,
) -> None:
    """Write the mean over each region in each of these frames into the traces.

    Parameters
    ----------
    frames
        A block of the recording (frame, row, column).
    first_frame
        Frame of the recording that the block begins with.
    pixels
        The regions.
    windows
        Frames that the trace of each region covers.
    out
        The traces end to end, written to in place; frames without a pixel that is a
        number become NaN.
    labels
        Label volume of the block: pixels that are part of any event in a frame are left
        out of that frame.
    """
    flat = np.ascontiguousarray(frames).reshape(len(frames), -1)
    marks = (
        np.empty((0, 0), np.int32)
        if labels is None
        else np.ascontiguousarray(labels).reshape(len(labels), -1)
    )
    _add_means(flat, marks, first_frame, tuple(pixels), tuple(windows), out)
