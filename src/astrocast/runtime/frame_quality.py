"""Bad frames of a recording: read the table stored beside it, or find them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.io.stores.beside import place_of
from astrocast.io.stores.frame_quality import build_frame_table, read_frame_quality
from astrocast.kernels.frames.frame_judge import FrameJudge
from astrocast.kernels.frames.frame_quality import Flag
from astrocast.kernels.frames.frame_statistics import FrameStatistics, measure_frames
from astrocast.runtime.blocks import Block, frames_per_block, map_blocks, plan_blocks
from astrocast.runtime.progress import track

#: kinds of bad frames that motion correction adds to the table
FOUND_BY_MOTION = ("jump", "low_agreement", "out_of_focus")


def find_frame_quality(recording: Recording) -> pd.DataFrame:
    """Find the bad frames of a recording; reads it once, block by block.

    The result does not depend on the blocks.

    Parameters
    ----------
    recording
        Raw recording: some kinds of bad frames (repeated, saturated) can no longer be
        recognised after registration or denoising.

    Returns
    -------
    pandas.DataFrame
        See `astrocast.io.stores.frame_quality.read_frame_quality`.
    """
    halo = (1, 0)
    blocks = plan_blocks(len(recording), frames_per_block(recording, halo), halo)
    judge = FrameJudge()
    with track("frame quality", len(recording)) as advance:
        for block, measured in map_blocks(recording, measure_block, list(blocks)):
            judge.add(measured)
            advance(block.stop - block.start)
    return build_frame_table(judge.flags(), len(recording))


def measure_block(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> FrameStatistics:
    """Return the statistics of the frames of a block, without its halo."""
    before = frames[block.lead - 1] if block.lead else None
    return measure_frames(frames[block.inner], before)


class MeasuredCopy:
    """Copy blocks and measure their frames; an operation for `run_blocks`.

    Frames are measured only if this process copies all blocks in order. Otherwise (on
    a cluster, or after an interruption) the written recording has to be measured.
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
        """Return the table of bad frames; None if not all frames were measured.

        Parameters
        ----------
        frames
            Number of frames of the recording.
        missing
            Numbers of frames that are missing in the input.
        """
        if self._next != frames:
            return None
        flags = list(self._judge.flags())
        return with_missing(build_frame_table(flags, frames), frames, missing)


def with_missing(
    table: pd.DataFrame, frames: int, missing: Sequence[int]
) -> pd.DataFrame:
    """Add the frames that are missing in the input to a table of bad frames.

    Parameters
    ----------
    table
        Bad frames.
    frames
        Number of frames of the recording.
    missing
        Numbers of frames that are missing in the input.
    """
    rows = table.itertuples(index=False, name=None)
    absent = set(missing)
    flags = [row for row in rows if row[0] not in absent]
    lacking = [Flag(t, "missing", "missing in the input", 1.0) for t in missing]
    return build_frame_table([*flags, *lacking], frames)


def known_frame_quality(recording: Recording) -> pd.DataFrame | None:
    """Return the table stored beside a recording; None if there is none.

    A table for another number of frames is ignored.
    """
    place = place_of(recording)
    if place is None:
        return None
    table = read_frame_quality(place, recording.loc)
    if table is None or table.attrs["frames"] not in (-1, len(recording)):
        return None
    return table


def frame_quality_before_motion(recording: Recording) -> pd.DataFrame:
    """Return the table of a recording without the findings of motion correction.

    ``data/ch0`` and the corrected ``mc/ch0`` of a file share a table. A new correction
    must not use the findings of the previous one.
    """
    table = frame_quality_of(recording)
    own = table[~table["kind"].isin(FOUND_BY_MOTION)].reset_index(drop=True)
    own.attrs = dict(table.attrs)
    return own


def frame_quality_of(recording: Recording) -> pd.DataFrame:
    """Return the table stored beside a recording; find the bad frames if none is."""
    known = known_frame_quality(recording)
    return find_frame_quality(recording) if known is None else known
