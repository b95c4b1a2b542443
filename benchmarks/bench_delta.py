"""Bleach correction from file to file beside scipy's minimum filter over the same
recording in memory.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import minimum_filter1d

from benchmarks.bench_convert import remove
from benchmarks.harness import compare, heading, line, peak_memory

WINDOW = 100
CORRECT = """
from astrocast.preparation import Delta
delta = Delta(source, loc="data/ch0")
delta.run(window, "dF")
delta.save(target, loc="df/ch0")
"""


def make_recording(path: Path, frames: int, side: int) -> None:
    from astrocast.io import create_recording

    movie = (
        np.random.default_rng(7)
        .poisson(200, (min(100, frames), side, side))
        .astype(np.uint16)
    )
    with create_recording(path, "data/ch0", (frames, side, side), np.uint16) as writer:
        for start in range(0, frames, 100):
            writer.write(start, movie[: frames - start])


def vectorised(movie: np.ndarray, window: int) -> np.ndarray:
    """The same correction with one scipy filter over the array, and the larger of its
    two sides.
    """
    size = window + 1
    padded = np.pad(movie, ((window, window), (0, 0), (0, 0)), mode="edge")
    centred = minimum_filter1d(padded, size, axis=0, mode="nearest")
    n = len(movie)
    first = size // 2
    background = np.maximum(
        centred[first : first + n], centred[first + window : first + window + n]
    )
    return movie.astype(np.float32) - background


def per_pixel(movie: np.ndarray, window: int) -> np.ndarray:
    """A loop over pixels, as one writes it first."""
    result = np.empty(movie.shape, np.float32)
    for x in range(movie.shape[1]):
        for y in range(movie.shape[2]):
            result[:, x, y] = vectorised(movie[:, x : x + 1, y : y + 1], window)[
                :, 0, 0
            ]
    return result


def run(quick: bool) -> None:
    from astrocast.io import open_recording
    from astrocast.preparation import Delta

    frames, side = (300, 128) if quick else (2000, 512)
    heading(
        f"Bleach correction, {frames} x {side} x {side} uint16 on disk, window {WINDOW}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target = folder / "recording.h5", folder / "corrected.h5"
        make_recording(source, frames, side)

        def clear() -> None:
            # as for a conversion: removing the last result, and what the disk still
            # does, are not its work
            remove(target)
            os.sync()

        def correct() -> None:
            delta = Delta(source, loc="data/ch0")
            delta.run(WINDOW, "dF")
            delta.save(target, loc="df/ch0")

        with open_recording(source) as recording:
            rows = max(1, side // 8)
            part = recording.read(0, frames, slice(0, rows))
            strip = recording.read(0, frames, slice(0, 1), slice(0, 64))
        work = frames * side * side / 1e6
        compare(
            "file to file",
            correct,
            lambda: vectorised(part, WINDOW),
            baseline_name="scipy over the array, in memory",
            repeats=3,
            work=work,
            baseline_share=part.size / (frames * side * side),
            goal="goal 3",
            before=clear,
        )
        compare(
            "file to file",
            correct,
            lambda: per_pixel(strip, WINDOW),
            baseline_name="scipy per pixel, in memory",
            repeats=3,
            work=work,
            baseline_share=strip.size / (frames * side * side),
            goal="goal 8",
            before=clear,
        )
        _memory(source, target, side, quick)


def _memory(source: Path, target: Path, side: int, quick: bool) -> None:
    """Measure the peak memory of recordings of other lengths, and other windows."""
    lengths = (100, 200) if quick else (1000, 2000, 4000, 8000)
    cases = [(n, WINDOW, f"{n} frames", "goal < 1000, flat") for n in lengths]
    long = 200 if quick else 1200
    cases += [(long, w, f"window {w}", "goal < 1000") for w in (20, 100, 500)]
    for frames, window, name, goal in cases:
        remove(source)
        remove(target)
        make_recording(source, frames, side)
        peak, _, _ = peak_memory(
            CORRECT, source=str(source), target=str(target), window=window
        )
        line(f"peak memory, {name}", f"{peak:7.0f} MB", goal)
