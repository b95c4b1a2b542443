"""The calibrated detection for a recording that is still being written.

The steps are those of `astrocast.detection.calibrated`: smoothed signal above the
background, candidate voxels, connected regions, events. Each step is done once for each
frame, with the background and noise of earlier frames. A region is divided into events
as soon as it has ended. Before that, its events that ended some time ago are reported.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.divide import find_events
from astrocast.detection.calibrated.segment import follows_field
from astrocast.detection.calibrated.stretch import signal_of
from astrocast.kernels.calibrated.candidates import (
    NoiseOfPixels,
    noise_on_runs,
    stand_out,
    values_on_runs,
)
from astrocast.kernels.calibrated.event_probability import event_probability
from astrocast.kernels.calibrated.extrinsic import add_low_squares, extrinsic_ratio
from astrocast.kernels.calibrated.overlap import LayeredEvent
from astrocast.kernels.calibrated.significance import height_for
from astrocast.kernels.masks.runs import Runs, find_runs, paint_runs
from astrocast.live.field import LiveField
from astrocast.live.latest_frames import LatestFrames
from astrocast.live.noise import PIECE, LiveNoise, NoiseModel
from astrocast.live.open_voxels import OpenVoxels
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.live import LiveSettings

#: two events are the same if they share more than this fraction of the smaller one
_SAME = 0.3
#: in a longer run of bad frames nothing is detected
_LONGEST_GAP = 4
#: a region is ended this many frames (twice) before its oldest frames are overwritten,
#: so that its events can be measured
_CONTEXT = 64


@dataclass(frozen=True)
class DetectedEvent:
    """An event that the live detection found.

    Parameters
    ----------
    layers
        Voxels of the event, flat indices in the recording, ascending.
    height
        Height of the peak in standard deviations of the smoothed noise; NaN for an
        event of the whole field.
    peak
        Peak of the smoothed signal, in units of the recording; NaN for an event of the
        whole field.
    kind
        "local", or "global" for an event of the whole field.
    confidence
        Probability that noise alone does not reach this peak anywhere in the recording
        so far.
    """

    layers: LayeredEvent
    height: float
    peak: float
    kind: str
    confidence: float


class LiveDetector:
    """Takes registered frames in order and returns events.

    The result does not depend on the number of frames in each call.

    Parameters
    ----------
    size
        Rows and columns of a frame.
    tick
        Number of frames that are searched together.
    margin
        In a region that still grows, an event is reported this many frames after its
        end.
    settings, live
        Settings of the detection and of the live analysis.
    pool
        Threads that share the work.
    """

    def __init__(
        self,
        size: tuple[int, int],
        tick: int,
        margin: int,
        settings: CalibratedSettings,
        live: LiveSettings,
        pool: Executor | None,
    ) -> None:
        self.size, self.tick, self.margin = size, tick, margin
        self.settings, self.live, self.pool = settings, live, pool
        self.border = (0, 0, 0, 0)
        self.latest = LatestFrames(size, live.frame_memory * 1_000_000)
        self.noise = LiveNoise(self.latest, settings, live, pool)
        self.field = LiveField(size, live.window, settings.extent, pool)
        self.open = OpenVoxels(size[0] * size[1])
        self.threshold = height_for(settings.false_events, 20e6, settings.sigma)
        #: number of frames that were searched
        self.done = 0
        #: number of regions that were ended because they lasted too long
        self.cut = 0
        self._bad: deque[bool] = deque(maxlen=self.latest.keep)
        self._low: deque[tuple[NDArray[np.int64], int]] = deque()
        self._ratio = np.ones(size, np.float32)
        self._checked = 0

    @property
    def received(self) -> int:
        """Number of the last received frame + 1."""
        return self.latest.stop

    def push(
        self, frames: NDArray[np.float32], bad: NDArray[np.bool_]
    ) -> list[DetectedEvent]:
        """Add the next frames; return the events that have ended.

        Parameters
        ----------
        frames
            Registered frames, finite, float32 (frame, row, column).
        bad
            bool (frame,): which of them are bad frames.
        """
        found: list[DetectedEvent] = []
        at = 0
        while at < len(frames):
            stop = at + self._next_pause() - self.received
            part = frames[at:stop]
            self.latest.add(part)
            self.field.add(part)
            self._bad.extend(bad[at : at + len(part)].tolist())
            at += len(part)
            if (self.received - self.latest.begin) % PIECE == 0:
                self.noise.add(self.received)
                self._make_model()
            found += self._work(self.received, ends=False)
        return found

    def _next_pause(self) -> int:
        """Return the frame at which the work on the received frames is done next.

        It depends on frame numbers only, so the result does not depend on the number of
        frames in each call.
        """
        since = self.received - self.latest.begin
        piece = self.received + PIECE - since % PIECE
        if self.noise.model is None:
            return piece
        needed = self._tick_end(self.done) + self.settings.reach + 1
        return min(piece, needed) if needed > self.received else piece

    def _tick_end(self, start: int) -> int:
        return start + self.tick - (start - self.latest.begin) % self.tick

    def finish(self) -> list[DetectedEvent]:
        """Return the remaining events: the recording ends, or frames are skipped."""
        if self.noise.model is None and self.received - self.latest.begin >= PIECE:
            self._learn()
        found = self._work(self.received, ends=True)
        found += self._report(self.open.state.open)
        self.open.close(self.open.state.open)
        found += self._report_field(self.received)
        return found

    def jump(self, frame: int) -> None:
        """Skip frames, after `finish`: the next frame has this number."""
        self.noise.jump()
        self.latest.jump(frame)
        self.field.jump(frame)
        self._bad.clear()
        self.done = frame

    def close(self) -> None:
        """Wait for the work in the background to end."""
        self.noise.close()

    def _make_model(self) -> None:
        if self.noise.model is not None:
            n = self.noise.gathered
            active = self.field.activity(self.received - n, self.received) > 0
            self.noise.begin(self.received, active)
        elif self.noise.gathered >= self.live.learn:
            self._learn()

    def _learn(self) -> None:
        """Make the first model, and measure fluctuations that exceed its noise."""
        self.field.judge()
        stop = self.latest.begin + self.noise.gathered
        active = self.field.activity(self.latest.begin, stop) > 0
        self.noise.learn(stop, active)
        assert self.noise.model is not None
        for start in range(self.latest.begin, stop, PIECE):
            end = min(start + PIECE, stop)
            _, smooth = self._signal(self.noise.model, start, end)
            self._add_low(smooth, self.noise.model, start, end)
        self._renew_ratio()
        self._low.clear()

    def _work(self, stop: int, ends: bool) -> list[DetectedEvent]:
        """Search all frames that have enough frames after them."""
        found: list[DetectedEvent] = []
        halo = self.settings.reach + 1
        while self.noise.model is not None and self.done < stop:
            start = self.done
            end = self._tick_end(start)
            if ends:
                end = min(end, stop)
            elif end + halo > stop:
                break
            if self.noise.update(start):
                self._renew_ratio()
            model = self.noise.model
            if ends:
                model = model.ending_at(stop)
            found += self._search(model, start, end)
            self.done = end
        return found

    def _signal(
        self, model: NoiseModel, start: int, stop: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the signal above the background and the smoothed signal of frames."""
        halo = self.settings.reach + 1
        lead = min(halo, start - self.latest.first)
        trail = min(halo, self.received - stop)
        frames = self.latest.read(start - lead, stop + trail)
        block = model.block(start, stop, lead, trail)
        above, smooth, _ = signal_of(
            frames, block, model.stretch, self.settings, self.pool
        )
        return above[block.inner], smooth

    def _add_low(
        self, smooth: NDArray[np.float32], model: NoiseModel, start: int, stop: int
    ) -> None:
        """Add the squares of the signal below the background to the sums."""
        noise, which = model.stretch.deviation(
            model.block(start, stop, 0, 0), self.settings
        )
        counted = self.field.activity(start, stop) == 0
        if not self._low or self._low[-1][1] >= self.live.refresh:
            self._low.append((np.zeros(self.size, np.int64), 0))
            while len(self._low) > max(1, self.live.window // self.live.refresh):
                self._low.popleft()
        sums, n = self._low[-1]
        shift = model.stretch.measured.shift
        below = smooth if counted.all() else smooth[counted]
        add_low_squares(below, noise, which[counted], shift, sums, self.pool)
        self._low[-1] = sums, n + int(counted.sum())

    def _renew_ratio(self) -> None:
        n = sum(frames for _, frames in self._low)
        if n >= min(self.live.refresh, self.live.learn):
            sums = np.sum([s for s, _ in self._low], axis=0)
            independent = n / (2 * np.sqrt(np.pi) * self.settings.smooth_sigma)
            self._ratio = extrinsic_ratio(sums, n, independent)

    def _search(self, model: NoiseModel, start: int, stop: int) -> list[DetectedEvent]:
        """Add the candidates of frames; return the events that ended."""
        self.field.judge()
        above, smooth = self._signal(model, start, stop)
        self._add_low(smooth, model, start, stop)
        runs, values = self._candidates(model, start, stop, above, smooth)
        finished = self.open.add(runs, values, start)
        found = self._report(finished)
        # a region whose first frames are not in memory any more cannot be measured
        oldest = stop - self.latest.keep + 2 * _CONTEXT
        old = np.intersect1d(self.open.older(oldest), self.open.state.open)
        if len(old):
            self.cut += len(np.intersect1d(old, self.open.high(self.threshold)))
            self.open.close(old)
            found += self._report(old)
        if stop - self._checked >= max(self.tick, self.margin):
            self._checked = stop
            found += self._report_ended(stop - self.margin)
        return found + self._report_field(stop - self.margin)

    def _candidates(
        self,
        model: NoiseModel,
        start: int,
        stop: int,
        above: NDArray[np.float32],
        smooth: NDArray[np.float32],
    ) -> tuple[Runs, NDArray[np.float32]]:
        """Return the candidate voxels, and their signal, noise, unsmoothed signal."""
        settings, stretch = self.settings, model.stretch
        noise, which = stretch.deviation(model.block(start, stop, 0, 0), settings)
        mask = stand_out(
            smooth, noise, which, settings.candidate, self.border, self.pool
        )
        mask[self._find_gaps(start, stop)] = False
        runs = find_runs(mask, self.pool)
        value = values_on_runs(runs, smooth, self.pool)
        of_pixels = NoiseOfPixels(
            noise,
            which,
            self._ratio,
            stretch.classes,
            stretch.tables,
            stretch.measured.shift,
        )
        plain, normal = noise_on_runs(runs, value, of_pixels, self.pool)
        single = values_on_runs(runs, above, self.pool)
        high = value > np.float32(settings.candidate) * plain
        if not high.all():
            volume = paint_runs(runs, np.ones(len(runs), np.int32), self.pool) > 0
            volume[volume] = high
            runs = find_runs(volume, self.pool)
        return runs, np.stack([value[high], normal[high], single[high]])

    def _find_gaps(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return the frames from the fifth on in a run of bad frames, bool (frame,)."""
        bad = np.array(self._bad)
        first = self.received - len(bad)
        run = np.zeros(len(bad), np.int64)
        for t in np.flatnonzero(bad):
            run[t] = run[t - 1] + 1 if t else 1
        return run[start - first : stop - first] > _LONGEST_GAP

    def _report(self, regions: NDArray[np.int64]) -> list[DetectedEvent]:
        """Return the events of regions that ended, and remove their voxels."""
        found = self._divide(np.intersect1d(regions, self.open.high(self.threshold)))
        self.open.drop(regions)
        return [event for event, _ in found]

    def _report_ended(self, before: int) -> list[DetectedEvent]:
        """Return the events that ended before a frame, in regions that still grow."""
        wanted = np.intersect1d(self.open.high(self.threshold), self.open.older(before))
        found = []
        pixels = self.size[0] * self.size[1]
        for event, region in self._divide(wanted):
            if event.layers.voxels[-1] < before * pixels:
                self.open.reported.setdefault(region, []).append(event.layers.voxels)
                found.append(event)
        return found

    def _divide(self, regions: NDArray[np.int64]) -> list[tuple[DetectedEvent, int]]:
        """Return events of regions that were not reported yet, each with its region."""
        if not len(regions):
            return []
        voxels, owner = self.open.voxels(regions)
        pixels = self.size[0] * self.size[1]
        shape = (self.received + 1, *self.size)
        activity = self.field.activity(self.latest.first, self.received)
        shift = self.latest.first * pixels
        found = []
        for event in find_events(
            [voxels], shape, self.settings, self.threshold, self.pool
        ):
            at = event.layers.voxels
            known = at[at >= shift] - shift
            if len(known) and follows_field(known, event.peak, activity, pixels):
                continue
            place = min(
                int(np.searchsorted(voxels.at, at[len(at) // 2])), len(owner) - 1
            )
            region = int(owner[place])
            if self._was_reported(region, at):
                continue
            # what the end of the recording cuts is not known yet, nor are decoys
            probability = event_probability(np.array([event.height]), at[:1] < pixels)
            local = DetectedEvent(
                event.layers, event.height, event.peak, "local", float(probability[0])
            )
            found.append((local, region))
        return found

    def _was_reported(self, region: int, at: NDArray[np.int64]) -> bool:
        return any(
            len(np.intersect1d(at, other, assume_unique=True))
            > _SAME * min(len(at), len(other))
            for other in self.open.reported.get(region, ())
        )

    def _report_field(self, before: int) -> list[DetectedEvent]:
        """Return the events of the whole field that ended before a frame."""
        found = []
        for voxels, ratio in self.field.finished(before):
            nothing = np.zeros(len(voxels), np.bool_)
            layers = LayeredEvent(voxels, nothing, nothing.copy())
            probability = 1 - 0.1 / ratio**2
            found.append(
                DetectedEvent(layers, float("nan"), float("nan"), "global", probability)
            )
        return found
