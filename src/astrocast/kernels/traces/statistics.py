"""Count events and average traces: over time, around stimuli, per group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.ragged.ragged import Floats, Offsets


def counts_over_time(
    times: NDArray[np.float64],
    codes: NDArray[np.int64],
    n_groups: int,
    edges: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return how many events of each group begin in each bin, (bins, groups).

    ``times`` of events; ``codes``: group of each event, from 0. A bin includes its left
    edge. Times that are NaN or outside the edges are not counted.

    >>> counts_over_time(
    ...     np.array([0.0, 1.5, 2.0]), np.array([0, 1, 1]), 2, np.array([0.0, 2.0, 4.0])
    ... )
    array([[1, 1],
           [0, 1]])
    """
    bins = np.searchsorted(edges, times, side="right") - 1
    counted = (bins >= 0) & (bins < len(edges) - 1) & ~np.isnan(times)
    flat = np.bincount(
        bins[counted] * n_groups + codes[counted], minlength=(len(edges) - 1) * n_groups
    )
    return flat.reshape(len(edges) - 1, n_groups)


def counts_around(
    times: NDArray[np.float64], stimuli: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return how many events begin in each bin around each stimulus, (stimuli, bins).

    ``edges`` of the bins are relative to the stimulus.

    >>> counts_around(
    ...     np.array([9.0, 11.0, 12.0]), np.array([10.0]), np.array([-2.0, 0.0, 2.0])
    ... )
    array([[1, 1]])
    """
    order = np.sort(times[~np.isnan(times)])
    # number of events before each edge of each trial
    before = np.searchsorted(order, stimuli[:, None] + edges[None, :], side="left")
    return np.asarray(np.diff(before, axis=1), np.int64)


@dataclass(frozen=True)
class AverageTrace:
    """Mean, standard deviation and number of traces, per group and frame.

    Parameters
    ----------
    frames
        int64 (frames,), relative to the frame at which the traces were aligned.
    mean, std
        float64 (groups, frames), ``ddof=1``; NaN if too few traces have a value.
    n
        int64 (groups, frames), number of traces with a value.
    """

    frames: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    n: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _accumulate(
    values: Floats,
    offsets: Offsets,
    places: NDArray[np.int64],
    codes: NDArray[np.int64],
    n: NDArray[np.int64],
    mean: NDArray[np.float64],
    square: NDArray[np.float64],
) -> None:
    """Add traces to the mean and squared deviation of each group, in place.

    ``values`` float (frame of all traces,), ``offsets`` int64 (trace + 1,); ``places``
    int64 (trace,): column of the first frame of each trace; ``codes`` int64 (trace,):
    group, or -1; ``n`` int64, ``mean`` and ``square`` float64 (group, column).
    """
    # Welford's algorithm avoids the difference of large sums
    for i in range(offsets.size - 1):
        group = codes[i]
        if group < 0:
            continue
        for k in range(offsets[i], offsets[i + 1]):
            value = np.float64(values[k])
            if np.isnan(value):
                continue
            frame = places[i] + k - offsets[i]
            n[group, frame] += 1
            step = value - mean[group, frame]
            mean[group, frame] += step / n[group, frame]
            square[group, frame] += step * (value - mean[group, frame])


def average_traces(
    values: Floats,
    offsets: Offsets,
    align: NDArray[np.int64],
    codes: NDArray[np.int64],
    n_groups: int,
) -> AverageTrace:
    """Return the average trace of each group.

    Parameters
    ----------
    values, offsets
        The traces, concatenated; NaN is left out.
    align
        Frame of each trace, counted from its first, that becomes frame 0.
    codes
        Group of each trace, 0 to ``n_groups - 1``; -1: the trace is left out.
    n_groups
        Number of groups.
    """
    lengths = np.diff(offsets)
    first = int(np.min(-align, initial=0))
    last = int(np.max(lengths - align, initial=first + 1))
    shape = (n_groups, last - first)
    n, mean, square = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    _accumulate(values, offsets, -align - first, codes, n, mean, square)
    std = np.full(shape, np.nan)
    np.sqrt(square / np.maximum(n - 1, 1), out=std, where=n > 1)
    return AverageTrace(np.arange(first, last), np.where(n > 0, mean, np.nan), std, n)
