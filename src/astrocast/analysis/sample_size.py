"""Estimate variance components, and the number of animals that a comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from astrocast.errors import InvalidValueError


@dataclass(frozen=True)
class Variances:
    """Variance components of a value, in the square of its unit."""

    animals: float
    recordings: float
    events: float


def variance_components(nested: pd.DataFrame) -> Variances:
    """Return the variances between animals, recordings of an animal, and events.

    Parameters
    ----------
    nested
        Columns ``group``, ``subject``, ``recording``, ``value``.

    Notes
    -----
    Estimated within groups by analysis of variance (Henderson's method 1); negative
    estimates are set to 0.
    """
    cell = nested.groupby(["group", "subject", "recording"])["value"]
    means, sizes = cell.mean(), cell.size()
    inner = cell.var(ddof=1).fillna(0.0)
    freedom = (sizes - 1).sum()
    events = float(((sizes - 1) * inner).sum() / freedom) if freedom else 0.0
    per_animal = means.groupby(["group", "subject"])
    counts = per_animal.size()
    of_means = per_animal.var(ddof=1).fillna(0.0)
    degrees = (counts - 1).sum()
    noise = events * float((1 / sizes).mean())
    spread = float(((counts - 1) * of_means).sum() / degrees) if degrees else 0.0
    recordings = max(spread - noise, 0.0) if degrees else 0.0
    animal = per_animal.mean()
    per_group = animal.groupby("group")
    n = per_group.size()
    between = float(((n - 1) * per_group.var(ddof=1)).sum() / max((n - 1).sum(), 1))
    below = (recordings + noise) * float((1 / counts).mean())
    return Variances(max(between - below, 0.0), recordings, events)


def animals_needed(
    variances: Variances,
    difference: float,
    *,
    recordings: int = 3,
    events: int = 50,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int:
    """Return the number of animals per group that is needed for a given power.

    Parameters
    ----------
    variances
        Result of `variance_components` for a pilot study.
    difference
        Smallest difference of means of interest, in the unit of the value.
    recordings, events
        Planned number of recordings per animal and of events per recording.
    power, alpha
        Probability to find the difference, and probability of a false positive
        (two-sided t test on animals).

    Examples
    --------
    >>> animals_needed(Variances(1.0, 0.0, 0.0), 1.0)
    17
    """
    from statsmodels.stats.power import TTestIndPower

    variance = (
        variances.animals
        + variances.recordings / recordings
        + variances.events / (recordings * events)
    )
    if difference == 0 or not np.isfinite(difference):
        raise InvalidValueError(
            f"the difference is {difference}; give the smallest difference of interest,"
            " a number other than 0"
        )
    if variance == 0:
        return 2
    size = abs(difference) / np.sqrt(variance)
    solve: Any = TTestIndPower().solve_power
    if size > 20:  # one animal would be enough, but a test needs two
        return 2
    needed = float(solve(effect_size=size, power=power, alpha=alpha))
    return max(2, int(np.ceil(needed - 1e-9)))
