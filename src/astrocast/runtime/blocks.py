"""Run an operation over a recording: read a block with halo, compute, trim, write.

While the kernel computes, separate threads read the next block and write the previous
one. The time of a stage is the time of its slowest part; its memory is a few blocks,
for any length of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import Recording, RecordingWriter
from astrocast.runtime.cluster import connected_client, map_tasks
from astrocast.runtime.memory import scale_to_memory

#: bytes of one block of input; a stage holds about six blocks in memory (next input,
#: input, intermediate values, result, previous result)
BLOCK_BYTES = 24 << 20
#: least frames of a block whose result is an image: with fewer, the images of all
#: blocks of a recording with large frames would be as large as the recording
IMAGE_FRAMES = 8
#: memory that a task needs, in blocks of float32
BLOCKS_HELD = 6


@dataclass(frozen=True)
class Block:
    """Frames ``start`` to ``stop`` of a recording, and the halo around them."""

    start: int
    stop: int
    lead: int
    trail: int

    @property
    def inner(self) -> slice:
        """The block, without its halo, within the frames that were read."""
        return slice(self.lead, self.lead + self.stop - self.start)


class Operation(Protocol):
    """A pure kernel with its halo, output dtype and shape.

    It is called with the frames of a block and its halo, and returns the result for the
    frames of the block (``block.inner``). At the ends of the recording there is no
    halo: the kernel itself treats the edge.
    """

    halo: tuple[int, int]

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return the result for ``frames[block.inner]``."""
        ...


def frames_per_block(
    recording: Recording, halo: tuple[int, int] = (0, 0), budget: int = BLOCK_BYTES
) -> int:
    """Return the number of frames of a block, in whole chunks.

    ``budget``: bytes of the block as float32, reduced if the memory is limited.
    """
    budget = scale_to_memory(budget)
    per_frame = (
        recording.shape[1] * recording.shape[2] * max(4, recording.dtype.itemsize)
    )
    frames = max(1, budget // per_frame - sum(halo))
    # the halo is read again for every block: at most half of the frames read
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
) -> Generator[tuple[Block, NDArray[Any]], None, None]:
    """Yield each block with its frames; meanwhile the next block is read."""
    with ThreadPoolExecutor(1, thread_name_prefix="astrocast-read") as pool:

        def read(b: Block) -> Future[NDArray[Any]]:
            return pool.submit(recording.read, b.start - b.lead, b.stop + b.trail)

        ahead = read(blocks[0]) if blocks else None
        for i, block in enumerate(blocks):
            assert ahead is not None
            frames = ahead.result()
            ahead = read(blocks[i + 1]) if i + 1 < len(blocks) else None
            yield block, frames


def map_blocks(
    recording: Recording,
    task: Callable[..., Any],
    blocks: Sequence[Block],
    *given: Iterable[Any],
    pool: Executor | None = None,
    beside: Sequence[Recording | None] = (),
) -> Iterator[tuple[Block, Any]]:
    """Yield each block with ``task(frames, block, pool, *arguments)``, in order.

    With a connected cluster and a recording that its workers can open, blocks are tasks
    of the cluster; otherwise the next block is read while this one is computed.

    Parameters
    ----------
    recording
        Input; each block is read with its halo.
    task
        Pure function: its result depends only on its arguments.
    blocks
        The blocks.
    *given
        Further arguments of the task, one value per block (as in `map`), consumed as
        needed.
    pool
        Threads for blocks that are computed in this process.
    beside
        Further recordings that the task reads.
    """
    extras: Iterable[tuple[Any, ...]] = (
        zip(*given, strict=False) if given else repeat(())
    )
    read = (recording, *beside)
    if connected_client() is None or not all(r.portable for r in read if r is not None):
        reader = read_blocks(recording, list(blocks))
        for (block, frames), extra in zip(reader, extras, strict=False):
            yield block, task(frames, block, pool, *extra)
        return
    results = map_tasks(
        _ReadAndCall(recording, task),
        zip(blocks, extras, strict=False),
        pool,
        recordings=read,
        describe=lambda item: describe_block(recording, item[0]),
    )
    for block, (result, tally) in zip(blocks, results, strict=True):
        recording.add(tally)
        yield block, result


def describe_block(recording: Recording, block: Block) -> tuple[str, int]:
    """Return the name of a block, and the bytes that its computation needs."""
    frames = block.stop - block.start + block.lead + block.trail
    pixels = recording.shape[1] * recording.shape[2]
    name = f"block {block.start}:{block.stop}"
    return name, BLOCKS_HELD * 4 * frames * pixels


@dataclass(frozen=True)
class _ReadAndCall:
    """Read a block and call a task; runs on a worker."""

    recording: Recording
    task: Callable[..., Any]

    def __call__(
        self, item: tuple[Block, tuple[Any, ...]], pool: Executor | None
    ) -> tuple[Any, int]:
        """Return the result of a block, and the tally of the recording."""
        block, extra = item
        recording = counting_copy(self.recording)
        frames = recording.read(block.start - block.lead, block.stop + block.trail)
        recording.release()  # an open HDF5 file cannot be written to
        return self.task(frames, block, pool, *extra), recording.tally


def counting_copy(counter: Any) -> Any:
    """Return a shallow copy with its own tally, which starts at 0.

    Threads of a worker share a recording and an operation, but not the tally.
    """
    copied = object.__new__(type(counter))
    vars(copied).update(vars(counter))
    copied.tally = 0
    return copied


class WriteBehind:
    """Write blocks in a separate thread, in order; at most one block waits."""

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer = writer
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="astrocast-write")
        self._last: Future[None] | None = None

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write a block; wait for the previous one first, and raise its error."""
        self.wait()
        self._last = self._pool.submit(self.writer.write, start, block)

    def wait(self) -> None:
        """Wait until all blocks are written."""
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
    """Run ``operation`` over a recording and write its result; does not commit.

    With a connected `dask.distributed` client, a recording that workers can open and
    zarr as output, blocks are tasks of the cluster, see `astrocast.runtime.cluster`;
    otherwise they are computed in this process, one after the other. If the operation
    has a method ``part_of(block)``, it returns the part of its data that a block needs;
    this part is sent with the task as the third argument of the call.

    Parameters
    ----------
    recording
        Input, read block by block with the operation's halo.
    writer
        Output with the same number of frames; its ``resumed`` frames, written by an
        interrupted process, are not computed again.
    operation
        The computation.
    block_frames
        Frames per block; None: about 24 MB of float32. The result does not depend on
        it.
    advance
        Called after each block with the number of its frames.
    """
    frames = block_frames or frames_per_block(recording, operation.halo)
    if advance is not None:
        advance(writer.resumed)
    if connected_client() is not None and can_share(recording, writer):
        whole = max(1, round(frames / writer.chunk_frames)) * writer.chunk_frames
        blocks = list(
            plan_blocks(recording.shape[0], whole, operation.halo, writer.resumed)
        )
        _run_as_tasks(recording, writer, operation, blocks, advance)
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
                    f"{operation!r} returned {len(result)} frames for {block}; expected"
                    f" {block.stop - block.start}"
                )
            behind.write(block.start, np.ascontiguousarray(result))
            if advance is not None:
                advance(block.stop - block.start)
        behind.wait()
    finally:
        behind.close()


def can_share(recording: Recording, writer: RecordingWriter) -> bool:
    """Return whether workers can open the input and write the output."""
    return recording.portable and writer.chunk_writer() is not None


def _run_as_tasks(
    recording: Recording,
    writer: RecordingWriter,
    operation: Operation,
    blocks: list[Block],
    advance: Callable[[int], None] | None,
) -> None:
    """Run an operation as one task per block, each of whole chunks of the output."""
    write = writer.chunk_writer()
    assert write is not None
    part_of = getattr(operation, "part_of", None)
    items = ((b, (part_of(b),) if part_of else ()) for b in blocks)
    results = map_tasks(
        _ReadAndWrite(recording, operation, write),
        items,
        None,
        recordings=(recording,),
        describe=lambda item: describe_block(recording, item[0]),
    )
    for block, (of_recording, of_operation) in zip(blocks, results, strict=True):
        recording.add(of_recording)
        if of_operation:
            operation.tally += of_operation  # type: ignore[attr-defined] # it counts
        if advance is not None:
            advance(block.stop - block.start)
    writer.mark_written(recording.shape[0] - writer.resumed)


@dataclass(frozen=True)
class _ReadAndWrite:
    """Read a block, compute it, and write whole chunks; runs on a worker.

    Parameters
    ----------
    recording
        The input.
    operation
        The computation.
    write
        Function that writes frames to chunks of the output.
    """

    recording: Recording
    operation: Operation
    write: Callable[[int, NDArray[Any]], None]

    def __call__(
        self, item: tuple[Block, tuple[Any, ...]], pool: Executor | None
    ) -> tuple[int, int]:
        """Return the tallies of the recording and of the operation."""
        block, part = item
        recording = counting_copy(self.recording)
        operation = counting_copy(self.operation)
        frames = recording.read(block.start - block.lead, block.stop + block.trail)
        recording.release()
        self.write(block.start, np.ascontiguousarray(operation(frames, block, *part)))
        return recording.tally, operation.tally


class _Identity:
    """Return frames unchanged; for recordings that are computed when they are read."""

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

    If possible, blocks are whole chunks of the output: an incomplete chunk would be
    copied once more while it waits for the rest.
    """
    frames = block_frames or frames_per_block(recording)
    whole = writer.chunk_frames
    fits = scale_to_memory(BLOCK_BYTES) // max(
        1, recording.nbytes // recording.shape[0]
    )
    if block_frames is None and whole <= fits:
        frames = max(whole, frames - frames % whole)
    copy = operation or _Identity()
    run_blocks(recording, writer, copy, block_frames=frames, advance=advance)
