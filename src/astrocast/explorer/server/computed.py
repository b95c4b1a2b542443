"""Layers that are computed when they are shown: dF and dF/F."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Recording
from astrocast.io.views import DerivedRecording

#: number of frames, at equal distances, for the quick baseline
SAMPLE_FRAMES = 100
#: percentile of each pixel over these frames
QUICK_PERCENTILE = 20.0
#: for parts smaller than this fraction of the frame, only their background is computed
SMALL_PART = 0.02


class RelativeChange(DerivedRecording):
    """DF/F of a run: its dF divided by its background, which is F minus dF.

    Parameters
    ----------
    difference, source
        DF and the movie it was computed from, of one shape.
    floor
        Smallest divisor, in units of the movie.
    """

    def __init__(self, difference: Recording, source: Recording, floor: float) -> None:
        super().__init__(source, dtype=np.float32)
        self.difference, self.floor = difference, floor
        #: counts in the dark that are still in the movie
        self.offset = 0.0
        self.chunk_frames = difference.chunk_frames

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return dF/F, see `Recording.read`."""
        change = self.difference.read(start, stop, rows, columns).astype(np.float32)
        movie = self.source.read(start, stop, rows, columns)
        background = np.subtract(movie, change, dtype=np.float32)
        light = background - np.float32(self.offset)
        return change / np.maximum(light, np.float32(self.floor))

    def release(self) -> None:
        """Close files that the next read opens again."""
        self.source.release()
        self.difference.release()


class QuickChange(DerivedRecording):
    """DF or dF/F above one background image, for a first view without a run.

    The background is the 20th percentile of each pixel in 100 frames spread evenly. So
    the effect of bleaching remains; a run estimates a background that follows it.

    Parameters
    ----------
    source
        The movie.
    relative
        Whether to divide by the background.
    floor
        Smallest divisor.
    """

    def __init__(self, source: Recording, relative: bool, floor: float = 1.0) -> None:
        super().__init__(source, dtype=np.float32)
        self.relative, self.floor = relative, floor
        #: counts in the dark that are still in the movie
        self.offset = 0.0
        self._lock = threading.Lock()
        self._background: NDArray[np.float32] | None = None

    def background(self) -> NDArray[np.float32]:
        """Return the background image, (row, column), computed once."""
        with self._lock:
            if self._background is None:
                self._background = self._estimate(ALL, ALL)
            return self._background

    def _estimate(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return the background of a part of the frame, float32 (row, column)."""
        frames = self.source.shape[0]
        chosen = np.unique(np.linspace(0, frames - 1, SAMPLE_FRAMES, dtype=int))
        parts = [self.source.read(t, t + 1, rows, columns)[0] for t in chosen]
        sample = np.stack(parts, axis=-1)
        if np.isnan(sample).any():
            low = np.nanpercentile(sample, QUICK_PERCENTILE, axis=-1)
        else:  # many times faster
            low = np.percentile(sample, QUICK_PERCENTILE, axis=-1)
        return np.asarray(low, np.float32)

    def _below(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return the background of a part; of a small one without the rest."""
        height, width = self.source.shape[1:]
        area = len(range(height)[rows]) * len(range(width)[columns])
        if self._background is None and area < SMALL_PART * height * width:
            return self._estimate(rows, columns)
        return self.background()[rows, columns]

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return dF or dF/F, see `Recording.read`."""
        below = self._below(rows, columns)
        change = self.source.read(start, stop, rows, columns).astype(np.float32) - below
        if not self.relative:
            return change
        return change / np.maximum(below - np.float32(self.offset), self.floor)
