"""A simulated recording: planned once, then rendered whole or block by block with the
same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.io.recording import ALL, Metadata, Recording
from astrocast.kernels.rendering import (
    PARAMETERS,
    event_labels,
    event_signal,
    render_frames,
)
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.events import (
    brightness_under,
    calibrate,
    describe_event,
    draw_events,
    empty_table,
    trace_event,
)
from astrocast.simulation.motion import Motion, make_motion, motion_margin
from astrocast.simulation.scene import Scene, make_scene

#: frames are rendered in groups whose displacement field takes about this many bytes
GROUP_BYTES = 16 << 20


@dataclass(frozen=True)
class SimulationBlock:
    """Frames of a simulation with their truth, the first of them being frame ``start``."""

    start: int
    movie: NDArray[Any]
    clean: NDArray[np.float32]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class Simulation:
    """A recording with its ground truth; axes are (frame, row, column).

    Parameters
    ----------
    settings
        What it was made from.
    movie
        Counts, as a camera gives them; displaced, bleached, noisy.
    clean
        The events alone, without noise and at rest (float32): the expected counts above
        the baseline, so the dF that a perfect preparation of the movie would give.
        Bleaching dims events as it dims the baseline.
    labels
        Event number of each voxel at rest (int32), 0 where there is none. An event's
        voxels are those where it is at least a quarter of its own peak; where several
        meet, the strongest has it. ``voxels`` keeps what is lost so.
    shifts
        Rigid displacement (frame, 2), pixels, row then column; positive is down and
        right: pixel p of a frame shows the scene at p minus its displacement.
    motion
        Rigid and non-rigid motion; ``motion.displacement(start, stop)`` is the full
        field.
    events
        A row per event, with `onset`, `peak` and `offset` (frames; first, brightest and
        last of the true voxels), `duration` (frames), `amplitude` (peak of ``clean``,
        counts), `dff` (peak over the baseline under it, before bleaching), `snr` (peak
        over the noise of a pixel there, before bleaching), `row` and `column` (centre
        of the voxels), `area` (pixels ever covered), `volume` (voxels), `speed`
        (pixels/frame), `direction` (degrees from rightwards to downwards), the drawn
        times (frames) and radius (pixels), and the half-open box `z0` to `y1`.
    f0
        Baseline at rest before bleaching and drift (row, column), counts above the
        offset.
    bleaching
        Factor of each frame.
    second
        The structural channel, or None.
    voxels
        True voxels of each event as flat indices of the recording; those of different
        events may overlap.
    """

    settings: SimulationSettings
    movie: NDArray[Any]
    clean: NDArray[np.float32]
    labels: NDArray[np.int32]
    shifts: NDArray[np.float64]
    motion: Motion
    events: pd.DataFrame
    f0: NDArray[np.float32]
    bleaching: NDArray[np.float64]
    second: NDArray[Any] | None
    voxels: tuple[NDArray[np.int64], ...]


class Simulator:
    """Plans a recording and renders any of its frames.

    Every method that takes ``start, stop`` returns those frames only and holds nothing
    more; what it returns does not depend on how the recording is cut into blocks.

    Parameters
    ----------
    settings
        Parameters of the recording; the defaults where None.
    """

    def __init__(self, settings: SimulationSettings | None = None) -> None:
        self.settings = settings or SimulationSettings()
        s = self.settings
        # one stream for each part: changing the motion leaves the events as they are
        scene, events, motion, drift, second, noise = np.random.SeedSequence(
            s.seed
        ).spawn(6)
        margin = motion_margin(s)
        self.scene = make_scene(s, margin, scene)
        self.motion = make_motion(s, motion)
        self.bleaching = _bleaching(s)
        self._drift = _drift(s, np.random.default_rng(drift))
        self._keys = noise.generate_state(2, np.uint64)
        self._second_scene = make_scene(s, margin, second) if s.second_channel else None
        self._drafts = draw_events(s, events)
        resting = self.scene.image[self.scene.inside] * s.mean_photons
        self._parameters = calibrate(self._drafts, s, resting)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the recording: (frame, row, column)."""
        return self.settings.shape

    def wide_baseline(self, frame: int) -> NDArray[np.float32]:
        """Return the scene's baseline of one frame with its margin, counts above the
        offset (row, column).
        """
        _, whole, local = self._courses(frame, frame + 1)[0]
        factor = self.settings.mean_photons * self.settings.gain
        return np.asarray(
            factor * self.scene.image * (whole + local * self.scene.local), np.float32
        )

    @property
    def f0(self) -> NDArray[np.float32]:
        """Baseline at rest before bleaching and drift, counts above the offset (row,
        column).
        """
        factor = np.float32(self.settings.mean_photons * self.settings.gain)
        return np.ascontiguousarray(self.scene.image[self.scene.inside] * factor)

    def baseline(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the baseline at rest with bleaching and drift, counts above the offset
        (frame, row, column).
        """
        courses = self._courses(start, stop)[:, 1:].astype(np.float32)
        local = self.f0 * self.scene.local[self.scene.inside]
        return courses[:, 0, None, None] * self.f0 + courses[:, 1, None, None] * local

    def clean(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the events without noise and at rest, counts (frame, row, column)."""
        scale = self.bleaching[start:stop] * self.settings.gain
        return np.asarray(event_signal(self._kept, start, scale, self.shape[1:]))

    def labels(self, start: int, stop: int) -> NDArray[np.int32]:
        """Return the event number of each voxel at rest, 0 where there is none (frame,
        row, column).
        """
        scale = self.bleaching[start:stop] * self.settings.gain
        return np.asarray(
            event_labels(self._kept, self._peaks, start, scale, self.shape[1:])
        )

    def movie(self, start: int, stop: int) -> NDArray[Any]:
        """Return the counts of the camera (frame, row, column)."""
        return self._render(
            start, stop, self._coefficients, self._parameters, self._keys[0]
        )

    def expected(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the counts that the movie would have without noise: float32 (frame,
        row, column).
        """
        return self._render(start, stop, self._coefficients, self._parameters, None)

    def second(self, start: int, stop: int) -> NDArray[Any]:
        """Return the structural channel: another brightness, the same motion, no events
        (frame, row, column).
        """
        if self._second_coefficients is None:
            raise ValueError("this simulation has one channel; set second_channel")
        return self._render(
            start, stop, self._second_coefficients, self._parameters[:0], self._keys[1]
        )

    def block(self, start: int, stop: int) -> SimulationBlock:
        """Return frames ``start`` to ``stop`` with their truth."""
        return SimulationBlock(
            start,
            self.movie(start, stop),
            self.clean(start, stop),
            self.labels(start, stop),
        )

    @property
    def events(self) -> pd.DataFrame:
        """Table of the true parameters, see `Simulation`."""
        table = empty_table()
        return (
            pd.DataFrame([row for _, row in self._present])[list(table.columns)]
            if self._present
            else table
        )

    @property
    def voxels(self) -> tuple[NDArray[np.int64], ...]:
        """True voxels of each event as flat indices of the recording; those of
        different events may overlap.
        """
        return tuple(self._trace(parameters)[2] for parameters in self._kept)

    def _trace(
        self, parameters: NDArray[np.float64]
    ) -> tuple[float, int, NDArray[np.int64]]:
        return trace_event(
            parameters, self.bleaching * self.settings.gain, self.shape[1:]
        )

    @cached_property
    def _present(self) -> list[tuple[NDArray[np.float64], dict[str, Any]]]:
        """Parameters and row of the table of each event that has voxels in the
        recording; the voxels are not kept.
        """
        smooth = ndimage.gaussian_filter(
            self.f0 / self.settings.gain, sum(self.settings.radius) / 4
        )
        present: list[tuple[NDArray[np.float64], dict[str, Any]]] = []
        for draft, parameters in zip(self._drafts, self._parameters, strict=True):
            found = self._trace(parameters)
            if not len(found[2]):
                continue
            row = describe_event(len(present) + 1, draft, found, self.shape)
            light = brightness_under(draft, smooth)
            amplitude = parameters[PARAMETERS.index("amplitude")]
            row["dff"] = amplitude / light
            row["snr"] = amplitude / np.hypot(light**0.5, self.settings.read_noise)
            present.append((parameters, row))
        return present

    @cached_property
    def _kept(self) -> NDArray[np.float64]:
        rows = [parameters for parameters, _ in self._present]
        return np.array(rows).reshape(len(rows), len(PARAMETERS))

    @cached_property
    def _peaks(self) -> NDArray[np.float64]:
        return np.array([row["amplitude"] for _, row in self._present], np.float64)

    @cached_property
    def _coefficients(self) -> NDArray[np.float32]:
        return _spline(self.scene, self.settings.mean_photons)

    @cached_property
    def _second_coefficients(self) -> NDArray[np.float32] | None:
        return (
            None
            if self._second_scene is None
            else _spline(self._second_scene, self.settings.mean_photons)
        )

    def _courses(self, start: int, stop: int) -> NDArray[np.float64]:
        bleaching, drift = self.bleaching[start:stop], self._drift[start:stop]
        return np.stack(
            [bleaching, bleaching * (1 + drift[:, 0]), bleaching * drift[:, 1]], axis=1
        )

    def _render(
        self,
        start: int,
        stop: int,
        coefficients: NDArray[Any],
        events: NDArray[Any],
        key: np.uint64 | None,
    ) -> NDArray[Any]:
        s = self.settings
        integer = key is not None and s.dtype != "float32"
        dtype = np.dtype(s.dtype if key is not None else "float32")
        limits = np.array([0, np.iinfo(dtype).max] if integer else [0, 0], np.float64)
        camera = np.array(
            [s.gain if key is not None else -s.gain, s.read_noise, s.offset]
        )
        noise = (np.uint64(0) if key is None else key, camera, limits)
        out = np.empty((max(stop - start, 0), s.rows, s.columns), dtype)
        group = max(1, GROUP_BYTES // (8 * s.rows * s.columns))
        for first in range(start, stop, group):
            last = min(first + group, stop)
            moved, courses = (
                self.motion.displacement(first, last),
                self._courses(first, last),
            )
            # one compiled version for all types: the counts of an integer type come out
            # whole and within its limits
            frames = np.empty((last - first, s.rows, s.columns), np.float32)
            render_frames(
                (coefficients, self.scene.margin),
                courses,
                events,
                moved,
                first,
                noise,
                frames,
            )
            out[first - start : last - start] = frames
        return out


class SimulatedRecording(Recording):
    """The movie of a simulator as a recording that is rendered when it is read.

    Parameters
    ----------
    simulator
        A planned recording, or settings.
    """

    def __init__(self, simulator: Simulator | SimulationSettings) -> None:
        self.simulator = (
            simulator if isinstance(simulator, Simulator) else Simulator(simulator)
        )
        s = self.simulator.settings
        self.shape, self.dtype = s.shape, np.dtype(s.dtype)
        self.metadata = Metadata((s.pixel_size, s.pixel_size), s.frame_rate)

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Render frames ``start`` to ``stop``, see `Recording.read`."""
        frames = self.simulator.movie(start, min(stop, self.shape[0]))
        return np.ascontiguousarray(frames[:, rows, columns])


def simulate(settings: SimulationSettings | None = None) -> Simulation:
    """Make a whole recording with its ground truth in memory.

    Parameters
    ----------
    settings
        Parameters; the defaults where None.

    Examples
    --------
    >>> from astrocast.simulation import SimulationSettings, simulate
    >>> made = simulate(
    ...     SimulationSettings(
    ...         seed=1, frames=60, rows=64, columns=64, events=2, kinds=("static",)
    ...     )
    ... )
    >>> made.movie.shape, made.movie.dtype
    ((60, 64, 64), dtype('uint16'))
    >>> [int(n) for n in sorted(set(made.labels.ravel()))]
    [0, 1, 2]
    """
    plan = Simulator(settings)
    n = plan.shape[0]
    return Simulation(
        settings=plan.settings,
        movie=plan.movie(0, n),
        clean=plan.clean(0, n),
        labels=plan.labels(0, n),
        shifts=plan.motion.shifts,
        motion=plan.motion,
        events=plan.events,
        f0=plan.f0,
        bleaching=plan.bleaching,
        second=plan.second(0, n) if plan.settings.second_channel else None,
        voxels=plan.voxels,
    )


def simulate_blocks(
    settings: SimulationSettings | None = None, frames: int = 64
) -> Iterator[SimulationBlock]:
    """Yield the recording of `simulate` in blocks of at most ``frames`` frames, holding
    one at a time.
    """
    plan = Simulator(settings)
    for start in range(0, plan.shape[0], frames):
        yield plan.block(start, min(start + frames, plan.shape[0]))


def _bleaching(s: SimulationSettings) -> NDArray[np.float64]:
    t = np.arange(s.frames)
    slow = s.bleach_fraction * np.exp(-t / s.bleach_time)
    fast = s.bleach_fast_fraction * np.exp(-t / s.bleach_fast_time)
    return np.asarray(1 - s.bleach_fraction - s.bleach_fast_fraction + slow + fast)


def _drift(s: SimulationSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slow change of the whole baseline and of its local part (frame, 2), each at most
    half of `drift`.
    """
    phase = 2 * np.pi * np.arange(s.frames)[:, None, None] / s.frames
    cycles, weights = rng.uniform(0.3, 2.0, (1, 2, 3)), rng.uniform(0.3, 1.0, (1, 2, 3))
    waves = (
        weights * np.sin(cycles * phase + rng.uniform(0, 2 * np.pi, (1, 2, 3)))
    ).sum(-1)
    largest = np.maximum(np.abs(waves).max(0), 1e-12)
    return np.asarray(0.5 * s.drift * waves / largest)


def _spline(scene: Scene, photons: float) -> NDArray[np.float32]:
    """Coefficients of the cubic spline through the baseline and through its locally
    drifting part.
    """
    modes = [
        scene.image.astype(np.float64),
        scene.image.astype(np.float64) * scene.local,
    ]
    return np.stack(
        [ndimage.spline_filter(m * photons, order=3, mode="mirror") for m in modes]
    ).astype(np.float32)
