"""Move frames back: the operation, the size of blocks, the summary, the storage."""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.io import open_recording
from astrocast.io.recording import Recording
from astrocast.io.stores.frame_quality import LEAVE_OUT, write_frame_quality
from astrocast.io.stores.registration_store import (
    Registration,
    registration_place,
    write_registration,
)
from astrocast.io.writing.resume import Resume
from astrocast.kernels.registration import jax_engine
from astrocast.kernels.registration.engine import OutputConversion, correct, estimate
from astrocast.preparation.motion_estimate import (
    ALGORITHM_VERSION,
    EstimateBlock,
    Motion,
)
from astrocast.runtime.blocks import Block, frames_per_block
from astrocast.runtime.fingerprint import fingerprint
from astrocast.settings.motion import MotionSettings

#: at least this many frames, and about this many bytes of result, are moved at a time
MOVED_FRAMES = 8
MOVED_BYTES = 8 << 20

#: the summary warns if the crispness after / before falls below this ratio
LESS_CRISP = 0.99


class MoveBack:
    """Move the frames of a block back; an operation for `run_blocks`.

    Parameters
    ----------
    motion
        Shifts of all frames.
    finish
        Offset and dtype of the corrected values.
    pool
        Threads that share the work.
    """

    halo = (0, 0)

    def __init__(
        self, motion: Motion, finish: OutputConversion, pool: Executor | None
    ) -> None:
        self.model, self.finish, self.pool = motion.model, finish, pool
        self.shifts, self.fields = motion.shifts, motion.fields

    def __getstate__(self) -> dict[str, Any]:
        """Return the state that every task needs; the shifts are sent per block."""
        return {"model": self.model, "finish": self.finish, "pool": None}

    def part_of(self, block: Block) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the shifts and fields of a block."""
        own = slice(block.start, block.stop)
        return self.shifts[own], self.fields[own]

    def __call__(
        self, frames: NDArray[Any], block: Block, part: Any = None
    ) -> NDArray[Any]:
        """Return the frames of the block, moved back; ``part``: see `part_of`."""
        shifts, fields = part or self.part_of(block)
        return correct(
            frames[block.inner], shifts, fields, self.model, self.finish, self.pool
        )


def frames_moved(recording: Recording, depth: int) -> int:
    """Return the number of frames that are moved back at a time.

    A small number, so that their memory is reused; but whole chunks of the recording
    and at least one chunk of the target (``depth`` frames), if a block can hold them.
    """
    frames = max(
        MOVED_FRAMES,
        MOVED_BYTES // (4 * recording.shape[1] * recording.shape[2]),
        depth,
    )
    whole = -(-frames // recording.chunk_frames) * recording.chunk_frames
    return min(whole, frames_per_block(recording))


def open_journal(motion: Motion, recording: Recording, target: str) -> Resume:
    """Return the journal from which an interrupted `save` continues.

    ``target``: text that identifies the output: path, dataset and dtype.
    """
    assert motion.block_folder is not None
    # three frames identify the recording
    frames = sorted({0, len(recording) // 2, len(recording) - 1})
    key = fingerprint(
        ALGORITHM_VERSION,
        [target, motion.offset],
        motion.shifts,
        motion.fields,
        *(recording.read(frame, frame + 1) for frame in frames),
    )
    motion.block_folder.mkdir(parents=True, exist_ok=True)
    return Resume(motion.block_folder / f"save-{key[:16]}.json", key)


def open_in_stack(stack: ExitStack, source: Any, loc: str | None) -> Recording:
    """Open a recording that the stack closes; an open `Recording` stays open."""
    recording = open_recording(source, loc)
    if recording is not source:
        stack.callback(recording.close)
    return recording


def choose_engine(name: str) -> EstimateBlock:
    """Return the function that estimates the motion of a block.

    JAX for "jax", and for "auto" if there is a GPU.
    """
    if name == "jax" or (name == "auto" and jax_engine.has_gpu()):
        return jax_engine.estimate
    return estimate


def describe_motion(motion: Motion, line_offset: float) -> str:
    """Return one line: largest shift, frames left out and repaired, crispness."""
    text = f"largest shift {float(np.abs(motion.shifts).max()):.1f} px"
    count = len(motion.shifts)
    bad, repaired = int(motion.quality["bad_frame"].sum()), int(motion.repaired.sum())
    text += f"; {bad} of {count} frames left out" if bad else ""
    if bad:
        kinds = motion.frame_table[motion.frame_table["severity"] >= LEAVE_OUT]
        counted = kinds["kind"].value_counts()
        text += f" ({', '.join(f'{n} {k}' for k, n in counted.items())})"
    else:
        text += f"; all {count} frames registered"
    if repaired:
        text += f"; shifts of {repaired} frames repaired"
    if line_offset:
        text += f"; odd lines moved back by {line_offset:.2f} px"
    before, after = motion.crispness
    worse = after < LESS_CRISP * before
    text += f"; crispness {before:.3g} -> {after:.3g}"
    return text + (": the mean image is less crisp than before" if worse else "")


def store_beside(
    output: str | Path, loc: str, registration: Registration, table: pd.DataFrame
) -> None:
    """Write the registration and the table of bad frames beside a corrected movie."""
    write_registration(registration_place(output, loc), registration)
    write_frame_quality(output, loc, table)


def build_registration(
    motion: Motion, settings: MotionSettings, line_offset: float
) -> Registration:
    """Return the registration that is stored beside the corrected movie."""
    return Registration(
        motion.shifts.astype(np.float32),
        motion.template,
        motion.quality,
        motion.border,
        motion.fields if settings.has_field else None,
        {
            "crispness_before": motion.crispness[0],
            "crispness_after": motion.crispness[1],
            "offset": motion.offset,
            "line_offset_px": line_offset,
            "frames_repaired": int(motion.repaired.sum()),
            "parameters": settings.model_dump(mode="json"),
        },
    )
