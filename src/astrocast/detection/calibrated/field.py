"""What the whole field does: read once, before events are looked for in places."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.stretch import blocks_of
from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.frame_course import tile_means_of_frames
from astrocast.kernels.frames.invalid import fill_invalid
from astrocast.runtime.blocks import read_blocks

#: most tiles along a side of the frame: their courses are held in memory
_TILES = 20


@dataclass(frozen=True)
class Field:
    """Means of tiles over a whole recording.

    Parameters
    ----------
    tiles
        (frame, tile), float32, tiles row after row.
    side
        Of a tile, in pixels.
    shape
        Of a frame, (row, column).
    """

    tiles: NDArray[np.float32]
    side: int
    shape: tuple[int, int]

    @classmethod
    def read(cls, recording: Recording, pool: Executor | None) -> Field:
        """Read a recording once."""
        n, rows, columns = recording.shape
        side = max(1, -(-max(rows, columns) // _TILES))
        parts = [
            tile_means_of_frames(fill_invalid(frames)[0], side, pool)
            for _, frames in read_blocks(recording, blocks_of(recording, 0, n))
        ]
        return cls(np.concatenate(parts), side, (rows, columns))

    def without(self, bad: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return the tiles with those of bad frames interpolated in time."""
        if bad is None or not bad.any() or bad.all():
            return self.tiles
        good = np.flatnonzero(~bad)
        out = self.tiles.copy()
        at = np.flatnonzero(bad)
        after = np.clip(np.searchsorted(good, at), 0, len(good) - 1)
        before = good[np.maximum(after - 1, 0)]
        following = good[after]
        share = np.clip((at - before) / np.maximum(following - before, 1), 0, 1)
        low, high = self.tiles[before], self.tiles[following]
        out[at] = low + share[:, None].astype(np.float32) * (high - low)
        return out

    def voxels(
        self, mask: tuple[int, NDArray[np.bool_]], start: int, stop: int
    ) -> NDArray[np.int64]:
        """Return the voxels of tiles in a block, flat indices in the block, ascending.

        Parameters
        ----------
        mask
            First frame, and tiles in each frame, (frame, tile).
        start, stop
            Frames of the block.
        """
        first, of_frame = mask
        a, b = max(first, start), min(first + len(of_frame), stop)
        if a >= b:
            return np.empty(0, np.int64)
        rows, columns = self.shape
        high, wide = -(-rows // self.side), -(-columns // self.side)
        part = of_frame[a - first : b - first].reshape(-1, high, wide)
        pixels: Any = part.repeat(self.side, axis=1).repeat(self.side, axis=2)
        at = np.flatnonzero(pixels[:, :rows, :columns])
        return np.asarray(at + (a - start) * rows * columns, np.int64)
