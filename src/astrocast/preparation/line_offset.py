"""Align the odd lines of a bidirectional scan with the even lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Recording
from astrocast.io.views import DerivedRecording
from astrocast.kernels.registration.bidirectional import (
    LineOffset,
    find_line_offset,
    move_odd_lines,
)

#: the offset is estimated from RUNS means of RUN_FRAMES consecutive frames each
RUNS, RUN_FRAMES = 8, 8


class LineAlignedRecording(DerivedRecording):
    """A recording whose odd lines are moved back when it is read, float32.

    If the dtype of the source is unsigned, the result has no negative values.

    Parameters
    ----------
    source
        The recording with displaced lines.
    pixels
        Displacement of its odd lines in pixels, positive to the right.
    """

    def __init__(self, source: Recording, pixels: float) -> None:
        super().__init__(source, dtype=np.float32)
        self.pixels = pixels

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        frames = self.source.read(start, stop, rows)
        first_row = rows.indices(self.shape[1])[0]
        moved = move_odd_lines(frames, self.pixels, first_row)
        if self.source.dtype.kind in "bu":
            np.maximum(moved, 0, out=moved)
        return np.ascontiguousarray(moved[:, :, columns])


def estimate_line_offset(recording: Recording) -> LineOffset:
    """Return the displacement of the odd lines, from means of consecutive frames."""
    frames = len(recording)
    runs = min(RUNS, max(1, frames // RUN_FRAMES))
    starts = np.linspace(0, max(0, frames - RUN_FRAMES), runs).astype(int)
    means = [
        recording.read(int(start), min(frames, int(start) + RUN_FRAMES)).mean(
            axis=0, dtype=np.float64
        )
        for start in starts
    ]
    return find_line_offset(np.stack(means))


def choose_line_offset(recording: Recording, bidi: float | str) -> float:
    """Return the displacement of the odd lines to correct, in pixels.

    ``bidi`` is a number, "off" (0), or "auto": the estimate if it is significant,
    otherwise 0.
    """
    if bidi == "off":
        return 0.0
    if bidi == "auto":
        found = estimate_line_offset(recording)
        return found.pixels if found.is_significant else 0.0
    return float(bidi)


def align_lines(recording: Recording, pixels: float) -> Recording:
    """Return the recording with aligned lines; unchanged if ``pixels`` is 0."""
    return LineAlignedRecording(recording, pixels) if pixels else recording
