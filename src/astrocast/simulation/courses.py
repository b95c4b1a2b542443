"""Time courses of tissue events, and their true properties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.rendering.tissue_events import SAMPLES
from astrocast.settings.simulation import SimulationSettings

#: an event is followed until it has decayed to this share
TAIL = 0.01
#: between the peaks of one event the course falls to this share of the lower peak
DIPS = (0.45, 0.75)


@dataclass(frozen=True)
class Course:
    """Time course of an event, the same in each of its pixels but for the delay.

    Parameters
    ----------
    values
        Share of the peak, `SAMPLES` per frame, float32 (sample,); 0 at both ends.
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
    """Return the time course of an event of a kind."""
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
        values = _several_peaks(t, (rise, plateau, decay), intervals, heights, dips)
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
    """Return a half-cosine rise, a plateau and an exponential decay from time 0.

    Examples
    --------
    >>> pulse(np.array([0.0, 1.0, 2.0, 3.0, 7.0]), 2.0, 1.0, 4.0).round(2)
    array([0.  , 0.5 , 1.  , 1.  , 0.37])
    """
    up = 0.5 - 0.5 * np.cos(np.pi * np.clip(t / rise, 0, 1))
    late = np.maximum(t - rise - plateau, 0)
    values = up * np.exp(-late / decay)
    return np.asarray(np.where(t > 0, values, 0.0))


def _several_peaks(
    t: NDArray[Any],
    times: tuple[float, float, float],
    intervals: NDArray[Any],
    heights: NDArray[Any],
    dips: NDArray[Any],
) -> NDArray[np.float64]:
    """Return pulses one after the other that fall to a dip between them."""
    rise, plateau, decay = times
    begins = np.concatenate([[0.0], np.cumsum(intervals)])
    summits = begins + rise
    values = np.zeros(len(t))
    for begin, height in zip(begins, heights, strict=True):
        # between peaks the fall is as fast as the interval allows
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
    """Return the times of a noise-free trace, by linear interpolation, in frames.

    ``onset_time`` and ``offset_time`` are where the trace passes 10% of its peak,
    ``rise_time`` goes from 10 to 90% before the peak, ``decay_time`` from 90 to 10%
    after it, ``half_width`` from half before the peak to half after it. NaN where the
    trace does not pass the level.

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
    up = {share: _crossing(trace, top, -1, level) for share, level in levels.items()}
    down = {share: _crossing(trace, top, 1, level) for share, level in levels.items()}
    return {
        "onset_time": first + up[0.1],
        "peak_time": first + top,
        "offset_time": first + down[0.1],
        "rise_time": up[0.9] - up[0.1],
        "decay_time": down[0.1] - down[0.9],
        "half_width": down[0.5] - up[0.5],
    }


def _crossing(trace: NDArray[Any], top: int, step: int, level: float) -> float:
    """Return where a trace first falls below ``level``, from its peak on."""
    k = top
    while 0 <= k + step < len(trace):
        if trace[k + step] < level:
            inside, outside = float(trace[k]), float(trace[k + step])
            return k + step * (inside - level) / max(inside - outside, 1e-30)
        k += step
    return math.nan
