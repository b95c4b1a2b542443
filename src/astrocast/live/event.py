"""The event that a callback gets, and the state of the live analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.live.detector import DetectedEvent


@dataclass(frozen=True)
class LiveEvent:
    """An event that has just ended, as a callback gets it.

    Parameters
    ----------
    number
        Number of the event in the table, from 1.
    start, stop
        First frame of the event, and last frame + 1, counted from the start of the
        recording.
    time
        Time of the first frame, in seconds from the start of the recording.
    centre
        Mean row and column of the voxels, in pixels.
    box
        First row, last row + 1, first column, last column + 1.
    voxels
        Number of voxels.
    pixels
        Footprint: flat indices of the pixels (row * columns + column), ascending,
        int64.
    peak
        Highest smoothed signal above the background, in units of the recording; NaN for
        an event of the whole field.
    height
        The peak in standard deviations of the smoothed noise.
    kind
        ``"local"``, or ``"global"`` for an event of the whole field.
    confidence
        Probability that noise alone does not reach this height anywhere in the
        recording so far.
    latency
        Seconds between the moment when the last frame of the event was found on the
        disk and the call.
    """

    number: int
    start: int
    stop: int
    time: float
    centre: tuple[float, float]
    box: tuple[int, int, int, int]
    voxels: int
    pixels: NDArray[np.int64] = field(repr=False)
    peak: float
    height: float
    kind: str
    confidence: float
    latency: float


def describe_event(
    found: DetectedEvent,
    number: int,
    size: tuple[int, int],
    frame_rate: float,
    latency: float,
) -> LiveEvent:
    """Return the event that a callback gets."""
    at = found.layers.voxels
    frame, pixel = np.divmod(at, size[0] * size[1])
    row, column = np.divmod(pixel, size[1])
    return LiveEvent(
        number,
        int(frame[0]),
        int(frame[-1]) + 1,
        float(frame[0] / frame_rate),
        (float(row.mean()), float(column.mean())),
        (
            int(row.min()),
            int(row.max()) + 1,
            int(column.min()),
            int(column.max()) + 1,
        ),
        len(at),
        np.unique(pixel),
        found.peak,
        found.height,
        found.kind,
        found.confidence,
        latency,
    )


@dataclass
class LiveState:
    """The state of the live analysis.

    Parameters
    ----------
    status
        "waiting" (for the first frame), "learning", "watching", "analysing" (the full
        analysis runs) or "complete".
    frames, done
        Number of complete frames on the disk, and of frames that were searched.
    events
        Number of events found so far.
    frame_rate
        Frames per second.
    bad_frames
        Number of bad frames so far.
    largest_shift
        Largest shift of a frame, in pixels.
    regions_cut
        Number of regions that were ended because they lasted too long.
    skipped
        Ranges of frames that were not searched: (first frame, last frame + 1).
    latencies
        The latest latencies, in seconds.
    rates
        Number of events that began in each 10 s of the recording, in order of time.
    messages
        Warnings for the user.
    """

    status: str = "waiting"
    frames: int = 0
    done: int = 0
    events: int = 0
    frame_rate: float = 0.0
    bad_frames: int = 0
    largest_shift: float = 0.0
    regions_cut: int = 0
    skipped: list[tuple[int, int]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    rates: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def behind(self) -> float:
        """Seconds of recording that are on the disk but not searched yet."""
        rate = self.frame_rate or 1.0
        return (self.frames - self.done) / rate

    def to_dict(self) -> dict[str, Any]:
        """Return the state as values that JSON can store."""
        latency = np.array(self.latencies)
        known = len(latency) > 0
        return {
            "status": self.status,
            "frames": self.frames,
            "done": self.done,
            "seconds": round(self.done / self.frame_rate, 2) if self.frame_rate else 0,
            "behind_s": round(self.behind, 2),
            "events": self.events,
            "frame_rate": self.frame_rate,
            "bad_frames": self.bad_frames,
            "largest_shift_px": round(self.largest_shift, 2),
            "regions_cut": self.regions_cut,
            "skipped": [list(part) for part in self.skipped],
            "latency_median_s": round(float(np.median(latency)), 3) if known else None,
            "latency_p95_s": (
                round(float(np.quantile(latency, 0.95)), 3) if known else None
            ),
            "rate_bin_s": RATE_BIN,
            "rates": self.rates,
            "messages": self.messages[-5:],
        }


#: seconds in a bin of the event rate; number of bins and of latencies in memory
RATE_BIN, RATE_BINS, LATENCIES = 10, 180, 1000
