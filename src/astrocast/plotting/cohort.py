"""Compare groups of animals: a point per recording, a bar per animal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from astrocast.plotting.frame import axes_or_new, write_note
from astrocast.plotting.palette import CATEGORIES, REFERENCE

#: width along x over which the animals of a group are spread
_SPREAD = 0.5


def group_points(
    table: pd.DataFrame,
    column: str,
    ax: Axes | None = None,
    *,
    group: str = "group",
    subject: str = "subject",
    label: str,
) -> Axes:
    """Draw each recording as a point, by group and animal, with the mean per animal.

    Parameters
    ----------
    table
        One row per recording.
    column
        Column with the values; rows without a finite value are left out, and a note
        states their number.
    ax
        Axes to draw into; None: a new figure.
    group, subject
        Columns with the group and subject of a recording.
    label
        Name and unit of the values.

    Returns
    -------
    matplotlib.axes.Axes
        Groups along x, with their numbers of animals and recordings. Points are
        recordings, bars the means of animals, the dashed line the mean over animals.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"group": ["a", "a"], "subject": ["1", "2"], "rate": [1, 2]}
    ... )
    >>> group_points(table, "rate", label="events/min").get_ylabel()
    'events/min'
    """
    ax = axes_or_new(ax, 5.2, 3.4)
    ax.set_ylabel(label)
    known = table[np.isfinite(table[column].astype(float))]
    names = list(dict.fromkeys(known[group]))
    ticks = []
    for i, name in enumerate(names):
        rows = known[known[group] == name]
        animals = list(dict.fromkeys(rows[subject]))
        colour = CATEGORIES[i % len(CATEGORIES)]
        places = i + _SPREAD * (np.arange(len(animals)) + 0.5) / len(animals)
        means = []
        for place, animal in zip(places - _SPREAD / 2, animals, strict=True):
            values = rows.loc[rows[subject] == animal, column].to_numpy(float)
            jitter = 0.02 * (np.arange(len(values)) - (len(values) - 1) / 2)
            ax.plot(place + jitter, values, "o", ms=4, color=colour, alpha=0.55)
            ax.plot([place - 0.035, place + 0.035], [values.mean()] * 2, color=colour)
            means.append(values.mean())
        ax.hlines(np.mean(means), i - 0.34, i + 0.34, color=REFERENCE, ls="--", lw=1.2)
        unit = "animal" if len(animals) == 1 else "animals"
        ticks.append(f"{name or 'no group'}\n{len(animals)} {unit}, {len(rows)} rec.")
    ax.set_xticks(range(len(names)), ticks)
    if len(known) and known[column].min() >= 0:
        ax.set_ylim(bottom=0.0)
    ax.set_xlim(-0.6, max(len(names), 1) - 0.4)
    if not names:
        write_note(ax, "no values")
    elif len(known) < len(table):
        left_out = len(table) - len(known)
        write_note(ax, f"{left_out} left out (no value)", "corner")
    return ax
