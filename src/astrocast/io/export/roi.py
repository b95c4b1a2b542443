"""Export footprints as a zip of ImageJ regions of interest, for the ROI manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import MissingExtraError
from astrocast.events.array_columns import as_masks
from astrocast.io.export.tables import write_whole
from astrocast.kernels.masks.packed_masks import unpack_mask


def trace_outlines(footprint: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return the closed outlines of a footprint, without holes.

    Each outline is (points, 2): row, column. It lies midway between the centres of
    pixels inside and outside, so that it contains exactly the centres of the pixels of
    the footprint (and of its holes).
    """
    from skimage.measure import find_contours

    lines = find_contours(
        np.pad(footprint, 1).astype(np.float64), 0.5, fully_connected="low"
    )
    # scikit-image traces regions and holes in opposite directions
    return [line - 1 for line in lines if _area(line) > 0]


def _area(line: NDArray[np.float64]) -> float:
    row, column = line.T
    return float(np.sum(column[:-1] * row[1:] - column[1:] * row[:-1]))


def write_rois(path: Path, table: pd.DataFrame, overwrite: bool = False) -> Path:
    """Write an ImageJ region for each event, at its first frame.

    A footprint of several pieces becomes several regions.

    Parameters
    ----------
    path
        ``.zip`` file.
    table
        Events with ``mask``, ``z0``, ``x0``, ``y0``; names of regions are from the
        index.
    overwrite
        Whether an existing file is replaced.
    """
    try:
        import roifile
    except ImportError as error:
        raise MissingExtraError(
            "roifile", "export", "writing ImageJ regions"
        ) from error
    masks = as_masks(table["mask"]).masks
    origins = table[["x0", "y0", "z0"]].to_numpy(np.int64)
    rois: list[Any] = []
    for i, name in enumerate(table.index):
        row, column, frame = origins[i]
        lines = trace_outlines(np.asarray(unpack_mask(masks, i).any(axis=0)))
        for piece, line in enumerate(lines, start=1):
            # ImageJ: origin at the corner of the first pixel, (x, y) = (column, row),
            # frames from 1
            points = line[:-1, ::-1] + [column + 0.5, row + 0.5]
            title = f"{name}" if len(lines) == 1 else f"{name}-{piece}"
            roi = roifile.ImagejRoi.frompoints(points, name=title)
            roi.position = roi.t_position = int(frame) + 1
            rois.append(roi)
    return write_whole(path, lambda to: _write_zip(to, rois), overwrite)


def _write_zip(path: Path, rois: list[Any]) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, roi in enumerate(rois):
            # names of events may repeat or be invalid as file names: number the files
            archive.writestr(f"{i + 1:06d}.roi", roi.tobytes())
