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
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from astrocast.cli.app import main
from astrocast.errors import AstrocastError
from astrocast.io import create_recording, open_recording

#: address space of a child that reads a damaged file, above what it has already
MEMORY_LIMIT = 2 << 30
#: seconds that reading a small file may take
TIME_LIMIT = 20
#: files that hold dates and times, or are compared by their pixels
NO_RESULT = (".json", ".lock", ".jsonl")
#: files that hold dates or random identifiers: they must be there
DATED = (".npz", ".html", ".zip", ".xlsx", ".nwb", ".svg")
FORMATS = ("h5", "zarr", "tif", "npy", "tdb")


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
    with tempfile.TemporaryFile("w+") as printed:
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
        if delay is not None:
            time.sleep(delay)
            os.kill(child, kind)
        _, status = os.waitpid(child, 0)
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
        make_sources(root, movie)
        chosen = names or tuple(commands(root, movie))
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
                run_child(words, choose_moment(spent, rng), kind, movie)
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
            _remove(folder)
    return report


def make_sources(root: Path, movie: Path) -> None:
    """Make what the commands read: a finished run, and two recordings of a study."""
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


def _remove(path: Path) -> None:
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
            _remove(out)
    return report


def quiet(words: list[str]) -> tuple[int, str]:
    """Run a command in this process; return exit code and what it printed."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as errors:
        code = main(words)
    return code, out.getvalue() + errors.getvalue()


# -------------------------------------------------------------------------- damage


def mutate(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Return damaged bytes and what was done."""
    kind = rng.choice(("flip", "flips", "cut", "zeros", "header", "insert"))
    raw = bytearray(content)
    place = rng.randrange(len(raw))
    if kind == "flip":
        raw[place] ^= 1 << rng.randrange(8)
    elif kind == "flips":
        for _ in range(rng.randint(2, 30)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    elif kind == "cut":
        del raw[place:]
    elif kind == "zeros":
        raw[place : place + rng.randint(1, 600)] = bytes(min(600, len(raw) - place))
    elif kind == "header":
        raw[rng.randrange(min(300, len(raw)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    else:
        raw[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 50)))
    return bytes(raw), kind


def read_child(path: Path) -> tuple[str, bytes]:
    """Read a recording in a process of its own, in bounded time and memory.

    Returns the outcome (``pixels``, ``refused``, or what must not happen) and the bytes
    of the pixels or the message.
    """
    import resource

    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        limit = MEMORY_LIMIT + 8 * used + (8 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.alarm(TIME_LIMIT)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            warnings.simplefilter("ignore")
            with open_recording(path, "data/ch0") as movie:
                found = b"pixels" + repr((movie.shape, movie.dtype.str)).encode()
                if movie.nbytes < 50_000_000:
                    found += movie.to_array().tobytes()
        except AstrocastError as error:
            found = b"refused" + str(error).encode()
        except BaseException:  # noqa: BLE001 - that is what is looked for
            found = b"unexpected " + traceback.format_exc()[-600:].encode()
        with os.fdopen(send, "wb") as pipe:
            pipe.write(found)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return ("took too long" if name == "SIGALRM" else f"crashed by {name}"), b""
    for outcome in ("pixels", "refused"):
        if found.startswith(outcome.encode()):
            return outcome, found[len(outcome) :]
    return "unexpected error", found


def damage_files(seconds: float, seed: int, least: int = 0) -> Report:
    """Damage valid files of every format, and read them.

    The pixels are those of the undamaged file, or there is one clear error. A format
    without checksums cannot tell changed pixels: those are counted by themselves.
    """
    rng, report = random.Random(seed), Report()
    movie = make_movie(24, 40)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        wholes = []
        for suffix in FORMATS:
            path = root / f"whole.{suffix}"
            _store_in_child(path, movie)
            if path.exists():  # otherwise an extra is not installed
                wholes.append(path)
        packed = root / "packed.h5"
        store(packed, movie, compression="lz4")
        wholes.append(packed)
        originals = {p: read_child(p) for p in wholes}
        for path, (outcome, found) in originals.items():
            assert outcome == "pixels", f"{path}: {found.decode()}"
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end or n < least:
            whole = wholes[n % len(wholes)]
            n += 1
            damaged, kind = _damaged_copy(whole, root / f"damaged{whole.suffix}", rng)
            outcome, found = read_child(damaged)
            case = f"{whole.name} {kind}, case {n}, seed {seed}"
            name = whole.name.removeprefix("whole.")
            if outcome == "refused":
                report.note(f"{name}: refused")
                if len(found) > 1500:
                    report.note("a message of a page", case, fault=True)
            elif outcome != "pixels":
                report.note(outcome, f"{case}: {found.decode()[-400:]}", fault=True)
            elif (outcome, found) == originals[whole]:
                report.note(f"{name}: same pixels")
            elif whole.suffix in (".h5", ".zarr") and "checksum" not in kind:
                report.note("other pixels, in silence", case, fault=True)
            else:
                report.note(f"{name}: other pixels (no checksums in the format)")
            _remove(damaged)
    return report


def _store_in_child(path: Path, movie: np.ndarray) -> None:
    """Store a movie; no thread of a library may run when children are forked."""
    child = os.fork()
    if child == 0:
        try:
            store(path, movie)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _damaged_copy(whole: Path, target: Path, rng: random.Random) -> tuple[Path, str]:
    if whole.is_dir():
        shutil.copytree(whole, target)
        files = sorted(p for p in target.rglob("*") if p.is_file())
        path = rng.choice(files)
        if rng.random() < 0.15:
            path.unlink()
            return target, f"without {path.name}"
    else:
        shutil.copy(whole, target)
        path = target
    content = path.read_bytes()
    if content:
        damaged, kind = mutate(content, rng)
        path.write_bytes(damaged)
        return target, f"{path.name} {kind}"
    path.unlink()
    return target, f"without {path.name}"
