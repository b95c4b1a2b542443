"""24 recordings on two workers, one broken, the batch killed in the middle, resumed."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.harness import heading, line

RECORDINGS, SHAPE, WORKERS = 24, (500, 128, 128), 2
QUICK_RECORDINGS, QUICK_SHAPE = 3, (40, 32, 32)


@dataclass(frozen=True)
class Pass:
    """One start of the batch.

    Parameters
    ----------
    title
        What it was.
    code
        Its exit code.
    seconds
        Until it ended.
    complete
        Names of the recordings that were complete then.
    reused
        Recordings that it found complete and did not compute.
    memory
        Largest memory of the batch and its workers together, MB (resident without
        shared pages, sampled).
    """

    title: str
    code: int
    seconds: float
    complete: list[str]
    reused: int
    memory: float


def write_recordings(folder: Path, count: int, shape: tuple[int, int, int]) -> Path:
    """Write ``count`` recordings, one of them broken, and their table."""
    from astrocast.simulation import SimulationSettings, write_simulation

    lines = ["recording,group,subject,day,frame_rate,pixel_size"]
    frames, rows, columns = shape
    events = max(1, round(12 * math.prod(shape) / math.prod(SHAPE)))
    for i in range(count):
        path = folder / f"r{i:02d}.h5"
        if i == count // 3:
            path.write_bytes(b"\x89HDF\r\n\x1a\n cut off")
        else:
            settings = SimulationSettings(
                seed=i, frames=frames, rows=rows, columns=columns, events=events
            )
            write_simulation(settings, path, truth=False)
        group = ("control", "treated")[i % 2]
        lines.append(f"{path.name},{group},{group}-{i // 4},{1 + i // 2 % 2},10,0.5")
    table = folder / "study.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def run_batch(
    table: Path, study: Path, workers: int, title: str, kill_after: int | None = None
) -> Pass:
    """Run the batch; kill it when ``kill_after`` recordings are complete."""
    command = [sys.executable, "-m", "astrocast", "batch", str(table)]
    command += ["-o", str(study), "--workers", str(workers), "--set"]
    command += ["conversion.loc_in=data/ch0"]
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        if kill_after is not None and len(_complete(study)) >= kill_after:
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.2)
    out, _ = process.communicate()
    seconds = time.perf_counter() - begin
    reused = out.count("(complete before, reused)")
    return Pass(title, process.returncode, seconds, _complete(study), reused, peak)


def _memory(pid: int) -> float:
    """Return the memory of a process and its children, MB."""
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            known = process.memory_info()
            total += (known.rss - getattr(known, "shared", 0)) / 1e6
    except psutil.Error:
        pass
    return total


def _complete(study: Path) -> list[str]:
    file = study / "study.json"
    if not file.is_file():
        return []
    outcomes = json.loads(file.read_text(encoding="utf-8"))["outcomes"]
    return sorted(name for name, o in outcomes.items() if o["status"] == "ok")


def run_campaign(
    folder: Path, count: int, shape: tuple[int, int, int], workers: int
) -> list[Pass]:
    """Write the recordings; run the batch, kill it in the middle, resume, repeat."""
    table, study = write_recordings(folder, count, shape), folder / "study"
    middle = max(1, count // 2)
    return [
        run_batch(table, study, workers, "killed in the middle", middle),
        run_batch(table, study, workers, "resumed"),
        run_batch(table, study, workers, "once more"),
    ]


def run(quick: bool = False) -> None:
    count, shape = (QUICK_RECORDINGS, QUICK_SHAPE) if quick else (RECORDINGS, SHAPE)
    heading(
        f"{count} recordings of {' x '.join(map(str, shape))}, one broken, {WORKERS}"
        " workers"
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for found in run_campaign(folder, count, shape, WORKERS):
            line(
                found.title,
                f"exit {found.code}, {found.seconds:.0f} s, complete"
                f" {len(found.complete)} of {count}, {found.reused} reused,"
                f" {found.memory:.0f} MB",
            )
        table = pd.read_csv(folder / "study" / "recordings.csv")
        shown = ["name", "group", "subject", "day", "status", "events", "minutes"]
        print(table[[c for c in shown if c in table]].to_string(index=False))
        broken = table.loc[table["status"] != "ok", ["name", "message"]]
        for row in broken.itertuples():
            print(f"{row.name}: {row.message}")
