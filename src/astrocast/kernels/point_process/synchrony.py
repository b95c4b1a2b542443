"""Simultaneous activity, compared with trains that were shifted independently."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def coactivity(
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    weight: NDArray[np.float64],
    frames: int,
) -> NDArray[np.float64]:
    """Return the summed weight of the events that are active in each frame.

    Parameters
    ----------
    start, stop
        First frame and frame after the last of each event, (events,).
    weight
        Weight of each event while it is active: 1, or its area, (events,).
    frames
        Frames of the recording. Events may reach around its end: they continue at the
        beginning, as after a circular shift.

    Returns
    -------
    ndarray
        Float64 (frames,).

    Examples
    --------
    >>> one = np.ones(2)
    >>> coactivity(np.array([0, 1]), np.array([2, 3]), one, 4).tolist()
    [1.0, 2.0, 1.0, 0.0]
    """
    change = np.zeros(frames + 1)
    length = np.minimum(stop - start, frames)
    begin = start % frames
    end = begin + length
    np.add.at(change, begin, weight)
    np.add.at(change, np.minimum(end, frames), -weight)
    around = end > frames
    change[0] += weight[around].sum()
    np.add.at(change, end[around] - frames, -weight[around])
    return np.asarray(np.cumsum(change[:-1]))


def synchrony(
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    unit: NDArray[np.int64],
    frames: int,
    surrogates: int,
    seed: int,
) -> tuple[float, NDArray[np.float64]]:
    """Return the synchrony of units and its distribution when they are independent.

    Parameters
    ----------
    start, stop
        First frame and frame after the last of each event, (events,).
    unit
        Unit (cell, region) of each event; the events of a unit move together.
    frames
        Frames of the recording.
    surrogates
        Number of surrogates: every unit is shifted around the recording by a random
        number of frames of its own.
    seed
        Seed of the shifts.

    Returns
    -------
    tuple
        Variance over frames of the number of active events, observed; and the same of
        each surrogate, float64 (surrogates,). Units that are active together make the
        variance large; the mean is the same whatever the shifts.
    """
    rng = np.random.default_rng(seed)
    names, place = np.unique(unit, return_inverse=True)
    weight = np.ones(len(start))
    observed = float(coactivity(start, stop, weight, frames).var())
    null = np.empty(surrogates)
    for i in range(surrogates):
        shift = rng.integers(0, frames, len(names))[place]
        null[i] = coactivity(start + shift, stop + shift, weight, frames).var()
    return observed, null


def neighbour_followers(
    onset: NDArray[np.float64],
    place: NDArray[np.float64],
    lag: tuple[float, float],
    reach: float,
) -> NDArray[np.int64]:
    """Return pairs of events of which the second begins near the first, shortly after.

    Parameters
    ----------
    onset
        Onset of each event, frames, (events,).
    place
        Centre of each event, (events, 2), pixels.
    lag
        Least and most frames from onset to onset; the least is above 0.
    reach
        Most pixels between the centres.

    Returns
    -------
    ndarray
        Int64 (pairs, 2): indices of the first and the second event, by the first.

    Examples
    --------
    >>> onset = np.array([0.0, 2.0, 2.0])
    >>> place = np.array([[0.0, 0.0], [0.0, 3.0], [0.0, 30.0]])
    >>> neighbour_followers(onset, place, (1, 5), 10).tolist()
    [[0, 1]]
    """
    order = np.argsort(onset, kind="stable")
    sorted_onset = onset[order]
    low = np.searchsorted(sorted_onset, sorted_onset + lag[0], "left")
    high = np.searchsorted(sorted_onset, sorted_onset + lag[1], "right")
    counts = np.maximum(high - low, 0)
    first = np.repeat(np.arange(len(onset)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    then = np.repeat(low, counts) + within
    first, then = order[first], order[then]
    near = np.hypot(*(place[first] - place[then]).T) <= reach
    pairs = np.stack([first[near], then[near]], axis=1)
    return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], np.int64)
