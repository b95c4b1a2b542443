"""Conversion of a recording: TIFF to HDF5 and zarr beside plain sequential reading and
writing of the same bytes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.harness import compare, heading, line, peak_memory

CONVERT = """
from astrocast.preparation import Input
Input(logging_level=40).run(source, output_path=target, dtype="uint16")
"""


def make_tiff(path: Path, frames: int, side: int) -> None:
    """A recording on disk that compresses about as well as one of a camera."""
    rng = np.random.default_rng(7)
    # the same hundred frames again and again: making new ones would take longer than
    # all that is measured
    movie = rng.poisson(200, (min(100, frames), side, side)).astype(np.uint16)
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            (movie[i % len(movie)] for i in range(frames)),
            shape=(frames, side, side),
            dtype=np.uint16,
            photometric="minisblack",
        )


def plain_read(path: Path) -> None:
    block = bytearray(32 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


def plain_write(path: Path, size: int) -> None:
    """Sequential, and on the disk at the end, as a conversion is."""
    block = bytes(32 << 20)
    with path.open("wb", buffering=0) as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])
        os.fsync(file.fileno())


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run(quick: bool) -> None:
    from astrocast.preparation import Input

    frames, side = (200, 256) if quick else (2000, 512)
    heading(f"Conversion, {frames} x {side} x {side} uint16 on disk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "recording.tif"
        make_tiff(source, frames, side)
        size = source.stat().st_size

        def baseline() -> None:
            # the slower of the two, so each is timed and the longer one counts
            plain_write(folder / "plain.bin", size)

        for suffix in (".h5", ".zarr"):
            target = folder / f"converted{suffix}"

            def clear(target: Path = target) -> None:
                # both begin with a new file and an idle disk; removing and what the
                # last one left are not their work
                remove(target)
                remove(folder / "plain.bin")
                os.sync()

            def convert(target: Path = target) -> None:
                Input(logging_level=40).run(source, output_path=target, dtype="uint16")

            compare(
                f"TIFF -> {suffix}",
                convert,
                baseline,
                baseline_name="plain sequential write",
                repeats=7,
                work=frames * side * side / 1e6,
                goal="goal 0.70",
                before=clear,
            )
            remove(target)
        compare(
            "plain sequential write (the slower one)",
            baseline,
            lambda: plain_read(source),
            baseline_name="plain sequential read",
            repeats=7,
        )
        source.unlink()
        for n in (100, 200) if quick else (1000, 2000, 4000, 8000):
            make_tiff(source, n, side)
            for suffix in (".h5", ".zarr"):
                target = folder / f"memory{suffix}"
                peak, _, _ = peak_memory(
                    CONVERT, source=str(source), target=str(target)
                )
                line(
                    f"peak memory, {n} frames -> {suffix}",
                    f"{peak:7.0f} MB",
                    "goal < 1000, flat",
                )
                remove(target)
            source.unlink()
