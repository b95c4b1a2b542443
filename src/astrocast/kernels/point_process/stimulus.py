"""Onsets around stimuli: histograms, response probability, latency, a shift test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def peri_stimulus_counts(
    onset: NDArray[np.float64],
    trigger: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Count onsets in bins around each trigger.

    Parameters
    ----------
    onset, trigger
        Times of onsets (events,) and of triggers (trials,), in one unit.
    edges
        Edges of the bins relative to the trigger, ascending, (bins + 1,); half-open.

    Returns
    -------
    ndarray
        Int64 (trials, bins).

    Examples
    --------
    >>> edges = np.array([-1.0, 0.0, 1.0])
    >>> peri_stimulus_counts(np.array([4.5, 5.5]), np.array([5.0]), edges).tolist()
    [[1, 1]]
    """
    ordered = np.sort(onset)
    place = np.searchsorted(ordered, trigger[:, None] + edges[None, :], "left")
    return np.asarray(np.diff(place, axis=1), np.int64)


def bootstrap_band(
    counts: NDArray[np.int64], resamples: int, level: float, seed: int
) -> NDArray[np.float64]:
    """Return a confidence band of the mean count per bin, trials being resampled.

    Parameters
    ----------
    counts
        (trials, bins).
    resamples
        Bootstrap resamples.
    level
        Confidence level, 0.95 for example.
    seed
        Seed of the resampling.

    Returns
    -------
    ndarray
        Float64 (2, bins): lower and upper limit (percentile bootstrap).
    """
    rng = np.random.default_rng(seed)
    trials = len(counts)
    means = np.empty((resamples, counts.shape[1]))
    for i in range(resamples):
        means[i] = counts[rng.integers(0, trials, trials)].mean(axis=0)
    tail = 50 * (1 - level)
    return np.asarray(np.percentile(means, [tail, 100 - tail], axis=0))


def responses(
    onset: NDArray[np.float64],
    trigger: NDArray[np.float64],
    window: tuple[float, float],
) -> NDArray[np.float64]:
    """Return the latency of the first onset within the window of each trigger.

    Parameters
    ----------
    onset, trigger
        Times of onsets (events,) and of triggers (trials,).
    window
        From and up to (excluded), relative to the trigger.

    Returns
    -------
    ndarray
        Float64 (trials,): latency, NaN where nothing began.
    """
    ordered = np.sort(onset)
    first = np.searchsorted(ordered, trigger + window[0], "left")
    there = first < len(ordered)
    time = (
        np.where(there, ordered[np.minimum(first, len(ordered) - 1)], np.inf)
        if (len(ordered))
        else np.full(len(trigger), np.inf)
    )
    latency = time - trigger
    return np.asarray(np.where(latency < window[1], latency, np.nan))


def response_jitter_test(
    onset: NDArray[np.float64],
    trigger: NDArray[np.float64],
    window: tuple[float, float],
    duration: float,
    surrogates: int,
    seed: int,
) -> tuple[float, NDArray[np.float64]]:
    """Test whether more trials respond than with each trigger moved at random.

    Parameters
    ----------
    onset, trigger, window
        As for `responses`.
    duration
        Length of the recording, in the unit of the times.
    surrogates
        Number of surrogates: each trigger is moved independently by a random time,
        uniform over the median interval between triggers.
    seed
        Seed of the moves.

    Returns
    -------
    tuple
        p, (1 + surrogates with at least as many responses) / (1 + surrogates), and the
        share of trials that respond in each surrogate, float64 (surrogates,).

    Notes
    -----
    The times of events stay as they are, and with them their rhythm. Triggers that come
    at equal intervals cannot be shifted together: a shift by one interval would leave
    the relation as it is. Jitter: Amarasingham et al. 2012,
    https://doi.org/10.1152/jn.00633.2011.
    """
    rng = np.random.default_rng(seed)
    ordered = np.sort(trigger)
    width = float(np.median(np.diff(ordered))) if len(ordered) > 1 else duration
    observed = np.isfinite(responses(onset, trigger, window)).mean()
    null = np.empty(surrogates)
    for i in range(surrogates):
        move = rng.uniform(-width / 2, width / 2, len(trigger))
        moved = (trigger + move) % duration
        null[i] = np.isfinite(responses(onset, moved, window)).mean()
    p = (1 + np.sum(null >= observed - 1e-12)) / (1 + surrogates)
    return float(p), null
