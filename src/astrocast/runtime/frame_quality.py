"""Frames of a recording that are not pictures: as stored beside it, or found now."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.io.stores.frame_quality import build_frame_table, read_frame_quality
from astrocast.kernels.frames.frame_judge import FrameJudge
from astrocast.kernels.frames.frame_quality import Flag
from astrocast.kernels.frames.frame_statistics import FrameStatistics, measure_frames
from astrocast.runtime.blocks import Block, frames_per_block, map_blocks, plan_blocks
from astrocast.runtime.progress import track

#: kinds of bad frames that motion correction adds to the table
FOUND_BY_MOTION = ("jump", "low_agreement", "out_of_focus")


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
        for block, measured in map_blocks(recording, measure_block, list(blocks)):
            judge.add(measured)
            advance(block.stop - block.start)
    return build_frame_table(judge.flags(), len(recording))


def measure_block(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> FrameStatistics:
    """Return the statistics of the block's own frames."""
    before = frames[block.lead - 1] if block.lead else None
    return measure_frames(frames[block.inner], before)


class MeasuredCopy:
    """Copies blocks and measures their frames: an operation of `run_blocks`.

    Blocks come in the order of frames. In other processes nothing is measured: the
    recording that was written is measured afterwards.
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
        flags = list(self._judge.flags())
        return with_missing(build_frame_table(flags, frames), frames, missing)


def with_missing(
    table: pd.DataFrame, frames: int, missing: Sequence[int]
) -> pd.DataFrame:
    """Return a table of bad frames with those that the input lacks.

    Parameters
    ----------
    table
        Frames that are not pictures.
    frames
        Frames of the recording.
    missing
        Frames that the input lacks.
    """
    rows = table.itertuples(index=False, name=None)
    absent = set(missing)
    flags = [row for row in rows if row[0] not in absent]
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


def frame_quality_before_motion(recording: Recording) -> pd.DataFrame:
    """Return the table of a recording without what motion correction found.

    ``data/ch0`` and the corrected ``mc/ch0`` of one file share a table: a correction
    that is computed again must not take the findings of the last one as known.
    """
    table = frame_quality_of(recording)
    own = table[~table["kind"].isin(FOUND_BY_MOTION)].reset_index(drop=True)
    own.attrs = dict(table.attrs)
    return own


def frame_quality_of(recording: Recording) -> pd.DataFrame:
    """Return the table that is stored beside a recording, or find it."""
    known = known_frame_quality(recording)
    return find_frame_quality(recording) if known is None else known
