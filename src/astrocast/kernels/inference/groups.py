"""Two groups of animals: tests, effect size, interval, permutation, bootstrap."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy import stats

#: values of a group by animal and recording
Tree = list[list[NDArray[np.float64]]]
#: events that are drawn at once, at most (8 MB)
_MOST_DRAWN = 1 << 20


def hedges_g(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the difference of means in pooled standard deviations, for few animals.

    Parameters
    ----------
    a, b
        One value per animal, (animals,).

    Returns
    -------
    float
        Hedges' g (1981, https://doi.org/10.3102/10769986006002107); NaN where no animal
        differs from another of its group.
    """
    n = len(a) + len(b) - 2
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / n)
    if pooled == 0:
        return float("nan")
    return float((a.mean() - b.mean()) / pooled * (1 - 3 / (4 * n - 1)))


def welch(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Return difference of means, 95 % interval and p of Welch's t test.

    Parameters
    ----------
    a, b
        One value per animal, (animals,), at least two each.
    """
    difference = float(a.mean() - b.mean())
    if a.var() == 0 and b.var() == 0:
        return difference, difference, difference, float(difference == 0)
    result = stats.ttest_ind(a, b, equal_var=False)
    interval = result.confidence_interval(0.95)
    return difference, float(interval.low), float(interval.high), float(result.pvalue)


def judge_by_t(
    difference: float, error: float, freedom: int
) -> tuple[float, float, float]:
    """Return 95 % interval and two-sided p of a difference with its standard error."""
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = 2 * float(stats.t.sf(abs(difference / error), freedom))
    return difference - half, difference + half, p


def holm_correction(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p corrected over all tests of one call, by the step-down of Holm (1979).

    Parameters
    ----------
    p
        Float64 (tests,), each from 0 to 1.

    Returns
    -------
    numpy.ndarray
        Float64 (tests,), in the order of ``p``, at most 1.

    References
    ----------
    Holm 1979, https://www.jstor.org/stable/4615733.

    Examples
    --------
    >>> holm_correction(np.array([0.04, 0.01, 0.03])).round(2).tolist()
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(p, kind="stable")
    remaining = np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * remaining)
    return np.minimum(corrected, 1.0)


def resample_means(
    tree: Tree, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return means of animals, with animals, recordings and events drawn anew.

    Parameters
    ----------
    tree
        Values of one group: for each animal, for each recording, float64 (events,).
    resamples
        Number of draws.
    rng
        Source of the draws.

    Returns
    -------
    numpy.ndarray
        Float64 (resamples,).

    References
    ----------
    Saravanan et al. 2020, https://arxiv.org/abs/2007.07797 (hierarchical bootstrap).

    Examples
    --------
    >>> tree = [[np.array([1.0, 1.0])], [np.array([3.0, 3.0])]]
    >>> sorted(set(resample_means(tree, 50, np.random.default_rng(0)).tolist()))
    [1.0, 2.0, 3.0]
    """
    animals = len(tree)
    recordings = [values for animal in tree for values in animal]
    per_animal = np.array([len(animal) for animal in tree])
    first = np.cumsum(per_animal) - per_animal
    chosen = rng.integers(0, animals, (resamples, animals))
    # one column for each recording that the largest animal could give
    slots = rng.random((resamples, animals, int(per_animal.max())))
    numbers = first[chosen][..., None] + (slots * per_animal[chosen][..., None])
    used = np.arange(slots.shape[2]) < per_animal[chosen][..., None]
    drawn = np.where(used, numbers.astype(np.int64), -1)
    means = np.zeros(drawn.shape)
    for i, values in enumerate(recordings):
        places = drawn == i
        means[places] = _redraw_means(values, int(places.sum()), rng)
    per_draw = means.sum(axis=2) / per_animal[chosen]
    return np.asarray(per_draw.mean(axis=1))


def _redraw_means(
    values: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return means of ``values`` (events,), each over events drawn anew, (draws,)."""
    out = np.empty(draws)
    step = max(1, _MOST_DRAWN // max(len(values), 1))
    for low in range(0, draws, step):
        part = out[low : low + step]
        part[:] = values[rng.integers(0, len(values), (len(part), len(values)))].mean(1)
    return out


def expanded_interval(
    draws: NDArray[np.float64], a: int, b: int
) -> tuple[float, float]:
    """Return the 95 % interval of bootstrap draws of a difference, for few animals.

    Parameters
    ----------
    draws
        Differences of two groups, (resamples,).
    a, b
        Animals of the groups. The plain percentiles are too narrow with few: drawn
        anew, n animals vary by (n - 1) / n of their variance, and the tails are those
        of the normal distribution instead of Student's.

    References
    ----------
    Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789 (section 4.3).

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(0, 1, 100_000)
    >>> np.round(expanded_interval(draws, 1000, 1000), 1).tolist()
    [-2.0, 2.0]
    """
    n = min(a, b)
    tail = stats.norm.cdf(stats.t.ppf(0.025, a + b - 2) * np.sqrt(n / (n - 1)))
    low, high = np.percentile(draws, [100 * tail, 100 * (1 - tail)])
    return float(low), float(high)


def permutation_p(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    most: int,
    rng: np.random.Generator,
) -> float:
    """Return p of a difference of means by permuting the groups of animals.

    Parameters
    ----------
    a, b
        One value per animal, (animals,).
    most
        All permutations are counted where there are at most this many, else this many
        random ones.
    rng
        Source of the random ones.
    """
    values = np.concatenate([a, b])
    observed = abs(a.mean() - b.mean())
    n, k = len(values), len(a)
    if comb(n, k) <= most:
        chosen = np.array(list(combinations(range(n), k)))
        extra = 0
    else:
        chosen = np.array([rng.permutation(n)[:k] for _ in range(most)])
        extra = 1
    sums = values[chosen].sum(axis=1)
    means = np.abs(sums / k - (values.sum() - sums) / (n - k))
    hits = np.sum(means >= observed * (1 - 1e-12) - 1e-15)
    return float((hits + extra) / (len(chosen) + extra))
