"""The extent of events: connected voxels above a share of the event's peak.

Smoothing lowers a peak and widens its foot. The share allows for that on average; where
an event is far above the noise, part of the smoothing is undone instead. A Gaussian of
variance ``v`` multiplies a frequency ``k`` by ``exp(-v k**2 / 2)``; to first order its
inverse is ``1 + v k**2 / 2``, which is ``signal - v / 2 * laplacian``.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.pieces import call_in_pieces
from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.scattered import flood_outside, largest_region
from astrocast.kernels.segmentation.watershed import face_neighbours

#: the peak is the mean of this share of an event's voxels, at least so many: the
#: maximum of single voxels would be one of noise
_TOP, _LEAST = 0.02, 8
#: heights in standard deviations of the smoothed noise: up to the first the smoothing
#: is not undone, as that amplifies noise; from the second on it is undone fully (a
#: variance of 2). Best for simulated events (seed 7300) at SNR 2 and 8
_FROM, _FULL = 20.0, 80.0
#: reduction of the share where an event is fully sharpened: its peak is lowered less
_LESS = 0.13


@dataclass(frozen=True)
class Extents:
    """Voxels of several events, one event after the other.

    Parameters
    ----------
    voxels
        Flat indices, ascending within each event, int64.
    first
        Where the voxels of each event begin, and the end, int64, (event + 1,).
    peak
        Height of each event in the smoothed signal, float32, (event,).
    """

    voxels: NDArray[np.int64]
    first: NDArray[np.int64]
    peak: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.peak)

    def of(self, event: int) -> NDArray[np.int64]:
        """Return the voxels of an event (from 0)."""
        return self.voxels[self.first[event] : self.first[event + 1]]

    @property
    def event(self) -> NDArray[np.int64]:
        """Event (from 0) of each voxel."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))


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
    return np.asarray(
        laplacian_of(
            face_neighbours(voxels, shape[1], shape[2]),
            np.ascontiguousarray(values, np.float32),
        )
    )


@njit(cache=True, nogil=True)
def laplacian_of(neighbours: Any, values: Any) -> Any:
    """Return the Laplacian of values, float32, (voxel,).

    ``neighbours`` (voxel, 6), int32, from `face_neighbours`.
    """
    out = np.zeros(len(values), np.float32)
    for i in range(len(values)):
        for axis in range(3):
            a, b = neighbours[i, 2 * axis], neighbours[i, 2 * axis + 1]
            if a >= 0 and b >= 0:
                out[i] += values[a] + values[b] - 2 * values[i]
    return out


def event_extents(
    voxels: NDArray[np.int64],
    signal: tuple[NDArray[np.float32], NDArray[np.float32]],
    members: tuple[NDArray[np.int64], NDArray[np.int64]],
    sharpness: NDArray[np.float32],
    share: float,
    shape: tuple[int, int, int],
    pool: Executor | None = None,
) -> Extents:
    """Return the extents of events.

    Parameters
    ----------
    voxels
        Flat indices into a volume, ascending, int64.
    signal
        Smoothed signal of these voxels and its Laplacian, float32.
    members
        Positions in the list of the voxels that can belong to each event, ascending,
        one event after the other, and where each event begins (event + 1,); int64.
    sharpness
        How much of the smoothing is taken back, 0 to 1, float32, (event,); see
        `sharpness_of`.
    share
        Of its peak that a voxel of an event reaches where nothing is taken back.
    shape
        Of the volume, (frame, row, column).
    pool
        Threads to share the work with.

    Returns
    -------
    Extents
        The largest connected part (corners connect) of the voxels that reach the share,
        holes filled.

    Examples
    --------
    >>> line = np.array([1, 9, 10, 9, 1, 0], np.float32)
    >>> found = event_extents(
    ...     np.arange(6),
    ...     (line, np.zeros(6, np.float32)),
    ...     (np.arange(6), np.array([0, 6])),
    ...     np.zeros(1, np.float32),
    ...     0.5,
    ...     (1, 1, 6),
    ... )
    >>> found.voxels.tolist()
    [1, 2, 3]
    """
    order, first = members
    parts = call_in_pieces(
        pool,
        len(first) - 1,
        _extents,
        voxels,
        *signal,
        order,
        first,
        sharpness,
        np.float32(share),
        np.array(shape),
    )
    count = np.concatenate([np.zeros(1, np.int64), *(p[1] for p in parts)])
    return Extents(
        np.concatenate([np.empty(0, np.int64), *(p[0] for p in parts)]),
        np.cumsum(count),
        np.concatenate([np.empty(0, np.float32), *(p[2] for p in parts)]),
    )


def sharpness_of(height: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return which fraction of the smoothing is undone for events of a height.

    Parameters
    ----------
    height
        Of the peaks, in standard deviations of the smoothed noise.
    """
    return np.clip((height - _FROM) / (_FULL - _FROM), 0, 1).astype(np.float32)


@njit(cache=True, nogil=True)
def peak_height(values: Any) -> Any:
    """Return the mean of the highest values (float32, (voxel,)): 2 %, at least 8."""
    k = min(len(values), max(_LEAST, int(_TOP * len(values))))
    if k == len(values):
        return np.float32(values.sum() / k)
    return np.float32(
        np.partition(values, len(values) - k)[len(values) - k :].sum() / k
    )


@njit(cache=True, nogil=True)
def _extents(
    lo: int,
    hi: int,
    voxels: Any,
    values: Any,
    bent: Any,
    order: Any,
    first: Any,
    sharpness: Any,
    share: Any,
    shape: Any,
) -> Any:
    """Return voxels (int64), their number and the peak of events ``lo`` to ``hi``."""
    count, peak = np.zeros(hi - lo, np.int64), np.zeros(hi - lo, np.float32)
    found = [np.empty(0, np.int64)]
    rows, columns = shape[1], shape[2]
    total = 0
    for e in range(lo, hi):
        own = order[first[e] : first[e + 1]]
        heights = values[own]
        highest = peak[e - lo] = peak_height(heights)
        much = sharpness[e]
        if much > 0:
            heights = heights - much * bent[own]
            highest = peak_height(heights)
        level = share * (1 - np.float32(_LESS) * much) * highest
        chosen = voxels[own[heights >= level]]
        box, low = largest_region(chosen, rows, columns)
        flood_outside(box)
        inside = np.empty(box.size, np.int64)
        n = 0
        for z in range(1, box.shape[0] - 1):
            for y in range(1, box.shape[1] - 1):
                for x in range(1, box.shape[2] - 1):
                    # not reached from outside: the region and its holes
                    if box[z, y, x] != 2:
                        place = (low[0] + z - 1) * rows + low[1] + y - 1
                        inside[n] = place * columns + low[2] + x - 1
                        n += 1
        found.append(inside[:n].copy())
        count[e - lo] = n
        total += n
    out = np.empty(total, np.int64)
    at = 0
    for piece in found:
        out[at : at + len(piece)] = piece
        at += len(piece)
    return out, count, peak
