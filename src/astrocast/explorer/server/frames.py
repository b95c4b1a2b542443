"""Frames for the screen: cached blocks, contrast, projections, traces."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.kernels.frames.contrast import map_contrast_small
from astrocast.kernels.frames.projections import Projections, project

#: largest size of the decoded blocks in memory, in bytes
CACHE_BYTES = 256 << 20
#: largest number of frames in a decoded block
BLOCK_FRAMES = 32
#: number of frames that determine the contrast of a layer
CONTRAST_FRAMES = 12
#: percentiles that are shown as black and as white at the start
PERCENTILES = (0.5, 99.8)

ProjectionName = Literal["mean", "max", "std"]


class FrameCache:
    """The latest decoded blocks of all layers; may be used by several threads."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self.limit = limit
        self._blocks: OrderedDict[tuple[str, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = 0
        self._version = 0
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="astrocast-ahead")

    def frames(
        self, key: str, movie: Recording, start: int, count: int
    ) -> NDArray[Any]:
        """Return ``count`` frames from ``start``; fewer at the end of the movie."""
        stop = min(start + count, movie.shape[0])
        depth = block_depth(movie)
        first, last = start // depth, (stop - 1) // depth
        parts = [self._block(key, movie, i) for i in range(first, last + 1)]
        if (last + 1) * depth < movie.shape[0]:
            self._ahead.submit(self._block, key, movie, last + 1)
        if len(parts) == 1:
            return parts[0][start - first * depth : stop - first * depth]
        return np.concatenate(parts)[start - first * depth : stop - first * depth]

    def _block(self, key: str, movie: Recording, index: int) -> NDArray[Any]:
        with self._lock:
            found = self._blocks.get((key, index))
            if found is not None:
                self._blocks.move_to_end((key, index))
                return found
            version = self._version
        depth = block_depth(movie)
        block = movie.read(index * depth, min((index + 1) * depth, movie.shape[0]))
        with self._lock:
            if version != self._version:
                return block  # the layer changed meanwhile
            if (key, index) not in self._blocks:
                self._blocks[key, index] = block
                self._bytes += block.nbytes
            while self._bytes > self.limit and len(self._blocks) > 1:
                self._bytes -= self._blocks.popitem(last=False)[1].nbytes
        return block

    def clear(self) -> None:
        """Remove all blocks, because the content of layers changed."""
        with self._lock:
            self._blocks.clear()
            self._bytes = 0
            self._version += 1

    def close(self) -> None:
        """Stop reading ahead."""
        self._ahead.shutdown(cancel_futures=True)


def block_depth(movie: Recording) -> int:
    """Return the number of frames decoded together: a chunk, or part of a large one."""
    frame_bytes = max(1, int(np.prod(movie.shape[1:])) * movie.dtype.itemsize)
    most = max(1, CACHE_BYTES // 8 // frame_bytes)
    return max(1, min(movie.chunk_frames, BLOCK_FRAMES, most))


def warm_up(movie: Recording) -> None:
    """Load the compiled kernels that show a movie."""
    for kind in {movie.dtype, np.dtype(np.float32)}:
        for step in (1, 2):
            map_contrast_small(np.zeros((1, 2, 2), kind), 0.0, 1.0, step)


class LayerStatistics:
    """Contrast and histogram of a sample of frames, computed once."""

    def __init__(self, movie: Recording) -> None:
        frames = movie.shape[0]
        chosen = np.unique(np.linspace(0, frames - 1, CONTRAST_FRAMES, dtype=int))
        step = max(1, int(np.sqrt(np.prod(movie.shape[1:]) / 65536)))
        sample = np.concatenate(
            [movie.read(t, t + 1)[:, ::step, ::step].ravel() for t in chosen]
        ).astype(np.float32)
        sample = sample[np.isfinite(sample)]
        if not sample.size:
            sample = np.zeros(1, np.float32)
        low, high = (float(v) for v in np.percentile(sample, PERCENTILES))
        self.low, self.high = low, high if high > low else low + 1.0
        self.least, self.most = float(sample.min()), float(sample.max())
        ends = np.percentile(sample, (0.01, 99.99))
        counts, edges = np.histogram(
            sample, 96, (ends[0], max(ends[1], ends[0] + 1e-6))
        )
        self.counts, self.edges = counts, edges
        self._sample = np.sort(sample)

    def percentile(self, values: tuple[float, float]) -> tuple[float, float]:
        """Return the signal at two percentiles of the sample."""
        low, high = np.percentile(self._sample, values)
        return float(low), float(high if high > low else low + 1.0)


def project_movie(movie: Recording, frames: int = 64) -> Projections:
    """Return mean, maximum and spread of a movie, reading it block by block."""
    total: Projections | None = None
    for _, block in movie.blocks(frames):
        part = project(block)
        total = part if total is None else total.merge(part)
    if total is None:
        raise ValueError("a movie has at least one frame")
    return total


def mean_trace(
    movie: Recording, pixels: NDArray[np.int64], frames: int = 128
) -> NDArray[np.float32]:
    """Return the mean over ``pixels`` in every frame of a movie.

    Parameters
    ----------
    movie
        (frame, row, column).
    pixels
        int64 (pixels, 2): row and column.
    frames
        Frames that are read together.

    Returns
    -------
    numpy.ndarray
        float32 (frames,); NaN for frames in which all pixels are NaN.
    """
    top, left = pixels.min(axis=0)
    bottom, right = pixels.max(axis=0) + 1
    rows, columns = pixels[:, 0] - top, pixels[:, 1] - left
    out = np.empty(movie.shape[0], np.float32)
    for start in range(0, movie.shape[0], frames):
        stop = min(start + frames, movie.shape[0])
        block = movie.read(start, stop, slice(top, bottom), slice(left, right))
        values = block[:, rows, columns].astype(np.float64)
        count = np.isfinite(values).sum(axis=1)
        total = np.where(np.isfinite(values), values, 0.0).sum(axis=1)
        out[start:stop] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out
