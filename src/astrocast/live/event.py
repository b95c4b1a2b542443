"""What a callback is given of an event, and the state of the live analysis."""

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
        First frame of the event and the one after the last, from the start of the
        recording.
    time
        Time of the first frame, in seconds from the start of the recording.
    centre
        Mean row and column of its voxels, in pixels.
    box
        First row, row after the last, first column and column after the last.
    voxels
        Number of its voxels.
    pixels
        Its footprint: flat indices of the pixels (row * columns + column), ascending,
        int64.
    peak
        Highest smoothed signal above the background, in units of the recording; NaN for
        an event of the whole field.
    height
        The same in standard deviations of the smoothed noise.
    kind
        ``"local"``, or ``"global"`` for an event of the whole field.
    confidence
        Probability that noise alone reaches this height nowhere in the recording so
        far.
    latency
        Seconds from when the last frame of the event was seen on the disk to the call.
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
    """Return an event as a callback gets it."""
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
    """How the live analysis stands.

    Parameters
    ----------
    status
        "waiting" for the first frame, "learning", "watching", "analysing" (the full
        analysis runs) or "complete".
    frames, done
        Complete frames on the disk, and frames that were searched.
    events
        Events found so far.
    skipped
        Ranges of frames that were left out: first frame, and the one after the last.
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
    #: events that began in each ten seconds of the recording, the latest last
    rates: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def behind(self) -> float:
        """Seconds of recording that are on the disk and were not searched."""
        rate = self.frame_rate or 1.0
        return (self.frames - self.done) / rate

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
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


#: seconds of a bin of the rate, and bins and latencies that are remembered
RATE_BIN, RATE_BINS, LATENCIES = 10, 180, 1000
