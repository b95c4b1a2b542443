"""Predict the group of events from their features, cross-validated by animal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.clusters import FeatureMatrix
from astrocast.errors import InvalidValueError


@dataclass(frozen=True)
class Classification:
    """Result of the prediction of groups from features.

    Parameters
    ----------
    accuracy
        Balanced accuracy over all events. Each event is predicted by a model that was
        not trained on its animal; chance is 1 / number of groups.
    null
        (permutations,): accuracy after permuting the groups of the animals.
    p
        (1 + permutations with at least this accuracy) / (1 + permutations).
    importance
        Feature -> mean decrease of the accuracy when the feature is shuffled.
    """

    accuracy: float
    null: NDArray[np.float64]
    p: float
    importance: dict[str, float]


def classify(
    matrix: FeatureMatrix,
    groups: NDArray[Any],
    subjects: NDArray[Any],
    *,
    permutations: int = 50,
    seed: int = 0,
) -> Classification:
    """Predict groups from the features of events, cross-validated by animal.

    All events of an animal are in the same fold.

    Parameters
    ----------
    matrix
        Features.
    groups, subjects
        Group and animal of each event, (events,).
    permutations
        Number of random assignments of groups to animals.
    seed
        Seed of all random choices.

    Raises
    ------
    InvalidValueError
        A group has fewer than two animals.
    """
    group = pd.Series(np.asarray(groups).astype(str))
    subject = pd.Series(np.asarray(subjects).astype(str))
    per_group = subject.groupby(group).nunique()
    if len(per_group) < 2 or per_group.min() < 2:
        raise InvalidValueError(
            "a classifier needs at least two groups of two animals each, because it is"
            " tested on animals that were not used for training; found"
            f" {per_group.to_dict()} animals"
        )
    predicted, shuffled = _cross_validate(matrix, group, subject, seed)
    accuracy = _balanced_accuracy(group, predicted)
    importance = {
        name: accuracy - _balanced_accuracy(group, labels)
        for name, labels in shuffled.items()
    }
    rng = np.random.default_rng(seed)
    animals = subject.groupby(subject).first().index
    of_animal = group.groupby(subject).first()
    null = []
    for _ in range(permutations):
        assigned = dict(zip(animals, rng.permutation(of_animal), strict=True))
        permuted = subject.map(assigned)
        guessed, _ = _cross_validate(matrix, permuted, subject)
        null.append(_balanced_accuracy(permuted, guessed))
    hits = np.sum(np.array(null) >= accuracy - 1e-12)
    p = float((1 + hits) / (1 + permutations))
    return Classification(accuracy, np.array(null), p, importance)


def _cross_validate(
    matrix: FeatureMatrix,
    group: pd.Series,
    subject: pd.Series,
    shuffle_seed: int | None = None,
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Return the group predicted for each event by a model without its animal.

    With ``shuffle_seed``, also return the predictions when one feature is shuffled:
    name of the feature -> predicted groups.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    folds = int(subject.groupby(group).nunique().min())
    splitter = StratifiedGroupKFold(max(2, min(5, folds)))
    predicted = np.empty(len(group), object)
    shuffled = {}
    if shuffle_seed is not None:
        shuffled = {name: predicted.copy() for name in matrix.names}
    rng = np.random.default_rng(shuffle_seed)
    truth = group.to_numpy(object)
    for train, test in splitter.split(matrix.values, truth, subject):
        model = LogisticRegression(max_iter=1000, class_weight="balanced")
        model.fit(matrix.values[train], truth[train])
        predicted[test] = model.predict(matrix.values[test])
        for i, name in enumerate(shuffled):
            changed = matrix.values[test].copy()
            changed[:, i] = rng.permutation(changed[:, i])
            shuffled[name][test] = model.predict(changed)
    return predicted, shuffled


def _balanced_accuracy(truth: pd.Series, predicted: NDArray[Any]) -> float:
    from sklearn.metrics import balanced_accuracy_score

    return float(balanced_accuracy_score(truth.tolist(), predicted.tolist()))
