"""Agreement between the labels of two people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError


@dataclass(frozen=True)
class Agreement:
    """Agreement between two lists of labels.

    Parameters
    ----------
    labels
        Every label that occurs, sorted.
    table
        int64 (labels, labels): number of items with ``labels[i]`` in the first list and
        ``labels[j]`` in the second.
    agreement
        Fraction of the items with the same label; NaN without items.
    kappa
        Cohen's kappa: agreement beyond chance; 1 is perfect, 0 is chance. NaN without
        items, or if both lists contain only one and the same label.
    """

    labels: tuple[str, ...]
    table: NDArray[np.int64]
    agreement: float
    kappa: float


def measure_agreement(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """Return agreement and Cohen's kappa of two lists of labels.

    Parameters
    ----------
    first, second
        A label per item, in the same order.

    References
    ----------
    Cohen 1960, A coefficient of agreement for nominal scales,
    https://doi.org/10.1177/001316446002000104

    Examples
    --------
    >>> found = measure_agreement(["yes", "yes", "no", "no"], ["yes", "no", "no", "no"])
    >>> found.agreement, found.kappa
    (0.75, 0.5)
    """
    if len(first) != len(second):
        raise InvalidValueError(
            f"the lists have {len(first)} and {len(second)} labels; they need one label"
            " per item, in the same order"
        )
    labels = tuple(sorted({*first, *second}))
    place = {label: i for i, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), np.int64)
    for a, b in zip(first, second, strict=True):
        table[place[a], place[b]] += 1
    n = table.sum()
    if not n:
        return Agreement(labels, table, float("nan"), float("nan"))
    same = np.trace(table) / n
    chance = float((table.sum(axis=0) * table.sum(axis=1)).sum() / n**2)
    kappa = float("nan") if chance == 1 else (same - chance) / (1 - chance)
    return Agreement(labels, table, float(same), float(kappa))
