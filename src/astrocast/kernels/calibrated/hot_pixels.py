"""Light that lies in one pixel: a defect of the camera, not of the tissue.

A microscope cannot image light into a single pixel; where the signal of a few frames
lies in one pixel and not in the eight around it, the camera made it. Registration moves
such a pixel between pixels: then its light lies in a square of four, and not in the
twelve pixels around these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

#: mean of the eight pixels around as a share of the middle pixel, below which the light
#: lies in one pixel
_AROUND = 0.3
#: the same for the twelve pixels around a square of four, and the least number of them
#: per frame that are known
_AROUND_FOUR, _FEWEST = 0.25, 4
#: mean of the signal in the nine pixels as a share of the smoothed signal, below which
#: the light is in pixels at the edge that are not searched
_ELSEWHERE = 0.3
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
    near = np.empty(9, np.int64)
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
        light, known, frames, mean = _light_around(
            best, neighbours, values, single, least
        )
        nine, sure = light[1:4, 1:4].sum(), _SURE * noise[i] * np.sqrt(max(frames, 1))
        centre = light[2, 2]
        out[h] = (
            (centre > sure and (nine - centre) / 8 < _AROUND * centre)
            or nine < _ELSEWHERE * mean * known[1:4, 1:4].sum()
            or _in_four(light, known, frames, sure)
        )
    return out


@njit(cache=True, nogil=True)
def _light_around(
    best: Any, neighbours: Any, values: Any, single: Any, least: Any
) -> Any:
    """Return the light of the 5 x 5 pixels around one, over the frames of a summit.

    ``best`` is the position of the pixel; ``neighbours`` int32 (voxel, 6), ``values``
    and ``single`` float32 (voxel,). Returns sums and number of voxels, float64 (5, 5),
    the number of frames, and the mean of the smoothed signal in the middle.
    """
    light, known = np.zeros((5, 5)), np.zeros((5, 5))
    place = np.empty((5, 5), np.int64)
    frames, total = 0, 0.0
    for way in (4, 5):
        j = best if way == 4 else neighbours[best, 5]
        while j >= 0 and values[j] >= least:
            _square(neighbours, j, place)
            for y in range(5):
                for x in range(5):
                    if place[y, x] >= 0:
                        light[y, x] += single[place[y, x]]
                        known[y, x] += 1
            frames += 1
            total += values[j]
            j = neighbours[j, way]
    return light, known, frames, total / max(frames, 1)


@njit(cache=True, nogil=True)
def _in_four(light: Any, known: Any, frames: Any, sure: Any) -> Any:
    """Return whether the light around a pixel lies in a square of four.

    ``light`` and ``known`` float64 (5, 5) from `_light_around`; ``sure`` is the least
    light of one pixel.
    """
    for top in (1, 2):
        for left in (1, 2):
            inside = light[top : top + 2, left : left + 2].sum()
            inner = known[top : top + 2, left : left + 2].sum()
            outside = light[top - 1 : top + 3, left - 1 : left + 3].sum() - inside
            outer = known[top - 1 : top + 3, left - 1 : left + 3].sum() - inner
            enough = inside > 2 * sure and outer >= _FEWEST * frames
            if enough and outside / outer < _AROUND_FOUR * inside / inner:
                return True
    return False


@njit(cache=True, nogil=True)
def _square(neighbours: Any, i: Any, out: Any) -> None:
    """Write the positions of the 5 x 5 pixels around voxel ``i`` into ``out``.

    -1 where a pixel is not in the list. ``neighbours`` int32 (voxel, 6), ``out`` int64
    (5, 5).
    """
    out[:] = -1
    for dy in range(-2, 3):
        row = i
        for _ in range(abs(dy)):
            if row >= 0:
                row = neighbours[row, 2 if dy > 0 else 3]
        for side in (0, 1):
            at = row
            for step in range(3):
                if at < 0:
                    break
                out[dy + 2, 2 + (step if side == 0 else -step)] = at
                at = neighbours[at, side]


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
