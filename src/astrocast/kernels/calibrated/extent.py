"""The extent of an event: what reaches a share of its own peak and hangs together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: share of an event's voxels, and how many at least, whose mean is its peak: one voxel's maximum would be that of noise
_TOP, _LEAST = 0.02, 8


def peak_height(values: NDArray[np.float32]) -> float:
    """Return the height of an event's peak: the mean of its highest values."""
    k = min(len(values), max(_LEAST, int(_TOP * len(values))))
    return float(np.partition(values, len(values) - k)[len(values) - k :].mean())


def event_extent(coordinates: NDArray[np.int64], values: NDArray[np.float32], share: float) -> NDArray[np.int64]:
    """Return the coordinates (voxel, 3) of an event's extent.

    Parameters
    ----------
    coordinates, values
        Frame, row and column of the voxels that can belong to the event, and the signal there.
    share
        Of the peak's height that a voxel of the event reaches.

    Returns
    -------
    numpy.ndarray
        The largest connected part (corners connect) of the voxels that do, holes filled, in raster order.

    Examples
    --------
    >>> line = np.array([[0, 0, x] for x in range(6)])
    >>> event_extent(line, np.array([1, 9, 10, 9, 1, 0], np.float32), 0.5)[:, 2]
    array([1, 2, 3])
    """
    from scipy import ndimage

    chosen = coordinates[values >= share * peak_height(values)]
    low = chosen.min(axis=0)
    box = np.zeros(chosen.max(axis=0) - low + 1, bool)
    box[tuple((chosen - low).T)] = True
    regions, count = ndimage.label(box, np.ones((3, 3, 3), int))
    if count > 1:
        box = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
    return np.argwhere(_filled(box)) + low


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with its holes filled: what the outside does not reach over faces."""
    from scipy import ndimage

    regions, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    return np.asarray(regions[1:-1, 1:-1, 1:-1] != regions[0, 0, 0])
