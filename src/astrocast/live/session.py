"""Live analysis of one recording: from frames on the disk to events and tables."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.footprint_measures import MeasureContext
from astrocast.errors import InvalidValueError
from astrocast.io.growing.recording import GrowingRecording
from astrocast.io.recording import Metadata
from astrocast.live.detector import DetectedEvent, LiveDetector
from astrocast.live.event import (
    LATENCIES,
    RATE_BIN,
    RATE_BINS,
    LiveEvent,
    LiveState,
    describe_event,
)
from astrocast.live.noise import PIECE
from astrocast.live.registration import LiveRegistration, PreparedFrames
from astrocast.live.rows import measure_rows_of
from astrocast.live.tables import LiveTables
from astrocast.pipeline.settings import RunSettings
from astrocast.settings.live import LiveSettings

#: largest number of frames that are read together
BATCH = PIECE
#: longest duration of the frames that are searched together, in seconds
_TICK = 0.6
#: the analysis has caught up if it is at most this many seconds behind the recording
_CAUGHT_UP = 2.0
logger = logging.getLogger("astrocast.live")


class ChannelFrames:
    """One channel of a growing recording whose frames alternate between channels.

    Parameters
    ----------
    source
        The growing recording.
    channels, channel
        Number of channels, and index of the channel, from 0.
    """

    def __init__(self, source: GrowingRecording, channels: int, channel: int) -> None:
        self.source, self.channels, self.channel = source, channels, channel

    @property
    def frames(self) -> int:
        """Number of complete frames of the channel."""
        return max(0, self.source.frames - self.channel + self.channels - 1) // (
            self.channels
        )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames of the channel, (frame, row, column)."""
        k, c = self.channels, self.channel
        found = self.source.read(start * k + c, (stop - 1) * k + c + 1)
        return np.ascontiguousarray(found[::k])


class ArrivalTimes:
    """Time at which each frame was first found on the disk."""

    def __init__(self) -> None:
        self._counts: list[int] = []
        self._times: list[float] = []

    def note(self, frames: int, now: float) -> None:
        """Store that ``frames`` frames are on the disk at time ``now``."""
        if not self._counts or frames > self._counts[-1]:
            self._counts.append(frames)
            self._times.append(now)
            del self._counts[:-4096], self._times[:-4096]

    def of(self, frame: int) -> float:
        """Return the time at which a frame was found."""
        at = bisect_left(self._counts, frame + 1)
        return self._times[min(at, len(self._times) - 1)]


class Session:
    """Takes the frames of a growing recording in order.

    Parameters
    ----------
    frames
        The channel to watch; its first frame is on the disk.
    metadata
        Metadata of the recording, with the frame rate.
    settings, live
        Settings of the stages of a run and of the live analysis.
    tables
        Tables to which events and bad frames are written.
    on_event
        Called with each event as soon as it ended.
    clock
        Returns the time in seconds.
    pool
        Threads that share the work.
    """

    def __init__(
        self,
        frames: ChannelFrames,
        metadata: Metadata,
        settings: RunSettings,
        live: LiveSettings,
        tables: LiveTables,
        on_event: Callable[[LiveEvent], None] | None,
        clock: Callable[[], float],
        pool: Executor,
    ) -> None:
        self.frames, self.metadata, self.settings = frames, metadata, settings
        self.live, self.tables, self.on_event = live, tables, on_event
        self.clock, self.pool = clock, pool
        assert frames.source.size is not None
        assert metadata.frame_rate is not None
        self.size, self.rate = frames.source.size, metadata.frame_rate
        motion = settings.motion if settings.motion.enabled else None
        self.registration = LiveRegistration(motion, pool)
        self.detector = LiveDetector(
            self.size,
            tick_frames(self.rate),
            round(live.margin * self.rate),
            settings.detection.calibration,
            live,
            pool,
        )
        self.state = LiveState("learning", frame_rate=self.rate)
        self.arrived = ArrivalTimes()
        self.next = 0
        self._bad: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._learned = self._caught_up = False
        self._bins: dict[int, int] = {}
        offset = settings.conversion.offset
        self._offset = float(offset) if isinstance(offset, int | float) else 0.0

    def look(self) -> int:
        """Check the disk once; return the number of frames that were not read yet."""
        self.frames.source.look()
        count = self.frames.frames
        self.arrived.note(count, self.clock())
        self.state.frames = count
        return count - self.next

    def step(self, ends: bool = False) -> bool:
        """Analyse the next frames; return False if no frames were ready.

        Parameters
        ----------
        ends
            The recording is complete.
        """
        count = self.frames.frames
        if not self._learned and not self._learn(count, ends):
            return False
        if count == self.next:
            return False
        self._skip_frames(count)
        stop = min(count, self.next + BATCH)
        raw = self.frames.read(self.next, stop)
        prepared = self.registration.push(raw, self.next)
        self.tables.add_shifts(self.next, prepared.shifts)
        self.next = stop
        self._push(prepared)
        self.state.status = "watching"
        return True

    def finish(self) -> None:
        """Report the remaining events: the recording is complete."""
        if self._learned:
            self._publish(self.detector.finish())
        self.detector.close()
        self._update_state()

    def close(self) -> None:
        """Wait for the work in the background to end."""
        self.detector.close()

    def _learn(self, count: int, ends: bool) -> bool:
        if count < self.live.learn and not (ends and count >= PIECE):
            return False
        self.registration.learn(self.frames.read(0, min(count, self.live.learn)))
        self._learned = True
        return True

    def _push(self, prepared: PreparedFrames) -> None:
        frames = prepared.frames
        if self._offset:
            frames = frames - np.float32(self._offset)
        self.tables.add_flags(prepared.flags)
        kept = self.detector.latest.keep
        self._bad = np.concatenate([self._bad, prepared.bad])[-kept:]
        chosen = self.settings.detection.exclude_border
        least = chosen if isinstance(chosen, int) else 0
        a, b, c, d = self.registration.border
        self.detector.border = (
            max(a, least),
            max(b, least),
            max(c, least),
            max(d, least),
        )
        self._publish(self.detector.push(frames, prepared.bad))
        self._update_state()

    def _skip_frames(self, count: int) -> None:
        """Skip frames if the analysis is too far behind the recording."""
        behind = (count - self.next) / self.rate
        if behind <= _CAUGHT_UP:
            self._caught_up = True
        if not self._caught_up or behind <= self.live.most_behind:
            return
        first, self.next = self.next, count - 1
        self.state.skipped.append((first, self.next))
        message = (
            f"the live analysis is {behind:.0f} s behind the recording: it skips frames"
            f" {first} to {self.next - 1}; the full analysis includes them"
        )
        logger.warning(message)
        self.state.messages.append(message)
        # measure the events so far before their frames are removed from memory
        self._publish(self.detector.finish())
        self.detector.jump(self.next)
        self._bad = self._bad[:0]
        reason = "skipped: the live analysis was too slow"
        flags = [(t, "missing", reason, 1.0) for t in range(first, self.next)]
        self.tables.add_flags(flags)

    def _publish(self, found: list[DetectedEvent]) -> None:
        """Pass events to the callback, and append them to the table."""
        if not found:
            return
        found = sorted(found, key=lambda e: int(e.layers.voxels[0]))
        numbers = list(range(self.state.events + 1, self.state.events + 1 + len(found)))
        self.state.events += len(found)
        pixels = self.size[0] * self.size[1]
        for event, number in zip(found, numbers, strict=True):
            last = int(event.layers.voxels[-1]) // pixels
            latency = self.clock() - self.arrived.of(last)
            described = describe_event(event, number, self.size, self.rate, latency)
            self._count(described)
            if self.on_event is not None:
                self.on_event(described)
        self._write_rows(found, numbers)

    def _write_rows(self, found: list[DetectedEvent], numbers: list[int]) -> None:
        model = self.detector.noise.model
        assert model is not None
        top, bottom, left, right = self.detector.border
        rows, columns = self.size
        context = MeasureContext(
            self.metadata,
            0,
            0,
            (top, rows - bottom, left, columns - right),
            self._bad[-(self.detector.latest.stop - self.detector.latest.first) :],
        )
        batches = measure_rows_of(
            found, numbers, self.detector.latest, model, context, self.pool
        )
        self.tables.add_events(batches)

    def _count(self, event: LiveEvent) -> None:
        """Count an event for the event rate, and store its latency."""
        self._bins[int(event.time // RATE_BIN)] = (
            self._bins.get(int(event.time // RATE_BIN), 0) + 1
        )
        if self._caught_up:
            self.state.latencies.append(event.latency)
            del self.state.latencies[:-LATENCIES]

    def _update_state(self) -> None:
        state, detector = self.state, self.detector
        state.done = detector.done
        state.bad_frames = self.tables.bad_frames
        state.largest_shift = self.registration.largest_shift
        state.regions_cut = detector.cut
        last = int(state.done / self.rate // RATE_BIN)
        first = max(0, last - RATE_BINS + 1)
        self._bins = {k: n for k, n in self._bins.items() if k >= first}
        state.rates = [self._bins.get(k, 0) for k in range(first, last + 1)]
        del state.skipped[:-1000]


def tick_frames(rate: float) -> int:
    """Return the number of frames that are searched together: a power of two.

    Examples
    --------
    >>> tick_frames(30.0), tick_frames(1.0), tick_frames(500.0)
    (16, 1, 64)
    """
    frames = 1
    while 2 * frames <= min(_TICK * rate, PIECE):
        frames *= 2
    return frames


def check_settings(settings: RunSettings) -> list[str]:
    """Raise an error for settings that the live analysis cannot use.

    Returns sentences about settings that only the full analysis uses.
    """
    conversion = settings.conversion
    fields = type(conversion).model_fields
    changing = ("rescale", "z_slice", "plane", "position", "channel", "axes")
    wrong = [n for n in changing if getattr(conversion, n) != fields[n].default]
    if conversion.nan_border == "crop":
        wrong.append("nan_border")
    if wrong:
        raise InvalidValueError(
            f"conversion.{', conversion.'.join(wrong)} cannot be used while the"
            " recording is written; remove this setting, or use `astrocast run` when"
            " the recording is complete"
        )
    notes = []
    if conversion.offset == "auto":
        notes.append("conversion.offset=auto: F0 of the live table includes the offset")
    if conversion.subtract_background is not None:
        notes.append("conversion.subtract_background: not used in the live analysis")
    if settings.denoising.enabled:
        notes.append("denoising: not used in the live analysis")
    if settings.detection.method != "calibrated":
        notes.append("the live analysis uses the calibrated detection")
    return notes


def known_metadata(source: GrowingRecording, settings: RunSettings) -> Metadata:
    """Return frame rate and pixel size; raise an error without a frame rate."""
    known, size = source.metadata, settings.pixel_size
    rate = settings.frame_rate or known.frame_rate
    if rate is None:
        raise InvalidValueError(
            f"{source.path} does not state its frame rate, which the live analysis"
            " needs; set frame_rate (command line: --frame-rate)"
        )
    return replace(
        known,
        frame_rate=rate,
        pixel_size=(size, size) if size else known.pixel_size,
    )
