"""Recordings of the signal above a background, each computed as it is read or streamed from first frame to last."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.recording import ALL, Recording, RecordingWriter
from astrocast.kernels.baseline import two_sided_minimum
from astrocast.runtime.blocks import Block, run_blocks
from astrocast.settings.delta import DeltaSettings


class BaselineRecording(Recording):
    """The corrected recording, float32."""

    def __init__(self, source: Recording, settings: DeltaSettings) -> None:
        self.source, self.settings = source, settings
        self.shape, self.dtype = source.shape, np.dtype(np.float32)
        self.metadata, self.path, self.loc, self.chunk_frames = (
            source.metadata, source.path, source.loc, source.chunk_frames,
        )  # fmt: skip
        self.floored = 0
        self._lock = threading.Lock()

    def count(self, floored: int) -> None:
        """Add to the number of floored voxels."""
        with self._lock:
            self.floored += floored

    @abstractmethod
    def stream(self, writer: RecordingWriter, advance: Callable[[int], None]) -> None:
        """Write all frames in order with bounded memory."""

    def close(self) -> None:
        """Close the source."""
        self.source.close()


class HaloBaseline(BaselineRecording):
    """A background that frames within a halo on either side decide."""

    def __init__(self, source: Recording, settings: DeltaSettings) -> None:
        super().__init__(source, settings)
        #: one frame more behind, where frame 0 becomes frame 1
        self.halo = (settings.window, settings.window + 1)

    def kernel(self, frames: NDArray[Any], inner: slice) -> tuple[NDArray[np.float32], int]:
        """Return the result for ``frames[inner]`` and the number of floored voxels."""
        s = self.settings
        return two_sided_minimum(frames, s.window, s.method, inner=inner, floor=s.floor)

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[np.float32]:
        """Return the result for a block, see `astrocast.runtime.blocks.Operation`."""
        check_finite(frames[block.inner], block.start)
        inner = block.inner
        first = block.start == 0 and self.settings.overwrite_first_frame
        if first and block.stop == 1:  # a block of frame 0 alone still needs frame 1
            inner = slice(inner.start, inner.stop + 1)
        result, floored = self.kernel(frames, inner)
        self.count(floored)
        if first:
            result[0] = result[1]
        return result[: block.stop - block.start]

    def read(self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL) -> NDArray[Any]:
        """Return corrected frames, see `Recording.read`."""
        lead = min(self.halo[0], start)
        trail = min(self.halo[1], self.shape[0] - stop)
        frames = self.source.read(start - lead, stop + trail, rows, columns)
        return self(frames, Block(start, stop, lead, trail))

    def stream(self, writer: RecordingWriter, advance: Callable[[int], None]) -> None:
        """Write all frames, block by block."""
        self.floored = 0
        run_blocks(self.source, writer, self, advance=advance)


def check_finite(frames: NDArray[Any], first: int) -> None:
    """Refuse NaN and infinity, of which no minimum can be taken."""
    if frames.dtype.kind != "f" or np.isfinite(frames.sum(dtype=np.float64)):
        return
    bad = ~np.isfinite(frames)
    frame = first + int(np.flatnonzero(bad.any(axis=(1, 2)))[0]) if bad.any() else first
    raise InvalidValueError(
        f"{int(bad.sum())} values are NaN or infinite, the first in frame {frame}; a background needs finite numbers: "
        "replace them (for example with numpy.nan_to_num) or cut them off"
    )


def baseline_recording(source: Recording, settings: DeltaSettings) -> BaselineRecording:
    """Return the corrected recording that the settings ask for."""
    return HaloBaseline(source, settings)
