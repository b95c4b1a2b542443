"""Dependence between event trains, against every circular shift of one of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.stats import false_discovery_control

#: counts differ by more than this when they are not the same (FFT rounding)
_ROUNDING = 1e-6


def follow_counts(
    first: NDArray[np.int64], then: NDArray[np.int64], frames: int, lag: tuple[int, int]
) -> NDArray[np.float64]:
    """Count, for each circular shift of ``then``, onsets of ``first`` that it follows.

    Parameters
    ----------
    first, then
        Onset frames of two trains, (events,).
    frames
        Frames of the recording.
    lag
        ``then`` follows when it begins ``lag[0]`` to ``lag[1]`` frames later, both
        included; negative lags are before.

    Returns
    -------
    ndarray
        Float64 (frames,): element s is the number of onsets of ``first`` with at least
        one onset of ``then``, moved by s frames, within the lag. Element 0 is the
        observed count.

    Examples
    --------
    >>> counts = follow_counts(np.array([2, 8]), np.array([3, 9]), 12, (1, 1))
    >>> counts.round().tolist()[:3]
    [2.0, 0.0, 0.0]
    """
    onsets = np.zeros(frames)
    np.add.at(onsets, first, 1.0)
    # frames in which an onset of `first` would be followed
    covered = np.zeros(frames)
    for step in range(lag[0], lag[1] + 1):
        covered[(then - step) % frames] = 1.0
    spectrum = fft.rfft(onsets) * np.conj(fft.rfft(covered))
    counts = fft.irfft(spectrum, frames)
    # element k of the correlation: `covered` moved by k frames
    return np.asarray(np.maximum(counts, 0.0))


def shift_p_value(counts: NDArray[np.float64], guard: int) -> float:
    """Return the share of circular shifts with at least the observed count.

    Parameters
    ----------
    counts
        `follow_counts`, (frames,).
    guard
        Shifts of up to this many frames either way are left out of the null: they keep
        part of the true dependence.

    Returns
    -------
    float
        (1 + shifts with as many) / (1 + shifts): never 0 (Phipson & Smyth 2010,
        https://doi.org/10.2202/1544-6115.1585).
    """
    null = counts[guard + 1 : len(counts) - guard]
    if not len(null):
        return 1.0
    return float((1 + np.sum(null >= counts[0] - _ROUNDING)) / (1 + len(null)))


def train_dependence(
    trains: list[NDArray[np.int64]], frames: int, lag: tuple[int, int]
) -> dict[str, NDArray[np.float64]]:
    """Return for each ordered pair of trains whether the second follows the first.

    Parameters
    ----------
    trains
        Onset frames of each unit, (events,) int64.
    frames
        Frames of the recording.
    lag
        As for `follow_counts`.

    Returns
    -------
    dict
        Float64 matrices (units, units), row first, column then: ``count`` observed,
        ``expected`` mean over shifts, ``p`` against all circular shifts, ``q`` after
        Benjamini and Hochberg over all pairs, ``delay`` the median delay in frames of
        what follows (NaN where nothing does). The diagonal is NaN.

    Notes
    -----
    Shifting one train around the recording keeps the rhythm of both and breaks their
    relation. All shifts are counted at once by FFT, so there is nothing random in it.
    """
    n = len(trains)
    names = ("count", "expected", "p", "delay")
    out = {name: np.full((n, n), np.nan) for name in names}
    guard = max(abs(lag[0]), abs(lag[1]))
    for i in range(n):
        for j in range(n):
            if i == j or not len(trains[i]) or not len(trains[j]):
                continue
            counts = follow_counts(trains[i], trains[j], frames, lag)
            out["count"][i, j] = round(counts[0])
            out["expected"][i, j] = counts.mean()
            out["p"][i, j] = shift_p_value(counts, guard)
            out["delay"][i, j] = _median_delay(trains[i], trains[j], lag)
    q = np.full((n, n), np.nan)
    tested = np.isfinite(out["p"])
    if tested.any():
        q[tested] = false_discovery_control(out["p"][tested])
    return out | {"q": q}


def _median_delay(
    first: NDArray[np.int64], then: NDArray[np.int64], lag: tuple[int, int]
) -> float:
    delays = (then[None, :] - first[:, None]).ravel()
    within = delays[(delays >= lag[0]) & (delays <= lag[1])]
    return float(np.median(within)) if len(within) else np.nan
