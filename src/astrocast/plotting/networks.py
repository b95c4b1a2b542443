"""Figures of units, their graph, surrogates, responses to stimuli, and embeddings.

The functions draw results of `astrocast.analysis`; they compute nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from astrocast.plotting.frame import axes_or_new, write_note
from astrocast.plotting.palette import CATEGORIES, EVENT, GREY, REFERENCE, SIGNAL

#: largest number of units that are drawn: those with the most events
_MOST_UNITS = 60


def unit_maps(units: Any, ax: Axes | None = None) -> Axes:
    """Draw the footprint of each unit with more than one event, in its own colour.

    Parameters
    ----------
    units
        `astrocast.analysis.units.Units`.
    ax
        Axes to draw into; None: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Rows downwards, columns to the right, in pixels.
    """
    ax = axes_or_new(ax, 5.2, 5.0)
    picture = np.ones((*units.shape, 3))
    table = units.table[units.table["events"] > 1].sort_values("events")
    for i, unit in enumerate(table.index[-_MOST_UNITS:]):
        colour = np.array(
            [
                int(CATEGORIES[i % len(CATEGORIES)][k : k + 2], 16) / 255
                for k in (1, 3, 5)
            ]
        )
        share = units.map(unit)[..., None] * 0.85
        picture = picture * (1 - share) + colour * share
        row = table.loc[unit]
        ax.text(
            row["column"], row["row"], str(unit), fontsize=7, ha="center", va="center"
        )
    ax.imshow(picture, interpolation="nearest")
    ax.set(xlabel="column (px)", ylabel="row (px)")
    if table.empty:
        write_note(ax, "no unit with more than one event")
    elif len(table) > _MOST_UNITS:
        write_note(ax, f"{_MOST_UNITS} of {len(table)} units", "corner")
    return ax


def unit_graph(
    units: Any, pairs: pd.DataFrame, ax: Axes | None = None, *, q: float = 0.05
) -> Axes:
    """Draw units at their positions, with an arrow from a unit to one that follows it.

    Parameters
    ----------
    units, pairs
        `astrocast.analysis.units.Units` and its ``dependence``.
    ax
        Axes to draw into; None: a new figure.
    q
        Pairs are drawn if their corrected p value is at most this.
    """
    ax = axes_or_new(ax, 5.2, 5.0)
    table = units.table[units.table["events"] > 1]
    size = 20 + 60 * np.sqrt(table["events"] / max(table["events"].max(), 1))
    ax.scatter(table["column"], table["row"], size, color=SIGNAL, alpha=0.75, zorder=2)
    linked = pairs[pairs["q"] <= q]
    for pair in linked.itertuples():
        start = units.table.loc[pair.first, ["column", "row"]].to_numpy(float)
        end = units.table.loc[pair.then, ["column", "row"]].to_numpy(float)
        arrow = {
            "arrowstyle": "-|>",
            "color": EVENT,
            "shrinkA": 6,
            "shrinkB": 6,
            "connectionstyle": "arc3,rad=0.12",
        }
        ax.annotate("", end, start, arrowprops=arrow, zorder=3)
    ax.set(xlim=(0, units.shape[1]), ylim=(units.shape[0], 0), aspect="equal")
    ax.set(xlabel="column (px)", ylabel="row (px)")
    ax.set_title(f"{len(linked)} of {len(pairs)} pairs, q ≤ {q:g}", fontsize=9)
    return ax


def against_surrogates(test: Any, ax: Axes | None = None) -> Axes:
    """Draw a measure and its distribution in surrogates.

    ``test`` is an `astrocast.analysis.networks.AgainstSurrogates`.
    """
    ax = axes_or_new(ax, 5.2, 3.2)
    ax.hist(test.null, bins=25, color=GREY, label="surrogates")
    ax.axvline(test.observed, color=EVENT, lw=2, label=f"observed, p = {test.p:.2g}")
    ax.set(xlabel=test.name, ylabel="surrogates")
    ax.legend(frameon=False, fontsize=8)
    return ax


def peri_stimulus_histogram(found: Any, unit: str, ax: Axes | None = None) -> Axes:
    """Draw the rate of onsets around stimuli, with a 95 % band over trials.

    ``found`` is an `astrocast.analysis.stimuli.PeriStimulus`; ``unit`` is the unit of
    its times.
    """
    ax = axes_or_new(ax, 5.2, 3.2)
    ax.stairs(found.rate, found.edges, fill=True, color=SIGNAL, alpha=0.7)
    ax.stairs(
        found.high,
        found.edges,
        baseline=found.low,
        fill=True,
        color=REFERENCE,
        alpha=0.35,
        label="95 % band",
    )
    ax.axvline(0, color=EVENT, lw=1.5, label="stimulus")
    ax.set(xlabel=f"time from stimulus ({unit})", ylabel=f"onsets per trial and {unit}")
    ax.set_ylim(bottom=0.0)
    ax.legend(frameon=False, fontsize=8)
    text = f"{len(found.latency)} trials, response {found.probability:.0%}"
    ax.set_title(f"{text}, p = {found.p:.2g}", fontsize=9)
    return ax


def embedding_points(
    places: NDArray[np.float64],
    labels: NDArray[np.int64],
    name: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw events in two dimensions, coloured by cluster; grey: in no cluster.

    Parameters
    ----------
    places
        (events, 2 or more).
    labels
        (events,): cluster of each event; -1: in no cluster.
    name
        Name of the embedding, for the axes.
    ax
        Axes to draw into; None: a new figure.
    """
    ax = axes_or_new(ax, 4.8, 4.4)
    second = places[:, 1] if places.shape[1] > 1 else np.zeros(len(places))
    for k in np.unique(labels):
        chosen = labels == k
        colour = GREY if k < 0 else CATEGORIES[k % len(CATEGORIES)]
        text = f"{'none' if k < 0 else k} ({chosen.sum()})"
        ax.scatter(
            places[chosen, 0],
            second[chosen],
            8,
            color=colour,
            alpha=0.6,
            label=text,
            rasterized=len(places) > 2000,
        )
    ax.set(xlabel=f"{name} 1", ylabel=f"{name} 2")
    ax.legend(frameon=False, fontsize=8, title="cluster (events)", title_fontsize=8)
    return ax
