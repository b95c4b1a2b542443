"""Mean signals of many regions of a recording, in windows of frames.

A recording is read in blocks. Each block adds its frames to the traces of all regions,
so the result does not depend on how the recording is cut into blocks.
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

    Region ``i`` consists of ``flat[offsets[i]:offsets[i + 1]]``; a pixel is
    ``row * width + column``.
    """

    flat: NDArray[np.int64]
    offsets: Offsets


class Windows(NamedTuple):
    """Frames that the trace of each region covers.

    Trace ``i`` starts at frame ``starts[i]`` and has ``offsets[i + 1] - offsets[i]``
    frames.
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
    """List the pixels of each event inside the frame; return their total, int64.

    ``bits`` uint8, packed masks, with ``offsets`` int64 (event + 1,); ``shapes`` and
    ``origins`` int64 (event, 3); ``frame``: height, width, and 0 for the footprint, 1
    for the first, 2 for the last frame. Filled: ``found`` int64 (pixel,), if not empty;
    ``counts`` int64 (event,).
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
    """Return the pixels of each event, in all its frames, its first or its last.

    Parameters
    ----------
    masks, origins
        Masks of the events and the first frame, row and column of each; pixels outside
        the recording are left out.
    frame_shape
        Rows and columns of the recording.
    which
        Frames of the mask to use; "footprint": all.
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
def _list_rings(
    index: NDArray[np.int64],
    offsets: Offsets,
    frame_shape: tuple[int, int],
    reach: tuple[int, int],
    found: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """List the pixels of the ring around each footprint; return their total, int64.

    ``index`` int64 (pixel of all events,) with ``offsets`` int64 (event + 1,);
    ``frame_shape``: rows and columns; ``reach``: inner and outer distance of the ring,
    pixels. Filled: ``found`` int64 (pixel,), if not empty; ``counts`` int64 (event,).
    """
    height, width = frame_shape
    gap, outer = reach
    # 2 i + 1: in the ring of event i; 2 i + 2: in its footprint or the gap
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


def list_rings(
    pixels: Pixels, frame_shape: tuple[int, int], gap: int = 1, width: int = 4
) -> Pixels:
    """Return the pixels of a ring around each region.

    The ring is farther than ``gap`` pixels and at most ``gap + width`` pixels from the
    region; a diagonal step counts as one. Pixels of other regions are included; they
    can be left out in each frame by the ``labels`` of `add_means`.
    """
    counts = np.zeros(pixels.offsets.size - 1, np.int64)
    reach = (gap, gap + width)
    total = _list_rings(
        pixels.flat, pixels.offsets, frame_shape, reach, np.empty(0, np.int64), counts
    )
    found = np.empty(total, np.int64)
    if total:
        _list_rings(
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
    """Fill ``out`` with the mean of each region in the frames of a block.

    ``frames`` (frame, pixel) of any real dtype; ``labels`` int (frame, pixel), may be
    empty; ``first``: number of the first frame; ``pixels``: flat indices and offsets,
    int64; ``windows``: starts and offsets, int64; ``out`` float32 or float64 (frame of
    all windows,).
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


def flatten_frames(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames as (frame, pixel), contiguous, in the byte order of the machine."""
    native = np.ascontiguousarray(frames, frames.dtype.newbyteorder("="))
    return native.reshape(len(frames), -1)


def add_means(
    frames: NDArray[Any],
    first_frame: int,
    pixels: Pixels,
    windows: Windows,
    out: Floats,
    labels: NDArray[Any] | None = None,
) -> None:
    """Add the mean of each region in the frames of a block to the traces.

    Parameters
    ----------
    frames
        A block of the recording, (frame, row, column), any real dtype.
    first_frame
        Number of the first frame of the block in the recording.
    pixels
        The regions.
    windows
        Frames that the trace of each region covers.
    out
        The concatenated traces, changed in place. NaN pixels are left out; a frame
        without any other pixel becomes NaN.
    labels
        Labels of the voxels of the block, int: a pixel is left out of the frames in
        which it belongs to any event.
    """
    flat = flatten_frames(frames)
    marks = np.empty((0, 0), np.int32) if labels is None else flatten_frames(labels)
    _add_means(flat, marks, first_frame, tuple(pixels), tuple(windows), out)
