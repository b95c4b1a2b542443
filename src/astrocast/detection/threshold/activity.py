"""From a stream of frames to the frames of the active mask.

Frames go in one block after the other; each step keeps as many of the last frames as it
looks back on, and passes on what it can decide. So every frame is smoothed once and
every peak is decided once, however short the blocks are, and the result does not depend
on how the recording is cut. (A block with a halo, the way of the other stages, would be
smoothed three times: a peak looks 60 frames back and ahead.)
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
#: receives the name of a step, the first frame, and the frames that it decided
Tap = Callable[[str, int, Frames], None]


@dataclass(frozen=True)
class Span:
    """Frames of the recording that a stream runs over: from ``first`` (0, or where a
    run resumes) to the end.
    """

    first: int
    n_frames: int


class Rolling:
    """Runs an operation that looks ``halo`` frames back and ahead over a stream of
    frames.

    At the ends of the recording the operation sees its true edge. A stream that begins
    in the middle passes nothing on for the first ``halo`` frames.
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
        """Take the next frames and return those of the result that are decided."""
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
        # a copy, so that the whole block is not kept for the sake of its last frames
        self.buffer, self.begin = buffer[keep:].copy(), self.begin + keep
        self.done = max(self.done, stop)
        return self.operation(buffer, slice(0, 0)) if result is None else result


class PeakStream:
    """Marks peaks in a stream of smoothed frames and passes the frames on with their
    marks.

    Peaks look far back: the frames that they need stay where they are, and are moved to
    the front only when the buffer is full.
    """

    def __init__(
        self,
        settings: DetectionSettings,
        criteria: PeakCriteria,
        span: Span,
        pool: Executor | None,
    ) -> None:
        assert criteria.reach is not None
        self.settings, self.criteria, self.pool = settings, criteria, pool
        self.reach, self.n_frames = criteria.reach, span.n_frames
        #: frame of the recording that index 0 of the buffers is, and the one after the
        #: last that is in them
        self.begin = self.have = span.first
        # the first summit whose window is complete, and the first frame that all its
        # peaks are known of
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
        """Take smoothed frames with their thresholds; return decided marks, the frames
        and their thresholds.

        What is returned is valid until the next call.
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
            # where both criteria must hold, a peak that stays below the other's level
            # is not worth following
            floors = (
                self.levels[:n]
                if self.settings.comb_type == "&" and self.settings.use_spatial
                else None
            )
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
    """The whole way from frames of the recording to frames of the active mask.

    Parameters
    ----------
    settings
        Parameters of the detection.
    n_frames
        Frames of the recording.
    first
        Frame that the stream begins with; it passes on masks from ``first + lead``
        (from 0 where first is 0).
    level
        Absolute threshold, where there is one (already scaled by the noise).
    border
        Pixels at the top, bottom, left and right in which nothing is active.
    pool
        Threads to share the work with.
    peaks
        Marks of peaks that are known already, as ``peaks(start, stop)``: with a window
        over the whole recording.
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
        if level is None and settings.use_temporal and criteria.reach is not None:
            self.temporal = PeakStream(settings, criteria, self.span, pool)
            self.span = self.temporal.span
        self.mask_frame = self.span.first
        self.cleaning = [
            (name, self._rolling(depth, step))
            for name, depth, step in self._cleaning_steps()
        ]
        #: first frame of the mask that `push` passes on
        self.first = self.span.first

    def _rolling(
        self, halo: int, operation: Callable[[Frames, slice], Frames]
    ) -> Rolling:
        step = Rolling(halo, operation, self.span)
        self.span = step.span
        return step

    def _cleaning_steps(
        self,
    ) -> list[tuple[str, int, Callable[[Frames, slice], Frames]]]:
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
        sigma, radius, mode = self.settings.smoothing
        if sigma == 0:
            return frames[inner]
        return gaussian(frames, sigma, radius, mode, inner, self.pool)

    def _levels(self, smooth: Frames, inner: slice) -> Any:
        thresholds = triangle_thresholds(
            smooth, self.settings.spatial_z_depth, inner, self.pool
        )
        return smooth[inner], active_thresholds(
            smooth[inner], thresholds, self.settings.spatial_min_ratio, self.pool
        )

    def push(self, frames: Frames) -> NDArray[np.bool_]:
        """Take the next frames of the recording and return the next frames of the mask
        that are decided.
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
        """Return how many voxels of these frames are NaN or infinite."""
        return sum(self._invalid_count.pop(t, 0) for t in range(start, stop))

    def _finite(self, frames: Frames) -> NDArray[np.float32]:
        start, self.taken = self.taken, self.taken + len(frames)
        values, invalid = fill_invalid(frames)
        if invalid is not None:
            for t in np.flatnonzero(invalid.any(axis=(1, 2))):
                # what was put in its place must not make a voxel active
                self.invalid[start + int(t)] = invalid[t]
                self._invalid_count[start + int(t)] = int(invalid[t].sum())
        return values

    def _active(self, smooth: NDArray[np.float32]) -> NDArray[np.bool_]:
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
        if self.tap is not None:
            self.tap(name, start, mask.view(np.uint8))


def smoothing_radius(settings: DetectionSettings) -> int:
    """Return how many frames the smoothing looks back and ahead."""
    sigma, radius, _ = settings.smoothing
    if sigma == 0:
        return 0
    return gaussian_radius(sigma) if radius is None else radius


def peak_criteria(settings: DetectionSettings) -> PeakCriteria:
    """Return what makes a peak of a time course."""
    return PeakCriteria(
        float(settings.temporal_prominence),
        settings.temporal_width,
        settings.temporal_rel_height,
        settings.temporal_wlen,
        settings.temporal_plateau_size,
    )


def lead_frames(settings: DetectionSettings) -> int:
    """Return how many frames before a frame can decide whether it is active: where a
    resumed run begins to read.
    """
    lead = smoothing_radius(settings)
    if settings.threshold is None:
        if settings.use_spatial:
            lead += settings.spatial_z_depth
        if settings.use_temporal:
            lead += peak_criteria(settings).halo or 0
    lead += settings.holes_depth if settings.fill_holes else 0
    return lead + (settings.objects_depth if settings.remove_objects else 0)
