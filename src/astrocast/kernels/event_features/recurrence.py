"""Events that recur in one place: functional units by the overlap of footprints."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform

#: events of one place up to which all pairs are held at once (128 MB)
_DENSE = 4000


def footprint_similarity(
    offsets: NDArray[np.int64],
    pixels: NDArray[np.int64],
    weights: NDArray[np.float32],
    size: int,
    least: float,
) -> csr_array:
    """Return how much the footprints of events overlap.

    Parameters
    ----------
    offsets
        Event i has ``pixels[offsets[i]:offsets[i + 1]]``, (events + 1,) int64.
    pixels
        Flat pixel indices, each once per event, (n,) int64.
    weights
        Weight of each pixel in its event, above 0: 1, or the number of active frames,
        (n,) float32.
    size
        Number of pixels of the frame.
    least
        Similarities below this are left out.

    Returns
    -------
    scipy.sparse.csr_array
        Float64 (events, events), symmetric: cosine of the two weight images, 1 where
        they are the same up to a factor, 0 where they share no pixel.

    Examples
    --------
    >>> offsets, pixels = np.array([0, 2, 4]), np.array([0, 1, 1, 2])
    >>> similarity = footprint_similarity(offsets, pixels, np.ones(4, "f4"), 3, 0.1)
    >>> float(round(similarity[0, 1], 3))
    0.5
    """
    images = csr_array(
        (weights.astype(np.float64), pixels, offsets), shape=(len(offsets) - 1, size)
    )
    norms = np.sqrt(images.multiply(images).sum(axis=1))
    norms[norms == 0] = 1.0
    images.data /= np.repeat(norms, np.diff(offsets))
    similarity = csr_array(images @ images.T)
    similarity.data[similarity.data < least] = 0.0
    similarity.eliminate_zeros()
    return similarity


def recurring_units(similarity: csr_array, least: float) -> NDArray[np.int64]:
    """Group events whose footprints overlap on average by at least ``least``.

    Parameters
    ----------
    similarity
        `footprint_similarity`, (events, events).
    least
        Average similarity within a unit, 0 to 1.

    Returns
    -------
    ndarray
        Int64 (events,): unit of each event, numbered from 0 by their first event. An
        event that recurs nowhere is a unit of one.

    Notes
    -----
    Average linkage (UPGMA, Sokal & Michener 1958) within each connected component of
    overlapping events. Components of more than 4,000 events are grouped around leaders
    instead (Hartigan 1975): each event joins the first unit whose first event it
    overlaps by ``least``.
    """
    count, component = connected_components(similarity, directed=False)
    unit = np.empty(similarity.shape[0], np.int64)
    order = np.argsort(component, kind="stable")
    bounds = np.searchsorted(component[order], np.arange(count + 1))
    done = 0
    for low, high in itertools.pairwise(bounds):
        members = np.sort(order[low:high])
        local = _link(similarity, members, least)
        unit[members] = done + local
        done += int(local.max()) + 1
    return _number_by_first(unit)


def compare_maps(
    first: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
    second: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
    size: int,
) -> NDArray[np.float64]:
    """Return how alike the maps of units of two sessions are.

    Parameters
    ----------
    first, second
        Maps of each session: flat pixel indices int64 (n,) and weights float64 (n,).
    size
        Number of pixels of the frame.

    Returns
    -------
    ndarray
        Float64 (first, second): cosine of the maps, see `footprint_similarity`.
    """
    both = [*first, *second]
    offsets = np.cumsum([0, *(len(p) for p, _ in both)], dtype=np.int64)
    pixels = np.concatenate([np.zeros(0, np.int64), *(p for p, _ in both)])
    weights = np.concatenate([np.zeros(0), *(w for _, w in both)]).astype(np.float32)
    found = footprint_similarity(offsets, pixels, weights, size, 0.0)
    return np.asarray(found[: len(first)][:, len(first) :].toarray(), np.float64)


def pair_units(similarity: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Return pairs of units of two sessions, each in one pair at most.

    Parameters
    ----------
    similarity
        Float64 (units of one session, units of the other), 0 to 1.
    least
        Similarity of a pair, at least.

    Returns
    -------
    ndarray
        Int64 (pairs, 2), with the largest sum of similarities (Kuhn 1955,
        https://doi.org/10.1002/nav.3800020109).

    Examples
    --------
    >>> pair_units(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.5).tolist()
    [[0, 1], [1, 0]]
    """
    used = np.where(similarity >= least, similarity, 0.0)
    first, second = linear_sum_assignment(used, True)
    chosen = similarity[first, second] >= least
    return np.stack([first[chosen], second[chosen]], axis=1).astype(np.int64)


def _link(
    similarity: csr_array, members: NDArray[np.int64], least: float
) -> NDArray[np.int64]:
    if len(members) == 1:
        return np.zeros(1, np.int64)
    block = similarity[members][:, members]
    if len(members) > _DENSE:
        return _lead(csr_array(block), least)
    distance = 1.0 - block.toarray()
    np.fill_diagonal(distance, 0.0)
    distance = np.maximum((distance + distance.T) / 2, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    return np.asarray(fcluster(tree, 1.0 - least, "distance") - 1, np.int64)


def _lead(block: csr_array, least: float) -> NDArray[np.int64]:
    unit = np.full(block.shape[0], -1, np.int64)
    done = 0
    for i in range(len(unit)):
        if unit[i] >= 0:
            continue
        row = slice(block.indptr[i], block.indptr[i + 1])
        near = block.indices[row][block.data[row] >= least]
        near = near[unit[near] < 0]
        unit[near] = unit[i] = done
        done += 1
    return unit


def _number_by_first(unit: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, place = np.unique(unit, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[place], np.int64)
