"""Measure responses of events to stimuli."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from astrocast.errors import DatasetNotFoundError, FormatError, InvalidValueError
from astrocast.events.required import require_columns, require_names
from astrocast.kernels.point_process.stimulus import (
    bootstrap_band,
    peri_stimulus_counts,
    response_jitter_test,
    responses,
)


@dataclass(frozen=True)
class PeriStimulus:
    """Onsets around the triggers of one recording.

    Parameters
    ----------
    edges
        (bins + 1,): edges of the bins relative to the trigger, in the unit of the
        times.
    counts
        (trials, bins): number of onsets.
    rate, low, high
        (bins,): mean number of onsets per trial and unit of time, with a 95 % band over
        trials.
    latency
        (trials,): first onset in the response window; NaN without onset.
    window
        The response window.
    p
        Probability of at least this many responses by chance; see
        `astrocast.kernels.point_process.stimulus.response_jitter_test`.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    rate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    latency: NDArray[np.float64]
    window: tuple[float, float]
    p: float

    @property
    def probability(self) -> float:
        """Fraction of trials with an onset in the response window."""
        return float(np.isfinite(self.latency).mean())

    @property
    def median_latency(self) -> float:
        """Median latency of the trials with a response; NaN without responses."""
        found = self.latency[np.isfinite(self.latency)]
        return float(np.median(found)) if len(found) else float("nan")


def read_triggers(path: str | Path, column: str | None = None) -> NDArray[np.float64]:
    """Return trigger times from a CSV file.

    Parameters
    ----------
    path
        CSV file: one column of numbers, or a table with a header.
    column
        Name of the column; not needed if the file has only one column of numbers.
    """
    try:
        table = pd.read_csv(path)
        if all(_is_number(name) for name in table.columns):  # no header
            table = pd.read_csv(path, header=None)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as CSV: {error}") from error
    numbers = table.select_dtypes("number")
    names = [str(name) for name in numbers.columns]
    if column is None and len(names) != 1:
        raise DatasetNotFoundError(
            f"{path} has these columns of numbers: {', '.join(names) or 'none'}; give"
            " the column that contains the triggers"
        )
    chosen = names[0] if column is None else column
    require_names([chosen], names, f"{path}, among its numbers,")
    values = numbers[numbers.columns[names.index(chosen)]].to_numpy(float)
    return np.sort(values[np.isfinite(values)])


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True


def peri_stimulus(
    onsets: ArrayLike,
    triggers: ArrayLike,
    *,
    duration: float,
    before: float,
    after: float,
    bins: int = 20,
    window: tuple[float, float] | None = None,
    surrogates: int = 999,
    seed: int = 0,
) -> PeriStimulus:
    """Return onsets around triggers, response probability and a test against chance.

    Parameters
    ----------
    onsets, triggers
        (events,) and (trials,): times, all in the same unit (seconds or frames).
    duration
        Length of the recording in this unit.
    before, after
        Time before and after a trigger to show.
    bins
        Number of bins over this time.
    window
        Response window relative to the trigger; None: (0, ``after``).
    surrogates, seed
        Number of surrogates and bootstrap resamples, and their seed.

    Raises
    ------
    InvalidValueError
        No trigger lies within the recording, or a parameter is invalid.

    Examples
    --------
    >>> found = peri_stimulus(
    ...     [12, 33, 52], [10, 30, 50], duration=80, before=5, after=10, bins=3
    ... )
    >>> found.probability, found.median_latency
    (1.0, 2.0)
    """
    onset = np.asarray(onsets, float)
    trigger = np.asarray(triggers, float)
    inside = (trigger >= 0) & (trigger < duration)
    if not inside.any():
        raise InvalidValueError(
            f"none of {len(trigger)} triggers lies within the recording (0 to"
            f" {duration:g}); check that both have the same unit, frames or seconds"
        )
    if before < 0 or after <= 0:
        raise InvalidValueError(
            f"before is {before}, after is {after}; before must be at least 0, after"
            " must be above 0"
        )
    trigger = trigger[inside]
    edges = np.linspace(-before, after, bins + 1)
    counts = peri_stimulus_counts(onset, trigger, edges)
    width = (before + after) / bins
    low, high = bootstrap_band(counts, surrogates, 0.95, seed) / width
    chosen = window if window is not None else (0.0, float(after))
    p, _ = response_jitter_test(onset, trigger, chosen, duration, surrogates, seed)
    return PeriStimulus(
        edges=edges,
        counts=counts,
        rate=counts.mean(axis=0) / width,
        low=low,
        high=high,
        latency=responses(onset, trigger, chosen),
        window=chosen,
        p=p,
    )


def responses_by(
    table: pd.DataFrame,
    triggers: ArrayLike,
    *,
    by: str,
    onset: str = "z0",
    duration: float,
    window: tuple[float, float],
    surrogates: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the response of each region, cell or unit.

    Parameters
    ----------
    table
        Events, with the columns ``by`` and ``onset``.
    triggers
        Times of triggers, in the unit of ``onset``.
    by
        Column that names the region of each event.
    onset
        Column of onsets.
    duration, window, surrogates, seed
        As for `peri_stimulus`.

    Returns
    -------
    pandas.DataFrame
        One row per region: ``events``, ``probability``, ``latency`` (median), ``p``,
        and ``q``: p corrected for all regions (Benjamini and Hochberg 1995).
    """
    require_columns(table, [by, onset])
    rows = []
    for name, events in table.groupby(by, sort=True):
        found = peri_stimulus(
            events[onset],
            triggers,
            duration=duration,
            before=0.0,
            after=max(window[1], 1e-9),
            bins=1,
            window=window,
            surrogates=surrogates,
            seed=seed,
        )
        rows.append(
            (name, len(events), found.probability, found.median_latency, found.p)
        )
    columns = [by, "events", "probability", "latency", "p"]
    out = pd.DataFrame(rows, columns=columns)
    return out.assign(q=false_discovery(out["p"].to_numpy(float)))


def false_discovery(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p values corrected by Benjamini and Hochberg (1995).

    >>> false_discovery(np.array([0.01, 0.04])).tolist()
    [0.02, 0.04]
    """
    if not len(p):
        return p
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
