"""The detection that is calibrated by the recording's noise: its time beside the
default detection, and its memory.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import heading, line, peak_memory

SIDE = 256

#: the simulator writes block by block, so what is measured is the detection's own
#: memory
MEMORY = """
from pathlib import Path
from astrocast.detection import Detector
from astrocast.io.stores.event_table import read_events
detector = Detector(Path(source), Path(folder) / f"{frames}.roi")
found = detector.run("data/ch0", method="calibrated")
result = len(read_events(found, ["v_area"]))
"""


def write_movie(path: Path, frames: int, events_per_frame: float = 0.2) -> None:
    """Write a simulated raw recording of that many frames of 256 x 256 pixels."""
    from astrocast.settings.simulation import SimulationSettings
    from astrocast.simulation import write_simulation

    settings = SimulationSettings(
        seed=7,
        frames=frames,
        rows=SIDE,
        columns=SIDE,
        snr=4.0,
        events=int(frames * events_per_frame),
        kinds=("static", "growing", "travelling"),
        motion=0.3,
        motion_step=0.1,
    )
    write_simulation(settings, path, truth=False)


#: many events in little room: 64 places, each active once in 40 frames, at a frame that
#: is drawn: what recurs regularly in many places is a pattern that pixels share
PLACES, PERIOD, SMALL_SIDE = 8, 40, 128


def write_many_events(path: Path, events: int) -> int:
    """Write a recording with that many small events, a few at a time; return frames."""
    import numpy as np

    from astrocast.io import create_recording

    frames = events * PERIOD // PLACES**2
    rng = np.random.default_rng(11)
    y, x = np.mgrid[:SMALL_SIDE, :SMALL_SIDE] % (SMALL_SIDE // PLACES)
    centre = SMALL_SIDE // PLACES / 2 - 0.5
    blob = np.exp(-((y - centre) ** 2 + (x - centre) ** 2) / 8.0)
    drawn = rng.integers(0, PERIOD, (frames // PERIOD + 2, PLACES, PLACES))
    shape = (frames, SMALL_SIDE, SMALL_SIDE)
    with create_recording(
        path, "data/ch0", shape, np.uint16, chunk_strategy="XY"
    ) as writer:
        for start in range(0, frames, 500):
            t = np.arange(start, min(start + 500, frames))[:, None, None]
            height = np.zeros((len(t), PLACES, PLACES))
            for turn in (t // PERIOD, t // PERIOD + 1):  # the turn before, and this one
                onset = (turn - 1) * PERIOD + drawn[turn[:, 0, 0]]
                age = t - onset
                height += (age >= 0) * np.exp(-np.maximum(age, 0) / 2.5)
            side = SMALL_SIDE // PLACES
            light = 1000 + 250 * blob * height.repeat(side, 1).repeat(side, 2)
            writer.write(start, rng.poisson(light).astype(np.uint16))
    return frames


def _many_events(folder: Path, numbers: tuple[int, ...]) -> None:
    """Print the time of the detection per event, for several numbers of events."""
    from astrocast.detection import Detector
    from astrocast.io.stores.event_table import read_events

    for turn, number in enumerate(numbers):
        path = folder / f"many_{turn}.h5"
        frames = write_many_events(path, number)
        output = folder / f"many_{turn}.roi"
        cpu, wall = _spent(
            lambda p=path, o=output: Detector(p, o).run("data/ch0", method="calibrated")
        )
        found = len(read_events(output, ["v_area"]))
        line(
            f"{found} events, {frames} x {SMALL_SIDE} x {SMALL_SIDE}",
            f"CPU {1e3 * cpu / max(found, 1):.2f} ms per event"
            f" ({cpu:.1f} s, wall {wall:.1f} s)",
        )
        path.unlink()


def run(quick: bool) -> None:
    heading("Detection calibrated by the recording's noise")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _many_events(folder, (1_000,) if quick else (1_000, 1_000, 10_000, 100_000))
        _rate(folder, 100 if quick else 1_000)
        _speed(folder, repeats=1 if quick else 5)
        for frames in (500, 2000) if quick else (1_000, 4_000, 16_000):
            source = folder / f"{frames}.h5"
            write_movie(source, frames)
            peak, spent, events = peak_memory(
                MEMORY, frames=frames, source=str(source), folder=name
            )
            title = f"peak memory, {frames} x {SIDE} x {SIDE}, {events} events"
            line(title, f"{peak:.0f} MB ({spent:.1f} s)", "goal 1500 MB, +10%")
            source.unlink()


def _rate(folder: Path, frames: int) -> None:
    """Print the voxels per second of a recording with 0.8 events per frame."""
    from astrocast.detection import Detector
    from astrocast.io.stores.event_table import read_events

    source = folder / "rate.h5"
    write_movie(source, frames, events_per_frame=0.8)
    spent = []
    for turn in range(2):  # the first one compiles or loads the kernels
        output = folder / f"rate_{turn}.roi"
        detector = Detector(source, output)
        spent.append(_spent(lambda d=detector: d.run("data/ch0", method="calibrated")))
    cpu, wall = spent[-1]
    voxels = frames * SIDE * SIDE
    found = len(read_events(output, ["v_area"]))
    line(
        f"{frames} x {SIDE} x {SIDE}, {found} events",
        f"{voxels / wall / 1e6:.1f} Mvoxel/s ({wall:.2f} s), CPU"
        f" {1e9 * cpu / voxels:.0f} ns per voxel ({cpu:.2f} s)",
        "goal 40 Mvoxel/s on two cores",
    )
    source.unlink()


def _speed(folder: Path, repeats: int, frames: int = 400) -> None:
    from astrocast.detection import Detector
    from astrocast.io.stores.event_table import read_events

    path = folder / "movie.h5"
    write_movie(path, frames)
    outputs = iter(range(1000))

    def detect(method: str) -> Path:
        return Detector(path, folder / f"{next(outputs)}.roi").run(
            "data/ch0", method=method
        )

    found = {
        method: len(read_events(detect(method), ["v_area"]))
        for method in ("default", "calibrated")
    }
    pairs = [
        [_spent(lambda m=method: detect(m)) for method in found] for _ in range(repeats)
    ]
    title = f"calibrated over default, {frames} x {SIDE} x {SIDE}"
    for what, goal in enumerate(("", "goal at most 2 x")):
        ratio = statistics.median(ours[what] / default[what] for default, ours in pairs)
        default, ours = (
            statistics.median(pair[i][what] for pair in pairs) for i in (0, 1)
        )
        line(
            f"{title}, {('CPU', 'wall')[what]}",
            f"{ratio:.2f} x ({ours:.2f} s : {default:.2f} s)",
            goal,
        )
    line(
        "  events found: calibrated, default",
        f"{found['calibrated']}, {found['default']}",
    )


def _spent(call: Callable[[], Any]) -> tuple[float, float]:
    """CPU time of all threads, and wall time."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall
