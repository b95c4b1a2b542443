"""A whole run beside reading and writing the same bytes once: time, memory, stages."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.harness import heading, line, peak_memory

RUN = """
import json
import time
from pathlib import Path
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
clock = time.process_time()
found = run_recording(Path(source), Path(folder) / f"run_{frames}", RunSettings())
spent_cpu = time.process_time() - clock
stages = json.loads((found.directory / "run.json").read_text())["stages"]
result = found.events, spent_cpu, {
    name: (s["seconds"], s["cpu_seconds"], s["peak_memory_mb"])
    for name, s in stages.items()
}
"""


def write_movie(path: Path, frames: int, side: int) -> int:
    """Write a simulated raw recording, 0.0093 events per 1,000 voxels; return them."""
    from astrocast.settings.simulation import SimulationSettings
    from astrocast.simulation import write_simulation

    events = round(frames * side * side * 9.3e-6)
    settings = SimulationSettings(
        seed=7,
        frames=frames,
        rows=side,
        columns=side,
        snr=4.0,
        events=events,
        kinds=("static", "growing", "travelling"),
        motion=0.3,
        motion_step=0.1,
    )
    write_simulation(settings, path, truth=False)
    return events


def copy_once(source: Path, target: Path) -> tuple[float, float]:
    """Read a recording block by block and write it; return wall and CPU seconds."""
    from astrocast.io import create_recording, open_recording
    from astrocast.runtime.blocks import copy_blocks

    wall, cpu = time.perf_counter(), time.process_time()
    with (
        open_recording(source, "data/ch0") as movie,
        create_recording(
            target, "data/ch0", movie.shape, movie.dtype, chunk_strategy="XY"
        ) as writer,
    ):
        copy_blocks(movie, writer)
    return time.perf_counter() - wall, time.process_time() - cpu


def run(quick: bool) -> None:
    """Time a run of each length, stage by stage."""
    heading("A whole run")
    sizes = ((200, 128),) if quick else ((2000, 512),)
    for frames, side in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = folder / "movie.h5"
            write_movie(source, frames, side)
            wall, cpu = copy_once(source, folder / "copy.h5")
            peak, spent, found = peak_memory(
                RUN, frames=frames, source=str(source), folder=name
            )
            events, worked, stages = found
            title = f"{frames} x {side} x {side}, {events} events"
            line(f"{title}: read and write once", f"{wall:.1f} s, CPU {cpu:.1f} s")
            rate = frames * side * side / 1e6 / spent
            line(
                f"{title}: run",
                f"{spent:.1f} s, CPU {worked:.1f} s, {rate:.1f} Mvoxel/s,"
                f" {peak:.0f} MB",
                "goal: 2,000 x 512 x 512 in 37 s, 1000 MB",
            )
            for stage, (seconds, cpu_seconds, memory) in stages.items():
                line(
                    f"  {stage}",
                    f"{seconds:.1f} s, CPU {cpu_seconds:.1f} s, {memory:.0f} MB",
                )
