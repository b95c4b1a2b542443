"""Linear mixed model of two groups: observations in recordings, recordings in animals.

The likelihood of nested random intercepts depends on the observations only by the
number, mean and sum of squares of each recording. One evaluation costs a few operations
per recording, however many events there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Real = NDArray[np.float64]

#: logarithms of the ratios of variances that are searched: below the first a level adds
#: nothing, above the second the residual variance is 0 to rounding
_LEAST, _MOST = -18.0, 18.0
#: a residual sum of squares below this share of the total is rounding
_NO_RESIDUAL = 1e-12


class NestedFit(NamedTuple):
    """A fitted model.

    ``difference`` of the second group minus the first, its standard ``error``, and the
    variances between ``animals``, between ``recordings`` of an animal, and the
    ``residual`` variance.
    """

    difference: float
    error: float
    animals: float
    recordings: float
    residual: float


class _Summary(NamedTuple):
    """What the likelihood needs: one row per recording."""

    size: Real
    mean: Real
    animal: NDArray[np.int64]
    group_of_animal: NDArray[np.int64]
    within: float
    total: int


def fit_nested_model(
    values: Real,
    recording: NDArray[np.int64],
    animal: NDArray[np.int64],
    group: NDArray[np.int64],
) -> NestedFit | None:
    """Fit a difference of two groups with random intercepts, by REML.

    Parameters
    ----------
    values
        Float64 (observations,), finite.
    recording, animal
        Int64 (observations,): number of the recording and of the animal, from 0. A
        recording belongs to one animal.
    group
        Int64 (observations,): 0 or 1, the same for all observations of an animal.

    Returns
    -------
    NestedFit or None
        None where the residual variance is 0 or there are fewer than three
        observations: no model can be fitted.

    Notes
    -----
    ``value = group + animal + recording + residual``; the last three are independent
    and normal. Levels that the data cannot separate are left out: recordings where each
    has one observation or each animal has one recording, animals where each has one
    observation. Restricted maximum likelihood (Patterson & Thompson 1971,
    https://doi.org/10.1093/biomet/58.3.545), profiled over the residual variance.

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0])
    >>> animal = np.repeat(np.arange(4), 2)
    >>> fit = fit_nested_model(values, animal, animal, animal // 2)
    >>> round(fit.difference, 2), round(fit.error, 2)
    (4.5, 1.12)
    """
    scale = float(np.std(values))
    if len(values) < 3 or not scale > 0:
        return None
    found = _summarise(values / scale, recording, animal, group)
    per_animal = np.bincount(found.animal)
    # an animal with one observation, a recording with one: no spread to find within
    with_animals = bool((np.bincount(found.animal, found.size) > 1).any())
    with_recordings = bool((per_animal > 1).any() and (found.size > 1).any())
    if found.within < _NO_RESIDUAL * len(values) and with_recordings:
        return None
    ratios = _search(found, with_animals, with_recordings)
    deviance, difference, error, residual = _profile(found, *ratios)
    if not (np.isfinite(deviance) and error > 0 and residual > 0):
        return None
    variances = np.array([*ratios, 1.0]) * residual * scale**2
    return NestedFit(difference * scale, error * scale, *map(float, variances))


def _summarise(
    values: Real,
    recording: NDArray[np.int64],
    animal: NDArray[np.int64],
    group: NDArray[np.int64],
) -> _Summary:
    size = np.bincount(recording).astype(np.float64)
    mean = np.bincount(recording, values) / size
    within = float(((values - mean[recording]) ** 2).sum())
    _, first = np.unique(recording, return_index=True)
    _, first_of_animal = np.unique(animal, return_index=True)
    groups = group[first_of_animal].astype(np.int64)
    return _Summary(size, mean, animal[first], groups, within, len(values))


def _search(
    found: _Summary, with_animals: bool, with_recordings: bool
) -> tuple[float, float]:
    """Return the ratios of the variances to the residual one with the best fit."""
    free = [with_animals, with_recordings]
    if not any(free):
        return 0.0, 0.0

    def ratios(logs: Real) -> tuple[float, float]:
        values = iter(np.exp(logs))
        a, r = (float(next(values)) if f else 0.0 for f in free)
        return a, r

    def deviance(logs: Real) -> float:
        return _profile(found, *ratios(logs))[0]

    bounds = [(_LEAST, _MOST)] * sum(free)
    fits = [
        optimize.minimize(deviance, np.full(sum(free), start), bounds=bounds)
        for start in (-4.0, 0.0, 3.0)
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    return ratios(np.asarray(best.x, np.float64))


def _profile(
    found: _Summary, animals: float, recordings: float
) -> tuple[float, float, float, float]:
    """Return restricted deviance, difference, its error, and the residual variance.

    ``animals`` and ``recordings`` are variances in units of the residual one.
    """
    spread = recordings + 1.0 / found.size
    weight = 1.0 / spread
    n = len(found.group_of_animal)
    whole = np.bincount(found.animal, weight, n)
    mean = np.bincount(found.animal, weight * found.mean, n) / whole
    around = float((weight * (found.mean - mean[found.animal]) ** 2).sum())
    precision = 1.0 / (animals + 1.0 / whole)
    of_group = np.bincount(found.group_of_animal, precision, 2)
    level = np.bincount(found.group_of_animal, precision * mean, 2) / of_group
    beyond = float((precision * (mean - level[found.group_of_animal]) ** 2).sum())
    freedom = found.total - 2
    residual = (found.within + around + beyond) / freedom
    if not residual > 0:
        return np.inf, np.nan, np.nan, 0.0
    deviance = (
        freedom * np.log(residual)
        + np.log(found.size * spread).sum()
        + np.log1p(animals * whole).sum()
        + np.log(of_group).sum()
    )
    error = float(np.sqrt(residual * (1.0 / of_group).sum()))
    return float(deviance), float(level[1] - level[0]), error, residual
