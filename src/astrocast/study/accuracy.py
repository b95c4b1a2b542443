"""Error rates of the analyses of a study, measured on simulated studies.

``python -m astrocast.study.accuracy`` prints two tables: the rate of false positives of
each test in studies without effects (5 % are expected), and how well known effects are
recovered.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from astrocast.study.accuracy_chance import CHANCE_TESTS
from astrocast.study.accuracy_effects import EFFECT_CHECKS

#: function of a seed that simulates one study: name -> p values, or other measures
Check = Callable[[int], dict[str, list[float]]]


def run_checks(checks: Iterable[Check], seeds: Iterable[int]) -> dict[str, list[float]]:
    """Return name -> values of all checks, over studies with these seeds."""
    checks = list(checks)
    found: dict[str, list[float]] = {}
    for seed in seeds:
        for check in checks:
            for name, values in check(seed).items():
                found.setdefault(name, []).extend(values)
    return found


def false_positives(p: dict[str, list[float]], level: float = 0.05) -> pd.DataFrame:
    """Return the rate of false positives of each test.

    Parameters
    ----------
    p
        Test -> p values, from studies without effects.
    level
        Significance level: the rate of false positives that a test should have.

    Returns
    -------
    pandas.DataFrame
        One row per test: ``tests``, ``rate``, ``low`` and ``high`` (exact 95 % interval
        of the rate, Clopper & Pearson 1934), ``holds`` (whether ``low`` is at most
        ``level``: the test does not have too many false positives).
    """
    rows = []
    for name, values in p.items():
        hits = int((np.array(values) <= level).sum())
        interval = stats.binomtest(hits, len(values)).proportion_ci(0.95)
        rows.append((name, len(values), hits / len(values), *interval))
    table = pd.DataFrame(rows, columns=["test", "tests", "rate", "low", "high"])
    return table.assign(holds=table["low"] <= level)


def summarise_recovery(measures: dict[str, list[float]]) -> pd.DataFrame:
    """Return number of studies, mean, and lowest and highest decile of each measure."""
    rows = []
    for name, values in measures.items():
        finite = np.array(values)[np.isfinite(values)]
        low, high = np.percentile(finite, [10, 90])
        rows.append((name, len(finite), finite.mean(), low, high))
    return pd.DataFrame(rows, columns=["measure", "studies", "mean", "low", "high"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rates of false positives, and how well known effects are recovered."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cohorts", type=int, default=500, help="simulated studies")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first study")
    parser.add_argument(
        "--effects", type=int, default=100, help="studies with effects, at most"
    )
    given = parser.parse_args(arguments)
    seeds = range(given.seed, given.seed + given.cohorts)
    chance = false_positives(run_checks(CHANCE_TESTS, seeds))
    for name in ("rate", "low", "high"):
        chance[name] = (100 * chance[name]).round(1)
    text = chance.to_string(index=False)
    print(f"no effect, {given.cohorts} studies: p <= 0.05 in %\n{text}")  # noqa: T201
    some = seeds[: given.effects]
    found = summarise_recovery(run_checks(EFFECT_CHECKS, some)).round(3)
    print(f"\neffects, {len(some)} studies\n{found.to_string(index=False)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
