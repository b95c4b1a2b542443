"""Event masks as packed bits, and their area, outline and centre in each frame.

The mask of event ``i`` has the shape ``shapes[i]`` = (frames, rows, columns). Its bits,
in C order, least significant bit first, are the bytes
``bits[offsets[i]:offsets[i + 1]]``, as in the event store: an eighth of the memory of
bool arrays, and no Python object per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.outline_length import outline_length
from astrocast.kernels.ragged.ragged import Offsets, offsets_of


class Masks(NamedTuple):
    """Packed masks of many events.

    ``bits``: uint8 (bytes,); ``offsets``: int64 (events + 1,); ``shapes``: int64
    (events, 3), frames, rows and columns of each mask.
    """

    bits: NDArray[np.uint8]
    offsets: Offsets
    shapes: NDArray[np.int64]

    @property
    def frame_offsets(self) -> Offsets:
        """First frame of each event where the frames of all events are joined."""
        return offsets_of(self.shapes[:, 0])


@dataclass(frozen=True)
class Shapes:
    """Properties of each event in each of its frames, joined over all events.

    Parameters
    ----------
    offsets
        Event ``i`` has the values ``offsets[i]:offsets[i + 1]``, int64 (events + 1,).
    area
        Pixels, float64 (frames,), as all below.
    perimeter
        Pixels: length of the 4-connected border, diagonal steps counting sqrt(2).
    circularity
        4 pi area / perimeter², at most 1 (a disc); NaN where the perimeter is 0.
    row, column
        Centre in the bounding box; NaN in frames without a pixel.
    """

    offsets: Offsets
    area: NDArray[np.float64]
    perimeter: NDArray[np.float64]
    circularity: NDArray[np.float64]
    row: NDArray[np.float64]
    column: NDArray[np.float64]


def pack_masks(masks: Sequence[NDArray[Any]]) -> Masks:
    """Pack masks, each bool (frames, rows, columns).

    >>> pack_masks([np.ones((1, 2, 2), bool)]).bits
    array([15], dtype=uint8)
    """
    packed = [
        np.packbits(np.asarray(m).astype(bool), axis=None, bitorder="little")
        for m in masks
    ]
    shapes = np.array([np.shape(m) for m in masks], np.int64).reshape(len(packed), 3)
    bits = np.concatenate(packed) if packed else np.empty(0, np.uint8)
    return Masks(bits, offsets_of([p.size for p in packed]), shapes)


def unpack_mask(masks: Masks, index: int) -> NDArray[np.bool_]:
    """Return one mask, bool (frames, rows, columns)."""
    shape = masks.shapes[index]
    bits = masks.bits[masks.offsets[index] : masks.offsets[index + 1]]
    return (
        np.unpackbits(bits, count=int(shape.prod()), bitorder="little")
        .view(bool)
        .reshape(shape)
    )


@njit(cache=True, nogil=True, inline="always")
def is_set(bits: NDArray[np.uint8], first: int, k: int) -> bool:
    """Return whether bit ``k`` of the mask that begins at byte ``first`` is set.

    ``bits`` uint8, lowest bit first; ``first`` is a byte, ``k`` a bit, int64.
    """
    return bool((bits[first + (k >> 3)] >> (k & 7)) & 1)


@njit(cache=True, nogil=True)
def _unpack_frame(
    bits: NDArray[np.uint8],
    first: int,
    frame: int,
    rows: int,
    columns: int,
    plane: NDArray[np.uint8],
) -> None:
    """Write a frame of a mask into ``plane``, uint8, with two zero pixels around it."""
    plane[: rows + 4, : columns + 4] = 0
    k = frame * rows * columns
    for x in range(rows):
        for y in range(columns):
            if is_set(bits, first, k):
                plane[x + 2, y + 2] = 1
            k += 1


@njit(cache=True, nogil=True)
def _border(
    plane: NDArray[np.uint8], rows: int, columns: int, border: NDArray[np.uint8]
) -> None:
    """Set ``border``, uint8, to 1 at mask pixels with a neighbour outside the mask."""
    border[: rows + 4, : columns + 4] = 0
    for x in range(2, rows + 2):
        for y in range(2, columns + 2):
            inside = (
                plane[x - 1, y] & plane[x + 1, y] & plane[x, y - 1] & plane[x, y + 1]
            )
            border[x, y] = plane[x, y] & (1 - inside)


@njit(cache=True, nogil=True)
def _shapes(
    bits: NDArray[np.uint8],
    offsets: Offsets,
    shapes: NDArray[np.int64],
    frame_offsets: Offsets,
    out: NDArray[np.float64],
) -> None:
    """Write area, perimeter, row and column of each frame into ``out``, (4, frames).

    ``bits``, ``offsets``, ``shapes`` as in `Masks`; ``frame_offsets``: int64
    (events + 1,).
    """
    rows_max, columns_max = 0, 0
    for i in range(len(shapes)):
        rows_max, columns_max = (
            max(rows_max, shapes[i, 1]),
            max(columns_max, shapes[i, 2]),
        )
    plane = np.zeros((rows_max + 4, columns_max + 4), np.uint8)
    border = np.zeros_like(plane)
    for i in range(len(shapes)):
        rows, columns = shapes[i, 1], shapes[i, 2]
        for frame in range(shapes[i, 0]):
            _unpack_frame(bits, offsets[i], frame, rows, columns, plane)
            _border(plane, rows, columns, border)
            n, x_sum, y_sum = 0, 0, 0
            for x in range(rows):
                for y in range(columns):
                    if plane[x + 2, y + 2]:
                        n += 1
                        x_sum += x
                        y_sum += y
            to = frame_offsets[i] + frame
            out[0, to] = n
            out[1, to] = outline_length(border, rows + 4, columns + 4)
            out[2, to] = x_sum / n if n else np.nan
            out[3, to] = y_sum / n if n else np.nan


def shapes_over_time(masks: Masks) -> Shapes:
    """Return area, perimeter, circularity and centre of each event in each frame.

    The perimeter is that of `skimage.measure.perimeter` (Benkrid & Crookes 2000,
    "Design and FPGA implementation of a perimeter estimator"). It is too short for
    shapes of a few pixels; their circularity is cut at 1, as in ImageJ.

    >>> shapes_over_time(pack_masks([np.ones((2, 3, 3), bool)])).area
    array([9., 9.])
    """
    offsets = masks.frame_offsets
    out = np.empty((4, int(offsets[-1])), np.float64)
    _shapes(masks.bits, masks.offsets, masks.shapes, offsets, out)
    area, perimeter, row, column = out
    circularity = np.full(area.size, np.nan)
    np.divide(4 * np.pi * area, perimeter**2, out=circularity, where=perimeter > 0)
    return Shapes(offsets, area, perimeter, np.minimum(circularity, 1.0), row, column)


@njit(cache=True, nogil=True)
def _footprints(
    bits: NDArray[np.uint8],
    offsets: Offsets,
    shapes: NDArray[np.int64],
    out_offsets: Offsets,
    out: NDArray[np.bool_],
) -> None:
    """Set the footprint pixels of each event in ``out``, see `footprints`."""
    for i in range(len(shapes)):
        pixels = shapes[i, 1] * shapes[i, 2]
        for k in range(shapes[i, 0] * pixels):
            if is_set(bits, offsets[i], k):
                out[out_offsets[i] + k % pixels] = True


def footprints(masks: Masks) -> tuple[NDArray[np.bool_], Offsets]:
    """Return the footprint of each event in its bounding box, and the offsets.

    The footprints, bool (rows * columns) each, are joined; ``offsets``: int64
    (events + 1,).
    """
    out_offsets = offsets_of(masks.shapes[:, 1] * masks.shapes[:, 2])
    out = np.zeros(int(out_offsets[-1]), np.bool_)
    _footprints(masks.bits, masks.offsets, masks.shapes, out_offsets, out)
    return out, out_offsets


@njit(cache=True, nogil=True)
def _paint(
    bits: NDArray[np.uint8],
    offsets: Offsets,
    shapes: NDArray[np.int64],
    origins: NDArray[np.int64],
    labels: NDArray[np.int64],
    first: int,
    volume: NDArray[Any],
) -> None:
    """Write the labels of events into ``volume`` (frame, row, column), see `paint`."""
    frames, height, width = volume.shape
    for i in range(len(shapes)):
        rows, columns = shapes[i, 1], shapes[i, 2]
        begin = max(0, first - origins[i, 0])
        end = min(shapes[i, 0], first + frames - origins[i, 0])
        for z in range(begin, end):
            k = z * rows * columns
            for x in range(rows):
                row = origins[i, 1] + x
                for y in range(columns):
                    column = origins[i, 2] + y
                    if (
                        is_set(bits, offsets[i], k)
                        and 0 <= row < height
                        and 0 <= column < width
                    ):
                        volume[origins[i, 0] + z - first, row, column] = labels[i]
                    k += 1


def paint(
    masks: Masks,
    origins: NDArray[np.int64],
    labels: NDArray[np.int64],
    volume: NDArray[Any],
    first_frame: int = 0,
) -> None:
    """Write each event's label into a volume, in place.

    Parameters
    ----------
    masks
        The events' masks.
    origins
        int64 (events, 3): first frame, row and column of each bounding box. Voxels
        outside the volume are left out.
    labels
        Number of each event, int64 (events,); where events overlap the later one is
        written.
    volume
        Integers (frame, row, column). Changed in place, unlike other kernels, so that a
        long map can be painted block by block.
    first_frame
        Number of the first frame of ``volume`` in the recording.
    """
    _paint(
        masks.bits, masks.offsets, masks.shapes, origins, labels, first_frame, volume
    )
