"""Projections of a recording and the figures of a report."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import compare, heading


def run(quick: bool) -> None:
    from astrocast.kernels.frames.projections import project

    heading("report")
    frames = 64 if quick else 512
    movie = (
        np.random.default_rng(0).normal(5000, 20, (frames, 256, 256)).astype(np.float32)
    )

    def numpy_passes() -> None:
        movie.mean(0, dtype=np.float64)
        movie.max(0)
        movie.std(0, dtype=np.float64)
        movie.mean((1, 2), dtype=np.float64)

    compare(
        f"mean, max, std, mean trace {movie.shape} float32",
        lambda: project(movie),
        numpy_passes,
        baseline_name="numpy, one pass each",
        repeats=3 if quick else 7,
        work=movie.size / 1e6,
    )
