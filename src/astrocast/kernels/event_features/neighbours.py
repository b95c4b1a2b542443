"""Neighbours of events in place, size and time, and distances to regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.ragged.ragged import Offsets, offsets_of
from astrocast.kernels.traces.traces import Pixels


@njit(cache=True, nogil=True)
def _invert(
    index: NDArray[np.int64],
    offsets: Offsets,
    filled: NDArray[np.int64],
    events: NDArray[np.int64],
) -> None:
    """List the events of each pixel in ``events``.

    All int64: ``index`` the pixels of all events, ``offsets`` (events + 1,), ``filled``
    (pixels,): where the list of each pixel begins, moved to its end.
    """
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            events[filled[index[k]]] = i
            filled[index[k]] += 1


@njit(cache=True, nogil=True)
def _same_place(
    index: NDArray[np.int64],
    offsets: Offsets,
    at_pixel: tuple[Offsets, NDArray[np.int64]],
    share: float,
    size_ratio: float,
    out: NDArray[np.int64],
) -> None:
    """Count other events at the place of each event into ``out``, int64 (events, 2).

    ``index`` pixels of all events with ``offsets`` (events + 1,), ``at_pixel`` from
    `_invert`, int64.
    """
    pixel_offsets, events = at_pixel
    n = offsets.size - 1
    common = np.zeros(n, np.int64)
    touched = np.empty(n, np.int64)
    for i in range(n):
        size = offsets[i + 1] - offsets[i]
        met = 0
        for k in range(offsets[i], offsets[i + 1]):
            for e in range(pixel_offsets[index[k]], pixel_offsets[index[k] + 1]):
                j = events[e]
                if common[j] == 0:
                    touched[met] = j
                    met += 1
                common[j] += 1
        for m in range(met):
            j = touched[m]
            other = offsets[j + 1] - offsets[j]
            if j != i and common[j] >= share * min(size, other):
                out[0, i] += 1
                if min(size, other) >= size_ratio * max(size, other):
                    out[1, i] += 1
            common[j] = 0


def same_place(
    pixels: Pixels, n_pixels: int, share: float = 0.0, size_ratio: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many other events occur at the place of each event.

    And how many of these are of similar size.

    Parameters
    ----------
    pixels
        Footprints of the events, each pixel once.
    n_pixels
        Pixels of a frame.
    share
        Two events are at the same place when they have at least one pixel, and this
        share of the smaller footprint, in common.
    size_ratio
        Two are of similar size when the smaller footprint has at least this share of
        the pixels of the larger.

    Notes
    -----
    The counts that AQuA reports as events at the same location (Wang et al. 2019,
    https://doi.org/10.1038/s41593-019-0492-2), with the event itself left out.
    """
    counts = np.bincount(pixels.flat, minlength=n_pixels)
    pixel_offsets = offsets_of(counts)
    events = np.empty(pixels.flat.size, np.int64)
    _invert(pixels.flat, pixels.offsets, pixel_offsets[:-1].copy(), events)
    out = np.zeros((2, pixels.offsets.size - 1), np.int64)
    _same_place(
        pixels.flat, pixels.offsets, (pixel_offsets, events), share, size_ratio, out
    )
    return out[0], out[1]


def simultaneous(z0: NDArray[np.int64], z1: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return with how many other events each shares at least one frame.

    >>> simultaneous(np.array([0, 3, 5]), np.array([4, 6, 8]))
    array([1, 2, 1])
    """
    ended_before = np.searchsorted(np.sort(z1), z0, side="right")
    begin_after = len(z0) - np.searchsorted(np.sort(z0), z1, side="left")
    return np.asarray(len(z0) - 1 - ended_before - begin_after, np.int64)


def nearest_of_region(
    region: NDArray[np.bool_],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    pixel_size: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the vector from points to the nearest pixel of a region.

    Rows and columns, in units of ``pixel_size``.

    Parameters
    ----------
    region
        Bool (row, column), at least one pixel set.
    rows, columns
        The points, in pixels. A point on a pixel of the region is at no distance; NaN
        gives NaN.
    pixel_size
        Height and width of a pixel.
    """
    from scipy.spatial import KDTree

    size = np.asarray(pixel_size, np.float64)
    inside = np.argwhere(region)
    known = ~(np.isnan(rows) | np.isnan(columns))
    points = np.stack([rows, columns], axis=1)[known]
    _, nearest = KDTree(inside * size).query(points * size)
    away = inside[nearest] - points
    # half a pixel is within the pixel
    away[(np.abs(away) <= 0.5).all(axis=1)] = 0
    out = np.full((2, len(rows)), np.nan)
    out[:, known] = (away * size).T
    return out[0], out[1]
