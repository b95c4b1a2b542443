"""Simulated recordings: in memory, block by block, or rendered when they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Metadata, Recording
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.motion import Motion
from astrocast.simulation.simulator import SimulationBlock, Simulator


@dataclass(frozen=True)
class Simulation:
    """A recording with its ground truth; axes are (frame, row, column).

    Parameters
    ----------
    settings
        Settings of the simulation.
    movie
        Counts as from a camera: displaced, bleached, noisy.
    clean
        float32: events alone, without noise and motion. These are the expected counts
        above the baseline: the dF of a perfect preparation of the movie. Bleaching
        reduces events like the baseline.
    labels
        int32: number of the event of each voxel without motion, 0 for no event. A voxel
        belongs to an event if the event is at least a quarter of its own peak there. If
        several events overlap, the strongest has the voxel; ``voxels`` has all.
    shifts
        (frame, 2): rigid displacement in pixels, row then column; positive is down and
        right. Pixel p of a frame shows the scene at p minus its displacement.
    motion
        All motion; ``motion.displacement(start, stop)`` is the full field,
        ``motion.line_shifts`` the displacement of each line.
    events
        One row per event; `astrocast.simulation.COLUMNS` describes each column. Times
        are in frames, lengths in pixels.
    f0
        (row, column): baseline without motion, before bleaching and drift, in counts
        above the offset. ``simulator.f0_movie`` is the baseline of each frame.
    bleaching
        Bleaching factor of each frame.
    second
        The structural channel, or None.
    voxels
        True voxels of each event as flat indices in the recording; voxels of different
        events may overlap.
    simulator
        Renders F0, expected counts and noise variance frame by frame.
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
    simulator: Simulator

    @property
    def bad_frames(self) -> pd.DataFrame:
        """Disturbed frames: columns ``frame``, ``kind``."""
        return self.simulator.bad_frames


class SimulatedRecording(Recording):
    """The movie of a simulator as a recording that is rendered when it is read.

    Parameters
    ----------
    simulator
        Simulator, or settings for one.
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
        Settings of the simulation; None: the defaults.

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
        simulator=plan,
    )


def simulate_blocks(
    settings: SimulationSettings | None = None, frames: int = 64
) -> Iterator[SimulationBlock]:
    """Yield the recording of `simulate` in blocks of at most ``frames`` frames.

    Only one block is in memory at a time.
    """
    plan = Simulator(settings)
    for start in range(0, plan.shape[0], frames):
        yield plan.block(start, min(start + frames, plan.shape[0]))
