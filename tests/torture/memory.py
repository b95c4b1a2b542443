"""Peak memory of each command by length of the recording, as a table.

``python -m torture.memory --frames 500 2000 8000 --size 256`` in the folder of the
tests. Each command runs in a process of its own; the peak is that of the system
(``ru_maxrss``), so other programs do not disturb it.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from astrocast.cli.app import main as astrocast
from astrocast.io import create_recording
from torture.campaigns import commands, make_movie, make_sources

MEASURED = (
    *("run", "convert", "motion", "delta", "denoise", "detect", "simulate"),
    *("export csv", "export nwb", "export mp4", "analyze units"),
)


def measure(words: list[str]) -> float:
    """Run a command in a forked process; return its peak memory in MB."""
    child = os.fork()
    if child == 0:
        code = 1
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as errors:
            code = astrocast(["--quiet", *words])
        if code:
            sys.__stderr__.write(errors.getvalue())
        os._exit(code)
    _, status, used = os.wait4(child, 0)
    return used.ru_maxrss / 1024 if status == 0 else float("nan")


def write_movie(path: Path, frames: int, size: int) -> None:
    """Write a recording of that many frames: a small one, tiled, with fresh noise."""
    part = make_movie(100, size)
    rng = np.random.default_rng(2)
    with create_recording(
        path, "data/ch0", (frames, size, size), np.uint16, chunks=(50, 64, 64)
    ) as writer:
        for start in range(0, frames, len(part)):
            block = part[: frames - start]
            noise = rng.integers(0, 8, block.shape, np.uint16)
            writer.write(start, block + noise)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--commands", nargs="+", default=MEASURED)
    chosen = parser.parse_args()
    table: dict[str, list[str]] = {}
    for frames in chosen.frames:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            movie = root / "movie.h5"
            write_movie(movie, frames, chosen.size)
            make_sources(root, movie, tuple(chosen.commands))
            for name in chosen.commands:
                words = commands(root, movie)[name]
                (root / "out.h5").unlink(missing_ok=True)
                table.setdefault(name, []).append(f"{measure(words):.0f}")
                sys.stderr.write(f"{name} {frames}: {table[name][-1]} MB\n")
    heads = " | ".join(f"{n} frames" for n in chosen.frames)
    out = [f"| command | {heads} |", "|---|" + "---|" * len(chosen.frames)]
    out += [f"| `{name}` | {' | '.join(row)} |" for name, row in table.items()]
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out.append(f"\nMB; {chosen.size} x {chosen.size} pixels, uint16; Python with the")
    out.append(f"imported libraries takes {own:.0f} MB by itself.")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
