"""Accuracy of found events: voxel overlap, one-to-one matching, F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from astrocast.errors import InvalidValueError

#: a label volume (0 is background), or the flat voxel indices of each event
Events = NDArray[Any] | Sequence[NDArray[Any]]
#: voxels of a label volume that are processed together
SLICE_VOXELS = 1 << 24


@dataclass(frozen=True)
class Score:
    """Accuracy of found events.

    Parameters
    ----------
    precision
        Fraction of the found events that are matched; 1 without true and found events.
    recall
        Fraction of the true events that are matched; 1 without true and found events.
    f1
        Harmonic mean of precision and recall.
    mean_iou
        Mean intersection over union of the pairs; NaN without pairs.
    pairs
        int64 (pair, 2): label of the true and of the found event. Events in voxel lists
        have labels from 1.
    ious
        Intersection over union of each pair.
    n_truth, n_found
        Number of events.
    """

    precision: float
    recall: float
    f1: float
    mean_iou: float
    pairs: NDArray[np.int64]
    ious: NDArray[np.float64]
    n_truth: int
    n_found: int


def score(truth: Events, found: Events, iou: float = 0.5) -> Score:
    """Compare found events with the truth.

    A true and a found event can be a pair if the intersection over union of their
    voxels is at least ``iou``. Each event is in at most one pair. The matching has the
    largest possible number of pairs and, among those, the largest sum of overlaps (as
    in StarDist, doi:10.1007/978-3-030-00934-2_30).

    Parameters
    ----------
    truth, found
        Label volumes of equal shape (integers, 0 is background), or sequences with the
        flat voxel indices of each event; these events may overlap. A volume can be
        compared with a sequence.
    iou
        Smallest intersection over union of a pair, above 0 and at most 1.

    Raises
    ------
    InvalidValueError
        The shapes differ, labels are negative or not integers, or ``iou`` is out of
        range.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1, 1, 1, 0, 2, 2]])
    >>> found = np.array([[7, 7, 0, 0, 0, 0]])
    >>> result = score(truth, found)
    >>> result.precision, result.recall, round(result.mean_iou, 3)
    (1.0, 0.5, 0.667)
    """
    if not 0 < iou <= 1:
        raise InvalidValueError(f"iou is {iou}; it must be above 0 and at most 1")
    common, truth_sizes, found_sizes, truth_ids, found_ids = common_voxels(truth, found)
    common = common.tocoo()
    t, f = common.row, common.col
    overlap = common.data / (truth_sizes[t] + found_sizes[f] - common.data)
    enough = overlap >= iou
    matched = _match(t[enough], f[enough], overlap[enough])
    pairs = np.stack(
        [truth_ids[t[enough][matched]], found_ids[f[enough][matched]]], axis=1
    )
    values = overlap[enough][matched]
    n, n_truth, n_found = len(values), len(truth_ids), len(found_ids)
    empty = 1.0 if n_truth == n_found == 0 else 0.0
    return Score(
        precision=n / n_found if n_found else empty,
        recall=n / n_truth if n_truth else empty,
        f1=2 * n / (n_truth + n_found) if n_truth + n_found else empty,
        mean_iou=float(values.mean()) if n else float("nan"),
        pairs=pairs.astype(np.int64),
        ious=values,
        n_truth=n_truth,
        n_found=n_found,
    )


def common_voxels(
    truth: Events, found: Events
) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Count the common voxels of true and found events.

    Parameters
    ----------
    truth, found
        Events as for `score`.

    Returns
    -------
    tuple
        Number of common voxels (sparse, true event x found event), number of voxels of
        each true and each found event, labels of the true and of the found events.
    """
    if isinstance(truth, np.ndarray) and isinstance(found, np.ndarray):
        return _compare_volumes(_check_labels(truth), _check_labels(found))
    t_ids, t_lists = _list_voxels(truth)
    f_ids, f_lists = _list_voxels(found)
    everything = np.concatenate([*t_lists, *f_lists, np.empty(0, np.int64)])
    voxels, position = np.unique(everything, return_inverse=True)
    cut = sum(map(len, t_lists))
    by_truth = _build_incidence(t_lists, position[:cut], len(voxels))
    by_found = _build_incidence(f_lists, position[cut:], len(voxels))
    sizes = (
        np.array([len(v) for v in lists], np.int64) for lists in (t_lists, f_lists)
    )
    return by_truth @ by_found.T, *sizes, t_ids, f_ids


def _compare_volumes(
    truth: NDArray[Any], found: NDArray[Any]
) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    if truth.shape != found.shape:
        raise InvalidValueError(
            f"the truth has shape {truth.shape}, the found labels have {found.shape};"
            " both shapes must be equal"
        )
    flat_truth, flat_found = truth.reshape(-1), found.reshape(-1)
    keys: list[NDArray[Any]] = []
    counts: list[NDArray[Any]] = []
    for a in range(0, flat_truth.size, SLICE_VOXELS):
        t, f = flat_truth[a : a + SLICE_VOXELS], flat_found[a : a + SLICE_VOXELS]
        both = np.flatnonzero((t != 0) | (f != 0))
        seen, n = np.unique(
            np.stack([t[both], f[both]], axis=1).astype(np.int64),
            axis=0,
            return_counts=True,
        )
        keys.append(seen)
        counts.append(n)
    pairs = np.concatenate([*keys, np.empty((0, 2), np.int64)])
    number = np.concatenate([*counts, np.empty(0, np.int64)])
    t_ids, t_at = np.unique(pairs[:, 0], return_inverse=True)
    f_ids, f_at = np.unique(pairs[:, 1], return_inverse=True)
    table = sparse.csr_array(
        (number, (t_at.ravel(), f_at.ravel())), shape=(len(t_ids), len(f_ids))
    )
    t_sizes, f_sizes = (
        np.asarray(table.sum(axis=1)).ravel(),
        np.asarray(table.sum(axis=0)).ravel(),
    )
    t, f = t_ids != 0, f_ids != 0
    return (
        table[np.flatnonzero(t)][:, np.flatnonzero(f)],
        t_sizes[t],
        f_sizes[f],
        t_ids[t],
        f_ids[f],
    )


def _check_labels(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.dtype.kind not in "iub":
        raise InvalidValueError(
            f"labels are {labels.dtype}; they must be integers, 0 for the background"
        )
    if labels.size and labels.dtype.kind == "i" and labels.min() < 0:
        raise InvalidValueError(
            f"the smallest label is {labels.min()}; labels must be 0 for the background"
            " and positive for events"
        )
    return labels


def _list_voxels(events: Events) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Return the labels of events, and the flat voxel indices of each."""
    if not isinstance(events, np.ndarray):
        lists = [np.unique(np.asarray(v, np.int64)) for v in events]
        return np.arange(1, len(lists) + 1), lists
    flat = _check_labels(events).reshape(-1)
    inside = np.flatnonzero(flat)
    order = np.argsort(flat[inside], kind="stable")
    ids, first = np.unique(flat[inside][order], return_index=True)
    return ids.astype(np.int64), np.split(inside[order], first[1:]) if len(ids) else []


def _build_incidence(
    lists: list[NDArray[Any]], position: NDArray[Any], voxels: int
) -> Any:
    """Return a sparse matrix (event, voxel) with 1 for each voxel of an event."""
    event = np.repeat(np.arange(len(lists)), [len(v) for v in lists])
    shape = (len(lists), voxels)
    return sparse.csr_array(
        (np.ones(len(position), np.int64), (event, position.ravel())), shape=shape
    )


def _match(
    t: NDArray[Any], f: NDArray[Any], overlap: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the indices of the candidate pairs in the best matching.

    It has the most pairs and, among those matchings, the largest overlap.
    """
    if not len(t):
        return np.empty(0, np.int64)
    n = int(t.max()) + 1
    m = int(f.max()) + 1
    graph = sparse.coo_array((np.ones(len(t)), (t, n + f)), shape=(n + m, n + m))
    _, part = sparse.csgraph.connected_components(graph, directed=False)
    chosen = []
    # candidates form small connected groups; each is solved by itself
    order = np.argsort(part[t], kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(part[t][order])) + 1):
        rows, r = np.unique(t[group], return_inverse=True)
        columns, c = np.unique(f[group], return_inverse=True)
        gain = np.zeros((len(rows), len(columns)))
        index = np.full(gain.shape, -1)
        gain[r, c] = 1 + overlap[group] / (min(gain.shape) + 1)
        index[r, c] = group
        taken = index[linear_sum_assignment(gain, maximize=True)]
        chosen.append(taken[taken >= 0])
    return np.sort(np.concatenate(chosen))
