"""Figures of the recording before detection: motion, registration, bleaching."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from astrocast.errors import InvalidValueError
from astrocast.plotting.frame import (
    PixelSize,
    axes_or_new,
    pixel_sides,
    time_label,
    times,
    write_note,
)
from astrocast.plotting.palette import EVENT, REFERENCE, SIGNAL, category
from astrocast.plotting.timeline import envelope


def shifts(
    values: ArrayLike,
    ax: Axes | None = None,
    *,
    frame_rate: float | None = None,
    pixel_size: PixelSize = None,
    bad_frames: ArrayLike = (),
) -> Axes:
    """Draw the shift of each frame along rows and columns.

    Parameters
    ----------
    values
        (frames, 2) in pixels, row then column; positive: the frame moved down or right.
    ax
        Axes to draw into; None: a new figure.
    frame_rate
        Hz; None: time is in frames.
    pixel_size
        Micrometres per pixel, one number or (row, column); None: shifts are shown in
        pixels.
    bad_frames
        Frames that could not be registered well: marked at the bottom.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with a line for rows and one for columns.

    Examples
    --------
    >>> import numpy as np
    >>> shifts(np.ones((5, 2)), pixel_size=0.5).get_ylabel()
    'shift (µm)'
    """
    moved = np.asarray(values, dtype=np.float64)
    if moved.ndim != 2 or moved.shape[1] != 2:
        raise InvalidValueError(
            f"shifts have shape {moved.shape}; expected (frames, 2), row then column"
        )
    sides = pixel_sides(pixel_size)
    moved = moved * np.array(sides or (1.0, 1.0))
    ax = axes_or_new(ax, 9.0, 2.6)
    for axis, name in enumerate(("row (down)", "column (right)")):
        _draw_line(ax, moved[:, axis], frame_rate, color=category(axis), label=name)
    ax.axhline(0.0, color=REFERENCE, linewidth=0.6)
    _mark_frames(ax, bad_frames, frame_rate)
    _set_time_axis(ax, len(moved), frame_rate)
    ax.set_ylabel("shift (µm)" if sides else "shift (px)")
    ax.legend(frameon=False, fontsize=8, ncols=3)
    return ax


def registration(
    series: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    frame_rate: float | None = None,
    bad_frames: ArrayLike = (),
    label: str = "correlation with the template",
) -> Axes:
    """Draw the agreement of each frame with the template, before and after correction.

    Parameters
    ----------
    series
        Name -> (frames,), for example ``{"before": ..., "after": ...}``.
    ax
        Axes to draw into; None: a new figure.
    frame_rate
        Hz; None: time is in frames.
    bad_frames
        Frames that could not be registered well: marked at the bottom.
    label
        Name of the values.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one line per series; the legend states the medians.

    Examples
    --------
    >>> ax = registration({"before": [0.5, 0.6], "after": [0.9, 0.9]})
    >>> [line.get_label() for line in ax.lines]
    ['before, median 0.550', 'after, median 0.900']
    """
    ax = axes_or_new(ax, 9.0, 2.6)
    frames = 0
    for index, (name, values) in enumerate(series.items()):
        found = np.asarray(values, dtype=np.float64)
        frames = max(frames, len(found))
        colour = (
            REFERENCE if name == "before" else category(index - ("before" in series))
        )
        middle = float(np.nanmedian(found)) if np.isfinite(found).any() else np.nan
        _draw_line(
            ax, found, frame_rate, color=colour, label=f"{name}, median {middle:.3f}"
        )
    _mark_frames(ax, bad_frames, frame_rate)
    _set_time_axis(ax, frames, frame_rate)
    ax.set_ylabel(label)
    if series:
        ax.legend(frameon=False, fontsize=8, ncols=3)
    else:
        write_note(ax, "not measured")
    return ax


def bleaching(
    trace: ArrayLike,
    ax: Axes | None = None,
    *,
    baseline: ArrayLike | None = None,
    frame_rate: float | None = None,
    label: str = "mean F",
) -> Axes:
    """Draw the mean of each frame before bleach correction, and its baseline.

    Parameters
    ----------
    trace
        (frames,), mean over the pixels of each frame.
    ax
        Axes to draw into; None: a new figure.
    baseline
        (frames,), mean over the pixels of the background that was subtracted.
    frame_rate
        Hz; None: time is in frames.
    label
        Name and unit of the trace.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. A note states the remaining fluorescence, see `remaining`.

    Examples
    --------
    >>> import numpy as np
    >>> ax = bleaching(
    ...     np.linspace(200.0, 100.0, 50), baseline=np.linspace(190.0, 95.0, 50)
    ... )
    >>> len(ax.lines)
    2
    """
    values = np.asarray(trace, dtype=np.float64)
    ax = axes_or_new(ax, 9.0, 2.6)
    _draw_line(ax, values, frame_rate, color=SIGNAL, label="fluorescence")
    if baseline is not None:
        _draw_line(
            ax,
            np.asarray(baseline, dtype=np.float64),
            frame_rate,
            color=EVENT,
            label="baseline",
        )
        ax.legend(frameon=False, fontsize=8, ncols=2)
    _set_time_axis(ax, len(values), frame_rate)
    ax.set_ylabel(label)
    left = remaining(values)
    if np.isfinite(left):
        write_note(ax, f"fluorescence at the end: {left:.0%} of the start", "corner")
    return ax


def remaining(trace: ArrayLike) -> float:
    """Return the mean of the last tenth of a trace / the mean of the first tenth.

    NaN if the trace has fewer than 2 values, or the first mean is not above 0.

    >>> import numpy as np
    >>> remaining(np.linspace(100.0, 50.0, 20))
    0.52...
    """
    values = np.asarray(trace, dtype=np.float64)
    tenth = max(1, len(values) // 10)
    first, last = values[:tenth], values[-tenth:]
    if (
        len(values) < 2
        or not (np.isfinite(first).any() and np.isfinite(last).any())
        or np.nanmean(first) <= 0
    ):
        return float("nan")
    return float(np.nanmean(last) / np.nanmean(first))


def _draw_line(
    ax: Axes,
    values: NDArray[np.float64],
    frame_rate: float | None,
    *,
    color: str,
    label: str,
) -> None:
    """Draw one value per frame."""
    frames, heights = envelope(values)
    ax.plot(times(frames, frame_rate), heights, color=color, linewidth=1.1, label=label)


def _mark_frames(ax: Axes, bad_frames: ArrayLike, frame_rate: float | None) -> None:
    """Mark frames at the bottom of the axes."""
    frames = np.asarray(bad_frames, dtype=np.float64).ravel()
    if frames.size:
        place = np.full(frames.size, 0.03)
        ax.plot(
            times(frames, frame_rate),
            place,
            "x",
            color=EVENT,
            markersize=4,
            transform=ax.get_xaxis_transform(),
            label=f"{frames.size} bad frame{'s' if frames.size > 1 else ''}",
        )


def _set_time_axis(ax: Axes, frames: int, frame_rate: float | None) -> None:
    """Set limits and label of the time axis to the whole recording."""
    ax.set_xlim(0.0, float(times(max(frames, 1), frame_rate)))
    ax.set_xlabel(time_label(frame_rate))
