"""A recording on a cluster: tasks, bytes that travel, memory of workers, CPU time.

``python -m benchmarks cluster``: what each stage sends and receives (measured in this
process, without a cluster), the plan of a recording of 10 TB from these figures, the
cost of a task, and 1, 2 and 4 worker processes. ``python -m benchmarks.bench_cluster
100``: a recording of 100 GB that is made when it is read goes through motion estimation
and detection, with the peak memory of each worker.
"""

from __future__ import annotations

import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from astrocast.detection import Detector
from astrocast.io.recording import ALL, Metadata, Recording
from astrocast.preparation import Delta, MotionCorrection
from astrocast.runtime import blocks, cluster
from astrocast.simulation import SimulationSettings, Simulator
from benchmarks.harness import heading, line

cloudpickle.register_pickle_by_value(sys.modules[__name__])
#: a recording of 10 TB: 512 x 512 pixels of 2 bytes
LARGE = (20_000_000, 512, 512)
#: frames that the generated recording shows over and over, forwards and backwards
FILM = 256


class Film(Recording):
    """A recording of any length that is made when it is read; workers make it too."""

    portable = True

    def __init__(self, file: Path, frames: int) -> None:
        self.file = file
        self.film: Any = None
        size = np.load(file, mmap_mode="r").shape[1:]
        self.shape, self.dtype = (frames, *size), np.dtype(np.uint16)
        self.metadata, self.path = Metadata(frame_rate=10.0), file

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"film": None}

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> Any:
        if self.film is None:
            self.film = np.load(self.file, mmap_mode="r")
        t = np.arange(start, stop) % (2 * FILM)
        frames = self.film[np.minimum(t, 2 * FILM - 1 - t)]
        return np.ascontiguousarray(frames[:, rows, columns])


def make_film(folder: Path, frames: int, size: int) -> Film:
    """Return a recording of ``frames`` frames of ``size`` x ``size`` pixels."""
    file = folder / f"film{size}.npy"
    if not file.exists():
        settings = SimulationSettings(
            frames=FILM,
            rows=size,
            columns=size,
            events=max(4, size * size // 2000),
            snr=4.0,
            motion=1.5,
            seed=2,
            frame_rate=10.0,
            bleach_fraction=0.0,
        )
        movie = np.asarray(Simulator(settings).movie(0, FILM))
        np.save(file, movie.astype(np.uint16))
    return Film(file, frames)


class Meter:
    """Counts what `map_tasks` would send to workers and get back, for each function."""

    def __init__(self) -> None:
        self.rows: dict[str, list[int]] = {}

    def map_tasks(
        self, function: Any, items: Any, pool: Any, **rest: Any
    ) -> Iterator[Any]:
        inner = getattr(function, "task", getattr(function, "operation", function))
        name = getattr(inner, "__name__", type(inner).__name__)
        row = self.rows.setdefault(name, [0, 0, 0, 0])
        row[1] = len(cluster.pack(function) or b"")
        for item in items:
            result = function(item, pool)
            row[0] += 1
            row[2] += len(pickle.dumps(item))
            row[3] += len(pickle.dumps(result))
            yield result


def run_stages(film: Film, folder: Path, *, delta: bool = True) -> None:
    """Estimate motion, take the background away, detect; nothing is registered."""
    MotionCorrection(logging_level=40).run(film)
    if delta:
        signal = Delta(film)
        signal.run(window=100, baseline="corrected_minimum")
    Detector(film, output=folder / "events.roi", logging_level=40).run(
        method="calibrated"
    )


def measure_traffic(film: Film, folder: Path) -> dict[str, list[int]]:
    """Return of each function: tasks, its bytes, bytes of items and of results."""
    meter = Meter()
    places = [m for m in sys.modules.values() if hasattr(m, "map_tasks")]
    whole = cluster.map_tasks
    client, blocks.connected_client = blocks.connected_client, lambda: True
    for module in places:
        module.map_tasks = meter.map_tasks  # type: ignore[attr-defined]
    try:
        run_stages(film, folder)
    finally:
        blocks.connected_client = client
        for module in places:
            module.map_tasks = whole  # type: ignore[attr-defined]
    return meter.rows


def show_plan(film: Film, rows: dict[str, list[int]]) -> None:
    """Show what travels, and what that is in a recording of 10 TB."""
    voxels = float(np.prod(film.shape))
    scale = float(np.prod(LARGE)) / voxels
    heading(f"what travels, measured on {film.shape}, and in 10 TB: {LARGE}")
    tasks = total = 0.0
    for name, (count, function, sent, received) in rows.items():
        per_voxel = (sent + received) / voxels
        tasks, total = tasks + count * scale, total + per_voxel
        line(
            name,
            f"{count} tasks, function {function / 1e6:.2f} MB, sent"
            f" {sent / voxels:.4f}, received {received / voxels:.4f} bytes/voxel;"
            f" 10 TB: {count * scale:,.0f} tasks,"
            f" {per_voxel * np.prod(LARGE) / 1e9:,.0f} GB",
        )
    largest = max(row[2] / max(row[0], 1) for row in rows.values())
    window = cluster.TASKS_PER_THREAD * 100
    line("10 TB, all stages", f"{tasks:,.0f} tasks, {total:.3f} bytes/voxel")
    line(
        "graph at the scheduler, 100 threads",
        f"{window} tasks at a time, {window * largest / 1e6:.1f} MB of items at most",
    )
    line("state here: shifts and quality of frames", f"{LARGE[0] * 64 / 1e9:.1f} GB")


def show_workers(film: Film, folder: Path, counts: tuple[int, ...]) -> None:
    """Show time, CPU time and peak memory of some numbers of worker processes."""
    from distributed import Client, LocalCluster

    heading(f"{film.nbytes / 1e9:.1f} GB {film.shape} through motion and detection")
    for count in counts:
        with (
            LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address=None
            ) as local,
            Client(local) as client,
        ):
            items = range(300)
            list(cluster.map_tasks(lambda item, pool: None, range(20), None))
            begin = time.perf_counter()
            list(cluster.map_tasks(lambda item, pool: None, items, None))
            each = (time.perf_counter() - begin) / len(items)
            place = folder / f"workers{count}"
            place.mkdir()
            before = client.run(_used)
            mine, begin = time.process_time(), time.perf_counter()
            run_stages(film, place, delta=False)
            wall, mine = time.perf_counter() - begin, time.process_time() - mine
            after = client.run(_used)
            spent = [after[k][0] - before[k][0] for k in after if k in before]
            peak = ", ".join(f"{used[1] / 1e6:.0f}" for used in after.values())
            line(
                f"{count} workers",
                f"{wall:.1f} s, CPU s of workers {sum(spent):.1f}, here {mine:.1f};"
                f" peak MB of each worker {peak}; an empty task {1e3 * each:.1f} ms",
            )


def _used() -> tuple[float, int]:
    """Return CPU seconds and peak bytes of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = used.ru_maxrss * unit
    status = Path("/proc/self/status")
    if status.exists():  # the other one is that of the process that started this one
        lines = status.read_text().splitlines()
        peak = next(int(s.split()[1]) * 1024 for s in lines if s.startswith("VmHWM"))
    return used.ru_utime + used.ru_stime, peak


def run(quick: bool = False) -> None:
    """Run all parts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = make_film(folder, 1100, 64 if quick else 256)
        show_plan(film, measure_traffic(film, folder))
        frames = 600 if quick else 4000
        show_workers(
            make_film(folder, frames, 64 if quick else 256),
            folder,
            (1,) if quick else (1, 2, 4),
        )


def main() -> None:
    """Send a generated recording of some GB through two worker processes."""
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    with tempfile.TemporaryDirectory() as name:
        frames = int(size * 1e9 / (512 * 512 * 2))
        show_workers(make_film(Path(name), frames, 512), Path(name), (2,))


if __name__ == "__main__":
    main()
