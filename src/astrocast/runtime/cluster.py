"""The same blocks as tasks of a `dask.distributed` cluster that is already connected.

Used when the result goes to a store whose chunks are files of their own (zarr) and the
input can be opened by every worker (zarr as well). Each task owns whole chunks: it
reads its block with the halo, computes, and writes; nothing but a number travels back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import Recording, RecordingWriter

ChunkWriter = Callable[[int, NDArray[Any]], None]


def connected_client() -> Any:
    """Return the client of the user's cluster, or None.

    Imports nothing.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_client()
    except ValueError:  # none is connected
        return None


def can_share(recording: Recording, writer: RecordingWriter) -> bool:
    """Return whether workers can open the input and write the output by themselves."""
    return recording.portable and writer.chunk_writer() is not None


def run_on_cluster(
    client: Any,
    recording: Recording,
    writer: RecordingWriter,
    operation: Any,
    blocks: list[Any],
    advance: Callable[[int], None] | None,
) -> None:
    """Run an operation as one task per block.

    Blocks begin and end at chunks of the writer.
    """
    from distributed import as_completed

    write = writer.chunk_writer()
    assert write is not None
    # the input travels once to each worker, not with every task
    shared = client.scatter((recording, operation, write), broadcast=True, hash=False)
    futures = client.map(_task, blocks, shared=shared, pure=False, retries=1)
    for future in as_completed(futures):
        frames, tally = future.result()
        recording.add(tally)
        if advance is not None:
            advance(frames)
        future.release()
    writer.mark_written(recording.shape[0] - writer.resumed)


def _task(block: Any, shared: tuple[Recording, Any, ChunkWriter]) -> tuple[int, int]:
    """Compute one block on a worker.

    Returns its number of frames, and the counts that the recording made.
    """
    original, operation, write = shared
    # threads of a worker share the original: each task counts by itself
    recording = copy(original)
    recording.tally = 0
    frames = recording.read(block.start - block.lead, block.stop + block.trail)
    result = np.ascontiguousarray(operation(frames, block))
    write(block.start, result)
    return block.stop - block.start, recording.tally
