"""Find active voxels in a stream of frames.

The stream receives blocks of frames in order. Each step stores the last frames that it
still needs and returns the frames whose result is final. So each frame is smoothed once
and each peak is tested once, and the result does not depend on the size of the blocks.
(Blocks with a halo, as in the other stages, would be smoothed three times, because a
peak depends on 60 frames before and after it.)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.activity.morphology import fill_small_holes, remove_small_objects
from astrocast.kernels.activity.peaks import PeakCriteria, mark_peaks
from astrocast.kernels.activity.triangle import active_thresholds, triangle_thresholds
from astrocast.kernels.frames.invalid import fill_invalid
from astrocast.kernels.frames.smoothing import gaussian, gaussian_radius
from astrocast.settings.detection import DetectionSettings

Frames = NDArray[Any]
#: receives the name of a step, the first frame, and the frames of its result
Tap = Callable[[str, int, Frames], None]


@dataclass(frozen=True)
class Span:
    """Range of frames of a stream: from ``first`` to the end of the recording.

    ``first`` is 0, or the frame at which an interrupted run resumes.
    """

    first: int
    n_frames: int


class Rolling:
    """Apply an operation to a stream that needs ``halo`` frames before and after.

    At the ends of the recording the operation gets the frames that exist. A stream that
    begins in the middle has no result for its first ``halo`` frames.

    Parameters
    ----------
    halo
        Frames needed before and after each frame.
    operation
        Function (frames, slice of wanted frames) -> result for the wanted frames.
    span
        Frames of the stream.
    """

    def __init__(
        self, halo: int, operation: Callable[[Frames, slice], Frames], span: Span
    ) -> None:
        self.halo, self.operation, self.n_frames = halo, operation, span.n_frames
        self.begin = span.first
        self.span = Span(span.first + halo if span.first else 0, span.n_frames)
        self.done = self.span.first
        self.buffer: Frames | None = None

    def push(self, frames: Frames) -> Frames:
        """Add the next frames; return the frames of the result that are final."""
        buffer = (
            frames if self.buffer is None else np.concatenate([self.buffer, frames])
        )
        have = self.begin + len(buffer)
        stop = have if have == self.n_frames else max(self.done, have - self.halo)
        result = (
            self.operation(buffer, slice(self.done - self.begin, stop - self.begin))
            if stop > self.done
            else None
        )
        keep = max(0, max(self.done, stop) - self.halo - self.begin)
        # a copy, so that the memory of the whole block is released
        self.buffer, self.begin = buffer[keep:].copy(), self.begin + keep
        self.done = max(self.done, stop)
        return self.operation(buffer, slice(0, 0)) if result is None else result


class PeakStream:
    """Mark peaks of time courses in a stream of smoothed frames.

    A peak depends on many frames. They are stored in one buffer and moved to its front
    only when the buffer is full.

    Parameters
    ----------
    criteria
        Definition of a peak, which depends on `PeakCriteria.reach` frames on either
        side.
    below_level
        Whether peaks below the spatial threshold are needed.
    span
        Frames of the stream.
    pool
        Threads that share the work.
    """

    def __init__(
        self,
        criteria: PeakCriteria,
        below_level: bool,
        span: Span,
        pool: Executor | None,
    ) -> None:
        assert criteria.reach is not None
        self.criteria, self.below_level, self.pool = criteria, below_level, pool
        self.reach, self.n_frames = criteria.reach, span.n_frames
        #: first frame in the buffers, and the frame after the last
        self.begin = self.have = span.first
        # first maximum with a complete window; then the first frame with all its peaks
        self.next_summit = span.first + self.reach if span.first else 0
        self.span = Span(
            span.first + 2 * self.reach if span.first else 0, span.n_frames
        )
        self.done = self.span.first
        self.smooth = np.empty((0, 0, 0), np.float32)
        self.marks = np.empty((0, 0, 0), np.bool_)
        self.levels = np.empty(0, np.float32)

    def push(
        self, smooth: NDArray[np.float32], levels: NDArray[np.float32]
    ) -> tuple[Frames, Frames, Frames]:
        """Add smoothed frames and their thresholds; return final marks.

        Returns
        -------
        tuple
            Marks, bool (frame, row, column), their smoothed frames and thresholds:
            views that are valid only until the next call.
        """
        self._append(smooth, levels)
        n = self.have - self.begin
        last = (
            self.have
            if self.have == self.n_frames
            else max(self.next_summit, self.have - self.reach)
        )
        if last > self.next_summit:
            summits = slice(self.next_summit - self.begin, last - self.begin)
            floors = None if self.below_level else self.levels[:n]
            first = max(0, summits.start - self.reach)
            mark_peaks(
                self.smooth[first:n],
                self.criteria,
                slice(summits.start - first, summits.stop - first),
                self.pool,
                floors[first:] if floors is not None else None,
                self.marks[first:n],
            )
            self.next_summit = last
        stop = (
            self.have
            if self.have == self.n_frames
            else max(self.done, last - self.reach)
        )
        out = slice(self.done - self.begin, stop - self.begin)
        self.done = stop
        if not self.have - self.begin:
            return np.zeros(smooth.shape, np.bool_), smooth, levels
        return self.marks[out], self.smooth[out], self.levels[out]

    def _append(self, smooth: NDArray[np.float32], levels: NDArray[np.float32]) -> None:
        """Put frames at the end of the buffers; make room if they are full."""
        n, more = self.have - self.begin, len(smooth)
        if n + more > len(self.smooth):
            keep = max(0, min(self.done, self.next_summit - self.reach) - self.begin)
            n -= keep
            held = (
                self.smooth[keep : keep + n],
                self.marks[keep : keep + n],
                self.levels[keep : keep + n],
            )
            if n + more > len(self.smooth):
                room = n + more + max(4 * more, 2 * self.reach)
                self.smooth = np.empty((room, *smooth.shape[1:]), np.float32)
                self.marks = np.empty((room, *smooth.shape[1:]), np.bool_)
                self.levels = np.empty(room, np.float32)
            if n:
                self.smooth[:n], self.marks[:n], self.levels[:n] = held
            self.begin += keep
        if more:
            part = slice(n, n + more)
            self.smooth[part], self.levels[part], self.marks[part] = (
                smooth,
                levels,
                False,
            )
            self.have += more


class ActivityStream:
    """Turn frames of the recording into frames of the mask of active voxels.

    Parameters
    ----------
    settings
        Parameters of the detection.
    n_frames
        Frames of the recording.
    first
        First frame of the stream. Its first mask is that of frame ``first +
        lead_frames(settings)``, or of frame 0 if ``first`` is 0.
    level
        Absolute threshold (after `adjust_for_noise`); None: use the spatial and
        temporal criteria.
    border
        Pixels at (top, bottom, left, right) in which nothing is active.
    pool
        Threads that share the work.
    peaks
        Function (start, stop) -> marks of peaks, if they were computed before from the
        whole recording (no window, or frames too large for a stream); else None.
    tap
        Receives the intermediate steps.
    """

    def __init__(
        self,
        settings: DetectionSettings,
        n_frames: int,
        *,
        first: int = 0,
        level: float | None = None,
        border: tuple[int, int, int, int] = (0, 0, 0, 0),
        pool: Executor | None = None,
        peaks: Callable[[int, int], Frames] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.settings, self.level, self.border, self.pool, self.peaks, self.tap = (
            settings,
            level,
            border,
            pool,
            peaks,
            tap,
        )
        self.begin = first
        self.taken = first
        self.span = Span(first, n_frames)
        self.invalid: dict[int, NDArray[np.bool_]] = {}
        self._invalid_count: dict[int, int] = {}
        self.smoothing = self._rolling(smoothing_radius(settings), self._smooth)
        self.thresholds = self.temporal = None
        if level is None and settings.use_spatial:
            self.thresholds = self._rolling(settings.spatial_z_depth, self._levels)
        criteria = peak_criteria(settings)
        if (
            level is None
            and settings.use_temporal
            and criteria.reach is not None
            and peaks is None
        ):
            # with "&" a peak that stays below the spatial threshold has no effect
            below_level = settings.comb_type == "|" or not settings.use_spatial
            self.temporal = PeakStream(criteria, below_level, self.span, pool)
            self.span = self.temporal.span
        self.mask_frame = self.span.first
        self.cleaning = [
            (name, self._rolling(depth, step))
            for name, depth, step in self._cleaning_steps()
        ]
        #: first frame of the mask that `push` returns
        self.first = self.span.first

    def _rolling(
        self, halo: int, operation: Callable[[Frames, slice], Frames]
    ) -> Rolling:
        """Add a step to the stream and return it."""
        step = Rolling(halo, operation, self.span)
        self.span = step.span
        return step

    def _cleaning_steps(
        self,
    ) -> list[tuple[str, int, Callable[[Frames, slice], Frames]]]:
        """Return (name, halo, operation) of the cleaning steps, in order."""
        s = self.settings
        steps: list[tuple[str, int, Callable[[Frames, slice], Frames]]] = []
        if s.fill_holes:
            holes = (s.area_threshold, s.holes_depth, s.holes_connectivity)
            steps.append(
                (
                    "holes",
                    s.holes_depth,
                    lambda m, inner: fill_small_holes(m, *holes, inner, self.pool),
                )
            )
        if s.remove_objects:
            objects = (s.min_size, s.objects_depth, s.object_connectivity)
            steps.append(
                (
                    "objects",
                    s.objects_depth,
                    lambda m, inner: remove_small_objects(
                        m, *objects, inner, self.pool
                    ),
                )
            )
        return steps if s.fill_holes_first else steps[::-1]

    def _smooth(self, frames: Frames, inner: slice) -> Frames:
        """Return the smoothed frames ``inner``."""
        sigma, radius, mode = self.settings.smoothing
        if sigma == 0:
            return frames[inner]
        return gaussian(frames, sigma, radius, mode, inner, self.pool)

    def _levels(self, smooth: Frames, inner: slice) -> Any:
        """Return the smoothed frames ``inner`` and the threshold of each, float32."""
        thresholds = triangle_thresholds(
            smooth, self.settings.spatial_z_depth, inner, self.pool
        )
        return smooth[inner], active_thresholds(
            smooth[inner], thresholds, self.settings.spatial_min_ratio, self.pool
        )

    def push(self, frames: Frames) -> NDArray[np.bool_]:
        """Add the next frames; return the frames of the mask that are final.

        Takes and returns (frame, row, column); the mask is bool.
        """
        smooth = self.smoothing.push(self._finite(frames))
        if self.tap is not None:
            self.tap("smoothed", self.smoothing.done - len(smooth), smooth)
        mask = self._active(smooth)
        top, bottom, left, right = self.border
        rows, columns = mask.shape[1:]
        mask[:, :top] = mask[:, rows - bottom :] = False
        mask[:, :, :left] = mask[:, :, columns - right :] = False
        for t in range(len(mask)):
            if (invalid := self.invalid.pop(self.mask_frame + t, None)) is not None:
                mask[t] &= ~invalid
        self._show("combined", self.mask_frame, mask)
        self.mask_frame += len(mask)
        for name, step in self.cleaning:
            mask = step.push(mask)
            self._show(name, step.done - len(mask), mask)
        return mask

    def count_invalid(self, start: int, stop: int) -> int:
        """Return the number of NaN and infinite voxels in these frames."""
        return sum(self._invalid_count.pop(t, 0) for t in range(start, stop))

    def _finite(self, frames: Frames) -> NDArray[np.float32]:
        """Return frames with NaN and infinity replaced; store their positions."""
        start, self.taken = self.taken, self.taken + len(frames)
        values, invalid = fill_invalid(frames)
        if invalid is not None:
            for t in np.flatnonzero(invalid.any(axis=(1, 2))):
                # `push` sets these voxels to inactive
                self.invalid[start + int(t)] = invalid[t]
                self._invalid_count[start + int(t)] = int(invalid[t].sum())
        return values

    def _active(self, smooth: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Add smoothed frames; return the active voxels, before cleaning."""
        s = self.settings
        if self.level is not None:
            return smooth > self.level
        levels = np.full(len(smooth), np.inf, np.float32)
        if self.thresholds is not None:
            smooth, levels = self.thresholds.push(smooth)
        if self.temporal is not None:
            marks, smooth, levels = self.temporal.push(smooth, levels)
        elif self.peaks is not None:
            marks = self.peaks(self.mask_frame, self.mask_frame + len(smooth))
        else:
            marks = None
        if not s.use_spatial:
            assert marks is not None
            self._show("temporal", self.mask_frame, marks)
            return marks.copy()
        spatial = smooth > levels[:, None, None]
        self._show("spatial", self.mask_frame, spatial)
        if marks is None:
            return spatial
        self._show("temporal", self.mask_frame, marks)
        return (
            np.logical_and(spatial, marks)
            if s.comb_type == "&"
            else np.logical_or(spatial, marks)
        )

    def _show(self, name: str, start: int, mask: NDArray[np.bool_]) -> None:
        """Pass an intermediate step to the tap."""
        if self.tap is not None:
            self.tap(name, start, mask.view(np.uint8))


def smoothing_radius(settings: DetectionSettings) -> int:
    """Return the number of frames before and after that smoothing needs."""
    sigma, radius, _ = settings.smoothing
    if sigma == 0:
        return 0
    return gaussian_radius(sigma) if radius is None else radius


def peak_criteria(settings: DetectionSettings) -> PeakCriteria:
    """Return the definition of a peak of a time course."""
    return PeakCriteria(
        float(settings.temporal_prominence),
        settings.temporal_width,
        settings.temporal_rel_height,
        settings.temporal_wlen,
        settings.temporal_plateau_size,
    )


def lead_frames(settings: DetectionSettings) -> int:
    """Return the number of earlier frames that the result of a frame depends on.

    A resumed run starts to read this many frames earlier.
    """
    lead = smoothing_radius(settings)
    if settings.threshold is None:
        if settings.use_spatial:
            lead += settings.spatial_z_depth
        if settings.use_temporal:
            lead += peak_criteria(settings).halo or 0
    lead += settings.holes_depth if settings.fill_holes else 0
    return lead + (settings.objects_depth if settings.remove_objects else 0)
