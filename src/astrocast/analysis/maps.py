"""Read the event map (labels), and make it from the event table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import (
    DatasetNotFoundError,
    InvalidValueError,
    RecordingNotFoundError,
)
from astrocast.events.array_columns import as_masks
from astrocast.events.required import require_columns
from astrocast.events.schema import HIDDEN, INDEX
from astrocast.io import create_recording, open_recording
from astrocast.io.recording import Recording, RecordingWriter
from astrocast.io.stores.event_map import (
    EVENT_MAP_LOC,
    TiffMapWriter,
    event_map_path,
    open_event_map,
)
from astrocast.io.views import SlicedRecording, lazy_array
from astrocast.kernels.masks.packed_masks import Masks, paint
from astrocast.runtime.progress import Silent, reporting, track

#: bytes of the map that are painted at a time
_BLOCK_BYTES = 64 << 20


def open_map(directory: Path, z_slice: tuple[int, int] | None) -> Recording:
    """Open the event map of a directory, cut to ``z_slice``."""
    recording = open_event_map(directory)
    try:
        return SlicedRecording(recording, *z_slice) if z_slice else recording
    except Exception:
        recording.close()
        raise


def read_map(
    directory: Path, z_slice: tuple[int, int] | None, lazy: bool
) -> tuple[Any, Any, Any]:
    """Return (event map, shape, dtype), see `Events.get_event_map`."""
    try:
        event_map_path(directory)
    except RecordingNotFoundError:
        return None, None, None
    opener = partial(open_map, directory, z_slice)
    if lazy:
        array = lazy_array(opener)
    else:
        with opener() as recording:
            array = recording.to_array()
    return array, tuple(array.shape), array.dtype


def labels_of(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the number of each event in the map, int64.

    It is ``event_id``; without this column the index if it is of integers, otherwise 1,
    2, 3 ...
    """
    if INDEX in table and table[INDEX].is_unique:
        return table[INDEX].to_numpy(np.int64)
    if pd.api.types.is_integer_dtype(table.index):
        return table.index.to_numpy(np.int64)
    return np.arange(1, len(table) + 1)


def paint_map(
    table: pd.DataFrame,
    shape: tuple[int, int, int],
    dtype: DTypeLike = int,
    save_path: Path | None = None,
    first_frame: int = 0,
    show_progress: bool = True,
) -> NDArray[Any] | Any:
    """Return the event map of a table, see `Events.create_event_map`."""
    if not show_progress:
        with reporting(Silent()):
            return paint_map(table, shape, dtype, save_path, first_frame)
    require_columns(
        table, ("mask", "z0", "x0", "y0"), "to draw the event map", _MissingMaskError
    )
    kind = np.dtype(dtype)
    labels = labels_of(table)
    if len(labels) and labels.max() > np.iinfo(kind).max:
        raise InvalidValueError(
            f"the largest event number is {labels.max()}, but the maximum of {kind} is"
            f" {np.iinfo(kind).max}; choose a larger dtype"
        )
    layers = _paint_layers(table)
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64)
    if save_path is None:
        whole = np.zeros(shape, kind)
        with track("event map", len(table), "events") as advance:
            for masks in layers:
                paint(masks, origins, labels, whole, first_frame)
            advance(len(table))
        return whole
    with _create_writer(save_path, shape, kind) as writer:
        _paint_blocks(layers, origins, labels, writer, first_frame)
    return lazy_array(partial(_open_saved, save_path))


def _paint_layers(table: pd.DataFrame) -> list[Masks]:
    """Return the masks to paint, in order: whole events, then their visible voxels.

    The second layer is present only if events share voxels.
    """
    whole = as_masks(table["mask"]).masks
    if HIDDEN.name not in table:
        return [whole]
    hidden = as_masks(table[HIDDEN.name])
    # events of other detection methods in the same table have no hidden voxels
    have = np.flatnonzero(np.diff(hidden.offsets) == np.diff(whole.offsets))
    if not hidden.flat.any() or not len(have):
        return [whole]
    if len(have) == len(whole.shapes):
        return [whole, whole._replace(bits=whole.bits & ~hidden.flat)]
    bits = whole.bits.copy()
    for i in have:
        bits[whole.offsets[i] : whole.offsets[i + 1]] &= ~hidden.flat[
            hidden.offsets[i] : hidden.offsets[i + 1]
        ]
    return [whole, whole._replace(bits=bits)]


class _MissingMaskError(DatasetNotFoundError, ValueError):
    """A column for the event map is missing (documented as a ValueError)."""


def _create_writer(
    path: Path, shape: tuple[int, int, int], kind: np.dtype[Any]
) -> RecordingWriter:
    if path.suffix.lower() in (".tif", ".tiff"):
        return TiffMapWriter(path, shape, kind)
    compression = "lz4" if path.suffix.lower() in (".h5", ".hdf5", ".zarr") else None
    return create_recording(path, EVENT_MAP_LOC, shape, kind, compression=compression)


def _open_saved(path: Path) -> Recording:
    return open_recording(
        path, EVENT_MAP_LOC if path.suffix.lower() in (".h5", ".hdf5") else None
    )


def _paint_blocks(
    layers: list[Masks],
    origins: NDArray[np.int64],
    labels: NDArray[np.int64],
    writer: RecordingWriter,
    first_frame: int,
) -> None:
    frames, rows, columns = writer.shape
    depth = max(1, _BLOCK_BYTES // (rows * columns * writer.dtype.itemsize))
    with track("event map", frames) as advance:
        for start in range(0, frames, depth):
            block = np.zeros((min(depth, frames - start), rows, columns), writer.dtype)
            for masks in layers:
                paint(masks, origins, labels, block, first_frame + start)
            writer.write(start, block)
            advance(len(block))
