"""Layers of a viewer, as plain data that can be tested without a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from astrocast.io.recording import Metadata

#: number of frames from which the contrast is estimated
_CONTRAST_FRAMES = 20


@dataclass(frozen=True)
class Layer:
    """One layer of a viewer.

    Parameters
    ----------
    kind
        ``image`` or ``labels``.
    data
        (frame, row, column), NumPy or dask.
    name
        Name of the layer.
    options
        Options for napari: scale, contrast limits, opacity, features.
    """

    kind: Literal["image", "labels"]
    data: Any
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def scale_of(metadata: Metadata) -> tuple[float, float, float]:
    """Return the size of a voxel for display: 1 per frame, µm (or 1) per pixel."""
    rows, columns = metadata.pixel_size or (1.0, 1.0)
    return (1.0, rows, columns)


def contrast_of(data: Any) -> tuple[float, float]:
    """Return the 1st and 99.8th percentile of a few evenly spread frames."""
    chosen = np.unique(np.linspace(0, len(data) - 1, _CONTRAST_FRAMES).astype(int))
    sample = np.stack([np.asarray(data[i]) for i in chosen]).astype(np.float64)
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [1, 99.8])
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def recording_layer(data: Any, metadata: Metadata, name: str = "recording") -> Layer:
    """Return the layer of a recording, in grey, with its contrast."""
    options = {
        "scale": scale_of(metadata),
        "contrast_limits": contrast_of(data),
        "colormap": "gray",
    }
    return Layer("image", data, name, options | _unit(metadata))


def events_layer(data: Any, metadata: Metadata, features: Any = None) -> Layer:
    """Return the layer of an event map.

    ``features``: table with a column ``index``; napari shows the row of the event under
    the cursor.
    """
    options = {"scale": scale_of(metadata), "opacity": 0.5} | _unit(metadata)
    return Layer(
        "labels",
        data,
        "events",
        options if features is None else options | {"features": features},
    )


def _unit(metadata: Metadata) -> dict[str, Any]:
    space = "µm" if metadata.pixel_size else "pixel"
    return {"units": ("pixel", space, space), "axis_labels": ("frame", "row", "column")}
