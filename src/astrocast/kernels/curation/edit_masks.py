"""Merge, split and draw the masks of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError

Origin = tuple[int, int, int]


class PlacedMask(NamedTuple):
    """A mask and its position in the recording.

    Parameters
    ----------
    mask
        bool (frames, rows, columns), cut to its bounding box.
    origin
        First frame, row and column of the box.
    """

    mask: NDArray[np.bool_]
    origin: Origin


def crop_mask(mask: NDArray[np.bool_], origin: Origin) -> PlacedMask:
    """Cut a mask to its bounding box.

    Raises
    ------
    InvalidValueError
        The mask has no voxel.
    """
    found = np.argwhere(mask)
    if not len(found):
        raise InvalidValueError("the mask is empty; an event needs at least one voxel")
    low, high = found.min(axis=0), found.max(axis=0) + 1
    cut = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    z, x, y = (int(o + a) for o, a in zip(origin, low, strict=True))
    return PlacedMask(np.ascontiguousarray(mask[cut]), (z, x, y))


def merge_masks(parts: Sequence[PlacedMask]) -> PlacedMask:
    """Return the union of masks.

    Examples
    --------
    >>> one = np.ones((1, 1, 1), bool)
    >>> merged = merge_masks([PlacedMask(one, (2, 0, 0)), PlacedMask(one, (4, 0, 1))])
    >>> merged.mask.shape, merged.origin, int(merged.mask.sum())
    ((3, 1, 2), (2, 0, 0), 2)
    """
    if not parts:
        raise InvalidValueError("no masks were given; merging needs at least one")
    low = np.min([p.origin for p in parts], axis=0)
    high = np.max([np.add(p.origin, p.mask.shape) for p in parts], axis=0)
    whole = np.zeros(tuple(high - low), bool)
    for part in parts:
        begin = np.subtract(part.origin, low)
        at = tuple(slice(a, a + n) for a, n in zip(begin, part.mask.shape, strict=True))
        whole[at] |= part.mask
    return PlacedMask(whole, (int(low[0]), int(low[1]), int(low[2])))


def split_at_frame(event: PlacedMask, frame: int) -> tuple[PlacedMask, PlacedMask]:
    """Return the event before ``frame`` and from ``frame`` on.

    Raises
    ------
    InvalidValueError
        One of the two would be empty.
    """
    cut = frame - event.origin[0]
    last = event.origin[0] + len(event.mask) - 1
    if not 0 < cut < len(event.mask):
        raise InvalidValueError(
            f"frame {frame} does not divide the event, which has frames"
            f" {event.origin[0]} to {last}; choose a frame after the first, at most the"
            " last"
        )
    z, x, y = event.origin
    return crop_mask(event.mask[:cut], event.origin), crop_mask(
        event.mask[cut:], (z + cut, x, y)
    )


def split_along_line(
    event: PlacedMask, begin: tuple[float, float], end: tuple[float, float]
) -> tuple[PlacedMask, PlacedMask]:
    """Return the voxels on either side of the straight line through two points.

    Parameters
    ----------
    event
        The event; all its frames are divided by the same line.
    begin, end
        Points (row, column) in pixels of the recording; pixel centres are whole
        numbers. Voxels on the line belong to the second part.

    Raises
    ------
    InvalidValueError
        The points are the same, or the whole event is on one side of the line.
    """
    down, right = end[0] - begin[0], end[1] - begin[1]
    if down == 0 and right == 0:
        raise InvalidValueError(
            f"both points of the line are {tuple(begin)}; a line needs two different"
            " points"
        )
    rows = np.arange(event.mask.shape[1])[:, None] + event.origin[1] - begin[0]
    columns = np.arange(event.mask.shape[2]) + event.origin[2] - begin[1]
    side = rows * right - columns * down > 0
    first, second = event.mask & side, event.mask & ~side
    if not first.any() or not second.any():
        raise InvalidValueError(
            "the line does not cross the event; draw it from one side to the other"
        )
    return crop_mask(first, event.origin), crop_mask(second, event.origin)


def extrude_footprint(
    footprint: NDArray[np.bool_], frames: tuple[int, int]
) -> PlacedMask:
    """Return an event with the same footprint in all its frames.

    Parameters
    ----------
    footprint
        bool (row, column) of the recording.
    frames
        First frame of the event, and the frame after its last.
    """
    first, stop = frames
    if stop <= first:
        raise InvalidValueError(
            f"frames are ({first}, {stop}); the second, the frame after the last,"
            " has to be larger than the first"
        )
    flat = crop_mask(footprint[None], (first, 0, 0))
    return PlacedMask(np.repeat(flat.mask, stop - first, axis=0), flat.origin)


def mask_signals(
    block: NDArray[np.generic], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Return the signal columns of the event table for one event.

    Parameters
    ----------
    block
        Signal in the event's bounding box, (frames, rows, columns), any real dtype.
    mask
        Voxels of the event in it, of the same shape.

    Returns
    -------
    trace : numpy.ndarray
        float32 (frames,): mean over the finite voxels of the event; NaN if a frame has
        none.
    noise : numpy.ndarray
        float32 (frames,): mean over the other finite voxels of the box; 0 if a frame
        has none.
    invalid : int
        Voxels of the event that are NaN or infinite.
    """
    values = np.asarray(block, np.float64)
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    own, rest = mask & finite, ~mask & finite
    axes = (1, 2)
    n_own, n_rest = own.sum(axis=axes), rest.sum(axis=axes)
    trace = np.where(
        n_own > 0, (filled * own).sum(axis=axes) / np.maximum(n_own, 1), np.nan
    )
    noise = (filled * rest).sum(axis=axes) / np.maximum(n_rest, 1)
    invalid = int((mask & ~finite).sum())
    return trace.astype(np.float32), noise.astype(np.float32), invalid
