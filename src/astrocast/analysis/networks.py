"""Measure synchrony, coactivity and propagation of events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.events.required import require_columns
from astrocast.kernels.point_process.synchrony import (
    coactivity,
    neighbour_followers,
    synchrony,
)


@dataclass(frozen=True)
class AgainstSurrogates:
    """A measure of a recording and of its surrogates.

    Parameters
    ----------
    name
        Name and unit of the measure.
    observed
        Value in the recording.
    null
        (surrogates,): value in each surrogate.
    """

    name: str
    observed: float
    null: NDArray[np.float64]

    @property
    def p(self) -> float:
        """One-sided p: (1 + surrogates with at least this value) / (1 + surrogates)."""
        hits = np.sum(self.null >= self.observed * (1 - 1e-12))
        return float((1 + hits) / (1 + len(self.null)))

    @property
    def ratio(self) -> float:
        """Observed value / mean of the surrogates; NaN if the mean is 0."""
        mean = float(self.null.mean())
        return self.observed / mean if mean else float("nan")


def coactive_area(table: pd.DataFrame, frames: int) -> NDArray[np.float64]:
    """Return the area covered by active events in each frame, pixels, (frames,).

    Each event adds its mean area, ``v_area`` / ``dz``, from ``z0`` to ``z1``.
    """
    require_columns(table, ["z0", "z1", "v_area"])
    start, stop = (table[c].to_numpy(np.int64) for c in ("z0", "z1"))
    area = table["v_area"].to_numpy(float) / np.maximum(stop - start, 1)
    return coactivity(start, stop, area, frames)


def measure_synchrony(
    table: pd.DataFrame,
    frames: int,
    *,
    by: str = "unit",
    surrogates: int = 999,
    seed: int = 0,
) -> AgainstSurrogates:
    """Measure the synchrony of units (or cells, regions) against surrogates.

    Parameters
    ----------
    table
        Events with ``z0``, ``z1`` and the column ``by``.
    frames
        Frames of the recording.
    by
        Column of units or cells; all events of a unit are shifted together in the
        surrogates.
    surrogates, seed
        Number and seed of the surrogates. In each surrogate, every unit is shifted
        circularly in time by its own random number of frames.

    Returns
    -------
    AgainstSurrogates
        The measure is the variance over frames of the number of active events.
    """
    require_columns(table, ["z0", "z1", by])
    codes = pd.factorize(table[by])[0].astype(np.int64)
    if codes.max(initial=0) < 1:
        raise InvalidValueError(
            f"the column {by!r} has fewer than two values; synchrony needs at least two"
            " units"
        )
    observed, null = synchrony(
        table["z0"].to_numpy(np.int64),
        table["z1"].to_numpy(np.int64),
        codes,
        frames,
        surrogates,
        seed,
    )
    return AgainstSurrogates("variance of active events", observed, null)


@dataclass(frozen=True)
class Propagation:
    """Pairs of events that follow each other nearby.

    Parameters
    ----------
    pairs
        ``first``, ``then`` (index of the event table), ``lag`` (frames), ``distance``
        (pixels), ``within`` (whether both belong to one cell; only with cells).
    test
        Number of pairs, tested against surrogates.
    """

    pairs: pd.DataFrame
    test: AgainstSurrogates


def find_propagation(
    table: pd.DataFrame,
    frames: int,
    *,
    lag: tuple[float, float] = (1, 5),
    reach: float = 20.0,
    by: str = "unit",
    cell: str | None = None,
    surrogates: int = 199,
    seed: int = 0,
) -> Propagation:
    """Find pairs of events in which the second begins shortly after, near the first.

    Parameters
    ----------
    table
        Events with ``z0``, ``cx``, ``cy`` and the column ``by``.
    frames
        Frames of the recording.
    lag
        (shortest, longest) delay between onsets in frames, inclusive.
    reach
        Largest distance between the centres, in pixels.
    by
        Column of units; all events of a unit are shifted together in the surrogates.
        Pairs within a unit are not counted, because they are repetitions in one place.
    cell
        Column of cells, to distinguish pairs within a cell from pairs between cells.
    surrogates, seed
        Number and seed of the surrogates: random circular shifts, one per unit.
    """
    require_columns(table, ["z0", "cx", "cy", by, *([cell] if cell else [])])
    onset = table["z0"].to_numpy(float)
    place = table[["cx", "cy"]].to_numpy(float)
    unit = pd.factorize(table[by])[0]
    pairs = _find_pairs(onset, place, unit, lag, reach)
    rng = np.random.default_rng(seed)
    null = np.empty(surrogates)
    for i in range(surrogates):
        shift = rng.integers(0, frames, int(unit.max(initial=0)) + 1)[unit]
        moved = np.asarray((onset + shift) % frames, np.float64)
        null[i] = len(_find_pairs(moved, place, unit, lag, reach))
    first, then = pairs.T
    found = pd.DataFrame(
        {
            "first": table.index[first],
            "then": table.index[then],
            "lag": onset[then] - onset[first],
            "distance": np.hypot(*(place[then] - place[first]).T),
        }
    )
    if cell:
        codes = table[cell].to_numpy()
        found["within"] = codes[first] == codes[then]
    test = AgainstSurrogates("pairs that follow each other", float(len(pairs)), null)
    return Propagation(found, test)


def _find_pairs(
    onset: NDArray[np.float64],
    place: NDArray[np.float64],
    unit: NDArray[np.int64],
    lag: tuple[float, float],
    reach: float,
) -> NDArray[np.int64]:
    """Return pairs of events of different units that follow each other, (pairs, 2)."""
    pairs = neighbour_followers(onset, place, lag, reach)
    return pairs[unit[pairs[:, 0]] != unit[pairs[:, 1]]]
