"""A cohort of 10 million events: load, filter, group; clusters of 100,000 events."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

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


#: events that are clustered
CLUSTERED, QUICK_CLUSTERED = 100_000, 8000
CLUSTERS = {
    "k-means, 3 clusters": 'cluster_features(values, "kmeans", clusters=3)',
    "k-means, number by silhouette": 'cluster_features(values, "kmeans")',
    "hierarchical, on a sample": 'cluster_features(values, "hierarchical", clusters=3)',
    "HDBSCAN": 'cluster_features(values, "hdbscan", least_size=500)',
    "stability of k-means": 'stability(values, "kmeans", clusters=3)',
    "PCA": "embed(values)",
    "UMAP": 'embed(values, "umap")',
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
                f"c = Cohort(folder)\nbefore = time.process_time()\n{question}\n"
                "result = time.process_time() - before"
            )
            _report(title, code, folder=folder)
    events = QUICK_CLUSTERED if quick else CLUSTERED
    heading(f"clusters of {events:,} events of 5 features")
    for title, question in CLUSTERS.items():
        _report(title, _clustering(question), events=events)


def _clustering(question: str) -> str:
    """Return code that clusters three kinds of events."""
    return (
        "import warnings\n"
        "import numpy as np\n"
        "from astrocast.analysis.clusters import cluster_features, embed, stability\n"
        "draw = np.random.default_rng(0)\n"
        "kind = draw.integers(0, 3, events)\n"
        "values = draw.normal(size=(events, 5)) + 3 * np.eye(5)[kind]\n"
        "warnings.simplefilter('ignore')\n"
        "before = time.process_time()\n"
        f"{question}\n"
        "result = time.process_time() - before"
    )


def _report(title: str, code: str, **values: Any) -> None:
    memory, seconds, cpu = peak_memory(code, **values)
    line(title, f"{seconds:.2f} s, {cpu:.2f} CPU s, {memory:.0f} MB")
