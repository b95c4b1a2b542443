"""Effects of the acquisition: flicker, bad frames, hot pixels, averaging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.streams import generator_of

#: kind of bad frame -> (random stream, name of the setting with the number of frames)
BAD_FRAMES = {
    "dropped": ("dropped", "dropped_frames"),
    "repeated": ("repeated", "repeated_frames"),
    "flash": ("flash", "flash_frames"),
    "laser_off": ("laser_off", "laser_off_frames"),
    "lost_lines": ("lost_lines", "lost_line_frames"),
    "out_of_focus": ("out_of_focus", "out_of_focus_frames"),
}
#: sigma in pixels of the blur of a frame that is out of focus
BLUR = 3.0
#: probability per frame that a blinking hot pixel changes its state
BLINK = 0.05


@dataclass(frozen=True)
class Sensor:
    """Effects of the acquisition on each frame.

    Parameters
    ----------
    flicker
        float64 (frame,): factor of the illumination.
    bad_frames
        Columns ``frame`` (int64) and ``kind`` (str), sorted by frame.
    light
        float64 (frame, 3): factor, added photons, blur (pixels); without flicker.
    pixels
        int32 (pixel, 2): row and column of hot and dead pixels.
    extra
        float32 (frame, pixel): photons that these pixels add; negative for dead pixels.
    lost
        Lost lines: frame -> (first line, last line + 1).
    """

    flicker: NDArray[np.float64]
    bad_frames: pd.DataFrame
    light: NDArray[np.float64]
    pixels: NDArray[np.int32]
    extra: NDArray[np.float32]
    lost: dict[int, tuple[int, int]]

    def frames_of(self, kind: str) -> NDArray[np.int64]:
        """Return the bad frames of one kind."""
        table = self.bad_frames
        return table["frame"].to_numpy(np.int64)[(table["kind"] == kind).to_numpy()]


def make_sensor(settings: SimulationSettings) -> Sensor:
    """Draw the flicker, the bad frames and the bad pixels of a recording."""
    s, n = settings, settings.frames
    flicker = 1 + s.flicker * generator_of(s.seed, "flicker").standard_normal(n)
    table = _draw_bad_frames(s)
    light = np.tile([1.0, 0.0, 0.0], (n, 1))
    pixels, extra = _draw_bad_pixels(s)
    sensor = Sensor(np.maximum(flicker, 0.05), table, light, pixels, extra, {})
    light[sensor.frames_of("laser_off"), 0] = 0
    light[sensor.frames_of("flash"), 1] = s.flash * s.mean_photons
    light[sensor.frames_of("out_of_focus"), 2] = BLUR
    rng = generator_of(s.seed, "lost_lines")
    rng.permutation(n)  # the frames were drawn from the same stream
    for frame in sensor.frames_of("lost_lines"):
        height = int(s.rows * rng.uniform(0.1, 0.5))
        first = int(rng.integers(0, s.rows - height + 1))
        sensor.lost[int(frame)] = (first, first + height)
    return sensor


def _draw_bad_frames(s: SimulationSettings) -> pd.DataFrame:
    """Draw the bad frames of all kinds.

    Each kind takes the first free frames of its own permutation, so the frames of one
    kind hardly depend on the settings of other kinds.
    """
    taken: dict[int, str] = {}
    for kind, (stream, setting) in BAD_FRAMES.items():
        order = generator_of(s.seed, stream).permutation(s.frames)
        free = [int(f) for f in order if f > 0 and f not in taken]
        taken |= dict.fromkeys(free[: getattr(s, setting)], kind)
    frames = sorted(taken)
    return pd.DataFrame(
        {
            "frame": np.array(frames, np.int64),
            "kind": pd.Series([taken[f] for f in frames], dtype=object),
        }
    )


def _draw_bad_pixels(
    s: SimulationSettings,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Draw the positions of hot and dead pixels, and the photons that they add."""
    places, photons = [], []
    rng = generator_of(s.seed, "hot_pixels")
    for k in range(s.hot_pixels):
        places.append((rng.integers(s.rows), rng.integers(s.columns)))
        height = s.hot_photons * s.mean_photons * rng.uniform(0.3, 1.0)
        change = np.cumsum(rng.random(s.frames) < BLINK) + rng.integers(2)
        on = change % 2 if k % 2 else np.ones(s.frames)
        photons.append(height * on)
    rng = generator_of(s.seed, "dead_pixels")
    for _ in range(s.dead_pixels):
        places.append((rng.integers(s.rows), rng.integers(s.columns)))
        photons.append(np.full(s.frames, -1.0))
    pixels = np.array(places, np.int32).reshape(len(places), 2)
    extra = np.array(photons, np.float32).reshape(len(places), s.frames)
    return pixels, np.ascontiguousarray(extra.T)


def source_frames(sensor: Sensor, start: int, stop: int) -> NDArray[np.int64]:
    """Return the number of the exposed frame in each frame of the file, (frame,).

    A repeated frame shows the frame before it.
    """
    source = np.arange(start, stop)
    repeated = set(sensor.frames_of("repeated").tolist())
    for i, frame in enumerate(source):
        while frame in repeated:
            frame -= 1
        source[i] = frame
    return source


def average(
    exposed: NDArray[np.float32], frames: int, pixels: int
) -> NDArray[np.float32]:
    """Return the running mean of ``frames`` frames and ``pixels`` pixels.

    The result is float32 (frame, row, column) and has ``frames - 1`` fewer frames:
    frame i is the mean of frames i to i + frames - 1 of ``exposed``.
    """
    out = exposed
    if frames > 1:
        n = len(exposed) - frames + 1
        out = np.zeros((n, *exposed.shape[1:]), np.float32)
        for k in range(frames):
            out += exposed[k : k + n]
        out /= np.float32(frames)
    if pixels > 1:
        out = ndimage.uniform_filter(out, (0, pixels, pixels), mode="nearest")
    return out


def digitise(
    counts: NDArray[np.float32], dtype: Any, limit: float | None
) -> NDArray[Any]:
    """Return counts as integers that saturate at ``limit``; unchanged without limit."""
    if limit is None:
        return counts
    return np.clip(np.rint(counts), 0, limit).astype(dtype)


def mask_of(kind: str, sensor: Sensor, start: int, stop: int) -> NDArray[np.bool_]:
    """Return which frames from ``start`` to ``stop`` are bad frames of a kind, bool."""
    return np.isin(np.arange(start, stop), sensor.frames_of(kind))


def bleaching_of(s: SimulationSettings) -> NDArray[np.float64]:
    """Return the bleaching factor of each frame."""
    t = np.arange(s.frames)
    slow = s.bleach_fraction * np.exp(-t / s.bleach_time)
    fast = s.bleach_fast_fraction * np.exp(-t / s.bleach_fast_time)
    return np.asarray(1 - s.bleach_fraction - s.bleach_fast_fraction + slow + fast)


def largest_count(s: SimulationSettings) -> float | None:
    """Return the largest count of an integer type; None for float32."""
    if s.dtype == "float32":
        return None
    largest = int(np.iinfo(s.dtype).max)
    return float(largest if s.bits is None else min(largest, 2**s.bits - 1))
