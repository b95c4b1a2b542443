"""Recordings of the signal above a background, computed when they are read."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.recording import ALL, Recording, RecordingWriter
from astrocast.io.views import CountingRecording
from astrocast.kernels.baseline.rolling_minimum import (
    Method,
    advance,
    frame_minimum,
    highest,
    two_sided_minimum,
)
from astrocast.runtime.blocks import (
    Block,
    WriteBehind,
    can_share,
    copy_blocks,
    frames_per_block,
    read_blocks,
)
from astrocast.runtime.cluster import connected_client
from astrocast.runtime.memory import scale_to_memory
from astrocast.runtime.rectangles import copy_rectangles, needs_rectangles
from astrocast.runtime.threads import shared_threads
from astrocast.settings.delta import DeltaSettings

#: the frames of two windows stay in memory up to this size (bytes); larger ones are
#: read again
CACHED_BYTES = 256 << 20
#: images that are held between segments, in bytes; above this size, parts of frames are
#: computed if the output can be written in parts
IMAGES_BYTES = 512 << 20


class BaselineRecording(CountingRecording):
    """Bleach-corrected recording, float32; counts the divisors raised to the floor.

    A subclass per kind of background computes any frames and pixels in `compute`.
    """

    #: frames that a block needs (before, after) it
    halo: tuple[int, int] = (0, 0)

    def __init__(self, source: Recording, settings: DeltaSettings) -> None:
        super().__init__(source, dtype=np.float32)
        self.settings = settings

    @abstractmethod
    def compute(
        self, start: int, stop: int, rows: slice, columns: slice
    ) -> tuple[NDArray[np.float32], int]:
        """Return corrected frames and the number of divisors raised to the floor."""

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return corrected frames, see `Recording.read`."""
        repeat_first = start == 0 and self.settings.overwrite_first_frame
        result, floored = self.compute(
            start, max(stop, 2) if repeat_first else stop, rows, columns
        )
        self.add(floored)
        if repeat_first:
            result[0] = result[1]
        return result[: stop - start]

    def context(
        self, start: int, stop: int, rows: slice, columns: slice, halo: int
    ) -> tuple[NDArray[Any], slice]:
        """Return a block with its halo, and the slice of the block's own frames in it.

        ``halo``: number of frames before and after the block.
        """
        first = max(0, start - halo)
        frames = self.source.read(first, min(stop + halo, self.shape[0]), rows, columns)
        check_finite(frames, first)
        return frames, slice(start - first, stop - first)

    def stream(self, writer: RecordingWriter, report: Callable[[int], None]) -> None:
        """Write all frames in order; peak memory does not grow with their number."""
        self.tally = 0
        if needs_rectangles(self, writer, self.halo):
            copy_rectangles(self, writer, self.halo, report)
            return
        copy_blocks(
            self,
            writer,
            block_frames=frames_per_block(self.source, self.halo),
            advance=report,
        )

    def computes_blocks(self, writer: RecordingWriter) -> bool:
        """Return whether each block is computed with its halo, apart from the others.

        On a cluster; where the halo is a small part; and where frames are so large that
        the images between segments would need more memory.
        """
        if connected_client() is not None and can_share(self, writer):
            return True
        n, rows, columns = self.shape
        window = self.halo[0]
        if 2 * window <= frames_per_block(self.source) // 2:
            return True
        held = 3 * -(-min(window, n) // segment_depth(self.source, window))
        return needs_rectangles(self, writer, self.halo) and (
            4 * held * rows * columns > IMAGES_BYTES
        )

    def write_ordered(
        self,
        blocks: Iterator[tuple[int, NDArray[np.float32], int]],
        writer: RecordingWriter,
        report: Callable[[int], None],
    ) -> None:
        """Write consecutive blocks while the next ones are computed.

        ``blocks`` yields ``(start, result, number of divisors raised to the floor)``.
        """
        behind = WriteBehind(writer)
        self.tally = 0
        held: NDArray[np.float32] | None = None
        try:
            for start, result, floored in blocks:
                self.add(floored)
                if start == 0 and self.settings.overwrite_first_frame:
                    if len(result) == 1:  # frame 1 is in the next block
                        held = result
                        continue
                    result[0] = result[1]
                elif held is not None:
                    behind.write(0, result[:1].copy())
                    held = None
                behind.write(start, result)
                report(len(result))
            behind.wait()
        finally:
            behind.close()


class MinimumBaseline(BaselineRecording):
    """Background by the two-sided rolling minimum."""

    def __init__(self, source: Recording, settings: DeltaSettings) -> None:
        super().__init__(source, settings)
        self.halo = (settings.window, settings.window)

    def compute(
        self, start: int, stop: int, rows: slice, columns: slice
    ) -> tuple[NDArray[np.float32], int]:
        """Return corrected frames and the number of divisors raised to the floor."""
        s = self.settings
        frames, inner = self.context(start, stop, rows, columns, s.window)
        return two_sided_minimum(
            frames,
            s.window,
            s.method,
            inner=inner,
            floor=s.floor,
            pool=shared_threads(),
        )

    def stream(self, writer: RecordingWriter, report: Callable[[int], None]) -> None:
        """Write all frames in order."""
        if self.computes_blocks(writer):
            super().stream(writer, report)
        else:
            self._stream_segments(writer, report)

    def _stream_segments(
        self, writer: RecordingWriter, report: Callable[[int], None]
    ) -> None:
        """Compute segments as long as the window, a block at a time.

        Peak memory does not depend on the window.
        """
        s = self.settings
        blocks = minimum_blocks(self.source, s.window, s.method, s.floor)
        self.write_ordered(blocks, writer, report)


def minimum_blocks(
    source: Recording,
    window: int,
    method: Method,
    floor: float,
    *,
    checked: bool = False,
    own: Recording | None = None,
) -> Iterator[tuple[int, NDArray[np.float32], int]]:
    """Yield ``(start, result, floored)`` for each block of frames, in order.

    Segments are as long as the window and are cut into blocks. A block needs the frames
    at the same position in the previous, the current and the next segment. The frames
    between these are needed only as one minimum per block.

    ``checked``: the caller has already checked that all values are finite. ``own``: a
    recording with the same values for frames that are read several times.
    """
    pool = shared_threads()
    n, rows, columns = source.shape
    nothing = np.full(rows * columns, highest(source.dtype), source.dtype)
    blocks, per_segment = cut_segments(n, min(window, n), segment_depth(source, window))
    # minimum of the frames after each block within its segment: of the previous and of
    # the current segment
    after_past = [nothing] * per_segment
    heads = [
        frame_minimum(flatten(b), pool)
        for _, b in read_blocks(source, blocks[:per_segment])
    ]
    after_now = minima_after(heads, nothing)
    minima: list[NDArray[Any]] = []
    edges = np.stack([nothing] * 4)
    for i, (past, now, future) in enumerate(
        neighbours(source, blocks, per_segment, own or source)
    ):
        position = i % per_segment
        if position == 0 and i:
            after_past, after_now, minima = after_now, minima_after(minima, nothing), []
        if position == 0:
            edges[2:] = nothing
        if not checked:
            check_finite(now, blocks[i].start)
        minima.append(frame_minimum(flatten(future), pool) if len(future) else nothing)
        edges[0], edges[1] = after_past[position], after_now[position]
        before = None if past is None else flatten(past)
        result, floored = advance(
            before,
            flatten(now),
            flatten(future),
            edges,
            method,
            floor=floor,
            pool=pool,
        )
        yield blocks[i].start, result.reshape(-1, rows, columns), floored


def segment_depth(source: Recording, window: int) -> int:
    """Return the number of frames of a block in a segment of ``window`` frames.

    About six blocks, and three images for each block of a segment, are in memory. If
    frames are large, this number gives the fewest frames in memory.
    """
    return max(frames_per_block(source), round((window / 2) ** 0.5))


def flatten(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames (frame, row, column) as (frame, pixel)."""
    return frames.reshape(len(frames), frames.shape[1] * frames.shape[2])


def cut_segments(n: int, window: int, depth: int) -> tuple[list[Block], int]:
    """Return the blocks of all segments, and the number of blocks per segment.

    ``n``: frames of the recording; ``window``: frames of a segment; ``depth``: most
    frames of a block.
    """
    blocks = [
        Block(start, min(start + depth, segment + window, n), 0, 0)
        for segment in range(0, n, window)
        for start in range(segment, min(segment + window, n), depth)
    ]
    return blocks, -(-window // depth)


def minima_after(
    minima: list[NDArray[Any]], nothing: NDArray[Any]
) -> list[NDArray[Any]]:
    """Return for each block the minimum of all blocks after it.

    ``nothing``: the result for the last block, which no block follows.
    """
    after = [nothing]
    for block in minima[:0:-1]:
        after.append(np.minimum(block, after[-1]))
    return after[::-1]


def neighbours(
    source: Recording, blocks: list[Block], per_segment: int, own_source: Recording
) -> Iterator[tuple[NDArray[Any] | None, NDArray[Any], NDArray[Any]]]:
    """Yield each block with the blocks one segment before and one segment after it.

    As (before or None, block, after). Frames stay in memory until they are needed again
    if they fit into `CACHED_BYTES`; otherwise they are read three times, those of the
    block itself from ``own_source``.
    """
    nothing = np.empty((0, *source.shape[1:]), source.dtype)
    segment = sum(b.stop - b.start for b in blocks[:per_segment])
    frame = source.shape[1] * source.shape[2] * source.dtype.itemsize
    if 2 * segment * frame > scale_to_memory(CACHED_BYTES):
        pasts = chain(
            [None] * per_segment,
            (f for _, f in read_blocks(source, blocks[:-per_segment])),
        )
        futures = chain(
            (f for _, f in read_blocks(source, blocks[per_segment:])), repeat(nothing)
        )
        for past, (_, now), future in zip(
            pasts, read_blocks(own_source, blocks), futures, strict=False
        ):
            yield past, now, future
        return
    held: deque[NDArray[Any] | None] = deque([None] * per_segment)
    coming = (frames for _, frames in read_blocks(source, blocks))
    held.extend(islice(coming, per_segment))
    for _ in blocks:
        held.append(next(coming, nothing))
        own, ahead = held[per_segment], held[-1]
        assert own is not None
        assert ahead is not None
        yield held.popleft(), own, ahead


def check_finite(frames: NDArray[Any], first: int) -> None:
    """Raise `InvalidValueError` if frames contain NaN or infinity.

    ``first``: number of the first frame, for the message.
    """
    if frames.dtype.kind != "f" or np.isfinite(frames.sum(dtype=np.float64)):
        return
    bad = ~np.isfinite(frames)
    frame = first + int(np.flatnonzero(bad.any(axis=(1, 2)))[0]) if bad.any() else first
    raise InvalidValueError(
        f"{int(bad.sum())} values are NaN or infinite, the first in frame {frame}; the"
        " background can only be computed from finite numbers. Replace these values"
        " (for example with numpy.nan_to_num), or crop the recording"
    )
