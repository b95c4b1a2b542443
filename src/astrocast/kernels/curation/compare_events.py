"""Compare two sets of events of a recording: kept, changed, new and lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Voxels = Sequence[NDArray[np.int64]]


@dataclass(frozen=True)
class EventChanges:
    """Correspondence of two sets of events.

    Parameters
    ----------
    before
        Per earlier event: ``kept``, ``changed`` or ``lost``.
    after
        Per later event: ``kept``, ``changed`` or ``new``.
    partner
        int64 per later event: index of the earlier event that overlaps it most, -1 for
        none.
    overlap
        float64 per later event: intersection over union with this partner.
    """

    before: list[str]
    after: list[str]
    partner: NDArray[np.int64]
    overlap: NDArray[np.float64]


def compare_events(before: Voxels, after: Voxels, same: float = 0.75) -> EventChanges:
    """Classify events as kept, changed, new or lost.

    An event is *kept* if it and an event of the other set are each other's best match,
    with an intersection over union of at least ``same``; else *changed* if it shares a
    voxel with any event of the other set; else *new* or *lost*.

    Parameters
    ----------
    before, after
        Flat voxel indices of each event, without repeats; events may overlap.
    same
        Least intersection over union of an event that counts as kept.

    Examples
    --------
    >>> events = [np.arange(10), np.arange(20, 30)]
    >>> found = compare_events(events, [np.arange(10), np.arange(50, 60)])
    >>> found.before, found.after
    (['kept', 'lost'], ['kept', 'new'])
    """
    shared = _shared_voxels(before, after)
    sizes = [np.array([len(v) for v in s], np.int64) for s in (before, after)]
    union = sizes[0][:, None] + sizes[1][None, :] - shared
    iou = shared / np.maximum(union, 1)
    partner = np.full(len(after), -1, np.int64)
    overlap = np.zeros(len(after))
    kept_before = np.zeros(len(before), bool)
    kept_after = np.zeros(len(after), bool)
    if iou.size:
        best_before, best_after = iou.argmax(axis=0), iou.argmax(axis=1)
        overlap = iou.max(axis=0)
        partner = np.where(overlap > 0, best_before, -1)
        for j in np.flatnonzero(overlap >= same):
            if best_after[best_before[j]] == j:
                kept_after[j] = kept_before[best_before[j]] = True
    touched_before = np.asarray(shared.any(axis=1))
    touched_after = np.asarray(shared.any(axis=0))
    return EventChanges(
        _names(kept_before, touched_before, "lost"),
        _names(kept_after, touched_after, "new"),
        partner,
        overlap,
    )


def _names(
    kept: NDArray[np.bool_], touched: NDArray[np.bool_], alone: str
) -> list[str]:
    return [
        "kept" if k else "changed" if t else alone
        for k, t in zip(kept.tolist(), touched.tolist(), strict=True)
    ]


def _shared_voxels(before: Voxels, after: Voxels) -> NDArray[np.int64]:
    """Return how many voxels each pair of events shares, int64 (before, after)."""
    shared = np.zeros((len(before), len(after)), np.int64)
    if not shared.size:
        return shared
    at = np.concatenate(list(after))
    owner = np.repeat(np.arange(len(after)), [len(v) for v in after])
    order = np.argsort(at, kind="stable")
    at, owner = at[order], owner[order]
    for i, voxels in enumerate(before):
        begin = np.searchsorted(at, voxels, side="left")
        end = np.searchsorted(at, voxels, side="right")
        lengths = end - begin
        if lengths.any():
            first = np.repeat(begin - (np.cumsum(lengths) - lengths), lengths)
            hits = owner[first + np.arange(lengths.sum())]
            shared[i] = np.bincount(hits, minlength=len(after))
    return shared
