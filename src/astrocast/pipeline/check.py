"""Check before a run that the input is a usable movie."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.recording import Recording
from astrocast.runtime.blocks import (
    Block,
    frames_per_block,
    map_blocks,
    plan_blocks,
)
from astrocast.runtime.progress import track
from astrocast.runtime.provenance import ContentHash, describe_input, hash_frames
from astrocast.runtime.stage_input import LARGEST_VALUE
from astrocast.runtime.threads import worker_threads

#: an event needs at least a baseline, a rise, a peak, a decay and a baseline
MIN_FRAMES = 5


def check_recording(
    recording: Recording, *, allow_invalid: bool = False
) -> dict[str, Any]:
    """Read the recording once and check it; return its description.

    The description contains path, shape, dtype, metadata and content hash.
    ``allow_invalid``: accept NaN and infinity, because the conversion replaces them.

    Raises
    ------
    InvalidValueError
        The recording is too short, constant, or contains invalid or too large values.
    """
    name = str(recording.path or "the recording")
    frames = recording.shape[0]
    if frames < MIN_FRAMES:
        raise InvalidValueError(
            f"{name} has {frames} frame{'s' if frames > 1 else ''} of"
            f" {recording.shape[1]} x {recording.shape[2]} pixels; events need at least"
            f" {MIN_FRAMES} frames. Check that the whole movie was exported"
        )
    digest = ContentHash(recording)
    low, high, bad, first_bad = np.inf, -np.inf, 0, -1
    blocks = list(plan_blocks(frames, frames_per_block(recording)))
    with track("check", frames) as advance, worker_threads("check") as pool:
        for block, (hashes, lowest, highest, wrong, frame) in map_blocks(
            recording, check_block, blocks, pool=pool
        ):
            digest.add(hashes)
            bad += wrong
            first_bad = block.start + frame if wrong and first_bad < 0 else first_bad
            low, high = min(low, lowest), max(high, highest)
            advance(block.stop - block.start)
    if bad and not allow_invalid:
        raise InvalidValueError(
            f"{name} has {bad} voxels that are NaN or infinite, the first in frame"
            f" {first_bad}; motion correction and bleach correction need finite values."
            " Fill them (conversion.nan_border=fill), crop a border of NaN"
            " (conversion.nan_border=crop), or save the recording without these frames"
        )
    if low > high:
        raise InvalidValueError(
            f"{name} contains no finite value: every voxel is NaN or infinite. Check"
            " the export"
        )
    if max(abs(low), abs(high)) > LARGEST_VALUE:
        raise InvalidValueError(
            f"{name} has values from {low:g} to {high:g}; the squares of values above"
            f" {LARGEST_VALUE:g} are too large for float32. Check the export, or divide"
            " the recording by a constant"
        )
    if low == high:
        raise InvalidValueError(
            f"{name} is constant: every voxel is {low:g}, so no event can be detected."
            " Check the export"
        )
    return describe_input(recording, digest.hexdigest())


def check_block(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> tuple[bytes, float, float, int, int]:
    """Return (hashes, lowest, highest, number of invalid voxels, first bad frame).

    Lowest and highest are those of the finite values; inf and -inf without any. The
    first bad frame is counted in the block; -1 if there is none.
    """
    wrong = _count_invalid(frames) if frames.dtype.kind == "f" else (0, -1)
    values = frames[np.isfinite(frames)] if wrong[0] else frames
    lowest = float(np.min(values)) if values.size else np.inf
    highest = float(np.max(values)) if values.size else -np.inf
    return hash_frames(frames, pool), lowest, highest, *wrong


def _count_invalid(block: NDArray[Any]) -> tuple[int, int]:
    """Return the number of voxels that are not finite, and the first frame with one."""
    wrong = ~np.isfinite(block)
    per_frame = wrong.reshape(len(block), -1).any(axis=1)
    return int(wrong.sum()), int(per_frame.argmax()) if per_frame.any() else -1
