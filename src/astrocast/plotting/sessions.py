"""Overlay the mean images of sessions on that of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrocast.plotting.frame import PixelSize, axes_or_new, scale_bar

#: number of panels per row
_COLUMNS = 4


def session_overlays(
    reference: NDArray[np.floating],
    seen: Mapping[str, NDArray[np.floating]],
    titles: Mapping[str, str],
    pixel_size: PixelSize = None,
) -> Figure:
    """Draw each session in green over the reference in magenta; equal pixels are grey.

    Parameters
    ----------
    reference
        Mean image (row, column).
    seen
        Name -> mean image of the session, aligned with the reference; NaN outside its
        field of view.
    titles
        Name -> title of the panel.
    pixel_size
        Micrometres per pixel, for the scale bar.
    """
    columns = min(len(seen), _COLUMNS)
    rows = -(-len(seen) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.6 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for ax in panels[len(seen) :]:
        ax.set_axis_off()
    for ax, (name, image) in zip(panels, seen.items(), strict=False):
        overlay(reference, image, ax, pixel_size)
        ax.set_title(titles.get(name, name), fontsize=9)
    return figure


def overlay(
    reference: NDArray[np.floating],
    image: NDArray[np.floating],
    ax: Axes | None = None,
    pixel_size: PixelSize = None,
) -> Axes:
    """Draw an image in green over a reference in magenta, each scaled to 0 to 1."""
    ax = axes_or_new(ax, 4.0, 4.0)
    a, b = _scale_contrast(reference), _scale_contrast(image)
    ax.imshow(np.stack([a, b, a], axis=-1), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    scale_bar(ax, a.shape[1], pixel_size)
    return ax


def _scale_contrast(image: NDArray[np.floating]) -> NDArray[Any]:
    """Return an image scaled to 0 to 1, with NaN as 0."""
    values = np.asarray(image, np.float64)
    inside = np.isfinite(values)
    low, high = np.percentile(values[inside], [1, 99.5]) if inside.any() else (0, 1)
    scaled = (np.where(inside, values, low) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(scaled, 0.0, 1.0))
