"""Statistics of every frame, from which `frame_quality` finds frames without a picture.

A few hundred numbers per frame: the mean of blocks of pixels, the difference from the
frame before, rows without contrast, and pixels at the highest value. They are measured
block by block, so that memory does not hold the recording.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

#: bands of rows and parts of a row that a frame is divided into, at most
BANDS, PARTS = 32, 4
#: pixels of a block along each axis, at least
LEAST_ROWS, LEAST_COLUMNS = 2, 4


@dataclass(frozen=True)
class FrameStatistics:
    """Numbers of consecutive frames.

    Parameters
    ----------
    blocks
        float32 (frame, band, part): mean of each block of pixels; NaN where a block has
        no finite pixel.
    step
        float32 (frame,): root mean square difference from the frame before; NaN for the
        first frame of the recording.
    equal_rows
        int32 (frame,): rows that are identical to the same row of the frame before.
    flat_rows
        int32 (frame,): rows in which all pixels have the same value.
    top
        float32 (frame,): the highest finite value.
    top_share
        float32 (frame,): share of pixels that have the highest value.
    finite_share
        float32 (frame,): share of pixels that are finite.
    rows
        int32 (frame,): rows of the frame.
    """

    blocks: NDArray[np.float32]
    step: NDArray[np.float32]
    equal_rows: NDArray[np.int32]
    flat_rows: NDArray[np.int32]
    top: NDArray[np.float32]
    top_share: NDArray[np.float32]
    finite_share: NDArray[np.float32]
    rows: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.step)

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Return the statistics of consecutive runs of frames as one."""
        return cls(
            **{
                f.name: np.concatenate([getattr(p, f.name) for p in parts])
                for f in fields(cls)
            }
        )


def block_edges(length: int, most: int, least: int) -> NDArray[np.int64]:
    """Return the edges of at most ``most`` even parts of ``least`` pixels or more."""
    count = max(1, min(most, length // least))
    return np.linspace(0, length, count + 1).round().astype(np.int64)


def measure_frames(
    frames: NDArray[Any], before: NDArray[Any] | None = None
) -> FrameStatistics:
    """Return the statistics of consecutive frames.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. NaN and infinity are left out.
    before
        (row, column): the frame before the first one; None at the start of a recording.

    Returns
    -------
    FrameStatistics
        One entry per frame.

    Examples
    --------
    >>> movie = np.arange(3 * 8 * 8, dtype=np.uint16).reshape(3, 8, 8)
    >>> measure_frames(movie).step.tolist()[1:]
    [64.0, 64.0]
    """
    native = _native(frames)
    n, rows, columns = native.shape
    row_edges = block_edges(rows, BANDS, LEAST_ROWS)
    column_edges = block_edges(columns, PARTS, LEAST_COLUMNS)
    blocks = np.empty((n, len(row_edges) - 1, len(column_edges) - 1), np.float32)
    numbers = np.zeros((n, 6))
    first = native[0] if before is None else _native(before[None])[0]
    _measure(native, first, row_edges, column_edges, blocks, numbers)
    if before is None:
        numbers[0, 0], numbers[0, 1] = np.nan, 0
    if native.dtype.kind == "f":
        for t in np.flatnonzero(numbers[:, 5] < 1):
            _measure_finite(native[t], row_edges, column_edges, blocks[t], numbers[t])
    return FrameStatistics(
        blocks,
        np.sqrt(numbers[:, 0]).astype(np.float32),
        numbers[:, 1].astype(np.int32),
        numbers[:, 2].astype(np.int32),
        numbers[:, 3].astype(np.float32),
        numbers[:, 4].astype(np.float32),
        numbers[:, 5].astype(np.float32),
        np.full(n, rows, np.int32),
    )


def _native(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames in a dtype and byte order that compiled loops take."""
    if frames.dtype.kind == "b":
        return np.ascontiguousarray(frames).view(np.uint8)
    if frames.dtype.kind == "f" and frames.dtype.itemsize != 4:
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(frames, np.float32)
    return np.ascontiguousarray(frames, frames.dtype.newbyteorder("="))


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _square_of_row(row: Any, old: Any) -> Any:
    """Return the sum of squared differences of two rows, float32.

    ``row``, ``old``: (column,), any real dtype.
    """
    square = np.float32(0)
    for x in range(len(row)):
        step = np.float32(row[x]) - np.float32(old[x])
        square += step * step
    return square


@njit(cache=True, nogil=True)
def _are_equal(row: Any, old: Any) -> bool:
    """Return whether two rows (column,) of any real dtype are the same."""
    x = 0
    while x < len(row) and row[x] == old[x]:
        x += 1
    return x == len(row)


@njit(cache=True, nogil=True)
def _is_flat(row: Any) -> bool:
    """Return whether all pixels of a row (column,) of any real dtype are the same."""
    x = 0
    while x < len(row) and row[x] == row[0]:
        x += 1
    return x == len(row)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _add_parts(row: Any, edges: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
    """Add the sums of the parts of a row (column,) to ``sums`` (part,).

    ``row`` of any real dtype (column,), ``edges`` int64 (parts + 1,), ``sums`` float64
    (parts,).
    """
    for j in range(len(sums)):
        part = np.float32(0)
        for x in range(edges[j], edges[j + 1]):
            part += np.float32(row[x])
        sums[j] += part


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _top_of_row(row: Any) -> Any:
    """Return the maximum of a row (column,) of any real dtype; NaN does not count."""
    top = row[0]
    for x in range(len(row)):
        top = row[x] if row[x] > top else top
    return top


@njit(cache=True, nogil=True)
def _highest(frame: Any, tops: Any) -> tuple[Any, float]:
    """Return the maximum of a frame (row, column), and the share of its pixels.

    ``frame`` of any real dtype (row, column); ``tops`` (row,) of the same dtype: the
    maximum of each row.
    """
    top = _top_of_row(tops)
    reached = 0
    for y in range(len(frame)):
        if tops[y] == top:
            row = frame[y]
            count: Any = np.int32(0)
            for x in range(len(row)):
                count += np.int32(row[x] == top)
            reached += count
    return top, reached / frame.size


@njit(cache=True, nogil=True)
def _measure(
    frames: NDArray[Any],
    before: NDArray[Any],
    row_edges: NDArray[np.int64],
    column_edges: NDArray[np.int64],
    blocks: NDArray[np.float32],
    numbers: NDArray[np.float64],
) -> None:
    """Fill blocks and numbers of frames (frame, row, column) of any real dtype.

    ``before`` (row, column) is the frame before the first. ``blocks`` float32 (frame,
    band, part); ``numbers`` float64 (frame, 6): mean squared step, equal rows, flat
    rows, highest value, share at it, and 1, or 0 where a value is not finite.
    """
    n, rows, columns = frames.shape
    bands, parts = blocks.shape[1], blocks.shape[2]
    sums, tops = np.empty(parts, np.float64), np.empty(rows, frames.dtype)
    for t in range(n):
        last = frames[t - 1] if t else before
        square = total = 0.0
        for i in range(bands):
            sums[:] = 0
            for y in range(row_edges[i], row_edges[i + 1]):
                row, old = frames[t, y], last[y]
                step = _square_of_row(row, old)
                square += step
                # infinite values are equal where their difference is not 0
                if step == 0 or not np.isfinite(step):
                    numbers[t, 1] += _are_equal(row, old)
                numbers[t, 2] += _is_flat(row)
                tops[y] = _top_of_row(row)
                _add_parts(row, column_edges, sums)
            height = row_edges[i + 1] - row_edges[i]
            for j in range(parts):
                width = column_edges[j + 1] - column_edges[j]
                blocks[t, i, j] = sums[j] / (height * width)
                total += sums[j]
        numbers[t, 0] = square / (rows * columns)
        numbers[t, 3], numbers[t, 4] = _highest(frames[t], tops)
        numbers[t, 5] = 1.0 if np.isfinite(total) and np.isfinite(square) else 0.0


def _measure_finite(
    frame: NDArray[np.floating],
    row_edges: NDArray[np.int64],
    column_edges: NDArray[np.int64],
    blocks: NDArray[np.float32],
    numbers: NDArray[np.float64],
) -> None:
    """Fill blocks and numbers of one frame with values that are not finite."""
    finite = np.isfinite(frame)
    values = np.where(finite, frame, 0).astype(np.float64)

    def add_tiles(array: NDArray[Any]) -> NDArray[np.float64]:
        rows = np.add.reduceat(array.astype(np.float64), row_edges[:-1], axis=0)
        return np.asarray(np.add.reduceat(rows, column_edges[:-1], axis=1))

    count = add_tiles(finite)
    blocks[:] = np.where(count > 0, add_tiles(values) / np.maximum(count, 1), np.nan)
    top = values[finite].max() if finite.any() else np.nan
    numbers[0] = np.nan  # the step from the frame before is not measured
    numbers[2] = np.count_nonzero((frame == frame[:, :1]).all(axis=1))
    numbers[3] = top
    numbers[4] = np.count_nonzero(frame == top) / frame.size
    numbers[5] = finite.mean()
