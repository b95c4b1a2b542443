"""Draw random training patches from one recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.denoising.items import Window
from astrocast.io import Recording
from astrocast.kernels.denoising.scaling import Scaling

Array = NDArray[np.float32]

#: bytes of normalised frames in memory for training; more frames do not improve the
#: result of a few minutes
_POOL_BYTES = 384 << 20


@dataclass(frozen=True)
class TrainingPool:
    """Normalised frames from which random patches are drawn.

    Parameters
    ----------
    runs
        Consecutive frames, each float32 (frame, row, column), at least as long as the
        window.
    window
        Context frames of a target.
    patch
        Side of a patch in pixels, (row, column).
    """

    runs: list[Array]
    window: Window
    patch: tuple[int, int]

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return random items, float32: context and target.

        Context: (item, row, column, frame), target: (item, row, column, 1). Items are
        rotated and flipped at random, and reversed in time if the window is symmetric.
        All patches have the same probability: a higher probability for active patches
        did not improve the result, see ``docs/algorithms/denoising.md``.
        """
        rows, columns = self.patch
        x = np.empty((count, rows, columns, self.window.channels), np.float32)
        y = np.empty((count, rows, columns, 1), np.float32)
        targets = np.array(
            [len(r) - self.window.length + 1 for r in self.runs], np.float64
        )
        for i in range(count):
            run = self.runs[rng.choice(len(self.runs), p=targets / targets.sum())]
            frames = self._augment(self._cut(run, rng), rng)
            x[i] = np.moveaxis(frames[self.window.offsets], 0, -1)
            y[i, ..., 0] = frames[self.window.halo[0]]
        return x, y

    def _cut(self, run: Array, rng: np.random.Generator) -> Array:
        """Return a random window and patch, (frame, row, column)."""
        start = rng.integers(len(run) - self.window.length + 1)
        top = rng.integers(run.shape[1] - self.patch[0] + 1)
        left = rng.integers(run.shape[2] - self.patch[1] + 1)
        return run[
            start : start + self.window.length,
            top : top + self.patch[0],
            left : left + self.patch[1],
        ]

    def _augment(self, frames: Array, rng: np.random.Generator) -> Array:
        """Return frames rotated, flipped and reversed at random."""
        square = self.patch[0] == self.patch[1]
        frames = np.rot90(
            frames, int(rng.integers(4) if square else 2 * rng.integers(2)), (1, 2)
        )
        if rng.random() < 0.5:
            frames = frames[:, ::-1]
        if (
            self.window.halo[0] == self.window.halo[1]
            and self.window.context[0] == self.window.context[1]
        ):
            frames = frames[::-1] if rng.random() < 0.5 else frames
        return frames


def load_pool(
    recording: Recording, scaling: Scaling, window: Window, patch: int, align: int
) -> TrainingPool:
    """Read the frames for training.

    All frames of the recording; if it is too large, evenly spread groups of frames. The
    sides of patches are multiples of ``align``.
    """
    sides: Any = tuple(
        min(patch, length) // align * align for length in recording.shape[1:]
    )
    per_frame = 4 * recording.shape[1] * recording.shape[2]
    affordable = max(_POOL_BYTES // per_frame, 2 * window.length)
    n_frames = recording.shape[0]
    if n_frames <= affordable:
        return TrainingPool([scaling.apply(recording.to_array())], window, sides)
    length = min(4 * window.length, affordable)
    starts = np.linspace(0, n_frames - length, affordable // length).astype(int)
    return TrainingPool(
        [scaling.apply(recording.read(int(s), int(s) + length)) for s in starts],
        window,
        sides,
    )
