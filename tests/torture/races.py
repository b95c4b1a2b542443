"""Two processes on one output, and input that changes while it is read."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from torture.campaigns import (
    Report,
    _problem_after_kill,
    _run_whole,
    choose_moment,
    commands,
    digest_outputs,
    make_folder,
    make_movie,
    make_sources,
    remove,
    run_child,
    start_child,
    store,
    wait_for_child,
)

#: what a refused process may say
REFUSALS = ("another process", "exists", "already", "is being written")


def _draw_cases(
    movie: Path, names: tuple[str, ...], seconds: float
) -> Iterator[tuple[str, int, Path, Any]]:
    """Yield cases for a time: command, number, folder, undisturbed result and seconds.

    Each command has at least one case. The folder is removed after its case.
    """
    whole: dict[str, Any] = {}
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end or n < len(names):
        name = names[n % len(names)]
        n += 1
        if name not in whole:
            whole[name] = _run_whole(movie.parent, movie, name)
        folder = make_folder(movie.parent, f"{name}-{n}", name)
        yield name, n, folder, whole[name]
        remove(folder)


def race_commands(seconds: float, seed: int, names: tuple[str, ...] = ()) -> Report:
    """Start a command twice on one output, the second while the first one works.

    One of them at least completes, the other one completes or is refused in one
    sentence, and the result is that of a single process.
    """
    rng, report = random.Random(seed), Report()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        movie = root / "movie.h5"
        store(movie, make_movie())
        chosen = names or tuple(n for n in commands(root, movie) if n != "demo")
        make_sources(root, movie, chosen)
        for name, n, folder, (expected, spent) in _draw_cases(movie, chosen, seconds):
            words = commands(folder, movie)[name]
            first = start_child(words, movie)
            time.sleep(rng.choice((0.0, choose_moment(spent, rng))))
            second = start_child(words, movie)
            ends = [wait_for_child(c) for c in (first, second)]
            case = f"{name} twice, case {n}, seed {seed}"
            refused = [t for code, t in ends if code == 2 and _is_refusal(t)]
            failed = [(c, t) for c, t in ends if c != 0 and not _is_refusal(t)]
            if len(refused) == 2:  # each was in the other's way: it is tried again
                code, text = run_child(words, None, 0, movie)
                failed = [(code, text)] if code else []
                report.note(f"{name}: both were refused, then one completed")
            problem = _problem_after_kill(folder, expected)
            if failed:
                report.note(f"exit {failed[0][0]}", f"{case}: {failed[0][1]}", True)
            elif problem:
                report.note(problem, case, True)
            else:
                report.note(f"{name}: {'one refused' if refused else 'same result'}")
    return report


def _is_refusal(text: str) -> bool:
    return any(part in text for part in REFUSALS) and "Traceback" not in text


def change_inputs(seconds: float, seed: int, names: tuple[str, ...] = ()) -> Report:
    """Change or remove the input of a command while it works.

    It ends with the result of the input that it opened, or with one sentence; the same
    command with the input as it was completes. A command that opened the input after
    the change has the result of the changed one.
    """
    rng, report = random.Random(seed), Report()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        movie = root / "movie.h5"
        store(movie, make_movie())
        before = movie.read_bytes()
        chosen = names or ("run", "convert", "motion", "delta", "denoise", "detect")
        for name, n, folder, (expected, spent) in _draw_cases(movie, chosen, seconds):
            words = commands(folder, movie)[name]
            child = start_child(words, movie)
            time.sleep(choose_moment(spent, rng))
            kind = rng.choice(("removed", "cut", "replaced", "pixels"))
            damage_input(movie, kind)
            code, text = wait_for_child(child)
            changed = movie.read_bytes() if movie.exists() else b""
            movie.unlink(missing_ok=True)
            movie.write_bytes(before)
            case = f"{name}, input {kind}, case {n}, seed {seed}"
            clear = code == 2 and "Traceback" not in text and "unexpected" not in text
            if code == 0 and _problem_after_kill(folder, expected) is not None:
                movie.write_bytes(changed)
                late = digest_outputs(folder) == _result_of(movie, name)
                movie.write_bytes(before)
                if late:
                    report.note(f"{name}: the changed input was opened")
                else:
                    report.note("a mixed result, in silence", case, True)
            elif code != 0 and not clear:
                report.note(f"exit {code}", f"{case}: {text}", True)
            else:
                again, said = run_child(words, None, 0, movie)
                if again == 0 and _problem_after_kill(folder, expected) is None:
                    done = "refused" if code else "finished"
                    report.note(f"{name}: {done}, then complete")
                elif again == 2 and code == 0 and _is_refusal(said):
                    report.note(f"{name}: finished")
                else:
                    report.note("it did not go on", f"{case}: {text} / {said}", True)
    return report


def _result_of(movie: Path, name: str) -> dict[str, Any]:
    """Return the results of a command that nobody disturbs; empty if it is refused."""
    folder = make_folder(movie.parent, f"undisturbed-{name}", name)
    code, _ = run_child(commands(folder, movie)[name], None, 0, movie)
    found = digest_outputs(folder) if code == 0 else {}
    remove(folder)
    return found


def damage_input(movie: Path, kind: str) -> None:
    """Change a recording that another process reads."""
    if kind == "removed":
        movie.unlink()
    elif kind == "cut":
        os.truncate(movie, movie.stat().st_size // 2)
    elif kind == "replaced":
        beside = movie.with_name("other.h5")
        store(beside, make_movie(seed=2))
        beside.replace(movie)
    else:
        with movie.open("r+b") as file, h5py.File(movie, "r", locking=False) as inside:
            place = inside["data/ch0"].id.get_chunk_info(4).byte_offset
            file.seek(place)
            file.write(bytes(range(256)) * 4)
