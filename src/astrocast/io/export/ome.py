"""Export event maps as labels of an OME-Zarr image (OME-NGFF 0.5, zarr v3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError, OutputError, OutputExistsError
from astrocast.io.recording import Metadata, Recording
from astrocast.io.writing.files import replacing

OME_VERSION = "0.5"
_CHUNK_BYTES = 4 << 20
#: red, green, blue that colour-blind people tell apart (Okabe & Ito 2008)
_COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def write_labels(
    path: Path,
    labels: Recording,
    image: Recording | None,
    metadata: Metadata,
    overwrite: bool = False,
    events: NDArray[np.int64] | None = None,
) -> Path:
    """Write an event map as OME-Zarr labels, with or without the recording.

    The labels are in ``labels/events``.

    Parameters
    ----------
    path
        Directory to write, ``.zarr`` or ``.ome.zarr``.
    labels
        Event map (frame, row, column), 0 background.
    image
        The recording, of the same shape; None: no image.
    metadata
        Pixel size and frame rate, for the scale.
    overwrite
        Whether an existing directory is replaced.
    events
        Numbers of the events to write, int64 (events,); None: all.

    Notes
    -----
    Follows OME-NGFF 0.5 (https://ngff.openmicroscopy.org/0.5/): axes t, y, x; one
    resolution level.
    """
    import zarr

    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} already exists; choose another name or overwrite=True"
        )
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")
    if image is not None and image.shape != labels.shape:
        raise InvalidValueError(
            f"the recording has the shape {image.shape}, the event map"
            f" {labels.shape}; they have to be equal"
        )
    with replacing(path) as beside:
        root = zarr.open_group(beside, mode="w", zarr_format=3)
        if image is not None:
            _level(root, image)
            root.attrs["ome"] = {
                "version": OME_VERSION,
                "multiscales": [_multiscale("recording", metadata)],
            }
        group = root.create_group("labels")
        group.attrs["ome"] = {"version": OME_VERSION, "labels": ["events"]}
        shown = group.create_group("events")
        _level(shown, labels, events)
        described: dict[str, Any] = {
            "version": OME_VERSION,
            "multiscales": [_multiscale("events", metadata)],
        }
        described["image-label"] = _image_label(image is not None, events)
        shown.attrs["ome"] = described
    return path


def _image_label(over_image: bool, events: NDArray[np.int64] | None) -> dict[str, Any]:
    """Return where the image is, and the colour of each event that is named."""
    source = {"source": {"image": "../../"}} if over_image else {}
    if events is None or not len(events):
        return source
    colours = [
        {"label-value": int(event), "rgba": [*_COLOURS[i % len(_COLOURS)], 255]}
        for i, event in enumerate(events)
    ]
    return source | {"colors": colours}


def _level(
    group: Any, recording: Recording, events: NDArray[np.int64] | None = None
) -> None:
    """Write one resolution level, chunk by chunk; ``events``: labels to write."""
    frame = int(np.prod(recording.shape[1:])) * recording.dtype.itemsize
    depth = min(max(1, _CHUNK_BYTES // frame), recording.shape[0])
    array = group.create_array(
        "0",
        shape=recording.shape,
        chunks=(depth, *recording.shape[1:]),
        dtype=recording.dtype,
        dimension_names=["t", "y", "x"],
    )
    for start, block in recording.blocks(depth):
        if events is not None:
            block = np.where(np.isin(block, events), block, 0).astype(recording.dtype)
        array[start : start + len(block)] = block


def _multiscale(name: str, metadata: Metadata) -> dict[str, Any]:
    time = {"name": "t", "type": "time"} | (
        {"unit": "second"} if metadata.frame_rate else {}
    )
    unit = {"unit": "micrometer"} if metadata.pixel_size else {}
    rows, columns = metadata.pixel_size or (1.0, 1.0)
    scale = [1.0 / metadata.frame_rate if metadata.frame_rate else 1.0, rows, columns]
    return {
        "name": name,
        "axes": [
            time,
            *({"name": axis, "type": "space"} | unit for axis in ("y", "x")),
        ],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
        ],
    }
