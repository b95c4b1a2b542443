"""Events over time: raster, rate, and mean trace with events."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from astrocast.errors import InvalidValueError
from astrocast.events.required import require_columns
from astrocast.plotting.frame import (
    axes_or_new,
    check_positive,
    nice_length,
    raster_options,
    time_label,
    times,
    write_note,
)
from astrocast.plotting.palette import EVENT, REFERENCE, SIGNAL, category

#: lines with more points are reduced to the minimum and maximum of runs of frames
_LINE_POINTS = 8000


def raster(
    events: pd.DataFrame,
    ax: Axes | None = None,
    *,
    frames: int | None = None,
    frame_rate: float | None = None,
    group: str | None = None,
) -> Axes:
    """Draw each event as a bar from its first to its last frame, one event per row.

    The earliest event is at the top.

    Parameters
    ----------
    events
        Event table with ``z0`` (first frame) and ``z1`` (last frame + 1).
    ax
        Axes to draw into; None: a new figure.
    frames
        Length of the recording in frames; None: end of the last event.
    frame_rate
        Hz; None: time is in frames.
    group
        Column whose values determine the colour of the bars.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. More than 2000 bars are drawn as pixels in vector formats.

    Raises
    ------
    InvalidValueError
        A column is missing; the message lists the existing columns.

    Examples
    --------
    >>> import pandas as pd
    >>> ax = raster(
    ...     pd.DataFrame({"z0": [5, 0], "z1": [9, 3]}), frames=20, frame_rate=2.0
    ... )
    >>> ax.get_xlabel(), [float(x) for x in ax.get_xlim()]
    ('time (s)', [0.0, 10.0])
    """
    begin, end = spans(events)
    ax = axes_or_new(ax, 9.0, float(np.clip(1.4 + 0.03 * len(begin), 2.4, 4.5)))
    order = np.lexsort((end, begin))
    rows = np.arange(1.0, len(order) + 1)
    bars = np.empty((len(order), 4, 2))  # the corners of each
    bars[:, :2, 0] = times(begin[order], frame_rate)[:, None]
    bars[:, 2:, 0] = times(end[order], frame_rate)[:, None]
    bars[:, :, 1] = rows[:, None] + np.array([-0.38, 0.38, 0.38, -0.38])
    colours, names = _colours(events, group, order)
    # draw an edge of 0.3 points: bars narrower than a pixel would be invisible
    bundle = PolyCollection(
        list(bars),
        facecolors=colours,
        edgecolors=colours,
        linewidths=0.3,
        **raster_options(len(order)),
    )
    ax.add_collection(bundle, autolim=False)
    ax.set_xlim(0.0, _end_of_time(frames, end, frame_rate))
    ax.set_ylim(max(len(order), 1) + 0.5, 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
    ax.set(xlabel=time_label(frame_rate), ylabel="event, by onset")
    for index, name in enumerate(names):
        ax.plot([], [], color=category(index), linewidth=3, label=str(name))
    if names:
        ax.legend(frameon=False, fontsize=8, loc="best")
    _mark_cut(ax, events.iloc[order], rows, frames, frame_rate)
    if not len(order):
        write_note(ax, "no events")
    return ax


def _mark_cut(
    ax: Axes,
    events: pd.DataFrame,
    rows: NDArray[np.float64],
    frames: int | None,
    frame_rate: float | None,
) -> None:
    """Mark events that are cut by the start or end of the recording with a triangle."""
    for flag, column, marker in (
        ("touches_start", "z0", "<"),
        ("touches_end", "z1", ">"),
    ):
        if flag in events:
            cut = events[flag].to_numpy() > 0
            if not cut.any():
                continue
            at = times(events[column].to_numpy(np.int64)[cut], frame_rate)
            (line,) = ax.plot(
                at,
                rows[cut],
                linestyle="none",
                marker=marker,
                color=REFERENCE,
                markersize=5,
                clip_on=False,
            )
            # half of a mark lies outside the axes: do not shrink the axes for it
            line.set_in_layout(False)


def event_rate(
    events: pd.DataFrame,
    ax: Axes | None = None,
    *,
    frames: int | None = None,
    frame_rate: float | None = None,
    bin_frames: int | None = None,
) -> Axes:
    """Draw the rate of onsets over the recording, per minute.

    Without a frame rate, per frame.

    Parameters
    ----------
    events
        Event table with ``z0`` and ``z1``.
    ax
        Axes to draw into; None: a new figure.
    frames
        Length of the recording in frames; None: end of the last event.
    frame_rate
        Hz; None: time is in frames.
    bin_frames
        Frames per bin; None: as many bins as events, but between 10 and 40. The last
        bin may be shorter; its rate is corrected for that.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one step line.

    Examples
    --------
    >>> import pandas as pd
    >>> ax = event_rate(
    ...     pd.DataFrame({"z0": [0, 1, 9], "z1": [4, 4, 10]}), frames=10, bin_frames=5
    ... )
    >>> ax.patches[0].get_data().values
    array([0.4, 0.2])
    """
    begin, end = spans(events)
    ax = axes_or_new(ax, 9.0, 2.4)
    total = max(int(frames if frames is not None else end.max(initial=1)), 1)
    width = (
        bin_frames
        if bin_frames is not None
        else max(1, round(nice_length(total, 1 / np.clip(len(begin), 10, 40))))
    )
    edges = np.append(np.arange(0, total, check_positive(width, "bin_frames")), total)
    counts, _ = np.histogram(begin, edges)
    per, unit = (
        (60.0 * frame_rate, "onsets per minute")
        if frame_rate is not None
        else (1.0, "onsets per frame")
    )
    ax.stairs(
        counts * per / np.diff(edges),
        times(edges, frame_rate),
        fill=True,
        color=EVENT,
        alpha=0.75,
    )
    ax.set_xlim(0.0, float(times(total, frame_rate)))
    ax.set_ylim(bottom=0.0)
    bin_text = (
        f"{width / frame_rate:g} s"
        if frame_rate is not None
        else f"{width} frame{'s' if width > 1 else ''}"
    )
    ax.set(xlabel=time_label(frame_rate), ylabel=unit)
    write_note(ax, f"bins of {bin_text}", "corner")
    if not len(begin):
        ax.set_ylim(0.0, 1.0)
        write_note(ax, "no events")
    return ax


def mean_trace(
    trace: ArrayLike,
    ax: Axes | None = None,
    *,
    events: pd.DataFrame | None = None,
    frame_rate: float | None = None,
    label: str = "mean dF",
) -> Axes:
    """Draw the mean of each frame, with a tick at the bottom for each onset.

    Parameters
    ----------
    trace
        (frames,), the mean over the pixels of each frame; NaN makes a gap.
    ax
        Axes to draw into; None: a new figure.
    events
        Event table with ``z0`` and ``z1``; frames with at least one active event are
        shaded.
    frame_rate
        Hz; None: time is in frames.
    label
        Name and unit of the trace.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Very long traces are drawn as the minimum and maximum of runs of
        frames, so that all peaks are visible.

    Examples
    --------
    >>> import numpy as np
    >>> mean_trace(np.arange(5.0), frame_rate=5.0).lines[0].get_xdata()
    array([0. , 0.2, 0.4, 0.6, 0.8])
    """
    values = np.asarray(trace, dtype=np.float64)
    if values.ndim != 1:
        raise InvalidValueError(
            f"the mean trace has shape {values.shape}; expected (frames,)"
        )
    ax = axes_or_new(ax, 9.0, 2.6)
    frames, heights = envelope(values)
    ax.plot(times(frames, frame_rate), heights, color=SIGNAL, linewidth=1.0)
    ax.set_xlim(0.0, float(times(max(len(values), 1), frame_rate)))
    ax.set(xlabel=time_label(frame_rate), ylabel=label)
    if events is not None and len(events):
        begin, end = spans(events)
        for first, last in _merge_spans(begin, end):
            ax.axvspan(
                float(times(first, frame_rate)),
                float(times(last, frame_rate)),
                color=EVENT,
                alpha=0.12,
                linewidth=0,
            )
        onsets = np.unique(begin)
        # y in fractions of the axes: the ticks are always at the bottom
        ax.vlines(
            times(onsets, frame_rate),
            0.0,
            0.05,
            color=EVENT,
            linewidth=1.0,
            transform=ax.get_xaxis_transform(),
            **raster_options(len(onsets)),
        )
    return ax


def spans(events: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first frame, and the last frame + 1, of each event.

    >>> import pandas as pd
    >>> spans(pd.DataFrame({"z0": [3], "z1": [5]}))
    (array([3]), array([5]))
    """
    missing = [name for name in ("z0", "z1") if name not in events]
    if missing:
        raise InvalidValueError(
            f"the events lack the columns {missing}; the columns are"
            f" {list(events.columns)}"
        )
    return events["z0"].to_numpy(np.int64), events["z1"].to_numpy(np.int64)


def envelope(
    values: NDArray[np.float64], points: int = _LINE_POINTS
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return a line of about ``points`` points that looks the same.

    Runs of frames are replaced by their minimum and maximum, in the order in which they
    occur; short lines are returned unchanged.

    >>> import numpy as np
    >>> frames, heights = envelope(
    ...     np.where(np.arange(1000) == 501, 7.0, 0.0), points=20
    ... )
    >>> float(heights.max()), int(frames[heights.argmax()])
    (7.0, 501)
    """
    if len(values) <= points:
        return np.arange(len(values)), values
    run = -(-2 * len(values) // points)
    whole = len(values) // run * run
    blocks = values[:whole].reshape(-1, run)
    low = np.where(np.isnan(blocks), np.inf, blocks).argmin(axis=1)
    high = np.where(np.isnan(blocks), -np.inf, blocks).argmax(axis=1)
    inside = (
        np.sort(np.stack([low, high], axis=1), axis=1)
        + run * np.arange(len(blocks))[:, None]
    )
    frames = np.concatenate([inside.ravel(), np.arange(whole, len(values))])
    return frames, values[frames]


def _merge_spans(
    begin: NDArray[np.int64], end: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Return (first frame, last frame + 1) of the times with an active event."""
    order = np.argsort(begin, kind="stable")
    first, reach = begin[order], np.maximum.accumulate(end[order])
    new = np.flatnonzero(first[1:] > reach[:-1]) + 1
    starts, stops = np.append(0, new), np.append(new, len(first))
    return [
        (int(first[a]), int(reach[b - 1])) for a, b in zip(starts, stops, strict=True)
    ]


def _end_of_time(
    frames: int | None, end: NDArray[np.int64], frame_rate: float | None
) -> float:
    """Return the upper limit of the time axis."""
    return float(
        times(
            frames if frames is not None else max(int(end.max(initial=1)), 1),
            frame_rate,
        )
    )


def _colours(
    events: pd.DataFrame, group: str | None, order: NDArray[np.intp]
) -> tuple[list[str], list[object]]:
    """Return the colour of each bar in order, and the names of the groups."""
    if group is None or not len(order):
        return [EVENT], []
    require_columns(events, [group], "to colour by", InvalidValueError)
    codes, names = pd.factorize(events[group], sort=True)
    return [category(int(code)) for code in codes[order]], list(names)
