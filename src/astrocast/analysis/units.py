"""Find functional units (events that recur in one place), and units that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.events.required import require_columns
from astrocast.kernels.event_features.recurrence import (
    footprint_similarity,
    recurring_units,
)
from astrocast.kernels.point_process.trains import train_dependence

#: smaller similarities are ignored: they cannot join events
_LEAST_SIMILARITY = 0.05


@dataclass(frozen=True)
class Units:
    """Units of one recording.

    Parameters
    ----------
    labels
        Unit of each event, with the index of the event table.
    table
        One row per unit: ``events``, ``rate_per_frame``, ``row``, ``column`` (centre of
        the map, pixels), ``area_px`` (pixels that at least half of its events cover).
    trains
        Onset frames of each unit, ascending.
    frames
        Number of frames of the recording.
    pixels, weights, shape
        Map of each unit: flat indices in a frame of ``shape``, and the fraction of its
        events that cover each pixel.
    """

    labels: pd.Series
    table: pd.DataFrame
    trains: tuple[NDArray[np.int64], ...]
    frames: int
    pixels: tuple[NDArray[np.int64], ...]
    weights: tuple[NDArray[np.float64], ...]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.table)

    def map(self, unit: int) -> NDArray[np.float64]:
        """Return the map of a unit (row, column): fraction of events at each pixel."""
        image = np.zeros(self.shape)
        image.flat[self.pixels[unit]] = self.weights[unit]
        return image

    def dependence(
        self, lag: tuple[int, int] = (1, 10), least_events: int = 3
    ) -> pd.DataFrame:
        """Test for each ordered pair of units whether the second follows the first.

        Parameters
        ----------
        lag
            (shortest, longest) delay between onsets in frames, inclusive.
        least_events
            Units with fewer events are left out.

        Returns
        -------
        pandas.DataFrame
            One row per pair: ``first``, ``then``, ``count`` (onsets of the first that
            an onset of the second follows), ``expected`` (by chance), ``p``, ``q``
            (Benjamini and Hochberg 1995, for all pairs), ``delay`` (median, frames).
        """
        names = np.flatnonzero(self.table["events"] >= least_events)
        found = train_dependence([self.trains[i] for i in names], self.frames, lag)
        first, then = np.nonzero(np.isfinite(found["p"]))
        columns = {name: matrix[first, then] for name, matrix in found.items()}
        pairs = {"first": names[first], "then": names[then]}
        table = pd.DataFrame({**pairs, **columns})
        return table.sort_values("q", ignore_index=True)


def find_units(
    table: pd.DataFrame,
    shape: tuple[int, int, int],
    *,
    overlap: float = 0.5,
    weighted: bool = True,
) -> Units:
    """Group events that recur in one place.

    Parameters
    ----------
    table
        Events of one recording, with ``z0``, ``x0``, ``y0`` and ``mask`` (or
        ``footprint`` if not ``weighted``).
    shape
        Shape of the recording, (frames, rows, columns).
    overlap
        Smallest mean similarity within a unit (cosine of the footprints), 0 to 1.
    weighted
        Weight each pixel by the number of frames in which the event covers it.

    Returns
    -------
    Units
        Units, numbered by their first event. A unit can have a single event.

    Examples
    --------
    >>> one = np.ones((2, 3, 3), bool)
    >>> events = pd.DataFrame({"z0": [0, 5, 9], "x0": [0, 0, 6], "y0": [0, 0, 6]})
    >>> events["mask"] = pd.Series([one, one, one])
    >>> find_units(events, (12, 10, 10)).labels.tolist()
    [0, 0, 1]
    """
    column = "mask" if weighted else "footprint"
    require_columns(table, ["z0", "x0", "y0", column])
    if not 0 < overlap <= 1:
        raise InvalidValueError(
            f"overlap is {overlap}; give a number above 0 and at most 1"
        )
    offsets, pixels, weights = pack_footprints(table, shape, column)
    least = min(_LEAST_SIMILARITY, overlap)
    similarity = footprint_similarity(
        offsets, pixels, weights, shape[1] * shape[2], least
    )
    labels = recurring_units(similarity, overlap)
    return _describe_units(table, labels, (offsets, pixels), shape)


def pack_footprints(
    table: pd.DataFrame, shape: tuple[int, int, int], column: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return offsets, flat pixels in the frame, and weights of the footprints."""
    pixels, weights = [], []
    boxes = table[["x0", "y0"]].to_numpy(np.int64)
    for (row, column_), item in zip(boxes, table[column], strict=True):
        image = np.asarray(item).reshape(-1, *np.shape(item)[-2:]).sum(axis=0)
        rows, columns = np.nonzero(image)
        pixels.append((rows + row) * shape[2] + columns + column_)
        weights.append(image[rows, columns].astype(np.float32))
    offsets = np.cumsum([0, *map(len, pixels)], dtype=np.int64)
    empty: list[Any] = [np.zeros(0, np.int64)]
    return (
        offsets,
        np.concatenate(pixels or empty).astype(np.int64),
        np.concatenate(weights or empty).astype(np.float32),
    )


def _describe_units(
    table: pd.DataFrame,
    labels: NDArray[np.int64],
    packed: tuple[NDArray[np.int64], NDArray[np.int64]],
    shape: tuple[int, int, int],
) -> Units:
    offsets, pixels = packed
    onsets = table["z0"].to_numpy(np.int64)
    rows, trains, places, shares = [], [], [], []
    for unit in range(int(labels.max()) + 1 if len(labels) else 0):
        members = np.flatnonzero(labels == unit)
        covered = np.concatenate([pixels[offsets[i] : offsets[i + 1]] for i in members])
        place, count = np.unique(covered, return_counts=True)
        share = count / len(members)
        row, column = np.divmod(place, shape[2])
        trains.append(np.sort(onsets[members]))
        places.append(place)
        shares.append(share)
        rows.append(
            {
                "events": len(members),
                "rate_per_frame": len(members) / shape[0],
                "row": float(np.average(row, weights=share)),
                "column": float(np.average(column, weights=share)),
                "area_px": int((share >= 0.5).sum()),
            }
        )
    columns = ["events", "rate_per_frame", "row", "column", "area_px"]
    return Units(
        labels=pd.Series(labels, index=table.index, name="unit"),
        table=pd.DataFrame(rows, columns=columns).rename_axis("unit"),
        trains=tuple(trains),
        frames=shape[0],
        pixels=tuple(places),
        weights=tuple(shares),
        shape=(shape[1], shape[2]),
    )


def unit_groups(
    dependence: pd.DataFrame, units: int, *, q: float = 0.05
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return groups of units that follow each other, and their delays in the group.

    Parameters
    ----------
    dependence
        `Units.dependence`.
    units
        Number of units.
    q
        Two units belong to one group if their corrected p value is at most this.

    Returns
    -------
    tuple
        int64 (units,): group of each unit; -1: in no group. float64 (units,): delay in
        frames after the first unit of the group, from a least-squares fit to the delays
        of all pairs; NaN: in no group.
    """
    group = np.full(units, -1, np.int64)
    delay = np.full(units, np.nan)
    pairs = dependence[dependence["q"] <= q]
    first = pairs["first"].to_numpy(np.int64)
    then = pairs["then"].to_numpy(np.int64)
    for unit in np.unique(np.concatenate([first, then])):
        if group[unit] >= 0:
            continue
        members, new = set(), {int(unit)}
        while new:
            members |= new
            inside = np.isin(first, list(new)), np.isin(then, list(new))
            reached = {*then[inside[0]].tolist(), *first[inside[1]].tolist()}
            new = reached - members
        chosen = np.array(sorted(members))
        group[chosen] = group.max() + 1
        delay[chosen] = _fit_delays(pairs, chosen)
    return group, delay


def _fit_delays(pairs: pd.DataFrame, members: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the delays after the first unit, fitted to the delays of pairs."""
    inside = pairs[pairs["first"].isin(members)]
    first = np.searchsorted(members, inside["first"])
    then = np.searchsorted(members, inside["then"])
    design = np.zeros((len(inside), len(members)))
    np.add.at(design, (np.arange(len(inside)), then), 1.0)
    np.add.at(design, (np.arange(len(inside)), first), -1.0)
    fitted = np.linalg.lstsq(design, inside["delay"].to_numpy(float), rcond=None)[0]
    return np.asarray(fitted - fitted.min())
