"""Campaigns of kills, failing writes and damaged files, drawn from a seed.

``python -m torture`` in the folder of the tests runs them for a time that is given;
the test suite runs a few of each.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import h5py
import numpy as np

from astrocast.cli.app import main
from astrocast.io import create_recording, open_recording

#: files that hold dates and times, or are compared by their pixels
NO_RESULT = (".json", ".lock", ".jsonl")
#: files that hold dates or random identifiers: they must be there
DATED = (".npz", ".html", ".zip", ".xlsx", ".nwb", ".svg")


@dataclass
class Report:
    """What happened: outcome -> how often, and each case that must not happen."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def note(self, outcome: str, case: str = "", fault: bool = False) -> None:
        """Count an outcome; a fault is kept with the case that showed it."""
        self.counts[outcome] += 1
        if fault:
            self.faults.append(f"{case}: {outcome}")
            sys.stderr.write(f"FAULT {self.faults[-1]}\n")

    def lines(self, title: str) -> list[str]:
        """Return the report as text."""
        total = sum(self.counts.values())
        found = [f"{title}: {total} cases, {len(self.faults)} faults"]
        found += [f"  {n:5d}  {outcome}" for outcome, n in self.counts.most_common()]
        return found + [f"  FAULT {case}" for case in self.faults[:20]]


def make_movie(frames: int = 60, size: int = 48, seed: int = 1) -> np.ndarray:
    """Return a small movie with bright blobs that come and go, uint16."""
    rng = np.random.default_rng(seed)
    movie = rng.normal(400, 12, (frames, size, size))
    y, x = np.mgrid[:size, :size]
    for i in range(3):
        t0, r, c = 10 + 15 * i, 12 + 10 * i, 34 - 9 * i
        blob = 160 * np.exp(-((y - r) ** 2 + (x - c) ** 2) / 18)
        decay = np.exp(-np.arange(frames - t0) / 4)
        movie[t0:] += decay[:, None, None] * blob
    return movie.clip(0, 65535).astype(np.uint16)


def store(path: Path, movie: np.ndarray, **options: Any) -> None:
    """Write a movie by the writer of its format."""
    with create_recording(
        path, "data/ch0", movie.shape, movie.dtype, chunks=(8, 24, 24), **options
    ) as writer:
        writer.write(0, movie)


# ---------------------------------------------------------------------------- kills


def commands(folder: Path, movie: Path) -> dict[str, list[str]]:
    """Return command lines by name; each writes into ``folder``.

    Lines that begin with ``python`` name a function of `SAVES` instead.
    """
    out = str(folder / "out.h5")
    source = [str(movie), "--loc", "data/ch0"]
    run = str(movie.parent / "finished")
    cells = ["analyze", "cells", run, "--diameter", "8"]
    batch = ["batch", str(movie.parent / "recordings"), "--workers", "2"]

    def export(to: str) -> list[str]:
        name = EXPORTS[to]
        return ["export", run, "--to", to, "-o", str(folder / name)]

    return {
        "run": ["run", str(movie), "--loc", "data/ch0", "-o", str(folder / "run")],
        "convert": ["convert", *source, "-o", str(folder / "out.zarr")],
        "motion": ["motion", *source, "-o", out],
        "delta": ["delta", *source, "-o", out],
        "denoise": ["denoise", *source, "-o", out, "--method", "svd"],
        "detect": ["detect", *source, "-o", str(folder / "out.roi")],
        "simulate": ["simulate", out, *SMALL],
        **{f"export {to}": export(to) for to in EXPORTS},
        "report": ["report", str(folder / "run"), "--figures", str(folder / "figures")],
        "analyze units": ["analyze", "units", run, "-o", str(folder / "units")],
        "analyze cells": [*cells, "-o", str(folder / "cells")],
        "batch": [*batch, "-o", str(folder / "study")],
        "demo": ["demo", "-o", str(folder / "demo")],
        **{f"python {name}": ["python", name, str(folder)] for name in SAVES},
    }


#: format of an export -> name of its file
EXPORTS = {
    "csv": "a.csv",
    "parquet": "a.parquet",
    "xlsx": "a.xlsx",
    "imagej": "a.zip",
    "ome-zarr": "a.zarr",
    "nwb": "a.nwb",
    "mp4": "a.mp4",
    "png": "a.png",
}
SMALL = [
    word
    for text in ("frames=60", "rows=48", "columns=48", "events=2", "seed=3")
    for word in ("--set", text)
]


def save_motion(movie: Path, folder: Path) -> None:
    """Correct the motion and save the result, as a script does."""
    from astrocast.preparation import MotionCorrection

    correction = MotionCorrection()
    correction.run(movie, "data/ch0")
    correction.save(folder / "mc.zarr", overwrite=True)


def save_delta(movie: Path, folder: Path) -> None:
    """Subtract the baseline and save the result into two formats."""
    from astrocast.preparation import Delta

    delta = Delta(movie, "data/ch0")
    delta.run(window=20)
    delta.save(folder / "df.h5", overwrite=True)
    delta.save(folder / "df.tif", overwrite=True)


def save_detection(movie: Path, folder: Path) -> None:
    """Detect events with the thresholds."""
    from astrocast.detection import Detector

    store = folder / "python.roi"
    if not (store / "meta.json").exists():
        Detector(movie, store).run("data/ch0", split_events=False)


def save_movie(movie: Path, folder: Path) -> None:
    """Write one movie into a file of each format."""
    pixels = make_movie(24, 40)
    for suffix in ("h5", "tif", "npy", "zarr"):
        path = folder / f"movie.{suffix}"
        with create_recording(
            path, "data/ch0", pixels.shape, pixels.dtype, overwrite=True
        ) as writer:
            writer.write(0, pixels)


SAVES = {
    "motion": save_motion,
    "delta": save_delta,
    "detection": save_detection,
    "movie": save_movie,
}


def run_child(
    words: list[str], delay: float | None, kind: int, movie: Path | None = None
) -> tuple[int | None, str]:
    """Run a command in a forked process; send it a signal after ``delay`` seconds.

    Returns the exit code, or None where the signal ended it, and what it printed.
    """
    child = start_child(words, movie)
    if delay is not None:
        time.sleep(delay)
        os.kill(child.number, kind)
    return wait_for_child(child)


@dataclass(frozen=True)
class Child:
    """A forked process and what it prints."""

    number: int
    printed: TextIO


def start_child(words: list[str], movie: Path | None = None) -> Child:
    """Run a command in a forked process."""
    printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `wait_for_child` closes it
    child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with redirect_stdout(printed), redirect_stderr(printed):
                code = call_or_command(words, movie)
        finally:
            printed.flush()
            os._exit(code)
    return Child(child, printed)


def wait_for_child(child: Child) -> tuple[int | None, str]:
    """Return the exit code, None where a signal ended it, and what was printed."""
    _, status = os.waitpid(child.number, 0)
    with child.printed as printed:
        printed.seek(0)
        text = printed.read()[-600:]
    return (os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else None), text


def call_or_command(words: list[str], movie: Path | None) -> int:
    """Run a command line, or a function of `SAVES`; return the exit code."""
    if words[0] != "python" or movie is None:
        return main(["--quiet", *words])
    try:
        SAVES[words[1]](movie, Path(words[2]))
    except BaseException:  # noqa: BLE001 - what a script prints before it ends
        traceback.print_exc()
        return 1
    return 0


def digest_outputs(folder: Path) -> dict[str, Any]:
    """Return the content of all results in a folder, without dates and times."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                file.visititems(
                    lambda key, item, name=name: (
                        found.update({f"{name}:{key}": item[()].tobytes()})
                        if isinstance(item, h5py.Dataset)
                        else None
                    )
                )
        elif path.suffix in (".tiff", ".tif"):
            with open_recording(path) as labels:
                found[name] = labels.to_array().tobytes()
        elif path.is_file() and path.suffix in DATED:
            found[name] = "there"
        elif path.is_file() and path.suffix not in NO_RESULT:
            found[name] = path.read_bytes().replace(str(folder).encode(), b"")
    return found


def kill_commands(seconds: float, seed: int, names: tuple[str, ...] = ()) -> Report:
    """Kill commands at random times, and let the same command go on.

    Whatever was killed: the input is as it was, the result after the second (whole) run
    is that of a run that was never killed, and nothing half written is left.
    """
    rng, report = random.Random(seed), Report()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        movie = root / "movie.h5"
        store(movie, make_movie())
        before = movie.read_bytes()
        chosen = names or tuple(commands(root, movie))
        make_sources(root, movie, chosen)
        whole: dict[str, tuple[dict[str, Any], list[float]]] = {}
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end or n < len(chosen):
            name = chosen[n % len(chosen)]
            n += 1
            folder = make_folder(root, f"{name}-{n}", name)
            words = commands(folder, movie)[name]
            kind = rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
            if name not in whole:
                whole[name] = _run_whole(root, movie, name)
            expected, spent = whole[name]
            for _ in range(rng.randint(1, 3)):
                ended = run_child(words, choose_moment(spent, rng), kind, movie)
                if not is_proper_end(words, kind, *ended):
                    report.note("a signal without a word", f"{name}: {ended}", True)
            code, text = run_child(words, None, 0, movie)
            problem = _problem_after_kill(folder, expected)
            case = f"{name} killed by {kind.name}, case {n}, seed {seed}"
            if movie.read_bytes() != before:
                report.note("the input was changed", case, fault=True)
            elif code == 2 and not problem and ("exists" in text or "already" in text):
                report.note(f"{name}, {kind.name}: it was complete before the signal")
            elif code != 0:
                report.note(f"it did not go on (exit {code})", f"{case}: {text}", True)
            elif problem:
                report.note(problem, case, fault=True)
            else:
                report.note(f"{name}, {kind.name}: same result")
            remove(folder)
    return report


def make_sources(root: Path, movie: Path, names: tuple[str, ...]) -> None:
    """Make what the commands read: a finished run, and two recordings of a study."""
    if not any(n.startswith(("export", "report", "analyze", "batch")) for n in names):
        return
    run_child([*commands(root, movie)["run"][:-1], str(root / "finished")], None, 0)
    (root / "recordings").mkdir()
    for i in (1, 2):
        np.save(root / "recordings" / f"{i}.npy", make_movie(40, 32, i))


def make_folder(root: Path, name: str, command: str) -> Path:
    """Make the folder that a command writes into; ``report`` needs a run there."""
    folder = root / name
    folder.mkdir()
    if command == "report":
        shutil.copytree(root / "finished", folder / "run")
    return folder


def choose_moment(spent: list[float], rng: random.Random) -> float:
    """Return a random time: each stage equally often, whatever it takes."""
    stage = rng.randrange(len(spent))
    return max(0.02, sum(spent[:stage]) + rng.random() * spent[stage])


def seconds_of_stages(folder: Path, whole: float) -> list[float]:
    """Return the seconds of the steps of a command, in order; they sum up to all."""
    states = sorted(folder.rglob("run.json"))
    steps = [
        stage["seconds"]
        for path in states
        for stage in json.loads(path.read_text())["stages"].values()
        if stage
    ]
    if folder.joinpath("run").is_dir() and folder.joinpath("figures").is_dir():
        return [whole]  # a report alone: the stages were those of the run before
    return [max(0.05, whole - sum(steps)), *steps]


def is_proper_end(words: list[str], kind: int, code: int | None, text: str) -> bool:
    """Return whether a command that got Ctrl-C says so, where it got the time to."""
    if kind != signal.SIGINT or words[0] == "python" or code in (None, 0):
        return True
    return code == 2 or (code == 130 and "interrupted" in text)


def _run_whole(
    root: Path, movie: Path, name: str
) -> tuple[dict[str, Any], list[float]]:
    """Return the results of a command that is not killed, and the seconds it takes."""
    found = []
    for n in range(2):  # the second is timed: kernels are compiled
        folder = make_folder(root, f"whole-{name}-{n}", name)
        begin = time.monotonic()
        code, text = run_child(commands(folder, movie)[name], None, 0, movie)
        spent = time.monotonic() - begin
        if code != 0:
            raise RuntimeError(f"{name} fails by itself: exit {code}: {text}")
        found.append(digest_outputs(folder))
    differ = [
        key for key in found[0] | found[1] if found[0].get(key) != found[1].get(key)
    ]
    if differ:
        raise RuntimeError(f"{name} gives another result each time: {differ}")
    return found[1], seconds_of_stages(folder, spent)


def _problem_after_kill(folder: Path, expected: dict[str, Any]) -> str | None:
    """Return the problem with the results in a folder, or None."""
    left = [p.name for p in folder.rglob("*.partial*")]
    if left:
        return f"left behind: {left}"
    return None if digest_outputs(folder) == expected else "another result"


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


# --------------------------------------------------------------------------- faults


@contextmanager
def failing_at(n: int, number: int) -> Iterator[Counter[str]]:
    """Let the n-th call of a function that writes fail, and all that follow."""
    calls: Counter[str] = Counter()
    saved = {}

    def wrap(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            calls["all"] += 1
            if calls["all"] >= n:
                raise OSError(number, os.strerror(number))
            return function(*args, **options)

        return called

    for name in ("pwrite", "fsync", "replace", "mkdir", "posix_fallocate", "ftruncate"):
        if hasattr(os, name):
            saved[name] = getattr(os, name)
            setattr(os, name, wrap(name, saved[name]))
    try:
        yield calls
    finally:
        for name, function in saved.items():
            setattr(os, name, function)


def fail_writes(seconds: float, seed: int) -> Report:
    """Let every n-th write of a small run fail, one n after the other.

    The run ends with one message; what was in the output stays readable; the same run
    completes once the disk has room.
    """
    report, rng = Report(), random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        movie = root / "movie.h5"
        store(movie, make_movie(40, 32))
        words = ["--quiet", "run", str(movie), "--loc", "data/ch0", "-o"]
        quiet([*words, str(root / "compiled")])  # stores compiled kernels
        with failing_at(sys.maxsize, errno.EIO) as calls:
            quiet([*words, str(root / "whole")])
        expected = digest_outputs(root / "whole")
        # in random order, so that any time covers the whole run evenly
        every = rng.sample(range(1, calls["all"] + 1), calls["all"])
        end = time.monotonic() + seconds
        for tried, n in enumerate(every):
            if time.monotonic() > end and tried >= 3:
                break
            out = root / f"out-{n}"
            number = rng.choice((errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT))
            with failing_at(n, number):
                code, text = quiet([*words, str(out)])
            case = f"write {n} fails with {errno.errorcode[number]}"
            if code == 0 and digest_outputs(out) == expected:
                report.note("the run could do without that write")
            elif "unexpected" in text or "Traceback" in text or code != 2:
                report.note("no clear message", f"{case}: {text[-300:]}", fault=True)
            code, text = quiet([*words, str(out)])
            if code != 0 or digest_outputs(out) != expected:
                report.note("it did not go on", f"{case}: {text[-300:]}", fault=True)
            else:
                report.note("one message, then the same result")
            remove(out)
    return report


def quiet(words: list[str]) -> tuple[int, str]:
    """Run a command in this process; return exit code and what it printed."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as errors:
        code = main(words)
    return code, out.getvalue() + errors.getvalue()
