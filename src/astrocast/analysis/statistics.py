"""Compare groups of animals: events lie in recordings, recordings in animals.

Thousands of events of six animals are six independent observations. Every test here
counts animals; with one animal per group it refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError, MissingExtraError
from astrocast.events.required import require_columns
from astrocast.kernels.inference.groups import (
    Tree,
    hedges_g,
    judge_by_t,
    permutation_p,
    resample_mean,
    welch,
)

#: limits of a fit that did not fail, for values with a standard deviation of 1
_MOST_ERROR, _LEAST_RESIDUAL = 10.0, 1e-9
Method = Literal["animals", "mixed", "bootstrap"]


@dataclass(frozen=True)
class Counts:
    """Events, recordings and animals behind a number."""

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
    """One group against another.

    Parameters
    ----------
    value
        Column that was compared.
    group, reference
        Names of the groups.
    method
        How; see `compare_groups`.
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
        Two-sided.
    q
        p after correction over all comparisons of the call (Holm 1979).
    counts, reference_counts
        Events, recordings, animals.
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
    """Compare every group with the reference, counting animals.

    Parameters
    ----------
    table
        One row per event (or per recording), with the columns named below.
    values
        Columns of numbers to compare; rows without a number are left out.
    group, subject, recording
        Columns with the recording, subject and group of each row. A subject belongs to
        one group.
    reference
        Group to compare with; the first in the table when None.
    method
        ``"mixed"``: linear mixed model with a random intercept per animal and per
        recording in the animal (REML), its difference judged by a t distribution with
        as many degrees of freedom as there are animals less groups; where the model
        does not converge, ``"animals"``, and the result says so.
        ``"animals"``: Welch's t test on the means of animals.
        ``"bootstrap"``: hierarchical bootstrap of animals, recordings, events for the
        interval (Saravanan et al. 2020, https://arxiv.org/abs/2007.07797), permutation
        of animals between groups for p.
    resamples
        Bootstrap resamples, and permutations at most.
    seed
        Seed of both.

    Returns
    -------
    list of Comparison
        One per value and group other than the reference; p corrected over all of them.

    Raises
    ------
    InvalidValueError
        A group has fewer than two animals, or an animal is in two groups.
    DatasetNotFoundError
        Columns are missing; the message lists those that the table has.

    Notes
    -----
    The interval of the bootstrap is too narrow with few animals (fewer than about ten
    a group); the mixed model is the default for that reason.

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
            f"there is no group {base!r}; there are {', '.join(groups)}"
        )
    found = []
    for name in names:
        nested = _average_in_recordings(named, name)
        check_animals(nested)
        for other in groups:
            if other != base:
                pair = nested[nested["group"].isin([base, other])]
                found.append(_compare(pair, name, other, base, method, resamples, seed))
    return _correct(found)


def check_animals(nested: pd.DataFrame) -> None:
    """Refuse groups of one animal, and animals of two groups."""
    per_group = nested.groupby("group", sort=False)["subject"].nunique()
    if len(per_group) < 2:
        raise InvalidValueError(
            f"there is one group, {per_group.index[0]!r}; a comparison needs two"
        )
    few = [f"{g!r} has {n}" for g, n in per_group.items() if n < 2]
    if few:
        raise InvalidValueError(
            f"a test needs two animals in each group: {', '.join(few)}. Events and"
            " recordings of one animal are not independent; more of them do not"
            " replace a second animal"
        )
    crossed = nested.groupby("subject")["group"].nunique()
    both = [str(s) for s in crossed.index[crossed > 1]]
    if both:
        raise InvalidValueError(
            f"the animals {', '.join(both)} are in more than one group; compare paired"
            " animals by their differences, or give each session another name"
        )


def _average_in_recordings(table: pd.DataFrame, value: str) -> pd.DataFrame:
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
    """Return the means of animals by group: of events in recordings, then of these."""
    recordings = nested.groupby(["group", "subject", "recording"])["value"].mean()
    animals = recordings.groupby(["group", "subject"]).mean()
    return {str(g): v.to_numpy(float) for g, v in animals.groupby("group")}


def _fit_mixed_model(
    pair: pd.DataFrame, other: str, base: str
) -> tuple[float, float, float, float, str]:
    """Return difference, interval, p of a mixed model, or of animals where it fails."""
    fitted = _fit_mixed(pair, base)
    animals = pair["subject"].nunique()
    means = animal_means(pair)
    if fitted is None:
        return (
            *welch(means[other], means[base]),
            "Welch's t test on animals, as the mixed model did not converge",
        )
    difference, error = fitted
    low, high, p = judge_by_t(difference, error, animals - 2)
    return difference, low, high, p, "linear mixed model"


def _fit_mixed(pair: pd.DataFrame, base: str) -> tuple[float, float] | None:
    """Return the difference and its standard error; None without convergence."""
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM
    except ImportError as missing:
        raise MissingExtraError("statsmodels", "study", "a mixed model") from missing
    scale = pair["value"].std() or 1.0
    is_other = (pair["group"] != base).to_numpy(float)
    exog = np.column_stack([np.ones(len(pair)), is_other])
    several = pair.groupby("subject")["recording"].nunique().max() > 1
    nested = pair.groupby(["subject", "recording"]).size().max() > 1
    parts = {"recording": "0 + C(recording)"} if several and nested else None
    with warnings.catch_warnings():
        # a variance of 0 lies on the boundary; fits that did not converge are handled
        # below
        warnings.simplefilter("ignore")
        try:
            model = (
                MixedLM.from_formula(
                    "value ~ other",
                    pair.assign(value=pair["value"] / scale, other=is_other),
                    groups="subject",
                    re_formula="1",
                    vc_formula=parts,
                )
                if parts
                else MixedLM(
                    pair["value"].to_numpy() / scale, exog, pair["subject"].to_numpy()
                )
            )
            return next(
                (
                    (float(fit[0] * scale), float(fit[1] * scale))
                    for method in ("lbfgs", "powell", "bfgs")
                    if (fit := _difference(model.fit(reml=True, method=method)))
                ),
                None,
            )
        except (np.linalg.LinAlgError, ValueError):
            return None


def _difference(result: Any) -> tuple[float, float] | None:
    """Return the difference of a fit and its standard error; None for a failed fit.

    Values have a standard deviation of 1. The optimiser can run off to an unlimited
    ratio of the variances, where the residual variance is 0, and report convergence.
    """
    errors = np.asarray(result.bse_fe, float)
    # NaN fails the comparison
    plausible = bool(((errors > 0) & (errors < _MOST_ERROR)).all())
    if not (result.converged and plausible and result.scale > _LEAST_RESIDUAL):
        return None
    return float(np.asarray(result.fe_params, float)[1]), float(errors[1])


def _bootstrap(
    pair: pd.DataFrame, other: str, base: str, resamples: int, seed: int
) -> tuple[float, float, float, float]:
    rng = np.random.default_rng(seed)
    trees = {g: _tree(pair[pair["group"] == g]) for g in (other, base)}
    draws = np.array(
        [
            resample_mean(trees[other], rng) - resample_mean(trees[base], rng)
            for _ in range(resamples)
        ]
    )
    means = animal_means(pair)
    difference = float(means[other].mean() - means[base].mean())
    low, high = np.percentile(draws, [2.5, 97.5])
    p = permutation_p(means[other], means[base], resamples, rng)
    return difference, float(low), float(high), p


def _tree(rows: pd.DataFrame) -> Tree:
    """Return values by animal and recording."""
    return [
        [events["value"].to_numpy() for _, events in animal.groupby("recording")]
        for _, animal in rows.groupby("subject")
    ]


def _correct(found: list[Comparison]) -> list[Comparison]:
    """Return the comparisons with p corrected over all of them."""
    from dataclasses import replace

    from statsmodels.stats.multitest import multipletests

    if not found:
        return found
    _, q, _, _ = multipletests([c.p for c in found], method="holm")
    return [replace(c, q=float(v)) for c, v in zip(found, q, strict=True)]
