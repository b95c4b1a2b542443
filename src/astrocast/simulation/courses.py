"""Time courses of tissue events, and their true properties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.rendering.tissue_events import SAMPLES
from astrocast.settings.simulation import SimulationSettings

#: an event ends when it has decayed to this fraction of its peak
TAIL = 0.01
#: between two peaks the course falls to this fraction of the lower peak
DIPS = (0.45, 0.75)


@dataclass(frozen=True)
class Course:
    """Time course of an event. Its pixels differ only in delay and weight.

    Parameters
    ----------
    values
        float32 (sample,): fraction of the peak, `SAMPLES` values per frame; 0 at both
        ends.
    rise, plateau, decay
        Drawn times in frames.
    peaks
        Number of peaks.
    """

    values: NDArray[np.float32]
    rise: float
    plateau: float
    decay: float
    peaks: int = 1

    @property
    def length(self) -> float:
        """Frames until the course has decayed to a tenth."""
        high = np.flatnonzero(self.values >= 0.1)
        return float(high[-1] + 1) / SAMPLES


def draw_course(
    kind: str, settings: SimulationSettings, rng: np.random.Generator
) -> Course:
    """Draw the time course of an event of a kind."""
    rise, plateau, decay = (
        float(rng.uniform(*getattr(settings, name)))
        for name in ("rise", "plateau", "decay")
    )
    long_plateau = float(rng.uniform(*settings.long_plateau))
    long_decay = float(rng.uniform(*settings.long_decay))
    n_peaks = int(rng.integers(settings.peaks[0], settings.peaks[1] + 1))
    intervals = rng.uniform(*settings.peak_interval, max(n_peaks - 1, 0))
    heights = rng.uniform(0.75, 1.0, n_peaks)
    dips = rng.uniform(*DIPS, max(n_peaks - 1, 0))
    wobble = rng.uniform(0, 2 * math.pi, 2)
    if kind == "long_tail":
        decay = long_decay
    if kind == "plateau":
        plateau = long_plateau
    length = rise + plateau + decay * -math.log(TAIL)
    if kind == "several_peaks":
        length += float(intervals.sum())
    t = np.arange(0, length + 1, 1 / SAMPLES)
    if kind == "several_peaks":
        values = _join_pulses(t, (rise, plateau, decay), intervals, heights, dips)
    else:
        values = pulse(t, rise, plateau, decay)
    if kind == "plateau":
        waves = np.sin(t * 0.45 + wobble[0]) + np.sin(t * 0.21 + wobble[1])
        values = values * (1 + 0.08 * waves)
    values = values / values.max()
    values[[0, -1]] = 0
    peaks = n_peaks if kind == "several_peaks" else 1
    return Course(values.astype(np.float32), rise, plateau, decay, peaks)


def pulse(
    t: NDArray[Any], rise: float, plateau: float, decay: float
) -> NDArray[np.float64]:
    """Return a pulse from time 0: half-cosine rise, plateau, exponential decay.

    Examples
    --------
    >>> pulse(np.array([0.0, 1.0, 2.0, 3.0, 7.0]), 2.0, 1.0, 4.0).round(2)
    array([0.  , 0.5 , 1.  , 1.  , 0.37])
    """
    up = 0.5 - 0.5 * np.cos(np.pi * np.clip(t / rise, 0, 1))
    late = np.maximum(t - rise - plateau, 0)
    values = up * np.exp(-late / decay)
    return np.asarray(np.where(t > 0, values, 0.0))


def _join_pulses(
    t: NDArray[Any],
    times: tuple[float, float, float],
    intervals: NDArray[Any],
    heights: NDArray[Any],
    dips: NDArray[Any],
) -> NDArray[np.float64]:
    """Return a course of several pulses with a dip between each two."""
    rise, plateau, decay = times
    begins = np.concatenate([[0.0], np.cumsum(intervals)])
    summits = begins + rise
    values = np.zeros(len(t))
    for begin, height in zip(begins, heights, strict=True):
        # between peaks the decay is faster
        values = np.maximum(values, height * pulse(t - begin, rise, 0.0, 0.5 * decay))
    for k, dip in enumerate(dips):
        floor = dip * min(heights[k], heights[k + 1])
        between = (t >= summits[k]) & (t <= summits[k + 1])
        values[between] = np.maximum(values[between], floor)
    last = t >= summits[-1]
    tail = heights[-1] * pulse(t - begins[-1], rise, plateau, decay)
    values[last] = tail[last]
    return values


def measure_course(trace: NDArray[Any], first: float = 0.0) -> dict[str, float]:
    """Measure the times of a noise-free trace in frames, by linear interpolation.

    ``onset_time`` and ``offset_time``: the trace passes 10% of its peak. ``rise_time``:
    from 10 to 90% before the peak. ``decay_time``: from 90 to 10% after the peak.
    ``half_width``: from 50% before to 50% after the peak. NaN if the trace does not
    pass a level.

    Parameters
    ----------
    trace
        Signal above the baseline, (frame,).
    first
        Frame of the first value.

    Examples
    --------
    >>> found = measure_course(np.array([0.0, 0.5, 1.0, 0.5, 0.0]))
    >>> found["half_width"], round(found["rise_time"], 3), found["peak_time"]
    (2.0, 1.6, 2.0)
    """
    top = int(trace.argmax())
    levels = {share: share * float(trace[top]) for share in (0.1, 0.5, 0.9)}
    up = {k: _find_crossing(trace, top, -1, level) for k, level in levels.items()}
    down = {k: _find_crossing(trace, top, 1, level) for k, level in levels.items()}
    return {
        "onset_time": first + up[0.1],
        "peak_time": first + top,
        "offset_time": first + down[0.1],
        "rise_time": up[0.9] - up[0.1],
        "decay_time": down[0.1] - down[0.9],
        "half_width": down[0.5] - up[0.5],
    }


def _find_crossing(trace: NDArray[Any], top: int, step: int, level: float) -> float:
    """Return where a trace first falls below ``level``, in steps from its peak."""
    k = top
    while 0 <= k + step < len(trace):
        if trace[k + step] < level:
            inside, outside = float(trace[k]), float(trace[k + step])
            return k + step * (inside - level) / max(inside - outside, 1e-30)
        k += step
    return math.nan
