"""Dividing an event that is several: where more than one local maximum can be followed through it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: of the Gaussian that each frame is smoothed with, in pixels
SIGMA = 2.0
#: least distance of two maxima, and the farthest one moves from frame to frame, in pixels
DISTANCE = 5
#: least height of a maximum, as a share of the highest of its frame
RELATIVE_HEIGHT = 0.5
#: frames through which a maximum is followed at least; noise has maxima too, but not in the same place
PERSISTENCE = 3


def divide(frames: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Divide an event into the parts that its local maxima belong to.

    Each frame is smoothed, and the local maxima within the event are followed from frame to frame to the nearest one.
    Where maxima that can be followed exist at the same time, each is the seed of a part, and a watershed of the
    smoothed frames draws the borders.

    Parameters
    ----------
    frames
        Recording within the event's bounding box, (frame, row, column).
    mask
        Voxels of the event, of the same shape.

    Returns
    -------
    numpy.ndarray
        int32: 0 outside the event, its parts from 1 in raster order within. One part where there is nothing to divide.

    Examples
    --------
    >>> y, x = np.mgrid[:15, :30]
    >>> two = sum(np.exp(-((y - 7) ** 2 + (x - column) ** 2) / 12) for column in (7, 22))
    >>> int(divide(np.tile(two, (5, 1, 1)), np.ones((5, 15, 30), bool)).max())
    2
    """
    from scipy.ndimage import gaussian_filter
    from skimage.segmentation import watershed

    values = np.where(np.isfinite(frames), frames, 0).astype(np.float64)
    smooth = gaussian_filter(values, (0, SIGMA, SIGMA))
    tracks = [t for t in _follow(_maxima(smooth, mask)) if len(t) >= min(PERSISTENCE, len(mask))]
    at_once = np.zeros(len(mask), np.int64)
    for track in tracks:
        at_once[[t for t, _ in track]] += 1
    if len(tracks) < 2 or at_once.max() < 2:
        return mask.astype(np.int32)
    seeds = np.zeros(mask.shape, np.int32)
    for number, track in enumerate(tracks, 1):
        for t, (y, x) in track:
            seeds[t, y, x] = number
    parts = watershed(-smooth, seeds, mask=mask)
    # what no seed reaches is a piece that touches the event nowhere else: it stays with the first part
    parts[mask & (parts == 0)] = 1
    _, first, inverse = np.unique(parts[mask], return_index=True, return_inverse=True)
    out = np.zeros(mask.shape, np.int32)
    out[mask] = (np.argsort(np.argsort(first)) + 1)[inverse]
    return out


def _maxima(smooth: NDArray[np.float64], mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    from skimage.feature import peak_local_max

    return [
        peak_local_max(
            frame,
            min_distance=DISTANCE,
            threshold_rel=RELATIVE_HEIGHT,
            labels=own.astype(np.int32),
            exclude_border=False,
        )
        for frame, own in zip(smooth, mask, strict=True)
    ]


def _follow(maxima: list[NDArray[np.int64]]) -> list[list[tuple[int, tuple[int, int]]]]:
    """Link each maximum to the nearest one of the next frame, each at most once and the closest first."""
    done: list[list[tuple[int, tuple[int, int]]]] = []
    open_: list[list[tuple[int, tuple[int, int]]]] = []
    for t, points in enumerate(maxima):
        ends = np.array([track[-1][1] for track in open_]).reshape(-1, 2)
        distance = np.sqrt(((ends[:, None] - points[None]) ** 2).sum(axis=2))
        goes_on: list[list[tuple[int, tuple[int, int]]]] = []
        free, ending = set(range(len(points))), set(range(len(open_)))
        for flat in np.argsort(distance, axis=None, kind="stable"):
            i, j = divmod(int(flat), len(points))
            if i in ending and j in free and distance[i, j] <= DISTANCE:
                goes_on.append([*open_[i], (t, (int(points[j, 0]), int(points[j, 1])))])
                ending.discard(i)
                free.discard(j)
        done += [open_[i] for i in sorted(ending)]
        open_ = goes_on + [[(t, (int(points[j, 0]), int(points[j, 1])))] for j in sorted(free)]
    return done + open_
