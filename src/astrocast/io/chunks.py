"""Shapes of the chunks in which a recording is stored."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from astrocast.errors import InvalidValueError

ChunkStrategy = Literal["balanced", "XY", "Z"]
#: bytes of a chunk: large enough for a small overhead, small enough for the cache of a
#: processor and for a browser
TARGET_BYTES = 1 << 20
#: a writer stores frames in memory until a chunk is full: at most this many bytes
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
        dtype of the recording.
    strategy
        ``balanced``: powers of two on all axes, for access to frames and to time
        courses; fewer frames if frames are large (`SLAB_BYTES`). ``XY``: a few whole
        frames, for access frame by frame; like ``balanced`` if frames are large
        (`WHOLE_BYTES`). ``Z``: all frames of a small square, for access pixel by pixel.
    target_bytes
        Desired size of a chunk.
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
        # double the shortest axis that can still be doubled
        growable = [a for a in range(3) if chunk[a] * 2 <= max(room[a], 1)]
        if not growable or 2 * int(np.prod(chunk)) > voxels:
            return chunk[0], chunk[1], chunk[2]
        axis = min(growable, key=lambda a: chunk[a])
        chunk[axis] *= 2


def check_chunks(
    chunks: tuple[int, int, int], shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Return ``chunks`` clipped to ``shape``; they have to be positive integers."""
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
