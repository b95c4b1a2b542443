"""Images of the tissue: projections, footprints, density of events."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from astrocast.errors import InvalidValueError
from astrocast.plotting.frame import (
    PixelSize,
    figure_of,
    nice_length,
    pixel_sides,
    raster_options,
    scale_bar,
    time_label,
    times,
    write_note,
)
from astrocast.plotting.palette import COUNTS, MISSING, TISSUE, time_map


def projection(
    image: ArrayLike,
    ax: Axes | None = None,
    *,
    pixel_size: PixelSize = None,
    label: str = "intensity",
    colorbar: bool = True,
) -> Axes:
    """Draw an image of the tissue, such as a mean or maximum projection.

    The grey scale runs from the 1st to the 99.8th percentile of the finite values, so
    that single hot pixels do not darken the image. Pixels that are not finite have a
    separate colour.

    Parameters
    ----------
    image
        (row, column).
    ax
        Axes to draw into; None: a new figure.
    pixel_size
        Micrometres per pixel, one number or (row, column); None: the scale bar is in
        pixels.
    label
        Name and unit of the values, for the colour bar.
    colorbar
        Whether to draw the colour bar.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; rows run downwards.

    Raises
    ------
    InvalidValueError
        The image is not 2-D or is empty.

    Examples
    --------
    >>> import numpy as np
    >>> projection(np.eye(8), pixel_size=0.5).get_xlabel()
    'column (px)'
    """
    shown = _image(image)
    ax = _tissue_axes(ax, shown.shape)
    low, high = _contrast(shown)
    drawn = ax.imshow(
        shown,
        cmap=_add_missing_colour(TISSUE),
        norm=Normalize(low, high),
        aspect=_aspect(pixel_size),
    )
    scale_bar(ax, shown.shape[1], pixel_size)
    if colorbar:
        _colorbar(ax, drawn, label)
    return ax


def footprints(
    background: ArrayLike,
    ax: Axes | None = None,
    *,
    onset_map: ArrayLike | None = None,
    outlines: Mapping[int, ArrayLike] | None = None,
    onsets: Mapping[int, float] | None = None,
    frames: int | None = None,
    frame_rate: float | None = None,
    pixel_size: PixelSize = None,
) -> Axes:
    """Draw the footprints of events, coloured by onset, over an image of the tissue.

    Parameters
    ----------
    background
        (row, column), usually the maximum projection.
    ax
        Axes to draw into; None: a new figure.
    onset_map
        (row, column), frame in which the event at this pixel began; NaN without event.
    outlines
        Event id -> closed outline, (points, 2) as (row, column).
    onsets
        Event id -> frame of its onset, for the colour of ``outlines``; outlines without
        an onset are grey.
    frames
        Length of the recording: end of the colour scale; None: the latest onset.
    frame_rate
        Hz; None: onsets are shown in frames.
    pixel_size
        Micrometres per pixel, one number or (row, column); None: the scale bar is in
        pixels.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; rows run downwards.

    Raises
    ------
    InvalidValueError
        An array is not 2-D, or the onset map and the background differ in size.

    Examples
    --------
    >>> import numpy as np
    >>> onset = np.full((8, 8), np.nan)
    >>> onset[2:4, 2:5] = 3
    >>> ax = footprints(np.ones((8, 8)), onset_map=onset, frames=20)
    >>> len(ax.images)
    2
    """
    ax = projection(background, ax, pixel_size=pixel_size, colorbar=False)
    shape = _image(background).shape
    onset = _image(onset_map) if onset_map is not None else np.full(shape, np.nan)
    if onset.shape != shape:
        raise InvalidValueError(
            f"the onset map has shape {onset.shape}, but the background has shape"
            f" {shape}; both must have the same shape (row, column)"
        )
    lines = dict(outlines or {})
    if not lines and not np.isfinite(onset).any():
        write_note(ax, "no events")
        return ax
    begins = np.array(
        [(onsets or {}).get(label, np.nan) for label in lines], dtype=np.float64
    )
    latest = (
        frames
        if frames is not None
        else np.nanmax([*onset[np.isfinite(onset)], *begins, 1.0])
    )
    norm = Normalize(0.0, float(times(latest, frame_rate)))
    if np.isfinite(onset).any():
        shown = np.ma.masked_invalid(times(onset, frame_rate))
        ax.imshow(
            shown,
            cmap=time_map(),
            norm=norm,
            alpha=0.35,
            aspect=_aspect(pixel_size),
            interpolation="nearest",
        )
        edges, begun = region_edges(onset)
        shades = time_map()(norm(times(begun, frame_rate)))
        ax.add_collection(
            LineCollection(list(edges), colors=shades, linewidths=1.0, rasterized=True),
            autolim=False,
        )
    if lines:
        ax.add_collection(
            _outlines(lines, times(begins, frame_rate), norm), autolim=False
        )
    _colorbar(ax, ScalarMappable(norm, time_map()), time_label(frame_rate, "onset"))
    return ax


def density(
    events: pd.DataFrame,
    shape: tuple[int, int],
    ax: Axes | None = None,
    *,
    bin_size: int | None = None,
    pixel_size: PixelSize = None,
) -> Axes:
    """Draw a heat map of the density of events, from the centres of their footprints.

    Parameters
    ----------
    events
        Event table. The centres are the columns ``cx``, ``cy``; if they are missing,
        ``v_fp_cx``, ``v_fp_cy``; otherwise the middle of the bounding box ``x0``,
        ``x1``, ``y0``, ``y1``.
    shape
        (rows, columns) of the recording.
    ax
        Axes to draw into; None: a new figure.
    bin_size
        Side of a bin in pixels; None: a round number, at most 1/20 of the longer side.
    pixel_size
        Micrometres per pixel, one number or (row, column); None: the scale bar is in
        pixels.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; rows run downwards.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"x0": [0, 8], "x1": [4, 12], "y0": [0, 8], "y1": [4, 12]})
    >>> float(density(table, (16, 16), bin_size=4).images[0].get_array().sum())
    2.0
    """
    side = (
        bin_size
        if bin_size is not None
        else max(1, int(nice_length(max(shape), 1 / 20)))
    )
    counts = np.zeros((-(-shape[0] // side), -(-shape[1] // side)))
    rows, columns = _centres(events)
    where = np.isfinite(rows) & np.isfinite(columns)
    found = np.stack([rows[where], columns[where]]).astype(np.int64) // side
    np.add.at(
        counts, tuple(np.clip(found, 0, np.array(counts.shape)[:, None] - 1)), 1.0
    )
    ax = _tissue_axes(ax, shape)
    extent = (-0.5, counts.shape[1] * side - 0.5, counts.shape[0] * side - 0.5, -0.5)
    drawn = ax.imshow(
        counts,
        cmap=COUNTS,
        extent=extent,
        aspect=_aspect(pixel_size),
        interpolation="nearest",
        vmin=0.0,
        vmax=max(1.0, float(counts.max())),
    )
    # the last bins may extend beyond the frame
    ax.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
    scale_bar(ax, shape[1], pixel_size)
    _colorbar(ax, drawn, f"events per {side} x {side} px")
    if not where.any():
        write_note(ax, "no events")
    return ax


def region_edges(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixel sides at the edge of regions, and the value of each region.

    Parameters
    ----------
    values
        (row, column); pixels of the same value are a region, NaN is outside. Where two
        regions touch, the side belongs to the one with the smaller value.

    Returns
    -------
    segments
        (sides, 2, 2): two ends as (column, row), for matplotlib; pixel centres are
        whole numbers.
    values
        (sides,).

    Examples
    --------
    >>> import numpy as np
    >>> segments, found = region_edges(np.array([[2.0, 2.0, np.nan]]))
    >>> len(segments), found
    (6, array([2., 2., 2., 2., 2., 2.]))
    """
    padded = np.pad(values, 1, constant_values=np.nan)
    segments, found = [], []
    for axis in (0, 1):
        before, after = (
            (padded[:-1, 1:-1], padded[1:, 1:-1])
            if axis == 0
            else (padded[1:-1, :-1], padded[1:-1, 1:])
        )
        differs = (before != after) & ~(np.isnan(before) & np.isnan(after))
        row, column = (index - 0.5 for index in np.nonzero(differs))
        end = (column + 1, row) if axis == 0 else (column, row + 1)
        segments.append(
            np.stack([np.stack([column, row], -1), np.stack(end, -1)], axis=1)
        )
        found.append(np.fmin(before[differs], after[differs]))
    return np.concatenate(segments), np.concatenate(found)


def _outlines(
    lines: dict[int, ArrayLike], begins: NDArray[np.float64], norm: Normalize
) -> LineCollection:
    """Return outlines as one collection, in the (column, row) order of the axes."""
    paths = [np.asarray(path, dtype=np.float64)[:, ::-1] for path in lines.values()]
    colours = time_map()(norm(begins))
    colours[~np.isfinite(begins)] = (0.85, 0.85, 0.85, 1.0)
    return LineCollection(
        paths, colors=colours, linewidths=1.2, **raster_options(len(paths))
    )


def _centres(events: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return row and column of each event's centre."""
    for row, column in (("cx", "cy"), ("v_fp_cx", "v_fp_cy")):
        if row in events and column in events:
            return events[row].to_numpy(np.float64), events[column].to_numpy(np.float64)
    missing = [name for name in ("x0", "x1", "y0", "y1") if name not in events]
    if missing:
        raise InvalidValueError(
            f"the event table has neither cx and cy nor {', '.join(missing)}; its"
            f" columns are {list(events.columns)}"
        )
    low, high = (
        events[["x0", "y0"]].to_numpy(np.float64),
        events[["x1", "y1"]].to_numpy(np.float64),
    )
    centre = (low + high - 1) / 2
    return centre[:, 0], centre[:, 1]


def _image(image: ArrayLike) -> NDArray[np.float64]:
    """Return a 2-D float array."""
    found = np.asarray(image, dtype=np.float64)
    if found.ndim != 2 or not found.size:
        raise InvalidValueError(
            f"the image has shape {found.shape}; expected (row, column) with at least"
            " one pixel"
        )
    return found


def _contrast(image: NDArray[np.float64]) -> tuple[float, float]:
    """Return the values that are drawn black and white."""
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, (1.0, 99.8))
    return (
        (float(low), float(high))
        if high > low
        else (float(finite.min()), float(finite.min()) + 1.0)
    )


def _add_missing_colour(name: str) -> Colormap:
    """Return a colour map with a separate colour for NaN and infinity."""
    return colormaps[name].with_extremes(bad=MISSING)


def _aspect(pixel_size: PixelSize) -> float:
    """Return height / width of a pixel."""
    sides = pixel_sides(pixel_size)
    return sides[0] / sides[1] if sides else 1.0


def _tissue_axes(ax: Axes | None, shape: tuple[int, ...]) -> Axes:
    """Return axes for an image, rows downwards, few ticks.

    New axes have fixed margins, so that all images of a recording have the same size.
    """
    if ax is None:
        width, left, right, below = 5.2, 0.65, 0.95, 0.55
        height = (
            float(np.clip((width - left - right) * shape[0] / shape[1], 1.5, 8.0))
            + below
            + 0.15
        )
        box = (
            left / width,
            below / height,
            1 - (left + right) / width,
            1 - (below + 0.15) / height,
        )
        ax = Figure(figsize=(width, height)).add_axes(box)
    ax.set(xlabel="column (px)", ylabel="row (px)")
    ax.locator_params(nbins=5, integer=True)
    return ax


def _colorbar(ax: Axes, drawn: ScalarMappable, label: str) -> None:
    """Draw a colour bar beside the image, with 80 % of its height."""
    beside = ax.inset_axes((1.03, 0.1, 0.035, 0.8))
    bar = figure_of(ax).colorbar(drawn, cax=beside, label=label)
    bar.outline.set_visible(False)
    beside.tick_params(labelsize=8)
