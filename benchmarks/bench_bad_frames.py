"""Recordings with bad frames: are their events found, and no others?

Small movies with four known events under one disturbance each, of several amplitudes,
lengths and times. Each is analysed three times: by a whole run, by `Detector` alone and
by `MotionCorrection` alone, on a file that has no table of bad frames.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection import Detector
from astrocast.errors import AstrocastError, AstrocastWarning
from astrocast.io import create_recording
from astrocast.io.stores.event_table import read_events
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.preparation import MotionCorrection
from benchmarks.bad_frames_scene import (
    Variant,
    all_variants,
    disturbed,
    score_events,
)
from benchmarks.harness import heading, line

#: largest error of a shift of a good frame, pixels
EXACT = 0.3


def write_movie(path: Path, movie: NDArray[Any]) -> Path:
    """Write a movie without a table of bad frames beside it."""
    with create_recording(path, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    return path


def try_run(path: Path, folder: Path, variant: Variant) -> tuple[bool, str]:
    """Return whether a whole run finds the events and no others, and what it found."""
    result = run_recording(path, folder / "run", RunSettings())
    counts = score_events(read_events(result.store), tuple(variant.events))
    return is_right(counts, variant), f"{counts[0]} + {counts[1]}"


def is_right(counts: tuple[int, int], variant: Variant) -> bool:
    return counts == (len(tuple(variant.events)), 0)


def try_detector(path: Path, variant: Variant) -> tuple[bool, str]:
    """Return the same for the detection alone, on a file without a table."""
    store = Detector(path).run("data/ch0", method="calibrated")
    counts = score_events(read_events(store), tuple(variant.events))
    return is_right(counts, variant), f"{counts[0]} + {counts[1]}"


def try_motion(movie: NDArray[Any], variant: Variant) -> tuple[bool, str]:
    """Return whether bad frames are found and shifts are right, and the errors."""
    mc = MotionCorrection(logging_level=40)
    mc.run(movie)
    truth = np.zeros((len(movie), 2))
    if variant.shift is not None:
        truth[variant.shift[0] :] = variant.shift[1:]
    bad = set(np.flatnonzero(mc.bad_frames).tolist())
    missed = set(variant.bad) - bad
    false = bad - set(variant.bad) - set(variant.near)
    good = np.ones(len(movie), bool)
    good[[*variant.bad, *variant.near, *bad]] = False
    off = mc.shifts[good] - truth[good]
    off = np.abs(off - np.median(off, axis=0)).max()
    text = f"{len(missed)} missed, {len(false)} false, {off:.2f} px"
    return not missed and not false and off < EXACT, text


def try_variant(name: str, variant: Variant) -> list[bool]:
    """Analyse one variant three times, and print a line."""
    movie, right, parts = disturbed(variant), [], []
    with tempfile.TemporaryDirectory() as made, warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrocastWarning)
        folder = Path(made)
        path = write_movie(folder / "movie.h5", movie)
        ways = {"run": lambda: try_run(path, folder, variant)}
        if not variant.pulled:
            alone = write_movie(folder / "alone.h5", movie)
            ways["detector"] = lambda: try_detector(alone, variant)
        ways["motion"] = lambda: try_motion(movie, variant)
        for way, call in ways.items():
            try:
                is_well, text = call()
            except AstrocastError as error:  # says what is wrong and what to do
                is_well, text = True, f"refused ({str(error)[-60:]})"
            right.append(is_well)
            parts.append(f"{way}{'' if is_well else ' WRONG'}: {text}")
    line(name, "; ".join(parts))
    return right


def run(quick: bool, only: str = "") -> None:
    """Try all variants, or those whose name contains ``only``."""
    heading("bad frames: events found + false")
    variants = {k: v for k, v in all_variants().items() if only in k}
    results = [
        try_variant(name, variant)
        for name, variant in list(variants.items())[: 2 if quick else None]
    ]
    well = sum(sum(right) for right in results)
    line("right", f"{well} of {sum(len(right) for right in results)}")


if __name__ == "__main__":
    run(quick=False, only=" ".join(sys.argv[1:]))
