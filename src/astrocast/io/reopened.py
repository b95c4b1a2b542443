"""A recording that holds nothing open between reads, for arrays that outlive any `with`
block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Recording
from astrocast.io.views import as_dask

#: bytes of one lazy chunk: whole frames, few enough to look at one quickly
CHUNK_BYTES = 8 << 20


class ReopenedRecording(Recording):
    """Opens its source for each read and closes it again.

    Parameters
    ----------
    opener
        Opens the source; called once per read, from any thread.
    """

    def __init__(self, opener: Callable[[], Recording]) -> None:
        self.opener = opener
        with opener() as source:
            self.shape, self.dtype, self.metadata = (
                source.shape,
                source.dtype,
                source.metadata,
            )
            self.path, self.loc, self.chunk_frames = (
                source.path,
                source.loc,
                source.chunk_frames,
            )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Open, read and close, see `Recording.read`."""
        with self.opener() as source:
            return source.read(start, stop, rows, columns)


def lazy_array(opener: Callable[[], Recording]) -> Any:
    """Return what ``opener`` opens as a dask array (frame, row, column) that holds no
    file open.
    """
    recording = ReopenedRecording(opener)
    frame_bytes = int(np.prod(recording.shape[1:])) * recording.dtype.itemsize
    depth = max(1, CHUNK_BYTES // frame_bytes)
    depth = max(recording.chunk_frames, depth - depth % recording.chunk_frames)
    return as_dask(recording, (min(depth, recording.shape[0]), *recording.shape[1:]))
