"""Fit of footprint times time course to touching events, compiled.

See `astrocast.kernels.calibrated.overlap` for the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.scattered import connected_to

#: times that all models are fitted, each with the other models subtracted
_ROUNDS = 4
#: steps of alternating least squares in each
_STEPS = 8
#: least overlap (intersection over union) of model and extent where the event is alone
_AGREEMENT = 0.6
#: least share of footprint times duration that an event fills: a travelling event
#: fills less, and would need much memory
_FILL = 0.2
#: fewest frames in which a pixel, and fewest pixels in which a frame, shows the event
#: alone
_LEAST = 3
#: fewest frames of a decay from which it is extrapolated
_DECAY = 4
#: standard deviations of the noise by which a model may exceed the signal
_DOUBT = 2.0
#: frames after its extent in which the decay of an event is looked for
_TAIL = 4


@njit(cache=True, nogil=True)
def decay_on(course: Any, seen: Any) -> Any:
    """Return a time course, extrapolated by its exponential decay where it is hidden.

    Parameters
    ----------
    course
        Height in each frame, float64, (frame,).
    seen
        Frames in which it is known, bool: at least four of its decay; it is
        extrapolated by as many frames.

    Returns
    -------
    course, told : numpy.ndarray
        The course, and the frames in which it is known now, bool.

    Examples
    --------
    >>> course = np.array([4, 8, 4, 2, 1, 0.5, 0, 0])
    >>> decay_on(course, course > 0)[0].round(3)
    array([4.   , 8.   , 4.   , 2.   , 1.   , 0.5  , 0.25 , 0.125])
    """
    n = len(course)
    top = 0
    while top < n - 1 and not seen[top]:
        top += 1
    for t in range(top + 1, n):
        if seen[t] and course[t] > course[top]:
            top = t
    falls = [t for t in range(top + 1, n) if seen[t] and course[t] > 0]
    if len(falls) < _DECAY:
        return course, seen
    middle, mean, slope = _log_line(course, falls)
    if slope >= 0:
        return course, seen
    out, told = course.copy(), seen.copy()
    for t in range(top + 1, min(falls[-1] + len(falls) + 1, n)):
        if not seen[t]:
            out[t] = np.exp(mean + slope * (t - middle))
            told[t] = True
    return out, told


@njit(cache=True, nogil=True)
def _log_line(course: Any, frames: Any) -> Any:
    """Return mean frame, mean logarithm and slope of a course (frame,) at some frames.

    Weighted by the squared course, as its error is the same everywhere.

    ``course`` float64 (frame,); ``frames`` a list of int64.
    """
    weights, t_sum, y_sum = 0.0, 0.0, 0.0
    for t in frames:
        w = course[t] ** 2
        weights += w
        t_sum += w * t
        y_sum += w * np.log(course[t])
    middle, mean = t_sum / weights, y_sum / weights
    above, below = 0.0, 0.0
    for t in frames:
        w = course[t] ** 2
        above += w * (t - middle) * (np.log(course[t]) - mean)
        below += w * (t - middle) ** 2
    return middle, mean, above / below


@njit(cache=True, nogil=True)
def _window(n: Any, known: Any, extents: Any, near: Any, shape: Any, mark: Any) -> Any:
    """Return the data within an event's footprint and duration.

    Returns whether the event fills enough of it, the first frame, the pixels (int64),
    and six arrays (frame, pixel): signal and noise (float32), the event's own basin,
    basins of neighbours, the extent (bool), and the model (float32, 0).
    """
    voxels, values, noise, owner = known
    size = shape[1] * shape[2]
    own = extents[0][extents[1][n] : extents[1][n + 1]]
    pixels = np.unique(own % size)
    f0, f1 = own[0] // size, own[-1] // size + 1
    fills = len(own) >= _FILL * (f1 - f0) * len(pixels)
    frames = min(f1 + _TAIL, shape[0]) - f0 if fills else 0
    grid = (frames, len(pixels))
    value, spread = np.zeros(grid, np.float32), np.ones(grid, np.float32)
    mine, others = np.zeros(grid, np.bool_), np.zeros(grid, np.bool_)
    extent, model = np.zeros(grid, np.bool_), np.zeros(grid, np.float32)
    for m in near[0][near[1][n] : near[1][n + 1]]:
        mark[m] = n
    for t in range(frames):
        j = np.searchsorted(voxels, (f0 + t) * size + pixels[0])
        for p in range(len(pixels)):
            wanted = (f0 + t) * size + pixels[p]
            while j < len(voxels) and voxels[j] < wanted:
                j += 1
            if j == len(voxels) or voxels[j] != wanted:
                continue
            spread[t, p] = noise[j]
            mine[t, p] = owner[j] == n
            others[t, p] = owner[j] >= 0 and mark[owner[j]] == n
            # voxels of events that this one does not touch are treated as empty
            if mine[t, p] or others[t, p]:
                value[t, p] = values[j]
    if fills:
        for v in own:
            extent[v // size - f0, np.searchsorted(pixels, v % size)] = True
    return fills, f0, pixels, value, spread, mine, others, extent, model


@njit(cache=True, nogil=True)
def _less_model(
    left: Any, f0: Any, pixels: Any, g0: Any, their: Any, model: Any
) -> None:
    """Subtract another event's model from ``left`` where windows share voxels.

    ``left`` float64 and ``model`` float32 are (frame, pixel); ``f0`` and ``g0`` their
    first frames, ``pixels`` and ``their`` their pixels, ascending, int64.
    """
    a, b = max(f0, g0), min(f0 + left.shape[0], g0 + model.shape[0])
    i = j = 0
    while i < len(pixels) and j < len(their):
        if pixels[i] < their[j]:
            i += 1
        elif pixels[i] > their[j]:
            j += 1
        else:
            for t in range(a, b):
                left[t - f0, i] -= model[t - g0, j]
            i += 1
            j += 1


@njit(cache=True, nogil=True)
def _fit(left: Any, mine: Any, others: Any, model: Any) -> Any:
    """Fit footprint x time course to the voxels of the event alone, into ``model``.

    ``left``, float64 (frame, pixel), is the signal minus the neighbours' models; it is
    changed in place. Returns the frames in which the model is known, bool.
    """
    frames, pixels = left.shape
    course, footprint = np.zeros(frames), np.zeros(pixels)
    count = np.zeros(pixels)
    for t in range(frames):
        for p in range(pixels):
            if others[t, p]:
                left[t, p] = 0
            else:
                left[t, p] = max(left[t, p], 0)
                footprint[p] += left[t, p]
                count[p] += 1
    footprint /= np.maximum(count, 1)
    for _ in range(_STEPS):
        _alternate(left, others, course, footprint)
    seen = np.empty(frames, np.bool_)
    for t in range(frames):
        seen[t] = mine[t].sum() >= _LEAST
    course, told = decay_on(course, seen)
    for t in range(frames):
        for p in range(pixels):
            model[t, p] = course[t] * footprint[p]
    return told


@njit(cache=True, nogil=True)
def _alternate(left: Any, others: Any, course: Any, footprint: Any) -> None:
    """Fit the course to the footprint and the footprint to the course, in place.

    ``left`` float64 and ``others`` bool are (frame, pixel); voxels in basins of other
    events do not count.
    """
    frames, pixels = left.shape
    for t in range(frames):
        u, v = 0.0, 0.0
        for p in range(pixels):
            if not others[t, p]:
                u += left[t, p] * footprint[p]
                v += footprint[p] * footprint[p]
        course[t] = u / max(v, 1e-30)
    footprint[:] = 0
    below = np.zeros(pixels)
    for t in range(frames):
        for p in range(pixels):
            if not others[t, p]:
                footprint[p] += course[t] * left[t, p]
                below[p] += course[t] * course[t]
    for p in range(pixels):
        footprint[p] /= max(below[p], 1e-30)


@njit(cache=True, nogil=True)
def _find_reach(window: Any, told: Any, level: Any, own: Any, shape: Any) -> Any:
    """Return voxels (int64), model (float32) and whether each belongs to the event.

    Only voxels in basins of neighbours where the model is known.
    """
    _, f0, pixels, value, spread, mine, others, extent, model = window
    frames, n = model.shape
    size = shape[1] * shape[2]
    either, both = 0, 0
    seen = np.zeros(n, np.int64)
    for t in range(frames):
        for p in range(n):
            seen[p] += mine[t, p]
            if not others[t, p]:
                above = model[t, p] >= level
                either += above or extent[t, p]
                both += above and extent[t, p]
    voxels = np.empty(model.size, np.int64)
    height, reached = np.empty(model.size, np.float32), np.empty(model.size, np.bool_)
    k = 0
    if both >= _AGREEMENT * either:
        for t in range(frames):
            for p in range(n):
                possible = model[t, p] <= value[t, p] + _DOUBT * spread[t, p]
                if others[t, p] and seen[p] >= _LEAST and told[t] and possible:
                    voxels[k] = (f0 + t) * size + pixels[p]
                    height[k] = model[t, p]
                    reached[k] = model[t, p] >= level and not extent[t, p]
                    k += 1
    voxels, height, reached = voxels[:k], height[:k], reached[:k]
    if reached.any():
        at = np.flatnonzero(reached)
        together = connected_to(own, voxels[at], shape[1], shape[2])
        for i in range(len(at)):
            reached[at[i]] = together[i]
    return voxels, height, reached


@njit(cache=True, nogil=True)
def fit_groups(
    lo: int,
    hi: int,
    groups: Any,
    known: Any,
    extents: Any,
    levels: Any,
    near: Any,
    shape: Any,
) -> Any:
    """Return signal of events of groups ``lo`` to ``hi`` in the basins of neighbours.

    ``groups`` are event numbers (from 0) group after group and where each begins;
    ``known`` voxels (int64), signal, noise (float32) and owner (int32, -1: none);
    ``extents`` and ``near`` the voxels and neighbours of each event, with their offsets
    (int64); ``levels`` float64, (event,); ``shape`` int64, (3,). Returns event, voxel
    (int64), model (float32) and whether the voxel belongs to the event (bool).
    """
    events, voxels = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    models, reached = [np.empty(0, np.float32)], [np.empty(0, np.bool_)]
    mark = np.full(len(levels), -1, np.int64)
    for g in range(lo, hi):
        members = groups[0][groups[1][g] : groups[1][g + 1]]
        windows = [_window(n, known, extents, near, shape, mark) for n in members]
        told = [np.empty(0, np.bool_) for _ in members]
        for turn in range(_ROUNDS):
            for k in range(len(members)):
                w = windows[k]
                if not w[0]:
                    continue
                left = w[3].astype(np.float64)
                if turn > 0:
                    _less_others(left, k, members, windows, near)
                told[k] = _fit(left, w[5], w[6], w[8])
        for k in range(len(members)):
            n = members[k]
            if windows[k][0]:
                own = extents[0][extents[1][n] : extents[1][n + 1]]
                v, m, r = _find_reach(windows[k], told[k], levels[n], own, shape)
                events.append(np.full(len(v), n, np.int64))
                voxels.append(v)
                models.append(m)
                reached.append(r)
    return (
        _concatenate(events),
        _concatenate(voxels),
        _concatenate(models),
        _concatenate(reached),
    )


@njit(cache=True, nogil=True)
def _less_others(left: Any, k: Any, members: Any, windows: Any, near: Any) -> None:
    """Subtract the models of member ``k``'s neighbours from ``left``.

    ``left`` float64 (frame, pixel), ``members`` int64, ``windows`` from `_window`,
    ``near`` int64 from `_neighbours`.
    """
    n = members[k]
    for m in near[0][near[1][n] : near[1][n + 1]]:
        j = np.searchsorted(members, m)
        w = windows[j]
        if w[0]:
            _less_model(left, windows[k][1], windows[k][2], w[1], w[2], w[8])


@njit(cache=True, nogil=True)
def _concatenate(parts: Any) -> Any:
    """Return arrays of a list one after the other.

    One-dimensional arrays of one dtype.
    """
    n = 0
    for part in parts:
        n += len(part)
    out = np.empty(n, parts[0].dtype)
    at = 0
    for part in parts:
        out[at : at + len(part)] = part
        at += len(part)
    return out
