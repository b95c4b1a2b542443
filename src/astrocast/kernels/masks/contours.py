"""Outlines of masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: iso-level of the outline between background (0) and event (1)
LEVEL = 0.9


def mask_contours(
    mask: NDArray[np.bool_],
    origin: tuple[int, int, int] = (0, 0, 0),
    level: float = LEVEL,
) -> list[NDArray[np.float32]]:
    """Return the outlines of a mask in each of its frames.

    Parameters
    ----------
    mask
        Voxels of an event, (frame, row, column), bool.
    origin
        Frame, row and column of the mask's first voxel in the recording.
    level
        Iso-level of the outline; 0.9 puts it just inside the event's outermost pixels.

    Returns
    -------
    list of numpy.ndarray
        One float32 array (points, 3) per closed outline, columns frame, row and column
        in the recording. Outer outlines and those of holes.

    Notes
    -----
    Marching squares, as in `skimage.measure.find_contours` on each frame padded by one
    pixel of background: Lorensen & Cline 1987, https://doi.org/10.1145/37401.37422

    Examples
    --------
    >>> [outline] = mask_contours(np.ones((1, 1, 1), bool), origin=(7, 3, 4))
    >>> outline.shape, float(outline[0, 0])
    ((5, 3), 7.0)
    """
    from skimage.measure import find_contours

    outlines = []
    for frame, pixels in enumerate(mask):
        for line in find_contours(np.pad(pixels, 1).astype(np.float64), level):
            points = np.empty((len(line), 3), np.float32)
            points[:, 0] = frame + origin[0]
            points[:, 1:] = line - 1 + np.asarray(origin[1:])
            outlines.append(points)
    return outlines
