"""A cohort of 10 million events: loading two columns, filtering, grouping."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import heading, line, peak_memory

EVENTS, QUICK_EVENTS, RECORDINGS = 10_000_000, 200_000, 1000

QUESTIONS = {
    "load 2 columns": 'len(c.read(["peak_dff", "duration_s"]))',
    "filter to 1 %": 'len(c.read(["peak_dff"], {"peak_dff": (3.0, None)}))',
    "group by animal": 'len(c.aggregate(["group", "subject"], {"peak_dff": "mean"}))',
}


def write_events(path: Path, count: int) -> None:
    """Write ``count`` events of 1,000 recordings of 40 animals, one piece each."""
    rng = np.random.default_rng(0)
    writer = None
    for i in range(RECORDINGS):
        n = count // RECORDINGS
        piece = {
            "recording": pa.array([f"r{i}"] * n),
            "group": pa.array([("control", "drug")[i % 2]] * n),
            "subject": pa.array([f"m{i % 40}"] * n),
        }
        for name in ("peak_dff", "duration_s", "area_um2", "rise_s", "snr"):
            piece[name] = pa.array(rng.lognormal(0.0, 0.5, n))
        table = pa.table(piece)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def run(quick: bool = False) -> None:
    count = QUICK_EVENTS if quick else EVENTS
    heading(f"cohort of {count:,} events")
    with tempfile.TemporaryDirectory() as folder:
        write_events(Path(folder) / "events.parquet", count)
        for title, question in QUESTIONS.items():
            code = (
                "from astrocast.study.cohort import Cohort\n"
                f"c = Cohort(folder)\nresult = {question}"
            )
            memory, seconds, _ = peak_memory(code, folder=folder)
            line(title, f"{seconds:.2f} s, {memory:.0f} MB")
