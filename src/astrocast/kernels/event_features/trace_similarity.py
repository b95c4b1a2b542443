"""Distances between the shapes of traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist


def resample_traces(
    traces: Sequence[NDArray[np.floating]], length: int
) -> NDArray[np.float64]:
    """Return traces with ``length`` samples each, scaled from 0 to 1.

    Parameters
    ----------
    traces
        One array per event, (frames,), of any length; NaN is interpolated.
    length
        Samples after linear interpolation.

    Returns
    -------
    ndarray
        Float64 (traces, length); a constant trace is 0.

    Examples
    --------
    >>> resample_traces([np.array([2.0, 4.0])], 3).tolist()
    [[0.0, 0.5, 1.0]]
    """
    out = np.zeros((len(traces), length))
    for i, trace in enumerate(traces):
        values = np.asarray(trace, float)
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            continue
        place = np.linspace(0, len(values) - 1, length)
        out[i] = np.interp(place, known, values[known])
        low, high = out[i].min(), out[i].max()
        out[i] = (out[i] - low) / (high - low) if high > low else 0.0
    return out


def condensed_distances(
    shapes: NDArray[np.float64], metric: Literal["euclidean", "correlation"]
) -> NDArray[np.float64]:
    """Return distances between rows, (rows * (rows - 1) / 2,) float64.

    Parameters
    ----------
    shapes
        (rows, samples).
    metric
        ``"euclidean"`` or ``"correlation"``, 1 - Pearson's r; a constant row is at
        distance 1 from every other.
    """
    found = pdist(shapes, metric)
    return np.asarray(np.where(np.isfinite(found), found, 1.0))
