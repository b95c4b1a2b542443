"""Measure the activity of the whole field, before local events are detected."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.stretch import READ_VOXELS, blocks_of
from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.frame_course import tile_means_of_frames
from astrocast.kernels.frames.frame_judge import FrameJudge
from astrocast.kernels.frames.frame_quality import LEAVE_OUT
from astrocast.kernels.frames.frame_statistics import FrameStatistics, measure_frames
from astrocast.kernels.frames.invalid import fill_or_keep_counts
from astrocast.runtime.blocks import Block, map_blocks
from astrocast.runtime.memory import scale_to_memory

#: most and fewest tiles along a side of the frame, and the most values in memory (tiles
#: x frames): long recordings have fewer tiles
_TILES, _LEAST_TILES, _MOST_VALUES = 20, 5, 8 << 20


@dataclass(frozen=True)
class Field:
    """Mean of each tile of the frame, over a whole recording.

    Parameters
    ----------
    tiles
        float32 (frame, tile), tiles in row-major order.
    side
        Side of a tile, in pixels.
    shape
        Shape of a frame, (row, column).
    bad
        bool (frame,): bad frames (black, saturated, a flash).
    """

    tiles: NDArray[np.float32]
    side: int
    shape: tuple[int, int]
    bad: NDArray[np.bool_]

    @classmethod
    def read(cls, recording: Recording, pool: Executor | None, judge: bool) -> Field:
        """Read a recording once; find bad frames if ``judge`` is True."""
        n, rows, columns = recording.shape
        side = max(1, -(-max(rows, columns) // tiles_along(n)))
        count = -(-rows // side) * -(-columns // side)
        tiles, judged = np.empty((n, count), np.float32), FrameJudge()
        blocks = [
            Block(b.start, b.stop, min(1, b.start), 0)
            for b in blocks_of(recording, 0, n, most=scale_to_memory(READ_VOXELS))
        ]
        for block, (means, measured) in map_blocks(
            recording, MeasureField(side, judge), blocks, pool=pool
        ):
            tiles[block.start : block.stop] = means
            for part in measured:
                judged.add(part)
        bad = np.zeros(n, np.bool_)
        if judge:
            left_out = [f.frame for f in judged.flags() if f.severity >= LEAVE_OUT]
            bad[left_out] = True
        return cls(tiles, side, (rows, columns), bad)

    def interpolate_bad_frames(
        self, bad: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Return the tiles with bad frames interpolated linearly over time."""
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
        """Return the voxels of active tiles, as ascending flat indices in the block.

        Parameters
        ----------
        mask
            (first frame, bool (frame, tile): active tiles from this frame on).
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


@dataclass(frozen=True)
class MeasureField:
    """Measure tile means and frame statistics of a block; a task for `map_blocks`.

    Parameters
    ----------
    side
        Side of a tile, in pixels.
    judge
        Whether to measure the statistics that identify bad frames.
    """

    side: int
    judge: bool

    def __call__(
        self, frames: NDArray[Any], block: Block, pool: Executor | None
    ) -> tuple[NDArray[np.float32], list[FrameStatistics]]:
        """Return means, (frame, tile), and statistics of the block's own frames."""
        own = frames[block.inner]
        means = tile_means_of_frames(fill_or_keep_counts(own)[0], self.side, pool)
        return means, _measure_frames(frames, block.lead, pool) if self.judge else []


def tiles_along(n_frames: int) -> int:
    """Return the number of tiles along a side of the frame, for a number of frames.

    Examples
    --------
    >>> tiles_along(20_000), tiles_along(1_000_000)
    (20, 5)
    """
    fits = int((_MOST_VALUES / max(n_frames, 1)) ** 0.5)
    return min(max(fits, _LEAST_TILES), _TILES)


def _measure_frames(
    frames: NDArray[Any], lead: int, pool: Executor | None
) -> list[FrameStatistics]:
    """Return the statistics of the frames from ``lead`` on, one part per thread."""
    pieces = getattr(pool, "_max_workers", 1) if pool is not None else 1
    n = len(frames)
    cuts = [lead + (n - lead) * i // pieces for i in range(pieces + 1)]
    spans = [(a, b) for a, b in pairwise(cuts) if b > a]

    def measure(span: tuple[int, int]) -> FrameStatistics:
        a, b = span
        return measure_frames(frames[a:b], frames[a - 1] if a else None)

    return list(map(measure, spans) if pool is None else pool.map(measure, spans))
