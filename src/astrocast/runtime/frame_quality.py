"""Frames of a recording that are not pictures: as stored beside it, or found now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.io.stores.frame_quality import build_frame_table, read_frame_quality
from astrocast.kernels.frames.frame_judge import FrameJudge
from astrocast.kernels.frames.frame_quality import Flag
from astrocast.kernels.frames.frame_statistics import measure_frames
from astrocast.runtime.blocks import Block, frames_per_block, plan_blocks, read_blocks
from astrocast.runtime.progress import track


def find_frame_quality(recording: Recording) -> pd.DataFrame:
    """Return the table of frames that are not pictures, from one pass over a recording.

    Memory does not hold the recording. The result does not depend on the blocks.

    Parameters
    ----------
    recording
        Raw frames: in a movie that was registered or denoised some kinds (repeated,
        saturated) cannot be recognised any more.

    Returns
    -------
    pandas.DataFrame
        See `astrocast.io.stores.frame_quality.read_frame_quality`.
    """
    halo = (1, 0)
    blocks = plan_blocks(len(recording), frames_per_block(recording, halo), halo)
    judge = FrameJudge()
    with track("frame quality", len(recording)) as advance:
        for block, frames in read_blocks(recording, list(blocks)):
            before = frames[block.lead - 1] if block.lead else None
            judge.add(measure_frames(frames[block.inner], before))
            advance(block.stop - block.start)
    return build_frame_table(judge.flags(), len(recording))


class MeasuredCopy:
    """Copies blocks and measures their frames: an operation of `run_blocks`.

    Blocks come in the order of frames. In other processes nothing is measured.
    """

    halo: tuple[int, int] = (0, 0)

    def __init__(self) -> None:
        self._judge = FrameJudge()
        self._last: NDArray[Any] | None = None
        self._next = 0

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return the frames, after measuring them."""
        if block.start == self._next:
            self._judge.add(measure_frames(frames, self._last))
            self._last, self._next = frames[-1].copy(), block.stop
        return frames

    def table(self, frames: int, missing: Sequence[int]) -> pd.DataFrame | None:
        """Return the table of frames that are not pictures.

        Parameters
        ----------
        frames
            Frames of the recording; None is returned where not all were measured.
        missing
            Frames that the input lacks.
        """
        if self._next != frames:
            return None
        absent = set(missing)
        flags = [f for f in self._judge.flags() if f.frame not in absent]
        lacking = [Flag(t, "missing", "the input lacks it", 1.0) for t in missing]
        return build_frame_table([*flags, *lacking], frames)


def known_frame_quality(recording: Recording) -> pd.DataFrame | None:
    """Return the table that is stored beside a recording; None where there is none.

    A table of a recording of another length is not used.
    """
    if recording.path is None:
        return None
    table = read_frame_quality(recording.path, recording.loc)
    if table is None or table.attrs["frames"] not in (-1, len(recording)):
        return None
    return table


def frame_quality_of(recording: Recording) -> pd.DataFrame:
    """Return the table that is stored beside a recording, or find it."""
    known = known_frame_quality(recording)
    return find_frame_quality(recording) if known is None else known
