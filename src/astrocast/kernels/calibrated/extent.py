"""The extent of an event: what reaches a share of its own peak and hangs together.

Smoothing lowers a peak and widens what is below it. The share that is looked for in the
smoothed signal allows for that on the whole; where an event is far above the noise,
some of the smoothing is taken back instead. A Gaussian of variance ``v`` multiplies a
frequency ``k`` by ``exp(-v k**2 / 2)``; to first order its inverse is ``1 + v k**2 /
2``, which is ``signal - v / 2 * laplacian``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.segmentation.watershed import face_neighbours

#: share of an event's voxels, and how many at least, whose mean is its peak: one
#: voxel's maximum would be that of noise
_TOP, _LEAST = 0.02, 8
#: heights in standard deviations of the smoothed noise up to which nothing is taken
#: back, for that makes noise larger, and from which all of it (a variance of 2): of
#: simulated events (seed 7300) at SNR 2 and 8, where that was best
_FROM, _FULL = 20.0, 80.0
#: by how much the share shrinks where an event is fully sharpened, for its peak is then
#: less lowered
_LESS = 0.13


def peak_height(values: NDArray[np.float32]) -> float:
    """Return the height of an event's peak: the mean of its highest values."""
    k = min(len(values), max(_LEAST, int(_TOP * len(values))))
    return float(np.partition(values, len(values) - k)[len(values) - k :].mean())


def laplacian(
    voxels: NDArray[np.int64], values: NDArray[np.float32], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Return the Laplacian of a signal on scattered voxels.

    Parameters
    ----------
    voxels
        Flat indices into a volume, ascending, int64.
    values
        Signal at these voxels, float32.
    shape
        Of the volume (frame, row, column); the first entry is not used.

    Returns
    -------
    numpy.ndarray
        float32, (voxel,): second differences, added over the axes along which both
        neighbours are in the list.

    Examples
    --------
    >>> laplacian(np.arange(5), np.array([0, 1, 4, 9, 16], np.float32), (1, 1, 5))
    array([0., 2., 2., 2., 0.], dtype=float32)
    """
    voxels = np.ascontiguousarray(voxels, np.int64)
    return _laplacian(
        face_neighbours(voxels, shape[1], shape[2]),
        np.ascontiguousarray(values, np.float32),
    )


@njit(cache=True, nogil=True)
def _laplacian(neighbours: Any, values: Any) -> Any:
    out = np.zeros(len(values), np.float32)
    for i in range(len(values)):
        for axis in range(3):
            a, b = neighbours[i, 2 * axis], neighbours[i, 2 * axis + 1]
            if a >= 0 and b >= 0:
                out[i] += values[a] + values[b] - 2 * values[i]
    return out


def sharpened(
    values: NDArray[np.float32],
    laplacians: NDArray[np.float32],
    height: float,
    share: float,
) -> tuple[NDArray[np.float32], float]:
    """Return an event's signal with as much of the smoothing taken back as its height
    allows, and the share to use.

    Parameters
    ----------
    values, laplacians
        Smoothed signal of the event's voxels and its Laplacian there.
    height
        Of the event's peak, in standard deviations of the smoothed noise.
    share
        Of the peak that a voxel of the event reaches where nothing is taken back.
    """
    much = float(np.clip((height - _FROM) / (_FULL - _FROM), 0, 1))
    if much == 0:
        return values, share
    return values - np.float32(much) * laplacians, share * (1 - _LESS * much)


def event_extent(
    coordinates: NDArray[np.int64], values: NDArray[np.float32], share: float
) -> NDArray[np.int64]:
    """Return the coordinates (voxel, 3) of an event's extent.

    Parameters
    ----------
    coordinates, values
        Frame, row and column of the voxels that can belong to the event, and the signal
        there.
    share
        Of the peak's height that a voxel of the event reaches.

    Returns
    -------
    numpy.ndarray
        The largest connected part (corners connect) of the voxels that do, holes
        filled, in raster order.

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
