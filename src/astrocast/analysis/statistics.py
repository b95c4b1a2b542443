"""Compare groups of animals: events lie in recordings, recordings in animals.

Thousands of events of six animals are only six independent observations. All tests here
count animals; they raise an error for a group of one animal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.events.required import require_columns
from astrocast.kernels.inference.groups import (
    Tree,
    expanded_interval,
    hedges_g,
    holm_correction,
    judge_by_t,
    permutation_p,
    resample_means,
    welch,
)
from astrocast.kernels.inference.nested_model import fit_nested_model

Method = Literal["animals", "mixed", "bootstrap"]


@dataclass(frozen=True)
class Counts:
    """Number of events, recordings and animals."""

    events: int
    recordings: int
    animals: int

    def __str__(self) -> str:
        return (
            f"{self.events} events, {self.recordings} recordings,"
            f" {self.animals} animals"
        )


@dataclass(frozen=True)
class Comparison:
    """Comparison of one group with another.

    Parameters
    ----------
    value
        Column that was compared.
    group, reference
        Names of the groups.
    method
        Statistical method; see `compare_groups`.
    estimate, reference_estimate
        Means of the groups, over animals.
    difference
        Group minus reference, in the unit of the value.
    low, high
        95 % confidence interval of the difference.
    effect
        Hedges' g: the difference in standard deviations of animals, corrected for few
        animals (Hedges 1981, https://doi.org/10.3102/10769986006002107).
    p
        Two-sided p value.
    q
        p corrected for all comparisons of the call (Holm 1979).
    counts, reference_counts
        Numbers of events, recordings and animals of the groups.
    """

    value: str
    group: str
    reference: str
    method: str
    estimate: float
    reference_estimate: float
    difference: float
    low: float
    high: float
    effect: float
    p: float
    q: float
    counts: Counts
    reference_counts: Counts

    def sentence(self) -> str:
        """Return a sentence for a paper."""
        return (
            f"{self.value}: {self.group} {self.estimate:.3g} ({self.counts}),"
            f" {self.reference} {self.reference_estimate:.3g}"
            f" ({self.reference_counts}); difference {self.difference:.3g}"
            f" [95 % CI {self.low:.3g}, {self.high:.3g}], Hedges' g ="
            f" {self.effect:.2f}, p = {self.p:.3g}, corrected {self.q:.3g}"
            f" ({self.method})"
        )


def compare_groups(
    table: pd.DataFrame,
    values: str | Sequence[str],
    *,
    group: str = "group",
    subject: str = "subject",
    recording: str = "recording",
    reference: str | None = None,
    method: Method = "mixed",
    resamples: int = 2000,
    seed: int = 0,
) -> list[Comparison]:
    """Compare each group with the reference; animals are the independent units.

    Parameters
    ----------
    table
        One row per event (or per recording), with the columns below.
    values
        Columns of numbers to compare; rows without a number are left out.
    group, subject, recording
        Columns with the group, subject and recording of each row. Each subject belongs
        to one group.
    reference
        Group that the others are compared with; None: the first in the table.
    method
        ``"mixed"``: linear mixed model with a random intercept per animal and per
        recording in the animal (REML). The difference is tested with a t distribution
        with (animals - groups) degrees of freedom (see
        `kernels.inference.nested_model`). If the model cannot be fitted because values
        do not vary within recordings, ``"animals"`` is used, and the result says so.
        ``"animals"``: Welch's t test on the means of animals.
        ``"bootstrap"``: hierarchical bootstrap of animals, recordings, events for the
        interval (Saravanan et al. 2020, https://arxiv.org/abs/2007.07797; widened for
        few animals, Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789),
        permutation of animals between groups for p.
    resamples
        Number of bootstrap resamples, and largest number of permutations.
    seed
        Seed of both.

    Returns
    -------
    list of Comparison
        One per value and group other than the reference; q is corrected for all.

    Raises
    ------
    InvalidValueError
        A group has fewer than two animals, or an animal is in two groups.
    DatasetNotFoundError
        Columns are missing; the message lists the columns of the table.

    Notes
    -----
    ``python -m astrocast.study.accuracy`` measures the rate of false positives of each
    method in simulated studies. With fewer than four animals per group, the permutation
    test cannot reach p <= 0.05.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "group": ["a"] * 6 + ["b"] * 6,
    ...         "subject": list("112233445566"),
    ...         "recording": range(12),
    ...         "rate": [1.0, 2, 1, 2, 1, 3, 5, 6, 5, 7, 6, 6],
    ...     }
    ... )
    >>> (found,) = compare_groups(table, "rate", method="animals")
    >>> round(found.difference, 2), found.counts.animals
    (4.17, 3)
    """
    names = [values] if isinstance(values, str) else list(values)
    columns = [group, subject, recording]
    require_columns(table, [*names, *columns])
    named = table.rename(
        columns=dict(zip(columns, ("group", "subject", "recording"), strict=True))
    )
    groups = [str(g) for g in dict.fromkeys(named["group"])]
    base = reference if reference is not None else groups[0]
    if base not in groups:
        raise InvalidValueError(
            f"the group {base!r} does not exist; choose from {', '.join(groups)}"
        )
    found = []
    for name in names:
        nested = _select_values(named, name)
        check_animals(nested)
        for other in groups:
            if other != base:
                pair = nested[nested["group"].isin([base, other])]
                found.append(_compare(pair, name, other, base, method, resamples, seed))
    return _correct(found)


def check_animals(nested: pd.DataFrame) -> None:
    """Raise an error for groups of one animal and for animals in two groups."""
    per_group = nested.groupby("group", sort=False)["subject"].nunique()
    if len(per_group) < 2:
        raise InvalidValueError(
            f"the only group is {per_group.index[0]!r}; a comparison needs two groups"
        )
    few = [f"{g!r} has {n}" for g, n in per_group.items() if n < 2]
    if few:
        raise InvalidValueError(
            f"a test needs at least two animals in each group: {', '.join(few)}. Events"
            " and recordings of one animal are not independent, so they cannot replace"
            " a second animal"
        )
    crossed = nested.groupby("subject")["group"].nunique()
    both = [str(s) for s in crossed.index[crossed > 1]]
    if both:
        raise InvalidValueError(
            f"the animals {', '.join(both)} are in more than one group; for paired"
            " animals compare their differences; if they are different animals, give"
            " them different names"
        )


def _select_values(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return group, subject, recording and finite values of a column."""
    columns = {n: table[n].astype(str) for n in ("group", "subject", "recording")}
    nested = pd.DataFrame({**columns, "value": table[value].astype(float)})
    return nested[np.isfinite(nested["value"])]


def _compare(
    pair: pd.DataFrame,
    value: str,
    other: str,
    base: str,
    method: Method,
    resamples: int,
    seed: int,
) -> Comparison:
    means = animal_means(pair)
    a, b = means[other], means[base]
    if method == "bootstrap":
        difference, low, high, p = _bootstrap(pair, other, base, resamples, seed)
        used = "hierarchical bootstrap, permutation of animals"
    elif method == "mixed":
        difference, low, high, p, used = _fit_mixed_model(pair, other, base)
    else:
        difference, low, high, p = welch(a, b)
        used = "Welch's t test on animals"
    return Comparison(
        value=value,
        group=other,
        reference=base,
        method=used,
        estimate=float(a.mean()),
        reference_estimate=float(b.mean()),
        difference=difference,
        low=low,
        high=high,
        effect=hedges_g(a, b),
        p=p,
        q=np.nan,
        counts=_count(pair[pair["group"] == other]),
        reference_counts=_count(pair[pair["group"] == base]),
    )


def _count(rows: pd.DataFrame) -> Counts:
    return Counts(len(rows), rows["recording"].nunique(), rows["subject"].nunique())


def animal_means(nested: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return group -> mean of each animal, over the means of its recordings."""
    recordings = nested.groupby(["group", "subject", "recording"])["value"].mean()
    animals = recordings.groupby(["group", "subject"]).mean()
    return {str(g): v.to_numpy(float) for g, v in animals.groupby("group")}


def _fit_mixed_model(
    pair: pd.DataFrame, other: str, base: str
) -> tuple[float, float, float, float, str]:
    """Return difference, interval, p and method: mixed model, or t test if it fails."""
    codes = {n: pd.factorize(pair[n])[0] for n in ("subject", "recording")}
    # recordings of two animals can have the same name
    nested = pd.factorize(codes["subject"] * len(pair) + codes["recording"])[0]
    fitted = fit_nested_model(
        pair["value"].to_numpy(np.float64),
        nested.astype(np.int64),
        codes["subject"].astype(np.int64),
        (pair["group"] == other).to_numpy().astype(np.int64),
    )
    if fitted is None:
        means = animal_means(pair)
        return (
            *welch(means[other], means[base]),
            "Welch's t test on animals, because the mixed model cannot be fitted",
        )
    animals = pair["subject"].nunique()
    low, high, p = judge_by_t(fitted.difference, fitted.error, animals - 2)
    return fitted.difference, low, high, p, "linear mixed model"


def _bootstrap(
    pair: pd.DataFrame, other: str, base: str, resamples: int, seed: int
) -> tuple[float, float, float, float]:
    """Return difference, interval (hierarchical bootstrap) and p (permutation)."""
    rng = np.random.default_rng(seed)
    trees = {g: _build_tree(pair[pair["group"] == g]) for g in (other, base)}
    drawn = {g: resample_means(tree, resamples, rng) for g, tree in trees.items()}
    draws = drawn[other] - drawn[base]
    means = animal_means(pair)
    difference = float(means[other].mean() - means[base].mean())
    low, high = expanded_interval(draws, len(means[other]), len(means[base]))
    p = permutation_p(means[other], means[base], resamples, rng)
    return difference, low, high, p


def _build_tree(rows: pd.DataFrame) -> Tree:
    """Return a list per animal, of the values of each recording."""
    return [
        [events["value"].to_numpy() for _, events in animal.groupby("recording")]
        for _, animal in rows.groupby("subject")
    ]


def _correct(found: list[Comparison]) -> list[Comparison]:
    """Return the comparisons with q: p corrected for all of them."""
    from dataclasses import replace

    q = holm_correction(np.array([c.p for c in found]))
    return [replace(c, q=float(v)) for c, v in zip(found, q, strict=True)]
