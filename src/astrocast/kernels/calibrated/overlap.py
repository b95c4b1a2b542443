"""Voxels that belong to more than one event: where an event goes on below a stronger
one.

A watershed gives each voxel to one event. What another has there is told from where it
is seen alone: its voxels are taken as a footprint times a time course (as in
constrained matrix factorisation, Pnevmatikakis et al. 2016,
https://doi.org/10.1016/j.neuron.2015.11.037), fitted to the voxels of its own basin
alone, with the neighbours' models subtracted. Events that are no such product, those
that travel, are told by that the model does not give back their own extent, and share
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: times that all models are fitted, each with what the others are known to be
#: subtracted
_ROUNDS = 4
#: steps of alternating least squares in each
_STEPS = 8
#: least overlap (intersection over union) of model and extent where the event is seen
#: alone
_AGREEMENT = 0.6
#: least share of footprint times duration that an event fills: one that travels fills
#: less, and would need much memory
_FILL = 0.2
#: least frames in which a pixel, and pixels in which a frame, is seen alone
_LEAST = 3
#: least frames of a decay that it is told by
_DECAY = 4
#: standard deviations of the noise by which a model may be higher than all that is
#: there
_DOUBT = 2.0
#: share of its level that an event keeps a voxel at, once what another has there is
#: taken from it
_KEPT = 0.9
#: frames after its extent in which the decay of an event is looked for
_TAIL = 4


@dataclass(frozen=True)
class Shared:
    """What an event has in the basins of its neighbours.

    Parameters
    ----------
    voxels
        Flat indices, ascending, int64, (voxels,).
    model
        The event's own signal there, (voxels,).
    reached
        Voxels that belong to the event: it reaches its level there, and they hang
        together with its extent.
    """

    voxels: NDArray[np.int64]
    model: NDArray[np.float64]
    reached: NDArray[np.bool_]


@dataclass
class _Window:
    """Footprint times duration of an event; arrays are (frame, pixel), but for ``at``,
    which is flat and ascending.

    ``told`` says of which frames the model says something, (frame,).
    """

    at: NDArray[np.int64]
    extent: NDArray[np.bool_]
    own: NDArray[np.bool_]
    contested: NDArray[np.bool_]
    value: NDArray[np.float32]
    noise: NDArray[np.float32]
    model: NDArray[np.float32]
    told: NDArray[np.bool_]


def shared_voxels(
    voxels: NDArray[np.int64],
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    owner: NDArray[np.int32],
    extents: dict[int, NDArray[np.int64]],
    levels: dict[int, float],
    touching: NDArray[np.integer],
    shape: tuple[int, int, int],
) -> dict[int, Shared]:
    """Return what events have in the basins of those they touch.

    Parameters
    ----------
    voxels, values, noise
        Flat indices into a volume, ascending, the signal there and the standard
        deviation of its noise.
    owner
        Number of the event in whose basin each voxel is, 0 for none.
    extents, levels
        Voxels of each event (flat indices, ascending) and the height that they reach.
        What is no event although it has a number is left out of both; nothing is shared
        with it.
    touching
        Pairs of numbers whose basins touch, (pairs, 2); no other share voxels.
    shape
        Of the volume, (frame, row, column).

    Returns
    -------
    dict
        Of each event of which that can be told.

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
    neighbours = _neighbours(touching, extents)
    known = voxels, values, noise, owner
    found: dict[int, Shared] = {}
    # windows are held of one group of events at a time
    for group in _groups(neighbours):
        windows = {
            n: w
            for n in group
            if (w := _window(n, extents[n], neighbours[n], known, shape)) is not None
        }
        _fit_all(windows, neighbours)
        found |= {
            n: _reached(window, levels[n], extents[n], shape)
            for n, window in windows.items()
        }
    return {n: shared for n, shared in found.items() if len(shared.voxels)}


def _groups(neighbours: dict[int, list[int]]) -> Iterator[list[int]]:
    """Yield events that touch each other, directly or through others, ascending."""
    left = set(neighbours)
    while left:
        group, new = set(), {min(left)}
        while new:
            group |= new
            new = {other for n in new for other in neighbours[n]} - group
        left -= group
        yield sorted(group)


def _fit_all(windows: dict[int, _Window], neighbours: dict[int, list[int]]) -> None:
    meeting = {n: _meeting(n, neighbours[n], windows) for n in windows}
    # at first nothing is known of the others; then each is fitted to what their latest
    # models leave
    for n, (model, told) in {n: _fit(n, windows, {}) for n in windows}.items():
        windows[n].model, windows[n].told = model, told
    for _ in range(_ROUNDS - 1):
        for n, window in windows.items():
            window.model, window.told = _fit(n, windows, meeting[n])


def _neighbours(
    touching: NDArray[np.integer], extents: dict[int, NDArray[np.int64]]
) -> dict[int, list[int]]:
    """Return the numbers that touch each event, of those that touch an event."""
    pairs = np.unique(np.sort(np.asarray(touching).reshape(-1, 2), axis=1), axis=0)
    around: dict[int, list[int]] = {}
    for a, b in pairs.tolist():
        if a in extents and b in extents:
            around.setdefault(a, []).append(b)
            around.setdefault(b, []).append(a)
    return around


def _window(
    number: int,
    extent: NDArray[np.int64],
    neighbours: Sequence[int],
    known: tuple[
        NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]
    ],
    shape: tuple[int, int, int],
) -> _Window | None:
    """Return what is known within an event's footprint and duration; None where the
    event fills too little of it.
    """
    voxels, values, noise, owner = known
    size = shape[1] * shape[2]
    frame, pixel = np.divmod(extent, size)
    pixels = np.unique(pixel)
    if len(extent) < _FILL * (frame.max() + 1 - frame.min()) * len(pixels):
        return None
    frames = np.arange(frame.min(), min(frame.max() + 1 + _TAIL, shape[0]))
    grid = frames[:, None] * size + pixels
    place = np.minimum(np.searchsorted(voxels, grid), len(voxels) - 1)
    owned = np.where(voxels[place] == grid, owner[place], 0)
    own, contested = owned == number, np.isin(owned, neighbours)
    # what is not looked at is low, and so are the voxels of events that this one does
    # not touch
    value = np.where(own | contested, values[place], 0).astype(np.float32)
    spread, unknown = noise[place].astype(np.float32), np.zeros(grid.shape, np.float32)
    return _Window(
        grid.ravel(),
        _among(grid, extent),
        own,
        contested,
        value,
        spread,
        unknown,
        np.zeros(len(frames), bool),
    )


def _among(
    wanted: NDArray[np.int64], ascending: NDArray[np.int64]
) -> NDArray[np.bool_]:
    place = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.asarray(ascending[place] == wanted)


#: of each neighbour, which places of two windows are the same voxel
_Meeting = dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]


def _meeting(
    number: int, neighbours: Sequence[int], windows: dict[int, _Window]
) -> _Meeting:
    out: _Meeting = {}
    for other in neighbours:
        if other in windows:
            _, here, there = np.intersect1d(
                windows[number].at,
                windows[other].at,
                assume_unique=True,
                return_indices=True,
            )
            out[other] = here, there
    return out


def _fit(
    number: int, windows: dict[int, _Window], meeting: _Meeting
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the footprint times time course that an event has where it is seen alone,
    and the frames it is told of.
    """
    window = windows[number]
    left = window.value.astype(np.float64)
    for other, (here, there) in meeting.items():
        left.flat[here] -= windows[other].model.flat[there]
    seen = ~window.contested
    left = np.where(seen, np.maximum(left, 0), 0)
    weight = seen.astype(np.float64)
    footprint = left.sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
    course = np.zeros(len(left))
    for _ in range(_STEPS):
        course = (left @ footprint) / np.maximum(weight @ footprint**2, 1e-30)
        footprint = (course @ left) / np.maximum(course**2 @ weight, 1e-30)
    course, told = decay_on(course, window.own.sum(axis=1) >= _LEAST)
    return np.outer(course, footprint).astype(np.float32), told


def decay_on(
    course: NDArray[np.float64], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a time course continued, where it is not seen, by the exponential decay
    that is seen of it.

    Parameters
    ----------
    course
        Height in each frame, (frame,).
    seen
        In which frames it is known. At least four of its decay have to be, and it is
        continued for as many frames.

    Returns
    -------
    course, told : numpy.ndarray
        The course, and in which frames it is known now.

    Examples
    --------
    >>> course = np.array([4, 8, 4, 2, 1, 0.5, 0, 0])
    >>> decay_on(course, course > 0)[0].round(3)
    array([4.   , 8.   , 4.   , 2.   , 1.   , 0.5  , 0.25 , 0.125])
    """
    frames = np.arange(len(course))
    top = int(np.where(seen, course, -np.inf).argmax())
    falls = seen & (frames > top) & (course > 0)
    n = int(falls.sum())
    if n < _DECAY:
        return course, seen
    # of a logarithm whose argument has the same error everywhere
    weight = course[falls] ** 2
    t, y = frames[falls], np.log(course[falls])
    middle, mean = (
        float(np.average(t, weights=weight)),
        float(np.average(y, weights=weight)),
    )
    slope = float(
        (weight * (t - middle) * (y - mean)).sum() / (weight * (t - middle) ** 2).sum()
    )
    if slope >= 0:
        return course, seen
    gaps = ~seen & (frames > top) & (frames <= t[-1] + n)
    return np.where(gaps, np.exp(mean + slope * (frames - middle)), course), seen | gaps


def _reached(
    window: _Window,
    level: float,
    extent: NDArray[np.int64],
    shape: tuple[int, int, int],
) -> Shared:
    """Return what an event's model has in contested voxels."""
    above, alone = window.model >= level, ~window.contested
    either = int(((above | window.extent) & alone).sum())
    if int((above & window.extent & alone).sum()) < _AGREEMENT * either:
        return Shared(np.empty(0, np.int64), np.empty(0), np.empty(0, bool))
    sure = (window.own.sum(axis=0) >= _LEAST) & window.told[:, None]
    possible = window.model <= window.value + _DOUBT * window.noise
    told = (window.contested & sure & possible).ravel()
    voxels, model = window.at[told], window.model.ravel()[told].astype(np.float64)
    reached = (above & ~window.extent).ravel()[told]
    reached[reached] = _connected(voxels[reached], extent, shape)
    return Shared(voxels, model, reached)


def _connected(
    more: NDArray[np.int64], core: NDArray[np.int64], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Return which of some voxels hang together (corners connect) with the core."""
    region = _regions(np.concatenate([core, more]), shape)
    return np.isin(region[len(core) :], region[: len(core)])


def give_back(
    extents: dict[int, NDArray[np.int64]],
    strengths: dict[int, NDArray[np.float64]],
    shared: dict[int, Shared],
    levels: dict[int, float],
    cores: dict[int, float],
    least: int,
    shape: tuple[int, int, int],
) -> dict[int, NDArray[np.int64]]:
    """Return extents without the voxels that reach an event's level only through what
    others have there.

    Parameters
    ----------
    extents, strengths
        Voxels of each event (flat indices, ascending) and the signal there; NaN where a
        hole was filled.
    shared, levels
        What events have beyond their basins, see `shared_voxels`, and the height that
        voxels of each event reach.
    cores
        Height from which a voxel stays its basin's whatever reaches it.
    least
        Events of which fewer voxels would be left stay as they are.
    shape
        Of the volume.

    Returns
    -------
    dict
        The largest connected part (corners connect) of what is left of each event; all
        of it where nothing is given back.
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
    """Return the most that any event has in voxels of another's basin, 0 where there is
    none.
    """
    voxel, model = strongest
    if not len(voxel):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(voxel, wanted), len(voxel) - 1)
    return np.where(voxel[place] == wanted, model[place], 0)


def _strongest(
    shared: dict[int, Shared],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the voxels in which any event has something beyond its basin, ascending,
    and the highest model there.
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
    if not len(voxels):
        return voxels
    region = _regions(voxels, shape)
    return voxels[region == np.bincount(region).argmax()]


def _regions(
    voxels: NDArray[np.int64], shape: tuple[int, int, int]
) -> NDArray[np.int32]:
    """Return the connected region (corners connect) of each voxel, from 1."""
    from scipy import ndimage

    places = np.stack(np.unravel_index(voxels, shape), axis=1)
    places -= places.min(axis=0)
    box = np.zeros(places.max(axis=0) + 1, bool)
    box[tuple(places.T)] = True
    regions, _ = ndimage.label(box, np.ones((3, 3, 3), int))
    return np.asarray(regions[tuple(places.T)], np.int32)


@dataclass(frozen=True)
class Layered:
    """An event of which the map may show less than all.

    Parameters
    ----------
    voxels
        Flat indices, ascending, int64.
    hidden
        Those that the map gives to a stronger event.
    filled
        Those of holes: the event's only as long as no other has them.
    """

    voxels: NDArray[np.int64]
    hidden: NDArray[np.bool_]
    filled: NDArray[np.bool_]


def layer_events(
    extents: dict[int, NDArray[np.int64]],
    strengths: dict[int, NDArray[np.float64]],
    shared: dict[int, Shared],
    cores: dict[int, float],
) -> dict[int, Layered]:
    """Return all voxels of events, and which of them the map gives to another.

    Parameters
    ----------
    extents
        Voxels of each event, flat indices, ascending.
    strengths
        Signal at these voxels; NaN where a hole was filled, which is the event's only
        as long as no other has it.
    shared
        What events have beyond their basins.
    cores
        Height from which a voxel is shown as its basin's whatever reaches it, so that
        every event is in the map.

    Notes
    -----
    What is seen of a voxel less the strongest that reaches it from elsewhere is what
    the basin's own event has there; the stronger of the two is shown.
    """
    if not extents:
        return {}
    numbers = sorted(extents)
    pieces = [(n, extents[n], strengths[n]) for n in numbers]
    pieces += [(n, s.voxels[s.reached], s.model[s.reached]) for n, s in shared.items()]
    event = np.concatenate([np.full(len(v), n) for n, v, _ in pieces])
    voxel, strength = (
        np.concatenate([v for _, v, _ in pieces]),
        np.concatenate([s for _, _, s in pieces]),
    )
    visits = np.arange(len(voxel)) >= sum(len(extents[n]) for n in numbers)
    core = np.concatenate([np.full(len(v), cores[n]) for n, v, _ in pieces])
    hole = np.isnan(strength)
    rank = np.where(
        visits,
        strength,
        np.where(
            strength >= core, np.inf, strength - _model_at(voxel, _strongest(shared))
        ),
    )
    order = np.lexsort((event, -np.where(hole, -np.inf, rank), voxel))
    first = np.zeros(len(voxel), bool)
    first[order[np.concatenate([[True], np.diff(voxel[order]) > 0])]] = True
    kept = np.flatnonzero(first | ~hole)
    kept = kept[np.lexsort((voxel[kept], event[kept]))]
    cuts = np.searchsorted(event[kept], numbers)[1:]
    return {
        n: Layered(voxel[own], ~first[own], hole[own])
        for n, own in zip(numbers, np.split(kept, cuts), strict=True)
    }
