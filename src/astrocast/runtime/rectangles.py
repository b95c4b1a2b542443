"""Copy a recording in rectangles of pixels, if blocks of whole frames are too large.

For recordings in which each pixel is computed from its own time course, with many
frames around a frame: with a window of 300 frames, a block of frames of 512 x 512
pixels needs more than a gigabyte. Each task writes a rectangle of chunks of the output.
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
from astrocast.runtime.memory import scale_to_memory

#: bytes that are read for a rectangle, as float32
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
    """Return whether a block of whole frames with its halo is too large.

    False if the chunks of the output are whole frames.
    """
    if writer.chunk_shape is None or writer.chunk_shape[1:] == writer.shape[1:]:
        return False
    n, rows, columns = recording.shape
    frames = min(n, frames_per_block(recording, halo) + sum(halo))
    return 4 * frames * rows * columns > scale_to_memory(RECTANGLE_BYTES)


def plan_rectangles(
    shape: tuple[int, int, int],
    chunk: tuple[int, int, int],
    halo: tuple[int, int],
    first: int = 0,
    budget: int = RECTANGLE_BYTES,
) -> Iterator[Rectangle]:
    """Yield rectangles of whole chunks; rectangles of the same frames are consecutive.

    Parameters
    ----------
    shape, chunk
        Shape of the output and of its chunks, (frame, row, column).
    halo
        Frames before and after a rectangle that are read with it.
    first
        First frame, a multiple of the frames of a chunk.
    budget
        Largest number of bytes of a rectangle with its halo as float32; a single chunk
        may need more.

    Examples
    --------
    >>> found = list(plan_rectangles((100, 6, 8), (10, 2, 8), (20, 20), budget=4000))
    >>> len(found), found[1]
    (9, Rectangle(start=0, stop=40, rows=slice(2, 4, None), columns=slice(0, 8, None)))
    """
    budget = scale_to_memory(budget)
    n, rows, columns = shape
    depth, height, width = chunk
    # the halo is read again for every rectangle: at most about half of the frames read
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
    """Copy a recording that can compute any rectangle; does not commit the writer.

    With a connected cluster, rectangles are tasks of its workers; otherwise they are
    computed in this process, one after the other.

    Parameters
    ----------
    recording
        Input; to compute frames it reads ``halo`` frames before and after them.
    writer
        Output, with a ``chunk_shape``.
    halo
        Frames before and after.
    advance
        Called with the number of frames that were completed.
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
    """Return the name of a rectangle, and the bytes that its computation needs."""
    rows, columns = part.rows, part.columns
    pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
    return (
        f"block {part.start}:{part.stop}, rows {rows.start}:{rows.stop}, columns"
        f" {columns.start}:{columns.stop}",
        4 * BLOCKS_HELD * (part.stop - part.start + halo) * pixels,
    )


@dataclass(frozen=True)
class CopyRectangle:
    """Read a rectangle and write its chunks; a function for `map_tasks`.

    Parameters
    ----------
    recording
        The input.
    write
        Function that writes parts of frames to chunks of the output.
    """

    recording: Recording
    write: Callable[..., None]

    def __call__(self, part: Rectangle, pool: Executor | None) -> int:
        """Return the tally of the recording."""
        recording = counting_copy(self.recording)
        frames: NDArray[Any] = recording.read(
            part.start, part.stop, part.rows, part.columns
        )
        recording.release()
        corner = (part.rows.start, part.columns.start)
        self.write(part.start, np.ascontiguousarray(frames), corner)
        return int(recording.tally)
