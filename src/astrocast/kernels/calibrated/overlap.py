"""Voxels that belong to several events: an event continues below a stronger one.

A watershed gives each voxel to one event. The signal of another event there is
estimated from where that event is alone: it is modelled as a footprint times a time
course (as in constrained matrix factorisation, Pnevmatikakis et al. 2016,
https://doi.org/10.1016/j.neuron.2015.11.037), fitted to the voxels of its own basin,
with the neighbours' models subtracted. Travelling events are not separable into
footprint x time course. They are recognised because the model fails to reproduce their
own extent, and share no voxels.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.pieces import call_in_pieces
from astrocast.kernels.calibrated.shared_fit import fit_groups
from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.scattered import largest_region
from astrocast.kernels.segmentation.labelling import join_labels
from astrocast.kernels.segmentation.ordering import order_by_group, unique_values

#: an event keeps a voxel that is above this share of its level after the other event's
#: signal was subtracted
_KEPT = 0.9


@dataclass(frozen=True)
class SharedVoxels:
    """Voxels and signal of an event in the basins of its neighbours.

    Parameters
    ----------
    voxels
        Flat indices, ascending, int64, (voxels,).
    model
        The event's own signal there, (voxels,).
    reached
        Which voxels belong to the event: the model reaches its level there, and they
        are connected with its extent, bool.
    """

    voxels: NDArray[np.int64]
    model: NDArray[np.float64]
    reached: NDArray[np.bool_]


def shared_voxels(
    voxels: NDArray[np.int64],
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    owner: NDArray[np.int32],
    extents: dict[int, NDArray[np.int64]],
    levels: dict[int, float],
    touching: NDArray[np.integer],
    shape: tuple[int, int, int],
    pool: Executor | None = None,
) -> dict[int, SharedVoxels]:
    """Return voxels and signal of events in the basins of the events they touch.

    Parameters
    ----------
    voxels, values, noise
        Flat indices into a volume, ascending, the signal there and the standard
        deviation of its noise.
    owner
        Number of the event in whose basin each voxel is, 0 for none.
    extents, levels
        Voxels of each event (flat indices, ascending) and the height that they reach. A
        number that is not an event is left out of both; nothing is shared with it.
    touching
        Pairs of numbers whose basins touch, (pairs, 2); no other share voxels.
    shape
        Of the volume, (frame, row, column).
    pool
        Threads to share the work with.

    Returns
    -------
    dict
        Event -> its shared voxels, for events that the model describes.

    Examples
    --------
    >>> t, x = np.mgrid[:20, :14]
    >>> one = np.exp(-((x - 4) ** 2) / 8 - ((t - 6) ** 2) / 30)
    >>> two = 2 * np.exp(-((x - 9) ** 2) / 8 - ((t - 13) ** 2) / 30)
    >>> seen = (one + two).astype(np.float32).ravel()
    >>> owner = np.where(one >= two, 1, 2).ravel()
    >>> extents = {n: np.flatnonzero((owner == n) & (seen >= 0.3 * n)) for n in (1, 2)}
    >>> found = shared_voxels(
    ...     np.arange(280),
    ...     seen,
    ...     np.full(280, 0.1),
    ...     owner,
    ...     extents,
    ...     {1: 0.3, 2: 0.6},
    ...     np.array([[1, 2]]),
    ...     (20, 1, 14),
    ... )
    >>> bool(set(found[1].voxels[found[1].reached]) <= set(extents[2]))
    True
    """
    numbers = np.array(sorted(extents), np.int64)
    if not len(numbers):
        return {}
    index = np.full(max(int(owner.max(initial=0)), int(numbers[-1])) + 1, -1, np.int32)
    index[numbers] = np.arange(len(numbers))
    near = _neighbours(index, touching, len(numbers))
    groups = _groups(near)
    lengths = [len(extents[n]) for n in numbers.tolist()]
    flat = np.concatenate([extents[n] for n in numbers.tolist()]).astype(np.int64)
    parts = call_in_pieces(
        pool,
        len(groups[1]) - 1,
        fit_groups,
        groups,
        (
            np.asarray(voxels, np.int64),
            np.asarray(values, np.float32),
            np.asarray(noise, np.float32),
            index[owner],
        ),
        (flat, np.concatenate([[0], np.cumsum(lengths)])),
        np.array([levels[n] for n in numbers.tolist()], np.float64),
        near,
        np.array(shape, np.int64),
    )
    if not parts:
        return {}
    event, voxel, model, reached = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    cuts = np.flatnonzero(np.diff(event)) + 1
    return {
        int(numbers[own[0]]): SharedVoxels(v, m.astype(np.float64), r)
        for own, v, m, r in zip(
            *(np.split(column, cuts) for column in (event, voxel, model, reached)),
            strict=True,
        )
        if len(own)
    }


def _neighbours(
    index: NDArray[np.int32], touching: NDArray[np.integer], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the events that touch each event, and where those of each begin."""
    pairs = index[np.asarray(touching, np.int64).reshape(-1, 2)].astype(np.int64)
    pairs = pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])]
    both = np.concatenate([pairs, pairs[:, ::-1]])
    key = unique_values(both[:, 0] * count + both[:, 1])
    first = np.searchsorted(key // max(count, 1), np.arange(count + 1))
    return key % max(count, 1), first


def _groups(
    near: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return events that touch, directly or through others, group after group.

    Events that touch none are left out; the second array is where each group begins.
    """
    others, first = near
    count = len(first) - 1
    pairs = np.stack([np.repeat(np.arange(count), np.diff(first)), others], axis=1)
    of_event, _ = join_labels(count, pairs + 1)
    touches = np.flatnonzero(np.diff(first) > 0)
    order = touches[np.argsort(of_event[1:][touches], kind="stable")]
    group = of_event[1:][order]
    begins = (
        np.flatnonzero(np.concatenate([[True], np.diff(group) > 0]))
        if len(group)
        else np.empty(0, np.int64)
    )
    return order, np.append(begins, len(order))


def give_back(
    extents: dict[int, NDArray[np.int64]],
    strengths: dict[int, NDArray[np.float64]],
    shared: dict[int, SharedVoxels],
    levels: dict[int, float],
    cores: dict[int, float],
    least: int,
    shape: tuple[int, int, int],
) -> dict[int, NDArray[np.int64]]:
    """Return extents without the voxels that other events explain.

    Parameters
    ----------
    extents, strengths
        Voxels of each event (flat indices, ascending) and the signal there; NaN where a
        hole was filled.
    shared, levels
        Voxels of events beyond their basins, see `shared_voxels`, and the height that
        voxels of each event reach.
    cores
        Height above which a voxel stays with the event of its basin.
    least
        Events that would keep fewer voxels stay as they are.
    shape
        Of the volume.

    Returns
    -------
    dict
        Event -> voxels: the largest connected part (corners connect) of the rest; all
        of its extent where no voxel is given back.
    """
    strongest = _strongest(shared)
    out: dict[int, NDArray[np.int64]] = {}
    for n, extent in extents.items():
        others = _model_at(extent, strongest)
        gone = (
            (others > 0)
            & (strengths[n] - others < _KEPT * levels[n])
            & (strengths[n] < cores[n])
        )
        rest = _largest(extent[~gone], shape) if gone.any() else extent
        out[n] = rest if len(rest) >= least else extent
    return out


def _model_at(
    wanted: NDArray[np.int64], strongest: tuple[NDArray[np.int64], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the largest model of any other event in each voxel, 0 where there is none.

    Only in basins of other events.
    """
    voxel, model = strongest
    if not len(voxel):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(voxel, wanted), len(voxel) - 1)
    return np.where(voxel[place] == wanted, model[place], 0)


def _strongest(
    shared: dict[int, SharedVoxels],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the voxels of events outside their basins, and the highest model there.

    Voxels are in increasing order.
    """
    voxels = np.concatenate(
        [np.empty(0, np.int64), *(s.voxels for s in shared.values())]
    )
    models = np.concatenate([np.empty(0), *(s.model for s in shared.values())])
    found, place = np.unique(voxels, return_inverse=True)
    highest = np.zeros(len(found))
    np.maximum.at(highest, place, models)
    return found, highest


def _largest(
    voxels: NDArray[np.int64], shape: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Return the largest connected part (corners connect) of voxels."""
    if not len(voxels):
        return voxels
    box, low = largest_region(voxels, shape[1], shape[2])
    frame, row, column = (at - 1 + c for at, c in zip(box.nonzero(), low, strict=True))
    return np.asarray((frame * shape[1] + row) * shape[2] + column, np.int64)


@dataclass(frozen=True)
class LayeredEvent:
    """Voxels of an event, and which of them the event map shows as another event's.

    Parameters
    ----------
    voxels
        Flat indices, ascending, int64.
    hidden
        Voxels that the map shows as those of a stronger event, bool.
    filled
        Voxels of filled holes, bool: the event's only where no other event is.
    """

    voxels: NDArray[np.int64]
    hidden: NDArray[np.bool_]
    filled: NDArray[np.bool_]


def layer_events(
    extents: dict[int, NDArray[np.int64]],
    strengths: dict[int, NDArray[np.float64]],
    shared: dict[int, SharedVoxels],
    cores: dict[int, float],
) -> dict[int, LayeredEvent]:
    """Return all voxels of events, and which of them the map gives to another.

    Parameters
    ----------
    extents
        Voxels of each event, flat indices, ascending.
    strengths
        Signal at these voxels; NaN where a hole was filled, which is the event's only
        as long as no other has it.
    shared
        Voxels of events beyond their basins, see `shared_voxels`.
    cores
        Height above which a voxel is always shown as its basin's
        event, so that every event is in the map.

    Notes
    -----
    In each voxel, the signal minus the strongest model of another event is the signal
    of the basin's own event; the stronger of the two is shown.
    """
    if not extents:
        return {}
    numbers = sorted(extents)
    pieces = [(n, extents[n], strengths[n]) for n in numbers]
    pieces += [(n, s.voxels[s.reached], s.model[s.reached]) for n, s in shared.items()]
    place = {n: i for i, n in enumerate(numbers)}
    length = [len(v) for _, v, _ in pieces]
    event = np.repeat(np.array([place[n] for n, _, _ in pieces]), length)
    voxel, strength = (
        np.concatenate([v for _, v, _ in pieces]),
        np.concatenate([s for _, _, s in pieces]),
    )
    visits = np.arange(len(voxel)) >= sum(len(extents[n]) for n in numbers)
    core = np.repeat(np.array([cores[n] for n, _, _ in pieces], np.float64), length)
    hole = np.isnan(strength)
    rank = np.where(
        visits,
        strength,
        np.where(
            strength >= core, np.inf, strength - _model_at(voxel, _strongest(shared))
        ),
    )
    # the pieces are sorted, so that sorting them together is merging
    order = np.argsort(voxel, kind="stable")
    first = _mark_strongest(voxel, event, np.where(hole, -np.inf, rank), order)
    kept = order[(first | ~hole)[order]]
    of_event, cuts = order_by_group(event[kept], len(numbers))
    kept = kept[of_event]
    return {
        n: LayeredEvent(voxel[own], ~first[own], hole[own])
        for n, own in zip(numbers, np.split(kept, cuts[1:-1]), strict=True)
    }


@njit(cache=True, nogil=True)
def _mark_strongest(voxel: Any, event: Any, rank: Any, order: Any) -> Any:
    """Return which entry of each voxel has the highest rank, bool (entry,).

    Of equal ranks that of the lowest event. ``voxel`` and ``event`` int64 and ``rank``
    float64 (entry,); ``order`` int64 (entry,): entries by voxel.
    """
    out = np.zeros(len(voxel), np.bool_)
    best = -1
    for i in order:
        if best >= 0 and voxel[i] == voxel[best]:
            if rank[i] < rank[best] or (
                rank[i] == rank[best] and event[i] >= event[best]
            ):
                continue
            out[best] = False
        best = i
        out[i] = True
    return out
