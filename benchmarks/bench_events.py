"""The event object: loading, normalising, reshaping and drawing 100,000 events."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astrocast.analysis import Events
from astrocast.events.array_columns import MaskArray, TraceArray
from astrocast.events.schema import COLUMNS
from astrocast.io.stores.event_store import TABLE
from astrocast.io.stores.event_table import read_event_table
from astrocast.io.stores.event_table_writer import EventTableWriter
from astrocast.kernels.event_features.neighbours import same_place
from astrocast.kernels.event_features.physiology import time_courses
from astrocast.kernels.event_features.propagation import fronts
from astrocast.kernels.masks.packed_masks import shapes_over_time
from astrocast.kernels.ragged.ragged import offsets_of
from astrocast.kernels.traces.traces import list_pixels
from benchmarks.harness import compare, heading, line, peak_memory, timed

FRAMES, ROWS, COLUMNS_ = 5000, 512, 512


def make_columns(n: int, seed: int = 0) -> dict[str, Any]:
    """Events of 20-200 frames and 6 x 6 to 12 x 12 pixels, filled to half, as the
    writer takes them.
    """
    rng = np.random.default_rng(seed)
    shapes = np.stack(
        [rng.integers(20, 201, n), rng.integers(6, 13, n), rng.integers(6, 13, n)],
        axis=1,
    )
    origins = np.stack(
        [
            rng.integers(0, FRAMES - shapes[:, 0]),
            rng.integers(0, ROWS - shapes[:, 1]),
            rng.integers(0, COLUMNS_ - shapes[:, 2]),
        ],
        axis=1,
    )
    trace_offsets = offsets_of(shapes[:, 0])
    bit_offsets = offsets_of((shapes.prod(axis=1) + 7) // 8)
    footprint_offsets = offsets_of((shapes[:, 1] * shapes[:, 2] + 7) // 8)
    columns: dict[str, Any] = {
        "trace": (
            rng.normal(1, 0.2, trace_offsets[-1]).astype(np.float32),
            trace_offsets,
        ),
        "noise_mask_trace": (
            rng.normal(0, 0.2, trace_offsets[-1]).astype(np.float32),
            trace_offsets,
        ),
        "mask": (rng.integers(0, 256, bit_offsets[-1], dtype=np.uint8), bit_offsets),
        "footprint": (np.full(footprint_offsets[-1], 255, np.uint8), footprint_offsets),
        "name": [str(i) for i in range(1, n + 1)],
    }
    for axis, name in enumerate("zxy"):
        columns |= {
            f"{name}0": origins[:, axis],
            f"{name}1": (origins + shapes)[:, axis],
            f"d{name}": shapes[:, axis],
        }
    for c in COLUMNS:
        if c.name not in columns and c.is_scalar:
            columns[c.name] = (
                rng.random(n) if c.dtype == "float64" else rng.integers(0, 9, n)
            )
    return columns


def write_store(directory: Path, n: int, part: int = 10_000) -> None:
    directory.mkdir()
    with EventTableWriter(directory) as writer:
        for begin in range(0, n, part):
            count = min(part, n - begin)
            columns = make_columns(count, begin)
            writer.write(
                np.arange(begin + 1, begin + count + 1),
                {c.name: columns[c.name] for c in writer.columns},
            )


def loop_normalize(traces: list[np.ndarray]) -> list[np.ndarray]:
    out = []
    for trace in traces:
        moved = trace - trace.min()
        top = moved.max()
        out.append(moved / top if top else moved)
    return out


def _per_event(title: str, call: Any, n: int, goal: str = "") -> None:
    call()
    spent = min(timed(call) for _ in range(3))
    line(title, f"{spent / n * 1e6:8.2f} µs per event  ({spent:.3f} s for {n})", goal)


def run(quick: bool) -> None:
    n = 10_000 if quick else 100_000
    heading(f"event object, {n} events of 20-200 frames")
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "a.roi"
        write_store(directory, n)
        size = (directory / TABLE).stat().st_size / 1e6
        line("event table on disk", f"{size:.0f} MB")
        compare(
            "load the event table, traces and masks packed",
            lambda: read_event_table(directory),
            lambda: pd.read_parquet(directory / TABLE),
            baseline_name="pandas.read_parquet",
            goal="goal: above 0.2",
        )
        compare(
            "Events(directory), with cx, cy and v_area_norm",
            lambda: Events(directory),
            lambda: pd.read_parquet(directory / TABLE),
            baseline_name="pandas.read_parquet",
            goal="goal: above 0.2",
        )
        _shapes(Events(directory), n)
        if not quick:
            _memory(directory)
        _kernels(n // 10)


def _shapes(events: Events, n: int) -> None:
    instructions = {0: ["subtract", {"mode": "min"}], 1: ["divide", {"mode": "max"}]}
    traces = list(events.events["trace"])
    part = max(1, n // 10)
    compare(
        "normalize: subtract min, divide max",
        lambda: events.normalize(instructions),
        lambda: loop_normalize(traces[:part]),
        baseline_name="loop over traces",
        baseline_share=part / n,
        goal="goal: 20",
    )
    _per_event(
        "normalize(inplace=False), as an object array",
        lambda: events.normalize(instructions, inplace=False),
        n,
    )
    _per_event(
        "to_numpy, 5,000 frames (first tenth of the events)",
        lambda: events.to_numpy(events.events.iloc[:part]),
        part,
    )
    _per_event("to_numpy(ragged=True)", lambda: events.to_numpy(ragged=True), n)
    _per_event(
        "enforce_length(100, 100)",
        lambda: events.enforce_length(100, max_length=100),
        n,
    )
    _per_event(
        "filter by two columns",
        lambda: events.filter({"dz": (50, 150), "x0": (None, 300)}, inplace=False),
        n,
    )
    _per_event("to_tsfresh", events.to_tsfresh, n)
    shape = (500, ROWS, COLUMNS_)
    few = events.events[events.events["z1"] <= shape[0]]
    _per_event(
        f"create_event_map, {len(few)} events into {shape}",
        lambda: Events.create_event_map(few, shape, np.int32),
        len(few),
    )
    few = Events.__new__(Events)
    few.__dict__.update(events.__dict__)
    few.events = events.events.iloc[:part]
    _per_event(
        "physiology, all columns (first tenth)",
        lambda: few.physiology(inplace=False),
        part,
    )


#: loads the table, gives back what loading needed, and begins to watch from there
LOADED = """
import ctypes, gc, pathlib, tempfile
from astrocast.analysis import Events
events = Events(directory)
gc.collect()
try:
    ctypes.CDLL(None).malloc_trim(0)
except AttributeError:  # only glibc keeps what was freed
    pass
now = process.memory_info()
held = (now.rss - getattr(now, "shared", 0)) / 1e6
peak = 0
"""


def _memory(directory: Path) -> None:
    for title, code in (
        ("enforce_length", "events.enforce_length(100, max_length=100)"),
        ("filter", "events.filter({'dz': (50, 150)})"),
        ("normalize", "events.normalize({0: ['subtract', {'mode': 'min'}]})"),
        (
            "to_numpy of 10,000 events, 5,000 frames",
            "events.to_numpy(events.events.iloc[:10000])",
        ),
        (
            "create_event_map to a file, 500 frames",
            (
                "t = events.events; t = t[t.z1 <= 500]\n"
                "path = pathlib.Path(tempfile.mkdtemp()) / 'a.h5'\n"
                "Events.create_event_map(t, (500, 512, 512), 'int32', save_path=path)"
            ),
        ),
    ):
        peak, _, held = peak_memory(
            f"{LOADED}{code}\nresult = held", directory=str(directory)
        )
        line(
            f"memory: {title}",
            f"{peak - held:8.0f} MB above {held:.0f} MB with the table loaded",
        )


def _kernels(n: int) -> None:
    columns = make_columns(n)
    traces = TraceArray(*columns["trace"])
    shapes = np.stack([columns[f"d{a}"] for a in "zxy"], axis=1)
    origins = np.stack([columns[f"{a}0"] for a in "zxy"], axis=1)
    masks = MaskArray(*columns["mask"], shapes).masks
    _per_event("time courses", lambda: time_courses(traces.flat, traces.offsets), n)
    _per_event("area, outline, centre per frame", lambda: shapes_over_time(masks), n)
    _per_event("fronts", lambda: fronts(masks), n)
    pixels = list_pixels(masks, origins, (ROWS, COLUMNS_))
    _per_event("same place and size", lambda: same_place(pixels, ROWS * COLUMNS_), n)
    from skimage.measure import perimeter

    part = 5
    boxes = list(MaskArray(*columns["mask"], shapes)[:part])
    frames = int(shapes[:part, 0].sum())
    compare(
        "outline per frame",
        lambda: shapes_over_time(masks),
        lambda: [perimeter(frame, 4) for box in boxes for frame in box],
        baseline_name="skimage.measure.perimeter",
        baseline_share=frames / int(shapes[:, 0].sum()),
        repeats=3,
    )
