"""Event detection: each kernel against the library it replaces, the whole run, and its
memory.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

from benchmarks.harness import compare, heading, line, peak_memory

SIDE = 512


def movie_block(start: int, frames: int, seed: int = 0) -> np.ndarray:
    """Frames of an endless dF recording with about one event per frame of 512 x 512
    pixels; the same for any cut.
    """
    noise = (
        np.random.default_rng(seed).normal(0, 10, (16, SIDE, SIDE)).astype(np.float32)
    )
    y, x = np.mgrid[-16:17, -16:17]
    out = np.empty((frames, SIDE, SIDE), np.float32)
    for t in range(start, start + frames):
        frame = np.roll(
            noise[t * 7 % 16], (t * 131 % SIDE, t * 277 % SIDE), axis=(0, 1)
        )
        for event in range(t - 30, t):
            rng = np.random.default_rng((seed, abs(event)))
            row, column = rng.integers(20, SIDE - 20, 2)
            long, wide, high = (
                rng.uniform(12, 30),
                rng.uniform(2, 4),
                rng.uniform(40, 90),
            )
            if event >= 0 and t - event < long:
                height = high * np.sin(np.pi * (t - event) / long)
                frame[row - 16 : row + 17, column - 16 : column + 17] += (
                    height * np.exp(-(y**2 + x**2) / (2 * wide**2))
                )
        out[t - start] = frame
    return out


def write_movie(path: Path, frames: int) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("df/ch0", (frames, SIDE, SIDE), np.float32)
        for start in range(0, frames, 50):
            dataset[start : start + 50] = movie_block(start, min(50, frames - start))


MEMORY = """
import numpy as np
from pathlib import Path
from astrocast.detection import Detector
from astrocast.io.recording import Recording
from benchmarks.bench_detection import SIDE, movie_block
class Lazy(Recording):
    shape, dtype, chunk_frames = (frames, SIDE, SIDE), np.dtype(np.float32), 1
    def read(self, start, stop, rows=slice(None), columns=slice(None)):
        return np.ascontiguousarray(movie_block(start, stop - start)[:, rows, columns])
Detector(Lazy(), Path(folder) / f"{frames}.roi").run()
"""


def run(quick: bool) -> None:
    heading("Event detection")
    _kernels(64 if quick else 256)
    with tempfile.TemporaryDirectory() as folder:
        _whole(Path(folder), 100 if quick else 2000)
        _memory(Path(folder), (100, 300) if quick else (2000, 16000))


def _kernels(frames: int) -> None:
    from astrocast.kernels.frames.smoothing import gaussian

    data = movie_block(0, frames)
    smooth = gaussian(data, 2, 2)
    with ThreadPoolExecutor(2) as pool:
        _smoothing_and_triangle(data, smooth, pool)
        _peaks(smooth, pool)
        _labelling(smooth > 12, pool)
        _features(data, smooth > 12, pool)


def _smoothing_and_triangle(
    data: np.ndarray, smooth: np.ndarray, pool: Executor
) -> None:
    from scipy import ndimage
    from skimage.filters import threshold_triangle

    from astrocast.kernels.activity.triangle import triangle_thresholds
    from astrocast.kernels.frames.smoothing import gaussian

    compare(
        "smoothing, sigma 2 radius 2, to the last bit",
        lambda: gaussian(data, 2, 2, pool=pool),
        lambda: ndimage.gaussian_filter(data, 2, radius=2, mode="nearest"),
        baseline_name="scipy",
        work=data.size / 1e6,
    )
    compare(
        "triangle threshold, 3 frames, exact",
        lambda: triangle_thresholds(smooth, 1, pool=pool),
        lambda: [
            threshold_triangle(smooth[t : t + 3]) for t in range(0, len(smooth), 8)
        ],
        baseline_name="scikit-image",
        work=data.size / 1e6,
        baseline_share=1 / 8,
    )


def find_peaks_loop(smooth: np.ndarray, rows: int) -> np.ndarray:
    """Return the mask of peaks of the first rows, by `scipy.signal.find_peaks`."""
    from scipy import signal

    out = np.zeros((len(smooth), rows, SIDE), bool)
    for row, column in np.ndindex(rows, SIDE):
        _, p = signal.find_peaks(
            smooth[:, row, column].astype(float),
            prominence=10,
            width=3,
            rel_height=0.9,
            wlen=60,
        )
        for a, b in zip(
            p["left_ips"].astype(int), p["right_ips"].astype(int), strict=True
        ):
            out[a:b, row, column] = True
    return out


def _peaks(smooth: np.ndarray, pool: Executor) -> None:
    from astrocast.kernels.activity.peaks import PeakCriteria, peak_mask

    criteria = PeakCriteria(10, 3, 0.9, 60)
    part = max(1, SIDE // 64)
    for name, threads, goal in (
        ("one thread", None, ""),
        ("two threads", pool, "goal 12 x"),
    ):
        compare(
            f"temporal threshold, {name}",
            lambda threads=threads: peak_mask(smooth, criteria, pool=threads),
            lambda: find_peaks_loop(smooth, part),
            baseline_name="find_peaks loop",
            work=smooth.size / 1e6,
            baseline_share=part / SIDE,
            repeats=3,
            goal=goal,
        )
    found = peak_mask(smooth, criteria)[:, :part]
    line("  the same mask", str(np.array_equal(found, find_peaks_loop(smooth, part))))


def _labelling(mask: np.ndarray, pool: Executor) -> None:
    import cc3d

    from astrocast.kernels.segmentation.labelling import label

    for name, threads, goal in (
        ("one thread", None, "goal 1 x"),
        ("two threads", pool, ""),
    ):
        compare(
            f"labelling, {name}",
            lambda threads=threads: label(mask, threads),
            lambda: cc3d.connected_components(mask, connectivity=6),
            baseline_name="cc3d",
            work=mask.size / 1e6,
            goal=goal,
        )


def _features(data: np.ndarray, mask: np.ndarray, pool: Executor) -> None:
    from astrocast.kernels.segmentation.labelling import label

    labels, _ = label(mask)
    large = np.flatnonzero(np.bincount(labels.ravel()) >= 60)[1:]
    labels, n = label(np.isin(labels, large))
    few = min(n, 40)
    compare(
        f"all features of {n} events",
        lambda: measure_events(data, labels, n, pool),
        lambda: measure_plainly(data, np.where(labels <= few, labels, 0)),
        baseline_name="regionprops_table + masked means",
        baseline_share=few / n,
        repeats=3,
        goal="goal 20 x",
    )


def measure_events(
    data: np.ndarray, labels: np.ndarray, n: int, pool: Executor
) -> None:
    """Compute all columns of ``n`` events as the detection does."""
    from astrocast.detection.events.table_rows import (
        EventBatch,
        SourceFrames,
        event_rows,
    )
    from astrocast.detection.events.traces_and_map import EventSignals
    from astrocast.kernels.event_features.event_shapes import EventRuns
    from astrocast.kernels.event_features.features import Boxes, measure_signals
    from astrocast.kernels.masks.runs import label_runs_of_volume

    runs, of = label_runs_of_volume(labels, pool)
    boxes = Boxes.empty(n)
    boxes.add(runs, of, 0)
    found = measure_signals(data, runs, of, boxes, pool)
    offsets = np.concatenate([[0], np.cumsum(boxes.high[:, 0] - boxes.low[:, 0])])
    by_event = np.argsort(found.event, kind="stable")
    order = np.argsort(of, kind="stable")
    first = np.searchsorted(of[order], np.arange(1, n + 2))
    columns = [
        np.asarray(c, np.int64)[order]
        for c in (runs.frame(), runs.row(), runs.start, runs.stop)
    ]
    measured = EventSignals(
        found.mean[by_event], found.noise[by_event], offsets, np.zeros(n, np.int64)
    )
    batch = EventBatch(np.arange(1, n + 1), boxes, EventRuns(*columns, first), measured)
    event_rows(batch, SourceFrames(), pool)


def measure_plainly(data: np.ndarray, labels: np.ndarray) -> None:
    """Compute the same columns with scikit-image and masked arrays."""
    from scipy import ndimage
    from skimage.measure import regionprops_table

    volume = "label area bbox centroid axis_major_length solidity"
    flat = (
        "centroid axis_major_length axis_minor_length eccentricity extent"
        " feret_diameter_max orientation perimeter solidity area_convex"
    )
    regionprops_table(labels, properties=volume.split())
    for event, box in enumerate(ndimage.find_objects(labels), 1):
        own = labels[box] == event
        regionprops_table(own.any(axis=0).astype(np.uint8), properties=flat.split())
        for t in range(len(own)):
            np.ma.masked_array(data[box][t], ~own[t]).mean()
            np.ma.masked_array(data[box][t], own[t]).mean()


def _whole(folder: Path, frames: int) -> None:
    import cv2

    from astrocast.detection import Detector
    from astrocast.io import open_recording
    from astrocast.io.stores.event_table import read_events

    path = folder / "movie.h5"
    write_movie(path, frames)
    mega = frames * SIDE * SIDE / 1e6
    Detector(path, folder / "warm.roi").run("df/ch0", z_slice=(0, 40))

    begin = time.perf_counter()
    with open_recording(path, "df/ch0") as recording:
        for _ in recording.blocks(64):
            pass
    reading = time.perf_counter() - begin
    kernel = cv2.getGaussianKernel(5, 2, cv2.CV_32F)
    data = movie_block(0, min(frames, 200))
    out = np.empty_like(data)
    begin = time.perf_counter()
    for t in range(len(data)):
        cv2.GaussianBlur(
            data[t], (5, 5), 2, dst=out[t], borderType=cv2.BORDER_REPLICATE
        )
    cv2.sepFilter2D(
        out.reshape(len(out), -1),
        -1,
        np.ones((1, 1), np.float32),
        kernel,
        borderType=cv2.BORDER_REPLICATE,
    )
    floor = reading + (time.perf_counter() - begin) * frames / len(data)
    begin = time.perf_counter()
    directory = Detector(path, folder / "found.roi").run("df/ch0")
    spent = time.perf_counter() - begin
    events = len(read_events(directory, ["v_area"]))
    title = f"Detector.run, {frames} x {SIDE} x {SIDE}, {events} events"
    line(title, f"{spent:.1f} s, {mega / spent:.1f} Mvoxel/s", "goal 40 Mvoxel/s")
    line(
        "  over reading once + OpenCV's Gaussian",
        f"{spent / floor:.2f} x ({floor:.2f} s)",
        "goal at most 4 x",
    )


def _memory(folder: Path, lengths: tuple[int, ...]) -> None:
    for frames in lengths:
        peak, spent, _ = peak_memory(MEMORY, frames=frames, folder=str(folder))
        line(
            f"peak memory, {frames} frames, generated lazily",
            f"{peak:.0f} MB ({spent:.0f} s)",
            "goal 1500 MB, +10%",
        )
