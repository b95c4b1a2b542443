"""Light that lies in one pixel: a defect of the camera, not of the tissue.

A microscope cannot image light into a single pixel; where the signal of a few frames
lies in one pixel and not in the eight around it, the camera made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

#: mean of the eight pixels around as a share of the middle pixel, below which the light
#: lies in one pixel
_AROUND = 0.3
#: standard deviations of a single voxel that the light of the pixel must reach
_SURE = 5.0
#: share of the summit down to which the frames of a hill count
_CORE = 0.5


def single_pixel_hills(
    summit: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    values: NDArray[np.float32],
    single: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return which hills are the light of one pixel, (hill,).

    Parameters
    ----------
    summit
        Position of the highest voxel of each hill in the list of voxels, int64.
    neighbours
        From `face_neighbours`, (voxel, 6), int32.
    values, single
        Smoothed signal of each voxel and the signal before smoothing, float32.
    noise
        Standard deviation of a single voxel before smoothing, float32, (voxel,).
    """
    return np.asarray(_single(summit, neighbours, values, single, noise))


@njit(cache=True, nogil=True)
def _around(neighbours: Any, i: Any, out: Any) -> None:
    """Write the positions of the 3 x 3 pixels around voxel ``i`` into ``out``, (9,).

    -1 where a pixel is not in the list. The middle is entry 4.

    ``neighbours`` int32 (voxel, 6), ``out`` int64.
    """
    out[:] = -1
    for dy in range(3):
        row = i if dy == 1 else neighbours[i, 2 if dy == 2 else 3]
        if row < 0:
            continue
        out[3 * dy + 1] = row
        out[3 * dy] = neighbours[row, 1]
        out[3 * dy + 2] = neighbours[row, 0]


@njit(cache=True, nogil=True)
def _single(summit: Any, neighbours: Any, values: Any, single: Any, noise: Any) -> Any:
    """Return which hills are the light of one pixel, bool; see `single_pixel_hills`."""
    out = np.zeros(len(summit), np.bool_)
    near, ring = np.empty(9, np.int64), np.empty(9, np.int64)
    for h in range(len(summit)):
        i = summit[h]
        _around(neighbours, i, near)
        least = np.float32(_CORE) * values[i]
        # the pixel of the nine that has most light in the frames around the summit
        best, most = -1, np.float32(0)
        for k in range(9):
            if near[k] >= 0:
                total = _in_time(near[k], neighbours, values, single, least)
                if total > most:
                    best, most = near[k], total
        if best < 0:
            continue
        frames, centre, around = 0, 0.0, 0.0
        for way in (4, 5):
            j = best if way == 4 else neighbours[best, 5]
            while j >= 0 and values[j] >= least:
                _around(neighbours, j, ring)
                for k in range(9):
                    if ring[k] >= 0 and k != 4:
                        around += single[ring[k]]
                centre += single[j]
                frames += 1
                j = neighbours[j, way]
        sure = _SURE * noise[i] * np.sqrt(max(frames, 1))
        out[h] = centre > sure and around / 8 < _AROUND * centre
    return out


@njit(cache=True, nogil=True)
def _in_time(i: Any, neighbours: Any, values: Any, single: Any, least: Any) -> Any:
    """Return the light of a pixel summed over the frames around voxel ``i``.

    ``neighbours`` int32 (voxel, 6); ``values`` and ``single`` float32 (voxel,).
    """
    total = np.float32(0)
    for way in (4, 5):
        j = i if way == 4 else neighbours[i, 5]
        while j >= 0 and values[j] >= least:
            total += single[j]
            j = neighbours[j, way]
    return total
