"""Common parts of figures: axes without global state, units, scale bar, notes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from astrocast.errors import InvalidValueError
from astrocast.plotting.palette import GREY

#: pixel size in micrometres: one number for square pixels, or (row, column)
PixelSize = float | tuple[float, float] | None

#: collections with more artists are drawn as pixels, also in SVG and PDF, so that files
#: are small
RASTERISE_ABOVE = 2000


def axes_or_new(ax: Axes | None, width: float = 6.0, height: float = 3.2) -> Axes:
    """Return ``ax``, or the axes of a new figure without pyplot's global state.

    ``width`` and ``height`` in inches.
    """
    if ax is None:
        ax = Figure(figsize=(width, height), layout="constrained").add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def figure_of(ax: Axes) -> Figure:
    """Return the figure of ``ax``.

    >>> ax = axes_or_new(None)
    >>> figure_of(ax) is ax.figure
    True
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InvalidValueError(
            "these axes do not belong to a figure; draw into axes of an existing figure"
        )
    return figure


def times(frames: ArrayLike, frame_rate: float | None) -> NDArray[np.float64]:
    """Return frames as seconds, or unchanged if the frame rate is unknown."""
    found = np.asarray(frames, dtype=np.float64)
    if frame_rate is None:
        return found
    return found / check_positive(frame_rate, "frame_rate")


def time_label(frame_rate: float | None, what: str = "time") -> str:
    """Return the label of a time axis with its unit.

    >>> time_label(10.0), time_label(None, "duration")
    ('time (s)', 'duration (frames)')
    """
    return f"{what} (s)" if frame_rate is not None else f"{what} (frames)"


def pixel_sides(pixel_size: PixelSize) -> tuple[float, float] | None:
    """Return the size of a pixel (row, column) in micrometres; None if unknown.

    >>> pixel_sides(0.5)
    (0.5, 0.5)
    """
    if pixel_size is None:
        return None
    sides = np.broadcast_to(np.asarray(pixel_size, dtype=np.float64), 2)
    return (
        check_positive(float(sides[0]), "pixel_size"),
        check_positive(float(sides[1]), "pixel_size"),
    )


def check_positive(value: float, name: str) -> float:
    """Return ``value``; raise an error if it is not finite or not above zero."""
    if not (np.isfinite(value) and value > 0):
        raise InvalidValueError(
            f"{name} is {value!r}; give a finite number above 0, or None if it is"
            " unknown"
        )
    return value


def nice_length(extent: float, share: float = 0.25) -> float:
    """Return a round length of at most ``share`` x ``extent``.

    Round lengths are 1, 2 and 5 times a power of ten.

    >>> nice_length(100.0), nice_length(3.0)
    (20.0, 0.5)
    """
    target = share * check_positive(extent, "extent")
    power = 10.0 ** np.floor(np.log10(target))
    return float(
        power * max(step for step in (1, 2, 5) if step * power <= target * (1 + 1e-9))
    )


def scale_bar(ax: Axes, columns: int, pixel_size: PixelSize) -> None:
    """Draw a scale bar into an image of ``columns`` columns.

    In micrometres; without a pixel size, in pixels.
    """
    sides = pixel_sides(pixel_size)
    side, unit = (sides[1], "µm") if sides else (1.0, "px")
    length = nice_length(columns * side)
    bar = AuxTransformBox(ax.transData)
    bar.add_artist(
        Rectangle(
            (0, 0),
            length / side,
            max(columns * 0.008, 0.2),
            facecolor="white",
            edgecolor="none",
        )
    )
    text = TextArea(f"{length:g} {unit}", textprops={"color": "white", "size": 9})
    box = AnchoredOffsetbox(
        "lower right",
        pad=0.35,
        borderpad=0.5,
        child=VPacker(children=[bar, text], align="center"),
    )
    # white on a dark background is readable on any tissue
    box.patch.set(facecolor="black", edgecolor="none", alpha=0.6)
    ax.add_artist(box)


def write_note(
    ax: Axes, text: str, where: Literal["centre", "corner"] = "centre"
) -> None:
    """Write a note into the axes, for example that only some events are shown."""
    if where == "centre":
        plate = {
            "facecolor": "white",
            "edgecolor": "none",
            "alpha": 0.85,
            "boxstyle": "round",
        }
        ax.text(
            0.5,
            0.5,
            text,
            transform=ax.transAxes,
            ha="center",
            va="center",
            color=GREY,
            bbox=plate,
        )
    else:
        ax.text(
            1.0,
            1.01,
            text,
            transform=ax.transAxes,
            ha="right",
            va="bottom",
            color=GREY,
            fontsize=8,
        )


def spread_sample(count: int, limit: int) -> NDArray[np.intp]:
    """Return at most ``limit`` of ``count`` indices, evenly spread and reproducible.

    >>> spread_sample(3, 10)
    array([0, 1, 2])
    >>> spread_sample(100, 3)
    array([ 0, 50, 99])
    """
    if count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.intp)


def raster_options(count: int) -> dict[str, Any]:
    """Return options that draw ``count`` artists as pixels if they are very many."""
    return {"rasterized": count > RASTERISE_ABOVE}
