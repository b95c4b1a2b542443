"""Copy a recording in parts of frames, where blocks of whole frames are too large.

For recordings whose pixels are computed each from its own time course, with many frames
around a frame: with a window of 300 frames, a block of frames of 512 x 512 pixels needs
more than a gigabyte. A rectangle of chunks of the output is one task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import Recording, RecordingWriter
from astrocast.runtime.blocks import BLOCKS_HELD, counting_copy, frames_per_block
from astrocast.runtime.cluster import map_tasks

#: bytes of the frames that are read for a rectangle, as float32
RECTANGLE_BYTES = 192 << 20


@dataclass(frozen=True)
class Rectangle:
    """Rows and columns of the frames ``start`` to ``stop`` of a recording."""

    start: int
    stop: int
    rows: slice
    columns: slice


def needs_rectangles(
    recording: Recording, writer: RecordingWriter, halo: tuple[int, int]
) -> bool:
    """Return whether a block of whole frames and its halo is too large to be read.

    False where the output has no chunks that are parts of frames.
    """
    if writer.chunk_shape is None or writer.chunk_shape[1:] == writer.shape[1:]:
        return False
    n, rows, columns = recording.shape
    frames = min(n, frames_per_block(recording, halo) + sum(halo))
    return 4 * frames * rows * columns > RECTANGLE_BYTES


def plan_rectangles(
    shape: tuple[int, int, int],
    chunk: tuple[int, int, int],
    halo: tuple[int, int],
    first: int = 0,
    budget: int = RECTANGLE_BYTES,
) -> Iterator[Rectangle]:
    """Yield rectangles of whole chunks; those of the same frames one after the other.

    Parameters
    ----------
    shape, chunk
        Of the output, (frame, row, column).
    halo
        Frames before and after a rectangle that are read with it.
    first
        Frame to begin with, a multiple of the frames of a chunk.
    budget
        Bytes that a rectangle and its halo have at most as float32, where a chunk and
        its halo are not larger.

    Examples
    --------
    >>> found = list(plan_rectangles((100, 6, 8), (10, 2, 8), (20, 20), budget=4000))
    >>> len(found), found[1]
    (9, Rectangle(start=0, stop=40, rows=slice(2, 4, None), columns=slice(0, 8, None)))
    """
    n, rows, columns = shape
    depth, height, width = chunk
    # a halo is read again for every rectangle: keep it below half of the work
    frames = max(1, round(max(sum(halo), depth) / depth)) * depth
    room = budget // (4 * min(n, frames + sum(halo)))
    wide = min(columns, max(1, room // (height * width)) * width)
    high = min(rows, max(1, room // (height * wide)) * height)
    for start in range(first, n, frames):
        for top in range(0, rows, high):
            for left in range(0, columns, wide):
                yield Rectangle(
                    start,
                    min(start + frames, n),
                    slice(top, min(top + high, rows)),
                    slice(left, min(left + wide, columns)),
                )


def copy_rectangles(
    recording: Recording,
    writer: RecordingWriter,
    halo: tuple[int, int],
    advance: Callable[[int], None],
) -> None:
    """Copy a recording that computes any pixels; does not commit the writer.

    With a connected cluster rectangles are tasks of its workers, otherwise they are
    computed here, one after the other.

    Parameters
    ----------
    recording
        Input; reads ``halo`` frames around what it is asked for.
    writer
        Output, with a ``chunk_shape``.
    halo
        Frames before and after.
    advance
        Called with a number of frames when they are complete.
    """
    write, chunk = writer.chunk_writer(), writer.chunk_shape
    assert write is not None
    assert chunk is not None
    advance(writer.resumed)
    planned = list(plan_rectangles(recording.shape, chunk, halo, writer.resumed))
    tallies = map_tasks(
        CopyRectangle(recording, write),
        planned,
        None,
        recordings=(recording,),
        describe=lambda item: _describe(item, sum(halo)),
    )
    for i, (part, tally) in enumerate(zip(planned, tallies, strict=True)):
        recording.add(tally)
        if i + 1 == len(planned) or planned[i + 1].start != part.start:
            advance(part.stop - part.start)
    writer.mark_written(recording.shape[0] - writer.resumed)


def _describe(part: Rectangle, halo: int) -> tuple[str, int]:
    """Return the name of a rectangle, and the bytes that computing it needs."""
    rows, columns = part.rows, part.columns
    pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
    return (
        f"block {part.start}:{part.stop}, rows {rows.start}:{rows.stop}, columns"
        f" {columns.start}:{columns.stop}",
        4 * BLOCKS_HELD * (part.stop - part.start + halo) * pixels,
    )


@dataclass(frozen=True)
class CopyRectangle:
    """Read a rectangle and write its chunks: what `map_tasks` calls.

    Parameters
    ----------
    recording
        The input.
    write
        Writes parts of frames to chunks of the output.
    """

    recording: Recording
    write: Callable[..., None]

    def __call__(self, part: Rectangle, pool: Executor | None) -> int:
        """Return what reading counted."""
        recording = counting_copy(self.recording)
        frames: NDArray[Any] = recording.read(
            part.start, part.stop, part.rows, part.columns
        )
        recording.release()
        corner = (part.rows.start, part.columns.start)
        self.write(part.start, np.ascontiguousarray(frames), corner)
        return int(recording.tally)
