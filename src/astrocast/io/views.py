"""Recordings that are computed from others as they are read, and recordings as dask
arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.io.chunks import check_chunks
from astrocast.io.recording import ALL, Metadata, Recording


class MappedRecording(Recording):
    """Another recording, each frame of which passes through a function that looks at
    that frame alone.

    Parameters
    ----------
    source
        The recording that is read.
    function
        Called with whole frames (frame, row, column); returns as many frames of
        ``shape[1:]`` and ``dtype``.
    frame_shape, dtype, metadata
        What the function makes of them; those of the source when None.
    """

    def __init__(
        self,
        source: Recording,
        function: Callable[[NDArray[Any]], NDArray[Any]],
        *,
        frame_shape: tuple[int, int] | None = None,
        dtype: DTypeLike | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        self.source, self.function = source, function
        rows, columns = frame_shape or source.shape[1:]
        self.shape = (source.shape[0], rows, columns)
        self.dtype = np.dtype(dtype) if dtype is not None else source.dtype
        self.metadata = metadata or source.metadata
        self.path, self.loc, self.chunk_frames = (
            source.path,
            source.loc,
            source.chunk_frames,
        )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return the computed frames, see `Recording.read`."""
        frames = self.function(self.source.read(start, stop))
        return np.ascontiguousarray(frames[:, rows, columns])

    def release(self) -> None:
        """Close files that the next read opens again."""
        self.source.release()

    def close(self) -> None:
        """Close the source."""
        self.source.close()


def as_dask(recording: Recording, chunks: tuple[int, int, int]) -> Any:
    """Return the recording as a lazy dask array (frame, row, column); each chunk is one
    read.
    """
    import dask.array as da

    cut = check_chunks(chunks, recording.shape)

    def load(block_info: Any = None) -> NDArray[Any]:
        (z0, z1), (x0, x1), (y0, y1) = block_info[None]["array-location"]
        return recording.read(z0, z1, slice(x0, x1), slice(y0, y1))

    return da.map_blocks(
        load,
        chunks=da.core.normalize_chunks(cut, recording.shape),
        dtype=recording.dtype,
        meta=np.empty((0, 0, 0), recording.dtype),
    )
