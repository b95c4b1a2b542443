"""Open napari with layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from astrocast.errors import MissingExtraError
from astrocast.viewer.layers import Layer


def open_viewer(layers: Sequence[Layer], title: str = "astrocast") -> Any:
    """Open a napari viewer with layers, the first at the bottom, and return it.

    A script must call `napari.run()` afterwards to keep the window open; this is not
    necessary in notebooks and IPython.
    """
    try:
        import napari
    except ImportError as error:
        raise MissingExtraError("napari", "napari", "looking at events") from error
    viewer = napari.Viewer(title=title)
    add = {"image": viewer.add_image, "labels": viewer.add_labels}
    for layer in layers:
        add[layer.kind](layer.data, name=layer.name, **layer.options)
    if any(layer.options.get("units", ("",) * 3)[-1] == "µm" for layer in layers):
        viewer.scale_bar.visible = True
    return viewer
