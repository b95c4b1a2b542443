"""How often a comparison of groups errs, over simulated studies with known effects."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import get_args

import numpy as np

from astrocast.analysis.statistics import Method, compare_groups
from astrocast.settings.simulation_cohort import CohortSettings
from astrocast.simulation.cohort import simulate_cohort

#: values that are compared: one row per event, and the rate of a recording
VALUES = ("peak_dff", "duration_s", "area_um2")


def share_of_small_p(
    cohorts: int,
    effect: float = 1.0,
    first_seed: int = 0,
    method: Method = "animals",
) -> dict[str, float]:
    """Return how often p is below 0.05 for each value.

    Parameters
    ----------
    cohorts
        Number of simulated studies.
    effect
        Factor of rate, amplitude, duration and area in the treated group; with 1 about
        5 % of the values of p lie below 0.05.
    first_seed
        Seed of the first study; the next ones follow.
    method
        Of `compare_groups`.
    """
    p: dict[str, list[float]] = {name: [] for name in ("rate", *VALUES)}
    effects = dict.fromkeys(("rate", *VALUES), effect)
    for seed in range(first_seed, first_seed + cohorts):
        settings = CohortSettings.checked(seed=seed, effects=effects)
        made = simulate_cohort(settings)
        rates = made.recordings.assign(rate=made.recordings["events"])
        found = [
            *compare_groups(rates, "rate", method=method),
            *compare_groups(made.events, VALUES, method=method),
        ]
        for comparison in found:
            p[comparison.value].append(comparison.p)
    return {name: float(np.mean(np.array(of) < 0.05)) for name, of in p.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the share of p below 0.05 without an effect and with one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cohorts", type=int, default=500, help="simulated studies")
    parser.add_argument("--method", choices=get_args(Method), default="animals")
    given = parser.parse_args(arguments)
    cohorts = given.cohorts
    for effect in (1.0, 2.0):
        shares = share_of_small_p(cohorts, effect, method=given.method)
        text = ", ".join(f"{name} {100 * s:.1f} %" for name, s in shares.items())
        print(f"effect x{effect:g}, {cohorts} studies, p < 0.05: {text}")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
