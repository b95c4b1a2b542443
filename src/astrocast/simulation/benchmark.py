"""Benchmark of the event detection: ``python -m astrocast.simulation.benchmark``.

The table has one row for each preset (`astrocast.settings.simulation_presets.PRESETS`)
and signal-to-noise ratio. Recordings are simulated, registered and searched as in
`astrocast run`; the found events are compared with the truth. A row is printed when it
is ready. Simulated and registered recordings are cached in a temporary folder.

Columns for true events: found (one-to-one pair with an overlap of at least 0.5), split,
merged, missed, poor (overlap too small). Column for found events: false (hardly any
voxel is true).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from astrocast.errors import AstrocastError, InvalidValueError
from astrocast.kernels.parallel import count_cores
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.simulation import SimulationSettings
from astrocast.settings.simulation_presets import PRESETS
from astrocast.simulation.cases import default_cache, judge_case, prepare_case
from astrocast.simulation.judging import Judgement, f1_of, reliability

#: first seed for use during the development of a method
DEVELOPMENT_SEED = 3100
#: first seed for the final test. After a change of the method because of its result,
#: choose a new seed
HELD_OUT_SEED = 8308
EMPTY = "event_free_"
#: number of voxels per which false events are counted
UNIT = 20e6
#: required F1 at IoU 0.5: preset -> SNR -> F1
TARGETS: dict[str, dict[float, float]] = {
    "mixed": {1: 0.80, 2: 0.85, 4: 0.85},
    "nuisances": {1: 0.45, 2: 0.65, 4: 0.75},
    "waves": {2: 0.80},
    "cell_waves": {2: 0.70},
    "whole_field": {2: 0.60},
    "several_peaks": {2: 0.90},
    "domains": {2: 0.85},
    "endfeet": {2: 0.90},
    "flashes": {2: 0.70},
    "touching": {2: 0.84},
}
#: most false events in `UNIT` voxels without events: for one nuisance, for all together
FALSE_TARGET, FALSE_TARGET_ALL = 2, 6
EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)


@dataclass(frozen=True)
class Row:
    """Results of the recordings of one preset at one signal-to-noise ratio."""

    name: str
    snr: float
    seeds: tuple[int, ...]
    judgements: tuple[Judgement, ...]
    voxels: int

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of the row as values that JSON can store."""
        numbers: dict[str, Any] = {"row": self.name, "snr": self.snr}
        numbers |= f1_of(self.judgements)
        for what in ("found", "split", "merged", "missed", "poor", "false"):
            numbers[what] = sum(j.count(what) for j in self.judgements)
        numbers["seeds"] = list(self.seeds)
        numbers["kinds"] = self.by_kind()
        ious = np.concatenate([j.ious for j in self.judgements])
        numbers["mean_iou"] = float(ious.mean()) if len(ious) else None
        numbers["confidence"] = [
            [round(float(c), 4), n]
            for j in self.judgements
            for c, n in zip(j.confidence, j.nature, strict=True)
        ]
        numbers["false_by_recording"] = [j.count("false") for j in self.judgements]
        numbers["false_per_20_mvoxel"] = numbers["false"] * UNIT / self.voxels
        return numbers

    def by_kind(self) -> dict[str, list[int]]:
        """Return kind -> [number of true events that were found, of true events]."""
        sums: dict[str, list[int]] = {}
        for judgement in self.judgements:
            for kind, (found, number) in judgement.found_by_kind.items():
                known = sums.setdefault(kind, [0, 0])
                known[0] += found
                known[1] += number
        return sums


def default_rows() -> list[tuple[str, float]]:
    """Return the rows of a full benchmark: (name of the preset, SNR)."""
    kinds = [
        name
        for name in PRESETS
        if not name.startswith((EMPTY, "mixed")) and name != "nuisances"
    ]
    return [
        *((name, snr) for name in ("mixed", "nuisances") for snr in (1.0, 2.0, 4.0)),
        *((name, 2.0) for name in kinds),
        *((name, 2.0) for name in PRESETS if name.startswith(EMPTY)),
    ]


def choose_rows(
    patterns: Sequence[str] | None, snrs: Sequence[float] | None
) -> list[tuple[str, float]]:
    """Return the rows whose names match a pattern, at the given SNR."""
    rows = default_rows()
    if patterns:
        names = [n for n in PRESETS if any(fnmatch(n, p) for p in patterns)]
        if not names:
            raise InvalidValueError(
                f"no row matches {' '.join(patterns)}; choose from {', '.join(PRESETS)}"
            )
        known = {name: [s for n, s in rows if n == name] or [2.0] for name in names}
        rows = [(name, snr) for name in names for snr in known[name]]
    if snrs:
        names = list(dict.fromkeys(name for name, _ in rows))
        rows = [(name, snr) for name in names for snr in snrs]
    return rows


def judge_recording(
    name: str, snr: float, seed: int, cache: str, changes: dict[str, Any]
) -> Judgement:
    """Simulate one recording, detect its events and compare them with the truth.

    Parameters
    ----------
    name, snr, seed
        Preset, signal-to-noise ratio and seed of the recording.
    cache
        Folder with the cached recordings.
    changes
        Parameters of the calibrated detection that differ from the defaults; the key
        ``"simulation"`` has changes of the preset.
    """
    changes = dict(changes)
    made = SimulationSettings.preset(
        name, snr, seed=seed, **changes.pop("simulation", {})
    )
    case = prepare_case(made, Path(cache))
    return judge_case(case, CalibratedSettings.checked(**changes))


def run(
    rows: Sequence[tuple[str, float]],
    seeds: Sequence[int],
    cache: Path,
    changes: dict[str, Any] | None = None,
    workers: int = 1,
) -> Iterator[Row]:
    """Yield the rows in order, each as soon as its recordings are done.

    Parameters
    ----------
    rows
        (name of the preset, SNR) of each row.
    seeds
        Seeds; each gives one recording per row.
    cache
        Folder with the cached recordings.
    changes
        See `judge_recording`.
    workers
        Number of processes that share the recordings.
    """
    with _open_pool(workers) as pool:
        pending = [
            [
                pool.submit(judge_recording, name, snr, s, str(cache), changes or {})
                for s in seeds
            ]
            for name, snr in rows
        ]
        try:
            for (name, snr), futures in zip(rows, pending, strict=True):
                judgements = tuple(future.result() for future in futures)
                shape = SimulationSettings.preset(
                    name, snr, **(changes or {}).get("simulation", {})
                ).shape
                voxels = int(np.prod(shape)) * len(seeds)
                yield Row(name, snr, tuple(seeds), judgements, voxels)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _open_pool(workers: int) -> Iterator[Executor]:
    if workers <= 1:
        with ThreadPoolExecutor(1) as pool:
            yield pool
        return
    # each process has its share of the cores
    threads = str(max(1, count_cores() // workers))
    before = os.environ.get("NUMBA_NUM_THREADS")
    os.environ["NUMBA_NUM_THREADS"] = threads
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as processes:
            yield processes
    finally:
        if before is None:
            del os.environ["NUMBA_NUM_THREADS"]
        else:
            os.environ["NUMBA_NUM_THREADS"] = before


HEADER = (
    f"{'row':<24}{'SNR':>4}{'F1':>7}{'prec.':>7}{'recall':>7}{'IoU':>6}"
    f"{'true':>6}{'split':>6}{'merged':>7}{'missed':>7}{'poor':>6}{'false':>7}  target"
)


def format_row(row: Row) -> list[str]:
    """Return the printed lines of a row."""
    v = row.to_dict()
    true = sum(len(j.fate) for j in row.judgements)
    if true == 0:
        most = FALSE_TARGET_ALL if row.name == f"{EMPTY}all" else FALSE_TARGET
        each = " ".join(str(n) for n in v["false_by_recording"])
        return [
            f"{row.name:<24}{row.snr:>4g}{v['false_per_20_mvoxel']:>8.1f} false events"
            f" in 20 Mvoxel (by recording: {each})  <= {most}"
        ]
    target = TARGETS.get(row.name, {}).get(row.snr)
    iou = v["mean_iou"]
    lines = [
        f"{row.name:<24}{row.snr:>4g}{v['f1']:>7.2f}{v['precision']:>7.2f}"
        f"{v['recall']:>7.2f}{iou if iou is not None else 0:>6.2f}{true:>6}"
        f"{v['split']:>6}{v['merged']:>7}{v['missed']:>7}{v['poor']:>6}{v['false']:>7}"
        f"  {f'>= {target:.2f}' if target else ''}"
    ]
    kinds = v["kinds"]
    if len(kinds) > 1:
        parts = [f"{kind} {found}/{number}" for kind, (found, number) in kinds.items()]
        rows = [", ".join(parts[k : k + 6]) for k in range(0, len(parts), 6)]
        lines += [
            f"    {'found:' if k == 0 else '':<7}{text}" for k, text in enumerate(rows)
        ]
    return lines


def reliability_lines(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a table: how often events of each confidence are true."""
    table = reliability([j for row in rows for j in row.judgements], EDGES)
    lines = ["confidence: fraction of these events that are not false (events)"]
    lines += [
        f"  {low:>5g} to {high:<5g}: {share:.3f} ({number})"
        for low, high, number, share in table
    ]
    return lines if table else []


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m astrocast.simulation.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--only",
        nargs="+",
        metavar="ROW",
        help="rows to run, as names or patterns: waves 'event_*'",
    )
    add(
        "--snr",
        nargs="+",
        type=float,
        help="signal-to-noise ratios, instead of those of each row",
    )
    add("--seeds", type=int, default=2, help="recordings per row (default 2)")
    add("--seed", nargs="+", type=int, help="seeds to use, instead of --seeds")
    add("--held-out", action="store_true", help="use the seeds for the final test")
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters of the calibrated detection, as JSON: extent=0.3",
    )
    add("--workers", type=int, default=1, help="number of processes (default 1)")
    add("--cache", type=Path, help="folder for the cached recordings")
    add("--json", type=Path, help="also write the rows to this file")
    add("--list", action="store_true", help="only list the rows")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    chosen = _build_parser().parse_args(arguments)
    try:
        rows = choose_rows(chosen.only, chosen.snr)
        changes = _parse_changes(chosen.set)
    except AstrocastError as error:
        print(f"error: {error}")  # noqa: T201 - the message of a command
        return 1
    if chosen.list:
        print("\n".join(f"{name:<24} SNR {snr:g}" for name, snr in rows))  # noqa: T201
        return 0
    first = HELD_OUT_SEED if chosen.held_out else DEVELOPMENT_SEED
    seeds = chosen.seed or list(range(first, first + chosen.seeds))
    _print(
        f"{'held-out' if chosen.held_out else 'development'} seeds {seeds}\n{HEADER}"
    )
    done = []
    for row in run(
        rows, seeds, chosen.cache or default_cache(), changes, chosen.workers
    ):
        _print("\n".join(format_row(row)))
        done.append(row)
    _print("\n".join(reliability_lines(done)))
    if chosen.json is not None:
        values = [row.to_dict() for row in done]
        chosen.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return 0


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the table is this command's product


def _parse_changes(given: Sequence[str]) -> dict[str, Any]:
    """Return parameters from ``name=value`` texts with JSON values."""
    changes = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in CalibratedSettings.model_fields:
            raise InvalidValueError(
                f"--set {text}: expected NAME=VALUE with a name from"
                f" {', '.join(CalibratedSettings.model_fields)}"
            )
        try:
            changes[name] = json.loads(value)
        except ValueError as error:
            raise InvalidValueError(
                f"--set {text}: the value is not JSON: {error}"
            ) from error
    return changes


if __name__ == "__main__":
    raise SystemExit(main())
