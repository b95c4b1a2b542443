"""Denoise by SVD of small patches: find the patterns and project block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidConditionError
from astrocast.io import Recording
from astrocast.kernels.denoising.patch_moments import Moments, patch_windows
from astrocast.kernels.denoising.svd_denoise import (
    Patterns,
    find_patterns,
    project,
    stack_bands,
)
from astrocast.kernels.frames.convert import saturate
from astrocast.runtime.blocks import Block, plan_blocks
from astrocast.runtime.progress import track

#: bytes of covariances in memory; larger frames are divided into bands of rows
_COVARIANCE_BYTES = 256 << 20
_FRAMES = 128
#: with fewer bins, patterns cannot be separated from noise
_FEWEST_BINS = 8


@dataclass
class ProjectFrames:
    """Project frames on the patterns of each patch; an operation for `run_blocks`."""

    patterns: Patterns
    dtype: np.dtype[Any]
    halo: tuple[int, int] = (0, 0)

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return the denoised frames."""
        denoised = project(frames.astype(np.float32, copy=False), self.patterns)
        return saturate(denoised, self.dtype)[0]


def learn_patterns(
    recording: Recording, patch: int, bin_frames: int, seed: int
) -> Patterns:
    """Return the patterns of all patches of a recording.

    Parameters
    ----------
    recording
        At least 16 frames.
    patch
        Side of a patch in pixels.
    bin_frames
        Frames averaged before the SVD; fewer if the recording is short.
    seed
        Seed of the start vectors.
    """
    if recording.shape[0] < 2 * _FEWEST_BINS:
        raise InvalidConditionError(
            f"the recording has {recording.shape[0]} frames; "
            f"method 'svd' needs at least {2 * _FEWEST_BINS}"
        )
    bin_frames = max(1, min(bin_frames, recording.shape[0] // _FEWEST_BINS))
    patch = min(patch, *recording.shape[1:])
    boxes, windows = patch_windows(recording.shape[1:], patch)
    bands = []
    with track("find patterns", len(boxes), "patches") as advance:
        for band in _plan_bands(boxes):
            top, bottom = int(boxes[band, 0].min()), int(boxes[band, 1].max())
            local = boxes[band] - np.array([top, top, 0, 0], np.int32)
            moments = _sum_band(recording, slice(top, bottom), local, bin_frames)
            bands.append((top, find_patterns(moments, windows[band], seed)))
            advance(len(local))
    return stack_bands(bands, recording.shape[1:])


def _sum_band(
    recording: Recording, rows: slice, boxes: NDArray[np.int32], bin_frames: int
) -> Moments:
    """Return the moments over the recording for the patches of a band of rows."""
    reference = (
        recording.read(0, min(64, recording.shape[0]), rows)
        .mean(0, dtype=np.float64)
        .astype(np.float32)
    )
    moments = Moments(reference, boxes, bin_frames)
    for block in plan_blocks(recording.shape[0], _FRAMES):
        moments.add(
            recording.read(block.start, block.stop, rows).astype(np.float32, copy=False)
        )
    return moments


def _plan_bands(boxes: NDArray[np.int32]) -> Iterator[slice]:
    """Yield slices of patches (sorted by row) whose covariances fit into memory.

    Patches that begin in the same row are in the same slice.
    """
    bytes_of = (
        4
        * ((boxes[:, 1] - boxes[:, 0]).astype(np.int64) * (boxes[:, 3] - boxes[:, 2]))
        ** 2
    )
    first, used = 0, 0
    for i in range(len(boxes)):
        new_row = i > 0 and boxes[i, 0] != boxes[i - 1, 0]
        if (
            new_row
            and used + int(bytes_of[i : i + (boxes[:, 0] == boxes[i, 0]).sum()].sum())
            > _COVARIANCE_BYTES
        ):
            yield slice(first, i)
            first, used = i, 0
        used += int(bytes_of[i])
    yield slice(first, len(boxes))
