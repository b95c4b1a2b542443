"""Run an operation over a recording: read a block with halo, compute, trim, write.

Reading the next block and writing the last one go on in threads of their own while the
kernel computes, so the time of a stage is that of its slowest part and its memory is
that of a few blocks, whatever the length of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import Recording, RecordingWriter
from astrocast.runtime.cluster import can_share, connected_client, run_on_cluster

#: one block of input; a stage holds about six of them (read ahead, input, result,
#: written behind)
BLOCK_BYTES = 24 << 20


@dataclass(frozen=True)
class Block:
    """Frames ``start`` to ``stop`` of a recording, and the halo around them."""

    start: int
    stop: int
    lead: int
    trail: int

    @property
    def inner(self) -> slice:
        """Where the block's own frames are in what was read."""
        return slice(self.lead, self.lead + self.stop - self.start)


class Operation(Protocol):
    """A pure kernel with what the runner must know of it.

    Called with the frames of a block and its halo, it returns the result for the
    block's own frames (``block.inner``). At the ends of the recording there is no halo:
    the kernel sees the true edge there.
    """

    halo: tuple[int, int]

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return the result for ``frames[block.inner]``."""
        ...


def frames_per_block(
    recording: Recording, halo: tuple[int, int] = (0, 0), budget: int = BLOCK_BYTES
) -> int:
    """Return the frames of a block of about ``budget`` bytes, in whole chunks.

    As float32.
    """
    per_frame = (
        recording.shape[1] * recording.shape[2] * max(4, recording.dtype.itemsize)
    )
    frames = max(1, budget // per_frame - sum(halo))
    # a halo is read again for every block: keep it below half of the work
    frames = max(frames, sum(halo))
    if frames > recording.chunk_frames:
        frames -= frames % recording.chunk_frames
    return min(frames, recording.shape[0])


def plan_blocks(
    n_frames: int, frames: int, halo: tuple[int, int] = (0, 0), first: int = 0
) -> Iterator[Block]:
    """Yield the blocks of ``n_frames`` frames, from frame ``first`` on."""
    for start in range(first, n_frames, frames):
        stop = min(start + frames, n_frames)
        yield Block(start, stop, min(halo[0], start), min(halo[1], n_frames - stop))


def read_blocks(
    recording: Recording, blocks: list[Block]
) -> Iterator[tuple[Block, NDArray[Any]]]:
    """Yield each block with its frames; the next one is read while the caller works."""
    with ThreadPoolExecutor(1, thread_name_prefix="astrocast-read") as pool:

        def read(b: Block) -> Future[NDArray[Any]]:
            return pool.submit(recording.read, b.start - b.lead, b.stop + b.trail)

        ahead = read(blocks[0]) if blocks else None
        for i, block in enumerate(blocks):
            assert ahead is not None
            frames = ahead.result()
            ahead = read(blocks[i + 1]) if i + 1 < len(blocks) else None
            yield block, frames


class WriteBehind:
    """Writes blocks in a thread of its own, in order; at most one block waits."""

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer = writer
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="astrocast-write")
        self._last: Future[None] | None = None

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Hand over a block; waits for the one before, and raises its error."""
        self.wait()
        self._last = self._pool.submit(self.writer.write, start, block)

    def wait(self) -> None:
        """Wait until everything handed over is written."""
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def close(self) -> None:
        """Wait for the thread to end."""
        self._pool.shutdown(wait=True)


def run_blocks(
    recording: Recording,
    writer: RecordingWriter,
    operation: Operation,
    *,
    block_frames: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Run ``operation`` over a recording and write its result, without commit.

    With a `dask.distributed` client connected and zarr in and out, blocks are tasks of
    the cluster, see `astrocast.runtime.cluster`; otherwise they are computed here, one
    after the other.

    Parameters
    ----------
    recording
        Input, read block by block with the operation's halo.
    writer
        Output of the same number of frames; what an interrupted process had ``resumed``
        is not computed again.
    operation
        What to compute.
    block_frames
        Frames per block; about 24 MB of float32 when None. The result does not depend
        on it.
    advance
        Called with the number of frames after each block.
    """
    frames = block_frames or frames_per_block(recording, operation.halo)
    if advance is not None:
        advance(writer.resumed)
    client = connected_client()
    if client is not None and can_share(recording, writer):
        whole = max(1, round(frames / writer.chunk_frames)) * writer.chunk_frames
        blocks = list(
            plan_blocks(recording.shape[0], whole, operation.halo, writer.resumed)
        )
        run_on_cluster(client, recording, writer, operation, blocks, advance)
        return
    behind = WriteBehind(writer)
    blocks = list(
        plan_blocks(recording.shape[0], frames, operation.halo, writer.resumed)
    )
    try:
        for block, data in read_blocks(recording, blocks):
            result = operation(data, block)
            if len(result) != block.stop - block.start:
                raise AssertionError(
                    f"{operation!r} returned {len(result)} frames for {block}"
                )
            behind.write(block.start, np.ascontiguousarray(result))
            if advance is not None:
                advance(block.stop - block.start)
        behind.wait()
    finally:
        behind.close()


class _Identity:
    """Passes frames on; for recordings that are computed as they are read."""

    halo = (0, 0)

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        return frames


def copy_blocks(
    recording: Recording,
    writer: RecordingWriter,
    *,
    block_frames: int | None = None,
    advance: Callable[[int], None] | None = None,
    operation: Operation | None = None,
) -> None:
    """Copy a recording block by block, see `run_blocks`; does not commit the writer.

    Blocks end where chunks of the output end, where that fits: what does not fill a
    chunk is copied once more to wait for the rest.
    """
    frames = block_frames or frames_per_block(recording)
    whole = writer.chunk_frames
    fits = BLOCK_BYTES // max(1, recording.nbytes // recording.shape[0])
    if block_frames is None and whole <= fits:
        frames = max(whole, frames - frames % whole)
    copy = operation or _Identity()
    run_blocks(recording, writer, copy, block_frames=frames, advance=advance)
