"""Results of AQuA2 (``.mat`` of version 7.3, which is HDF5) as an event table.

These parts are read: `res.evt1` (`res.evt2` for a second channel), one cell per event
with the linear indices of its voxels; `res.opts.sz`, the size of the movie; and, if it
exists, `res.dffMat1`, the curves, which become the traces. Indices start at 1 and count
down the columns, as in MATLAB: (row, column[, plane], frame).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import FormatError, RecordingNotFoundError
from astrocast.events.array_columns import FootprintArray, MaskArray, TraceArray
from astrocast.events.schema import INDEX
from astrocast.io.recording import Metadata


def read_aqua2(
    path: str | Path, channel: int = 1
) -> tuple[pd.DataFrame, tuple[int, int, int], Metadata]:
    """Read a result file of AQuA2.

    Parameters
    ----------
    path
        ``.mat`` file saved as version 7.3.
    channel
        1 or 2.

    Returns
    -------
    table
        A row per event: bounding box, ``v_area``, ``v_length``, centre and area of the
        footprint (``v_fp_*``), mask, footprint and, if the file contains curves, traces
        (dF/F). The index is the number of the event in AQuA.
    shape
        Frames, rows and columns of the movie.
    metadata
        Pixel size and frame rate as entered in AQuA2.

    Raises
    ------
    FormatError
        The file is not HDF5, is not a result of AQuA2, or is of a movie with several
        planes; the message says what is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordingNotFoundError(f"{path} does not exist; check the path")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{path} is not a .mat file of version 7.3 (HDF5): {error}. "
            "Save with '-v7.3'"
        ) from error
    with file:
        found = file.get("res")
        if not isinstance(found, h5py.Group):
            raise FormatError(
                f"{path} is not a result of AQuA2: it has no struct `res`; it has"
                f" {', '.join(file) or 'nothing'}"
            )
        shape = _movie_shape(path, found)
        voxels = _events(path, file, found, channel)
        curves = _curves(found, channel, len(voxels), shape[0])
        return _table(path, voxels, shape, curves), shape, _metadata(found)


def _number(group: Any, name: str) -> float | None:
    held = group.get(f"opts/{name}")
    if (
        not isinstance(held, h5py.Dataset)
        or held.size != 1
        or held.dtype.kind not in "iuf"
    ):
        return None
    return float(np.asarray(held).ravel()[0])


def _metadata(found: Any) -> Metadata:
    # AQuA asks for seconds per frame and micrometres per pixel
    seconds, size = _number(found, "frameRate"), _number(found, "spatialRes")
    return Metadata(
        pixel_size=(size, size) if size and size > 0 else None,
        frame_rate=1.0 / seconds if seconds and seconds > 0 else None,
    )


def _movie_shape(path: Path, found: Any) -> tuple[int, int, int]:
    held = found.get("opts/sz")
    if not isinstance(held, h5py.Dataset):
        raise FormatError(
            f"{path} has no res.opts.sz (the size of the movie); res has"
            f" {', '.join(found)}"
        )
    sizes = [int(n) for n in np.asarray(held).ravel()]
    if len(sizes) == 4 and sizes[2] == 1:
        sizes = [sizes[0], sizes[1], sizes[3]]
    if len(sizes) != 3 or min(sizes) < 1:
        raise FormatError(
            f"{path} is of a movie of size {sizes}; expected a movie of one plane"
            " (rows, columns, frames)"
        )
    return sizes[2], sizes[0], sizes[1]


def _events(path: Path, file: Any, found: Any, channel: int) -> list[NDArray[np.int64]]:
    """Return the linear indices of each event, from 0."""
    name = f"evt{channel}"
    cells = found.get(name, found.get("evt") if channel == 1 else None)
    if not isinstance(cells, h5py.Dataset):
        raise FormatError(
            f"{path} has no events res.{name}; res has {', '.join(found)}"
        )
    if cells.dtype != h5py.ref_dtype:
        # an empty cell is stored as its size
        if cells.attrs.get("MATLAB_empty", 0):
            return []
        raise FormatError(
            f"res.{name} in {path} has the type {cells.dtype}; expected a cell array of"
            " voxel lists"
        )
    voxels = []
    for reference in np.asarray(cells).ravel():
        held = file[reference]
        empty = held.attrs.get("MATLAB_empty", 0)
        voxels.append(
            np.empty(0, np.int64)
            if empty
            else np.asarray(held).ravel().astype(np.int64) - 1
        )
    return voxels


def _curves(
    found: Any, channel: int, events: int, frames: int
) -> NDArray[np.float32] | None:
    """Return dF/F (events, frames); None if the file does not contain it."""
    held = found.get(f"dffMat{channel}")
    if not isinstance(held, h5py.Dataset):
        return None
    # MATLAB stores (events, frames[, kind]) with reversed axes; the first kind is the
    # curve of the event itself
    curves = np.asarray(held, np.float32).T
    curves = curves[..., 0] if curves.ndim == 3 else curves
    return curves if curves.shape == (events, frames) else None


def _table(
    path: Path,
    voxels: list[NDArray[np.int64]],
    shape: tuple[int, int, int],
    curves: NDArray[np.float32] | None,
) -> pd.DataFrame:
    frames, rows, columns = shape
    kept = [i for i, held in enumerate(voxels) if held.size]
    numbers: list[dict[str, Any]] = []
    masks, footprints, traces = [], [], []
    for i in kept:
        held = voxels[i]
        if held.min() < 0 or held.max() >= frames * rows * columns:
            raise FormatError(
                f"event {i + 1} in {path} has voxels outside the movie of shape {shape}"
            )
        z, y, x = np.unravel_index(held, (frames, columns, rows))
        begin = np.array([z.min(), x.min(), y.min()])
        end = np.array([z.max(), x.max(), y.max()]) + 1
        mask = np.zeros(end - begin, bool)
        mask[z - begin[0], x - begin[1], y - begin[2]] = True
        numbers.append(_row(begin, end, mask))
        masks.append(mask)
        footprints.append(mask.any(axis=0))
        if curves is not None:
            traces.append(curves[i, begin[0] : end[0]])
    table = pd.DataFrame(
        numbers, index=pd.Index(np.array(kept, np.int64) + 1, name=INDEX)
    )
    table["mask"], table["footprint"] = (
        MaskArray._from_sequence(masks),
        FootprintArray._from_sequence(footprints),
    )
    if curves is not None:
        table["trace"] = TraceArray._from_sequence(traces)
    return table


def _row(
    begin: NDArray[np.int64], end: NDArray[np.int64], mask: NDArray[np.bool_]
) -> dict[str, Any]:
    centre = np.argwhere(mask.any(axis=0)).mean(axis=0)
    row: dict[str, Any] = dict(
        zip(("z0", "x0", "y0", "z1", "x1", "y1"), [*begin, *end], strict=True)
    )
    row |= dict(zip(("dz", "dx", "dy"), mask.shape, strict=True))
    return row | {
        "v_length": mask.shape[0],
        "v_area": int(mask.sum()),
        "v_fp_area": float(mask.any(axis=0).sum()),
        "v_fp_cx": begin[1] + centre[0],
        "v_fp_cy": begin[2] + centre[1],
        "v_fp_centroid_local-0": centre[0] / mask.shape[1],
        "v_fp_centroid_local-1": centre[1] / mask.shape[2],
    }
