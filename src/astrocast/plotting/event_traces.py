"""Traces of single events: stacked, as a gallery, averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from astrocast.errors import InvalidValueError
from astrocast.plotting.frame import (
    axes_or_new,
    spread_sample,
    time_label,
    times,
    write_note,
)
from astrocast.plotting.palette import EVENT, GREY, SIGNAL, category


def traces(
    values: Sequence[ArrayLike],
    ax: Axes | None = None,
    *,
    starts: Sequence[int] | None = None,
    names: Sequence[object] | None = None,
    frame_rate: float | None = None,
    limit: int = 40,
    label: str = "event",
) -> Axes:
    """Draw traces above each other, the first at the top, all with the same scale.

    Parameters
    ----------
    values
        One trace per event, of any length; NaN makes a gap.
    ax
        Axes to draw into; None: a new figure.
    starts
        First frame of each trace; None: all begin at 0.
    names
        Text beside each trace; None: its index.
    frame_rate
        Hz; None: time is in frames.
    limit
        Largest number of traces. If there are more, an even sample is drawn and a note
        says so.
    label
        Label of the vertical axis.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one line per trace.

    Examples
    --------
    >>> ax = traces([[0.0, 1, 0], [0.0, 2]], starts=[10, 20], frame_rate=10.0)
    >>> len(ax.lines), ax.get_xlabel()
    (2, 'time (s)')
    """
    _check_number(values, starts, "starts")
    _check_number(values, names, "names")
    chosen = spread_sample(len(values), limit)
    ax = axes_or_new(ax, 7.0, float(np.clip(1.2 + 0.22 * len(chosen), 2.4, 9.0)))
    shown = [np.asarray(values[i], dtype=np.float64) for i in chosen]
    height = (
        max(
            (np.ptp(t[np.isfinite(t)]) for t in shown if np.isfinite(t).any()),
            default=1.0,
        )
        or 1.0
    )
    for place, (index, trace) in enumerate(zip(chosen, shown, strict=True)):
        frames = np.arange(len(trace)) + (starts[index] if starts is not None else 0)
        ax.plot(
            times(frames, frame_rate),
            trace / height - 1.1 * place,
            color=SIGNAL,
            linewidth=1.0,
        )
    ticks = spread_sample(len(chosen), 20)
    ax.set_yticks(
        -1.1 * ticks,
        [str(names[chosen[t]] if names is not None else chosen[t]) for t in ticks],
    )
    ax.set(xlabel=time_label(frame_rate), ylabel=label)
    _note(ax, len(values), len(chosen), "traces")
    return ax


def gallery(
    values: Sequence[ArrayLike],
    ax: Axes | None = None,
    *,
    names: Sequence[object] | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
    frame_rate: float | None = None,
    columns: int = 6,
    limit: int = 24,
    label: str = "dF",
) -> Axes:
    """Draw a grid of small traces; all have the same vertical scale.

    Parameters
    ----------
    values
        One trace per event, of any length.
    ax
        Axes to divide into a grid; None: a new figure.
    names
        Title of each trace; None: its index.
    spans
        (first frame, last frame + 1) of each event in its trace: these frames are
        shaded, and time is counted from the first. None: the whole trace is the event.
    frame_rate
        Hz; None: time is in frames.
    columns
        Number of traces per row.
    limit
        Largest number of traces. If there are more, the first ones are drawn and a note
        says so.
    label
        Name and unit of the traces.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; the small ones are its ``child_axes``.

    Examples
    --------
    >>> ax = gallery([[0.0, 1, 0], [0.0, 2, 1]], names=["a", "b"])
    >>> [small.get_title(loc="left") for small in ax.child_axes]
    ['a', 'b']
    """
    _check_number(values, names, "names")
    _check_number(values, spans, "spans")
    shown = [np.asarray(trace, dtype=np.float64) for trace in values[:limit]]
    rows = max(1, -(-len(shown) // columns))
    ax = axes_or_new(ax, 9.0, 0.6 + 1.15 * rows)
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(time_label(frame_rate, "time since onset"), labelpad=16)
    ax.set_ylabel(label, labelpad=30)
    finite = [trace[np.isfinite(trace)] for trace in shown]
    low = min((float(t.min()) for t in finite if t.size), default=0.0)
    high = max((float(t.max()) for t in finite if t.size), default=1.0)
    margin = 0.05 * ((high - low) or 1.0)
    for index, trace in enumerate(shown):
        row, column = divmod(index, columns)
        width, height = 1.0 / columns, 1.0 / rows
        small = ax.inset_axes(
            (column * width, 1.0 - (row + 0.86) * height, 0.86 * width, 0.68 * height)
        )
        begin, end = spans[index] if spans is not None else (0, 0)
        frames = np.arange(len(trace)) - begin
        if end > begin:
            edges = times(np.array([0, end - begin]), frame_rate)
            small.axvspan(*edges, color=EVENT, alpha=0.15, linewidth=0)
        small.plot(times(frames, frame_rate), trace, color=SIGNAL, linewidth=1.0)
        small.set_ylim(low - margin, high + margin)
        small.spines[["top", "right"]].set_visible(False)
        small.tick_params(labelsize=8, length=2, labelleft=column == 0)
        small.locator_params(axis="both", nbins=3)
        small.set_title(
            str(names[index] if names is not None else index),
            loc="left",
            fontsize=8,
            pad=2,
            color=GREY,
        )
    _note(ax, len(values), len(shown), "traces")
    return ax


def average_trace(
    values: Sequence[ArrayLike],
    ax: Axes | None = None,
    *,
    groups: Sequence[object] | None = None,
    align: str = "onset",
    frame_rate: float | None = None,
    label: str = "dF",
    min_share: float = 0.25,
) -> Axes:
    """Draw the mean of traces with its standard error, one line per group.

    Parameters
    ----------
    values
        One trace per event, of any length. Values that are not finite are left out.
    ax
        Axes to draw into; None: a new figure.
    groups
        Group of each trace, for example its cluster; None: one group.
    align
        Time 0 is the first value of each trace (``"onset"``) or its largest value
        (``"peak"``).
    frame_rate
        Hz; None: time is in frames.
    label
        Name and unit of the traces.
    min_share
        The mean is drawn at times at which at least this fraction of the group's traces
        (and at least two, if it has two) have a value: at other times it would be the
        mean of a few long events.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one line and one band per group.

    Examples
    --------
    >>> ax = average_trace([[0.0, 2.0], [0.0, 4.0]])
    >>> ax.lines[0].get_ydata()
    array([0., 3.])
    """
    if align not in ("onset", "peak"):
        raise InvalidValueError(f"align is {align!r}; choose 'onset' or 'peak'")
    _check_number(values, groups, "groups")
    ax = axes_or_new(ax, 5.2, 3.2)
    kinds = list(dict.fromkeys(groups)) if groups is not None else [None]
    for index, kind in enumerate(kinds):
        members = [
            t for i, t in enumerate(values) if groups is None or groups[i] == kind
        ]
        lags, mean, error, count = aligned_mean(members, align)
        drawn = count >= max(min(2, len(members)), min_share * len(members))
        time = times(lags[drawn], frame_rate)
        name = f"n = {len(members)}" if kind is None else f"{kind} (n = {len(members)})"
        ax.plot(time, mean[drawn], color=category(index), linewidth=1.8, label=name)
        low, high = mean[drawn] - error[drawn], mean[drawn] + error[drawn]
        ax.fill_between(time, low, high, color=category(index), alpha=0.25, linewidth=0)
    ax.set(xlabel=time_label(frame_rate, f"time from {align}"), ylabel=label)
    if len(values):
        ax.legend(frameon=False, fontsize=8)
        write_note(ax, "mean and standard error", "corner")
    else:
        write_note(ax, "no events")
    return ax


def aligned_mean(
    values: Sequence[ArrayLike], align: str = "onset"
) -> tuple[
    NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]
]:
    """Return lags (frames), and mean, standard error and count of traces at each lag.

    Traces may have any length. The standard error uses n - 1; it is 0 for one value.

    >>> lags, mean, error, count = aligned_mean([[0.0, 3.0, 1.0], [5.0]], align="peak")
    >>> lags.tolist(), mean.tolist(), count.tolist()
    ([-1, 0, 1], [0.0, 4.0, 1.0], [1, 2, 1])
    """
    arrays = [
        a
        for a in (np.asarray(v, dtype=np.float64) for v in values)
        if np.isfinite(a).any()
    ]
    if not arrays:
        return np.arange(0), np.empty(0), np.empty(0), np.arange(0)
    lag = np.concatenate(
        [
            np.arange(len(a)) - (int(np.nanargmax(a)) if align == "peak" else 0)
            for a in arrays
        ]
    )
    flat = np.concatenate(arrays)
    first = int(lag.min())
    finite = np.isfinite(flat)
    place, flat = (lag - first)[finite], flat[finite]
    size = int(lag.max()) - first + 1
    count = np.bincount(place, minlength=size)
    mean = np.bincount(place, flat, minlength=size) / np.maximum(count, 1)
    # from the deviations: the difference of two large sums would be inaccurate
    variance = np.bincount(
        place, (flat - mean[place]) ** 2, minlength=size
    ) / np.maximum(count - 1, 1)
    return (
        np.arange(size) + first,
        mean,
        np.sqrt(variance / np.maximum(count, 1)),
        count,
    )


def _check_number(
    values: Sequence[ArrayLike], others: Sequence[object] | None, name: str
) -> None:
    """Raise `InvalidValueError` if the numbers of traces and others differ."""
    if others is not None and len(others) != len(values):
        raise InvalidValueError(
            f"found {len(values)} traces, but {len(others)} {name}; give one for each"
            " trace"
        )


def _note(ax: Axes, total: int, shown: int, what: str) -> None:
    """Write a note if there are no events, or if only some traces are shown."""
    if not total:
        write_note(ax, "no events")
    elif shown < total:
        write_note(ax, f"{shown} of {total:,} {what} are shown", "corner")
