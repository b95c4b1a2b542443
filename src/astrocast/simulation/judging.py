"""Judge each true event (found, split, merged ...) and each found event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.simulation.scoring import Events, common_voxels, score

#: from this fraction of its voxels an event is a piece of another one or merged into it
MOST = 0.5
#: below this fraction of common voxels a true event is missed, a found event false
HARDLY = 0.25


@dataclass(frozen=True)
class Judgement:
    """Judgement of the events of one recording.

    Parameters
    ----------
    fate
        Result for each true event: ``"found"`` (it has a one-to-one pair),
        ``"split"`` (two or more found events are mostly inside it), ``"merged"`` (a
        found event contains most of it and most of another true event), ``"missed"``
        (hardly any voxel was found) or ``"poor"`` (found with too little overlap).
    kinds
        Kind of each true event.
    nature
        Result for each found event: ``"right"`` (it has a pair), ``"false"`` (hardly
        any voxel is true) or ``"other"`` (split, merged, too little overlap).
    ious
        Overlap of each pair.
    confidence
        Confidence of each found event; NaN if unknown.
    """

    fate: tuple[str, ...]
    kinds: tuple[str, ...]
    nature: tuple[str, ...]
    ious: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def count(self, what: str) -> int:
        """Return the number of true events with this fate or found with this nature."""
        return self.fate.count(what) + self.nature.count(what)

    @property
    def found_by_kind(self) -> dict[str, tuple[int, int]]:
        """Kind -> (number of true events that were found, of true events)."""
        all_of = Counter(self.kinds)
        found = Counter(
            kind
            for kind, fate in zip(self.kinds, self.fate, strict=True)
            if fate == "found"
        )
        return {kind: (found[kind], number) for kind, number in all_of.items()}


def judge_events(
    truth: Events,
    found: Events,
    kinds: Sequence[str] | None = None,
    confidence: NDArray[Any] | None = None,
    iou: float = 0.5,
) -> Judgement:
    """Judge each true event and each found event.

    Parameters
    ----------
    truth, found
        Events as for `score`. Use voxel lists if events overlap.
    kinds
        Kind of each true event.
    confidence
        Confidence of each found event.
    iou
        Smallest intersection over union of a pair.

    Examples
    --------
    >>> truth = [range(0, 10), range(20, 30), range(40, 50)]
    >>> judge_events(truth, [range(0, 9), range(20, 24), range(24, 28)]).fate
    ('found', 'split', 'missed')
    """
    matched = score(truth, found, iou)
    common, truth_sizes, found_sizes, truth_ids, found_ids = common_voxels(truth, found)
    table = np.asarray(common.todense(), float).reshape(len(truth_ids), len(found_ids))
    pairs = matched.pairs
    taken_truth = np.isin(truth_ids, pairs[:, 0])
    taken_found = np.isin(found_ids, pairs[:, 1])
    of_truth = table / np.maximum(truth_sizes, 1)[:, None]
    of_found = table / np.maximum(found_sizes, 1)[None]
    free = ~taken_found
    pieces = ((of_found >= MOST) & free).sum(axis=1)
    holds_many = ((of_truth >= MOST).sum(axis=0) >= 2) & free
    swallowed = ((of_truth >= MOST) & holds_many).any(axis=1)
    covered = of_truth.sum(axis=1)
    fate = np.select(
        [taken_truth, swallowed, (pieces >= 2) & (covered >= HARDLY), covered < HARDLY],
        ["found", "merged", "split", "missed"],
        "poor",
    )
    nature = np.select(
        [taken_found, of_found.sum(axis=0) < HARDLY], ["right", "false"], "other"
    )
    unknown = np.full(len(found_ids), np.nan)
    return Judgement(
        tuple(fate.tolist()),
        tuple(kinds) if kinds is not None else ("",) * len(truth_ids),
        tuple(nature.tolist()),
        matched.ious,
        unknown if confidence is None else np.asarray(confidence, float),
    )


def f1_of(judgements: Sequence[Judgement]) -> dict[str, float]:
    """Return F1, precision and recall of all recordings together.

    All are 1 if there are neither true nor found events.
    """
    right = sum(j.count("right") for j in judgements)
    true = sum(len(j.fate) for j in judgements)
    found = sum(len(j.nature) for j in judgements)
    empty = 1.0 if true == found == 0 else 0.0
    return {
        "f1": 2 * right / (true + found) if true + found else empty,
        "precision": right / found if found else empty,
        "recall": right / true if true else empty,
    }


def reliability(
    judgements: Sequence[Judgement], edges: Sequence[float]
) -> list[tuple[float, float, int, float]]:
    """Return how often events of each range of confidence are true.

    Every event counts as true that is not ``"false"``.

    Returns
    -------
    list
        (lowest confidence, highest confidence, events, fraction of true events) for
        each range between ``edges`` with events; events with a NaN confidence are not
        counted.
    """
    values = np.concatenate([j.confidence for j in judgements] or [np.empty(0)])
    right = np.array([n != "false" for j in judgements for n in j.nature], bool)
    rows = []
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = (values >= low) & ((values <= high) if last else (values < high))
        if inside.any():
            rows.append((low, high, int(inside.sum()), float(right[inside].mean())))
    return rows
