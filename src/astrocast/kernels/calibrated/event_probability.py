"""The probability that what was found is an event of the tissue.

Two things are combined. A logistic map of the height, fitted to simulated
recordings of every kind of event and every disturbance: how often what was that high
was an event. And decoys in the recording itself: what the same search finds in the
inverted signal, which no event makes (target-decoy approach, Elias & Gygi 2007,
https://doi.org/10.1038/nmeth1019).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: the logistic map: constant, per unit of log(height / 6), and for an event that the
#: start or end of the recording cuts. Fitted to 1,800 events of simulated recordings
#: (seeds 3100 and 3101; 17 false). The size did not matter. As the simulator cuts no
#: event, the last is set so that as many of the true events are cut as last for a tenth
#: of a recording
_CONSTANT, _HEIGHT, _CUT = 1.8, 8.0, -3.0
#: limits of the height beyond which the map is constant
_HEIGHTS = 4.5, 12.0
#: a decoy is like an event from this share of its height on, and in the same or the
#: next class of sizes, which rise by this factor
_AS_HIGH, _AS_LARGE = 0.8, 4.0


def event_probability(
    height: NDArray[Any], cut: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the probability that something found is an event, (event,).

    Parameters
    ----------
    height
        Of the peaks, in standard deviations of noise and extrinsic fluctuations.
    cut
        Whether an event is cut by the start or the end of the recording, where the
        background is known less well.

    Notes
    -----
    It rises with the height and is never 0 or 1. It is the share of true ones in
    simulated recordings, of which the recording at hand may differ: see `decoy_share`.

    Examples
    --------
    >>> event_probability(np.array([12.0, 6.0, 6.0]), np.array([0, 0, 1])).round(3)
    array([0.999, 0.858, 0.231])
    """
    h = np.log(np.clip(np.asarray(height, np.float64), *_HEIGHTS) / 6)
    logit = _CONSTANT + _HEIGHT * h + _CUT * np.asarray(cut)
    return np.asarray(1 / (1 + np.exp(-logit)))


def decoy_share(
    height: NDArray[Any],
    voxels: NDArray[Any],
    decoy_height: NDArray[Any],
    decoy_voxels: NDArray[Any],
    searched: float,
) -> NDArray[np.float64]:
    """Return the share of decoys among events and decoys like each event, (event,).

    Parameters
    ----------
    height, voxels
        Of the events.
    decoy_height, decoy_voxels
        Of the decoys.
    searched
        Share of the recording in which decoys were looked for.

    Examples
    --------
    >>> a, b = np.array([6.0, 20.0]), np.array([50, 50])
    >>> decoy_share(a, b, np.array([6.0]), np.array([50]), 1.0).tolist()
    [0.3333333333333333, 0.0]
    """
    height, voxels = np.asarray(height), np.asarray(voxels)
    if not len(decoy_height) or not len(height):
        return np.zeros(len(height))
    events = _number_alike(height, voxels, height, voxels)
    decoys = _number_alike(height, voxels, decoy_height, decoy_voxels) / searched
    return np.asarray(np.minimum(decoys / (events + 1), 1.0))


def _number_alike(
    height: NDArray[Any], voxels: NDArray[Any], heights: Any, sizes: Any
) -> NDArray[np.int64]:
    """Return how many of some heights and sizes are like each event, int64."""
    of_event, of_other = (
        np.floor(np.log(v) / np.log(_AS_LARGE)).astype(int)
        for v in (np.asarray(voxels, np.float64), np.asarray(sizes, np.float64))
    )
    count = np.zeros(len(height), np.int64)
    for size in np.unique(of_event):
        like = np.sort(np.asarray(heights)[np.abs(of_other - size) <= 1])
        own = of_event == size
        count[own] = len(like) - np.searchsorted(like, _AS_HIGH * height[own])
    return count
