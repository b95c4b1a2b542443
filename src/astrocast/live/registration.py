"""Judge new frames and register them with a template of the first frames."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.memory import ArrayRecording
from astrocast.kernels.frames.frame_quality import LEAVE_OUT, judge_frames
from astrocast.kernels.frames.frame_statistics import FrameStatistics, measure_frames
from astrocast.kernels.frames.invalid import fill_invalid
from astrocast.kernels.registration.bidirectional import move_odd_lines
from astrocast.kernels.registration.engine import (
    Estimate,
    OutputConversion,
    correct,
    estimate,
    rigid_part,
)
from astrocast.kernels.registration.preprocess import SMALLEST
from astrocast.kernels.registration.quality import valid_border
from astrocast.kernels.registration.repair_shifts import mend_shifts
from astrocast.preparation.line_offset import choose_line_offset
from astrocast.preparation.motion_estimate import SAMPLE_FRAMES, build_model
from astrocast.settings.motion import MotionSettings

#: a frame is compared with about this many frames before it
COMPARED_FRAMES = 256

#: a bad frame: number, kind, reason, severity
FrameFlag = tuple[int, str, str, float]


@dataclass(frozen=True)
class PreparedFrames:
    """Frames that are ready for the detection.

    Parameters
    ----------
    frames
        Registered frames, float32 (frame, row, column); a bad frame is replaced by the
        last good frame.
    bad
        bool (frame,): bad frames.
    flags
        Kind and reason of each bad frame.
    shifts
        (frame, 2): rows and columns by which each frame was moved back, in pixels.
    """

    frames: NDArray[np.float32]
    bad: NDArray[np.bool_]
    flags: list[FrameFlag]
    shifts: NDArray[np.float64]


class LiveRegistration:
    """Judges and registers frames in order, with knowledge of earlier frames only.

    Parameters
    ----------
    settings
        Settings of the motion correction; None: frames are not registered.
    pool
        Threads that share the work.
    """

    def __init__(self, settings: MotionSettings | None, pool: Executor) -> None:
        self.settings, self.pool = settings, pool
        self.border = (0, 0, 0, 0)
        self.largest_shift = 0.0
        self._statistics: list[FrameStatistics] = []
        self._last_raw: NDArray[Any] | None = None
        self._last_good: NDArray[np.float32] | None = None
        self._shift = np.zeros(2)
        self._extremes = np.zeros((2, 2))
        self._line_offset = 0.0
        self._model: Any = None
        self._normal: Any = None

    def learn(self, frames: NDArray[Any]) -> None:
        """Make the template and measure the line offset from the first raw frames."""
        settings = self.settings
        if settings is None or min(frames.shape[1:]) < SMALLEST:
            return
        self._line_offset = choose_line_offset(ArrayRecording(frames), settings.bidi)
        bad = np.zeros(len(frames), np.bool_)
        flags = judge_frames(measure_frames(frames))
        bad[[f.frame for f in flags if f.severity >= LEAVE_OUT]] = True
        good = np.flatnonzero(~bad) if not bad.all() else np.arange(len(frames))
        picked = np.unique(
            np.linspace(0, len(good) - 1, min(SAMPLE_FRAMES, len(good))).astype(int)
        )
        sample = self._align_lines(frames[good[picked]])
        self._model, self._normal, _ = build_model(sample, settings, self.pool)

    def _align_lines(self, frames: NDArray[Any]) -> NDArray[Any]:
        if not self._line_offset:
            return frames
        moved = move_odd_lines(frames, self._line_offset, 0)
        return np.maximum(moved, 0) if frames.dtype.kind in "bu" else moved

    def push(self, frames: NDArray[Any], number: int) -> PreparedFrames:
        """Register the next frames.

        Parameters
        ----------
        frames
            Raw frames (frame, row, column).
        number
            Number of the first of these frames in the recording.
        """
        flags = self._judge(frames, number)
        bad = np.zeros(len(frames), np.bool_)
        bad[[f[0] - number for f in flags if f[3] >= LEAVE_OUT]] = True
        shifts = np.zeros((len(frames), 2))
        if self._model is None:
            out = fill_invalid(frames)[0].astype(np.float32, copy=True)
        else:
            out, shifts = self._register(self._align_lines(frames), number, bad, flags)
        for t in range(len(out)):
            if bad[t] and self._last_good is not None:
                out[t] = self._last_good
            elif not bad[t]:
                self._last_good = out[t]
        if self._last_good is not None:
            self._last_good = self._last_good.copy()
        return PreparedFrames(out, bad, sorted(flags), shifts)

    def _judge(self, frames: NDArray[Any], number: int) -> list[FrameFlag]:
        """Return the bad frames, found from the raw pixels."""
        self._statistics.append(measure_frames(frames, self._last_raw))
        self._last_raw = frames[-1].copy()
        while sum(map(len, self._statistics[1:])) >= COMPARED_FRAMES:
            self._statistics.pop(0)
        joined = FrameStatistics.join(self._statistics)
        before = len(joined) - len(frames)
        return [
            (f.frame - before + number, f.kind, f.reason, float(f.severity))
            for f in judge_frames(joined)
            if f.frame >= before
        ]

    def _repair(
        self,
        frames: NDArray[Any],
        found: Estimate,
        shifts: NDArray[np.float64],
        fields: NDArray[np.float32],
        bad: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Estimate again the shifts of frames that agree badly with the template.

        The agreement is bad if it is unusually low, or lower than without the shift.
        Changes ``shifts`` and ``fields``; returns the agreement of each frame.
        """
        after = found.correlation_after.copy()
        poor = ~self._normal.trusts(after, found.clipped)
        suspects = np.flatnonzero((poor | (after < found.correlation_before)) & ~bad)
        if not len(suspects):
            return after
        rigid = rigid_part(self._model)
        assert rigid.robust is not None
        near = np.tile(self._shift, (len(suspects), 1))
        better = mend_shifts(
            frames[suspects], shifts[suspects], near, rigid.robust, rigid.limit
        )
        fields[suspects] += (better.shifts - shifts[suspects])[:, :, None, None]
        shifts[suspects] = better.shifts
        after[suspects] = better.after
        return after

    def _register(
        self,
        frames: NDArray[Any],
        number: int,
        bad: NDArray[np.bool_],
        flags: list[FrameFlag],
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return registered frames and their shifts; add frames that disagree to flags.

        Changes ``bad`` and ``flags``.
        """
        values = fill_invalid(frames)[0] if frames.dtype.kind == "f" else frames
        found = estimate(values, self._model, pool=self.pool)
        shifts, fields = found.shifts.copy(), found.fields.copy()
        after = self._repair(values, found, shifts, fields, bad)
        poor = ~self._normal.trusts(after, found.clipped)
        for t in range(len(frames)):
            if poor[t] and not bad[t]:
                reason = f"correlation with the template {after[t]:.2f}"
                flags.append((number + t, "low_agreement", reason, 1.0))
                bad[t] = True
            if bad[t]:
                # shifts of a bad frame mean nothing: use those of the frame before
                shifts[t] = self._shift
                fields[t] = self._shift[:, None, None]
            self._shift = shifts[t]
        good = shifts[~bad]
        if len(good):
            low = np.minimum(self._extremes[0], good.min(axis=0))
            high = np.maximum(self._extremes[1], good.max(axis=0))
            self._extremes = np.stack([low, high])
            self.border = valid_border(self._extremes)
            self.largest_shift = float(np.abs(self._extremes).max())
        moved = correct(
            values, shifts, fields, self._model, OutputConversion(), self.pool
        )
        return np.asarray(moved, np.float32), shifts
