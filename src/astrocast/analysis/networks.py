"""Events together: how synchronous, how much at once, from where to where."""

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
        What was measured, with its unit.
    observed
        The measure.
    null
        The same of each surrogate, (surrogates,).
    """

    name: str
    observed: float
    null: NDArray[np.float64]

    @property
    def p(self) -> float:
        """One-sided: (1 + surrogates with at least as much) / (1 + surrogates)."""
        hits = np.sum(self.null >= self.observed * (1 - 1e-12))
        return float((1 + hits) / (1 + len(self.null)))

    @property
    def ratio(self) -> float:
        """Observed over the mean of the surrogates."""
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
    """Return how synchronous units (or cells, regions) are.

    Parameters
    ----------
    table
        Events with ``z0``, ``z1`` and the column ``by``.
    frames
        Frames of the recording.
    by
        What is shifted as a whole in the surrogates: the column of units or cells.
    surrogates, seed
        Each surrogate moves every unit around the recording by its own random number of
        frames.

    Returns
    -------
    AgainstSurrogates
        Variance over frames of the number of active events.
    """
    require_columns(table, ["z0", "z1", by])
    codes = pd.factorize(table[by])[0].astype(np.int64)
    if codes.max(initial=0) < 1:
        raise InvalidValueError(
            f"there is one {by} only; synchrony is a relation of at least two"
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
    """Events that begin shortly after one nearby.

    Parameters
    ----------
    pairs
        ``first``, ``then`` (index of the event table), ``lag`` (frames), ``distance``
        (pixels), ``within`` (whether both belong to one cell; absent without cells).
    test
        Number of pairs against surrogates.
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
    """Return pairs of events of which the second begins near the first, shortly after.

    Parameters
    ----------
    table
        Events with ``z0``, ``cx``, ``cy`` and the column ``by``.
    frames
        Frames of the recording.
    lag
        Frames from onset to onset, both ends included.
    reach
        Most pixels between the centres.
    by
        Column of units; each is shifted as a whole in the surrogates. Pairs within a
        unit do not count: they are repeats in one place.
    cell
        Column of cells, to separate pairs within a cell from pairs between cells.
    surrogates, seed
        Circular shifts, one per unit and surrogate.
    """
    require_columns(table, ["z0", "cx", "cy", by, *([cell] if cell else [])])
    onset = table["z0"].to_numpy(float)
    place = table[["cx", "cy"]].to_numpy(float)
    unit = pd.factorize(table[by])[0]
    pairs = _between_units(onset, place, unit, lag, reach)
    rng = np.random.default_rng(seed)
    null = np.empty(surrogates)
    for i in range(surrogates):
        shift = rng.integers(0, frames, int(unit.max(initial=0)) + 1)[unit]
        moved = np.asarray((onset + shift) % frames, np.float64)
        null[i] = len(_between_units(moved, place, unit, lag, reach))
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


def _between_units(
    onset: NDArray[np.float64],
    place: NDArray[np.float64],
    unit: NDArray[np.int64],
    lag: tuple[float, float],
    reach: float,
) -> NDArray[np.int64]:
    pairs = neighbour_followers(onset, place, lag, reach)
    return pairs[unit[pairs[:, 0]] != unit[pairs[:, 1]]]
