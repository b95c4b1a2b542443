"""Shapes of chunks: how a recording is cut for storage."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from astrocast.errors import InvalidValueError

ChunkStrategy = Literal["balanced", "XY", "Z"]
#: large enough that a chunk's overhead is small, small enough for the caches and for a
#: browser
TARGET_BYTES = 1 << 20
#: a writer holds the frames of a chunk until it is full: at most so many bytes of them
SLAB_BYTES = 256 << 20
#: a larger frame is stored in parts: stages need many frames of a part at a time
WHOLE_BYTES = 24 << 20


def infer_chunks(
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    strategy: ChunkStrategy = "balanced",
    target_bytes: int = TARGET_BYTES,
) -> tuple[int, int, int]:
    """Return a chunk shape (frames, rows, columns) of about ``target_bytes``.

    Parameters
    ----------
    shape
        Shape of the recording.
    dtype
        Its dtype.
    strategy
        ``balanced``: powers of two on all axes, for stages that need frames as well as
        time courses; few frames where a frame is large (`SLAB_BYTES`). ``XY``: whole
        frames, few of them, for reading frame by frame; as ``balanced`` where a frame
        is large (`WHOLE_BYTES`). ``Z``: whole time courses of a
        small square patch, for work per pixel.
    target_bytes
        Size to aim for.
    """
    if strategy not in get_args(ChunkStrategy):
        raise InvalidValueError(
            f"chunk_strategy is {strategy!r}; choose one of"
            f" {', '.join(get_args(ChunkStrategy))}"
        )
    voxels = max(1, target_bytes // dtype.itemsize)
    frames, rows, columns = shape
    is_wide = rows * columns * dtype.itemsize > WHOLE_BYTES
    if strategy == "XY" and not is_wide:
        return min(frames, max(1, voxels // (rows * columns))), rows, columns
    if strategy == "Z":
        side = max(1, int((voxels / frames) ** 0.5))
        return frames, min(rows, side), min(columns, side)
    chunk = [1, 1, 1]
    deepest = max(1, SLAB_BYTES // (rows * columns * dtype.itemsize))
    room = (min(frames, deepest), rows, columns)
    while True:
        # grow the smallest axis that still has room
        growable = [a for a in range(3) if chunk[a] * 2 <= max(room[a], 1)]
        if not growable or 2 * int(np.prod(chunk)) > voxels:
            return chunk[0], chunk[1], chunk[2]
        axis = min(growable, key=lambda a: chunk[a])
        chunk[axis] *= 2


def check_chunks(
    chunks: tuple[int, int, int], shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Return ``chunks`` clipped to ``shape``; expects three positive integers."""
    if len(chunks) != 3 or any(int(c) != c or c < 1 for c in chunks):
        raise InvalidValueError(
            f"chunks is {chunks!r}; expected three positive integers (frames, rows,"
            " columns)"
        )
    return (
        min(int(chunks[0]), shape[0]),
        min(int(chunks[1]), shape[1]),
        min(int(chunks[2]), shape[2]),
    )
