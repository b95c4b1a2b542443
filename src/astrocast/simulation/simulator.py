"""The simulator: plans a recording and renders any of its frames with their truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.kernels.rendering.formula_events import (
    PARAMETERS,
    event_labels,
    event_signal,
)
from astrocast.kernels.rendering.frames import render_frames
from astrocast.kernels.rendering.tissue_events import label_tissue_events, tissue_signal
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import sensor
from astrocast.simulation.events import (
    brightness_under,
    calibrate,
    draw_events,
    noise_of,
    photons_of,
)
from astrocast.simulation.modes import make_modes, spline_through
from astrocast.simulation.motion import make_motion, motion_margin
from astrocast.simulation.scene import Scene, make_scene
from astrocast.simulation.streams import seed_of
from astrocast.simulation.tissue_events import (
    light_under,
    pack_events,
    place_tissue_events,
)
from astrocast.simulation.truth import (
    EventSource,
    FormulaSource,
    TissueSource,
    describe_event,
    event_table,
    find_touching,
    trace_event,
)

#: increase it when the same settings give another recording
ALGORITHM_VERSION = 3
#: frames are rendered in groups whose displacement field takes about this many bytes
GROUP_BYTES = 16 << 20


@dataclass(frozen=True)
class SimulationBlock:
    """Frames of a simulation from frame ``start`` on, with their truth."""

    start: int
    movie: NDArray[Any]
    clean: NDArray[np.float32]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class _PresentEvent:
    """An event with voxels in the recording."""

    source: EventSource
    row: dict[str, Any]


class Simulator:
    """Plans a recording and renders any of its frames.

    Every method with ``start, stop`` renders only these frames. The result does not
    depend on the division of the recording into blocks.

    Parameters
    ----------
    settings
        Settings of the recording; None: the defaults.

    Examples
    --------
    >>> from astrocast.simulation import SimulationSettings, Simulator
    >>> plan = Simulator(SimulationSettings(frames=40, rows=48, columns=48, events=0))
    >>> plan.movie(10, 12).shape, plan.f0_movie(10, 12).dtype
    ((2, 48, 48), dtype('float32'))
    """

    def __init__(self, settings: SimulationSettings | None = None) -> None:
        self.settings = settings or SimulationSettings()
        s = self.settings
        margin = motion_margin(s)
        self.scene = make_scene(s, margin, seed_of(s.seed, "scene"))
        self.motion = make_motion(s, seed_of(s.seed, "motion"))
        self.bleaching = sensor.bleaching_of(s)
        self.sensor = sensor.make_sensor(s)
        self.modes = make_modes(s, self.scene)
        self._keys = seed_of(s.seed, "noise").generate_state(2, np.uint64)
        second = seed_of(s.seed, "second")
        self._second_scene = make_scene(s, margin, second) if s.second_channel else None
        self._drafts = draw_events(s, seed_of(s.seed, "events"))
        resting = self.scene.image[self.scene.inside] * s.mean_photons
        self._parameters = calibrate(self._drafts, s, resting)
        self._tissue_drafts = place_tissue_events(s, self.scene, self._drafts)
        self._tissue_light = [
            light_under(d, self.scene.image * s.mean_photons, margin)
            for d in self._tissue_drafts
        ]
        self._tissue_amplitude = np.array(
            [
                photons_of(s, draft.relative, light)
                for draft, light in zip(
                    self._tissue_drafts, self._tissue_light, strict=True
                )
            ],
            np.float64,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the recording: (frame, row, column)."""
        return self.settings.shape

    @property
    def bad_frames(self) -> pd.DataFrame:
        """Disturbed frames: columns ``frame``, ``kind``."""
        return self.sensor.bad_frames

    def wide_baseline(self, frame: int) -> NDArray[np.float32]:
        """Return the baseline of one frame without motion, on the whole canvas.

        float32 (row, column), counts above the offset. The canvas is larger than the
        frame by ``scene.margin`` pixels on every side.
        """
        factor = self.settings.mean_photons * self.settings.gain * self.bleaching[frame]
        courses = self.modes.courses[frame]
        return np.asarray(
            factor * np.tensordot(courses, self.modes.images, 1), np.float32
        )

    @property
    def f0(self) -> NDArray[np.float32]:
        """Baseline without motion, before bleaching and drift: float32 (row, column).

        In counts above the offset.
        """
        factor = np.float32(self.settings.mean_photons * self.settings.gain)
        return np.ascontiguousarray(self.scene.image[self.scene.inside] * factor)

    def baseline(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the baseline without motion (frame, row, column).

        In counts above the offset. It includes bleaching, drift, changes of focus,
        diffuse light and the vessel, but not the flicker of the illumination.
        """
        s = self.settings
        rows, columns = self.scene.inside
        images = self.modes.images[:, rows, columns].astype(np.float32)
        courses = self.modes.courses[start:stop] * self.bleaching[start:stop, None]
        factor = np.float32(s.mean_photons * s.gain)
        light = np.tensordot(courses.astype(np.float32), images, 1)
        return np.asarray(factor * light, np.float32)

    def f0_movie(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return `baseline`: the F0 of a perfect preparation of the movie."""
        return self.baseline(start, stop)

    def clean(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the events without noise and motion (frame, row, column) in counts."""
        scale = self.bleaching[start:stop] * self.settings.gain
        formula, tissue, _ = self._event_arrays
        signal = np.asarray(event_signal(formula, start, scale, self.shape[1:]))
        if not len(tissue[-1]):
            return signal
        return signal + tissue_signal(tissue, start, scale, self.shape[1:])

    def labels(self, start: int, stop: int) -> NDArray[np.int32]:
        """Return the number of the event of each voxel without motion, 0 for no event.

        int32 (frame, row, column). If several events overlap, the strongest has the
        voxel; `voxels` has all.
        """
        scale = self.bleaching[start:stop] * self.settings.gain
        formula, tissue, n = self._event_arrays
        peaks = np.array([p.row["amplitude"] for p in self._present], np.float64)
        numbers = np.arange(1, len(peaks) + 1, dtype=np.int32)
        labels, strengths = event_labels(
            formula, peaks[:n], start, scale, self.shape[1:], numbers[:n]
        )
        if len(tissue[-1]):
            labels, _ = label_tissue_events(
                tissue, peaks[n:], start, scale, numbers[n:], labels, strengths
            )
        return np.asarray(labels)

    def movie(self, start: int, stop: int) -> NDArray[Any]:
        """Return the counts of the file (frame, row, column), in the set dtype."""
        return self._acquire(start, stop, self._coefficients, 0, noisy=True)

    def expected(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the counts of the movie without noise: float32 (frame, row, column).

        They are not rounded and not saturated.
        """
        return self._acquire(start, stop, self._coefficients, 0, noisy=False)

    def noise_variance(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the variance of the noise of the movie in counts squared.

        float32 (frame, row, column). It includes photon noise, amplification, read
        noise and rounding. With `expected` it gives the Cramer-Rao bound of an
        estimate. With a running mean it is the variance of one voxel; neighbours are
        then correlated.
        """
        s = self.settings
        photons = (self.expected(start, stop) - s.offset) / s.gain
        variance = s.gain**2 * (np.maximum(photons, 0) * s.excess + s.read_noise**2)
        variance /= s.average_frames * s.average_pixels**2
        rounding = 0 if s.dtype == "float32" else 1 / 12
        return np.asarray(variance + rounding, np.float32)

    def second(self, start: int, stop: int) -> NDArray[Any]:
        """Return the structural channel (frame, row, column), in the set dtype.

        It has another brightness, the same motion and no events.
        """
        if self._second_coefficients is None:
            raise InvalidValueError(
                "this simulation has one channel; set second_channel=True"
            )
        return self._acquire(start, stop, self._second_coefficients, 1, noisy=True)

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
        """Table of the true events, see `astrocast.simulation.truth.COLUMNS`."""
        return event_table([present.row for present in self._present])

    @property
    def voxels(self) -> tuple[NDArray[np.int64], ...]:
        """True voxels of each event as flat indices in the recording.

        Voxels of different events may overlap.
        """
        size = self.shape[1] * self.shape[2]
        return tuple(trace_event(p.source, size).voxels for p in self._present)

    @cached_property
    def _sources(self) -> list[tuple[EventSource, float, float]]:
        """(event, peak in photons, baseline under it in photons) of each event."""
        s, scale = self.settings, self.bleaching * self.settings.gain
        smooth = ndimage.gaussian_filter(self.f0 / s.gain, sum(s.radius) / 4)
        amplitude = PARAMETERS.index("amplitude")
        formula: list[tuple[EventSource, float, float]] = [
            (
                FormulaSource(draft, values, scale, self.shape[1:]),
                float(values[amplitude]),
                brightness_under(draft, smooth),
            )
            for draft, values in zip(self._drafts, self._parameters, strict=True)
        ]
        tissue: list[tuple[EventSource, float, float]] = [
            (
                TissueSource(draft, float(photons), scale, self.shape[1:]),
                float(photons),
                light,
            )
            for draft, photons, light in zip(
                self._tissue_drafts,
                self._tissue_amplitude,
                self._tissue_light,
                strict=True,
            )
        ]
        return [*formula, *tissue]

    @cached_property
    def _present(self) -> list[_PresentEvent]:
        """Events with voxels in the recording; the voxels are not stored."""
        present: list[_PresentEvent] = []
        grouped: dict[int, NDArray[np.int64]] = {}
        size = self.shape[1] * self.shape[2]
        f0 = self.f0
        for source, photons, light in self._sources:
            trace = trace_event(source, size)
            if not len(trace.voxels):
                continue
            row = describe_event(source, trace, self.shape, f0, self.bleaching)
            row["event"] = len(present) + 1
            row["dff"] = photons / light
            row["snr"] = photons / noise_of(self.settings, light)
            if row["group"]:
                grouped[len(present)] = trace.voxels
            present.append(_PresentEvent(source, row))
        groups = [present[k].row["group"] for k in grouped]
        touches = find_touching(groups, list(grouped.values()), self.shape)
        known = dict(zip(grouped, touches, strict=True))
        for k, event in enumerate(present):
            event.row["touches"] = known.get(k, False)
        return present

    @cached_property
    def _event_arrays(
        self,
    ) -> tuple[NDArray[np.float64], tuple[NDArray[Any], ...], int]:
        """(formula events, tissue events, number of formula events) for rendering."""
        sources = [present.source for present in self._present]
        formula = [s.parameters for s in sources if isinstance(s, FormulaSource)]
        tissue = [s for s in sources if isinstance(s, TissueSource)]
        return (
            np.array(formula).reshape(len(formula), len(PARAMETERS)),
            pack_events(
                [s.draft for s in tissue], np.array([s.amplitude for s in tissue])
            ),
            len(formula),
        )

    @cached_property
    def _coefficients(self) -> NDArray[np.float32]:
        return spline_through(self.modes.images, self.settings.mean_photons)

    @cached_property
    def _second_coefficients(self) -> NDArray[np.float32] | None:
        scene: Scene | None = self._second_scene
        if scene is None:
            return None
        image = scene.image.astype(np.float64)
        images = np.stack([image, image * scene.local])
        return spline_through(images, self.settings.mean_photons)

    def _acquire(
        self,
        start: int,
        stop: int,
        coefficients: NDArray[Any],
        channel: int,
        *,
        noisy: bool,
    ) -> NDArray[Any]:
        """Return frames of the file: exposed, averaged, digitised, with bad frames."""
        s = self.settings
        dtype = np.dtype(s.dtype if noisy else "float32")
        out = np.empty((max(stop - start, 0), s.rows, s.columns), dtype)
        group = max(1, GROUP_BYTES // (8 * s.rows * s.columns))
        for first in range(start, stop, group):
            last = min(first + group, stop)
            out[first - start : last - start] = self._acquire_group(
                first, last, coefficients, channel, noisy
            )
        return out

    def _acquire_group(
        self,
        start: int,
        stop: int,
        coefficients: NDArray[Any],
        channel: int,
        noisy: bool,
    ) -> NDArray[Any]:
        s = self.settings
        source = sensor.source_frames(self.sensor, start, stop)
        first = int(source.min()) - s.average_frames + 1
        averaged = s.average_frames > 1 or s.average_pixels > 1
        limit = sensor.largest_count(s) if noisy else None
        frames = self._expose(
            np.arange(first, stop),
            coefficients,
            channel,
            (noisy, limit if not averaged else None),
        )
        if averaged:
            frames = sensor.average(frames, s.average_frames, s.average_pixels)
            frames = sensor.digitise(frames, np.float32, limit)
        frames = frames[source - int(source.min())]
        if noisy:
            frames[sensor.mask_of("dropped", self.sensor, start, stop)] = 0
            for frame, (top, bottom) in self.sensor.lost.items():
                if start <= frame < stop:
                    frames[frame - start, top:bottom] = 0
        return frames

    def _expose(
        self,
        frames: NDArray[np.int64],
        coefficients: NDArray[Any],
        channel: int,
        how: tuple[bool, float | None],
    ) -> NDArray[np.float32]:
        """Return exposed frames.

        Frames before the first one show the first one, with different noise. ``how`` is
        (with noise, largest count of an integer type or None).
        """
        s = self.settings
        noisy, limit = how
        times = np.maximum(frames, 0)
        low, high = int(times[0]), int(times[-1]) + 1
        moved = self.motion.displacement(low, high)[times - low]
        bleaching = self.bleaching[times]
        courses = self.modes.courses[times][:, : len(coefficients)]
        light = self.sensor.light[times]
        light[:, 0] *= self.sensor.flicker[times]
        camera = np.array(
            [s.gain if noisy else -s.gain, s.read_noise, s.offset, s.gain_noise]
        )
        formula, tissue = self._all_packed if channel == 0 else self._no_events
        return np.asarray(
            render_frames(
                (coefficients, self.scene.margin),
                np.c_[bleaching, bleaching[:, None] * courses],
                (formula, tissue),
                np.ascontiguousarray(moved),
                np.stack([times, np.where(frames < 0, s.frames - frames, frames)], 1),
                (light, self.sensor.pixels, self.sensor.extra[times]),
                (self._keys[channel], camera, np.array([0.0, limit or 0.0])),
            )
        )

    @cached_property
    def _all_packed(self) -> tuple[NDArray[np.float64], tuple[NDArray[Any], ...]]:
        packed = pack_events(self._tissue_drafts, self._tissue_amplitude)
        return np.ascontiguousarray(self._parameters), packed

    @cached_property
    def _no_events(self) -> tuple[NDArray[np.float64], tuple[NDArray[Any], ...]]:
        return np.empty((0, len(PARAMETERS))), pack_events([], np.empty(0))
