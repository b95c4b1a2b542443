"""Divide an event where the signal dips between two maxima by more than the noise.

The smoothed frames are divided like connected voxels in the calibrated detection: into
hills (`astrocast.kernels.segmentation.watershed`), of which those without a dip between
them are merged (`astrocast.kernels.segmentation.merge_hills`). A maximum that moves
leaves no dip behind, so a travelling event is not divided. Two events that meet, or
that follow each other in the same place, have a dip between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.frames.smoothing import temporal_gain
from astrocast.kernels.segmentation.merge_hills import join_hills
from astrocast.kernels.segmentation.watershed import Hills, find_hills

#: standard deviations of the Gaussian filter, in pixels and in frames
SIGMA, SIGMA_IN_TIME = 2.0, 1.5
#: radius of the filter in time, in frames
_REACH = 6
#: least distance of two maxima, in pixels and frames
DISTANCE = 5
#: least height of a maximum, as a fraction of the highest value of its frame
RELATIVE_HEIGHT = 0.5
#: least duration of a part, frames: maxima of noise do not stay in one place
PERSISTENCE = 3
#: `dips` and `certain` of `join_hills`; least prominence of a hill in standard
#: deviations of the noise
_DIPS, _DOUBTS, _PROMINENCE = (0.04, 0.2), (0.5, 4.5), 2.0
#: factor of the noise, which is estimated in the whole box but is larger in the event
_BRIGHT = 1.5
#: heights are measured from this quantile of the event's values
_GROUND = 0.05
#: a value that exceeds the frames before and after by this many standard deviations of
#: the noise is not signal
_SPIKE = 8.0


def divide(
    frames: NDArray[Any], mask: NDArray[np.bool_], still: bool = False
) -> NDArray[np.int32]:
    """Divide an event into parts, one for each separate maximum.

    Parameters
    ----------
    frames
        The recording, (frame, row, column); only the bounding box of the event is used.
    mask
        Voxels of the event, of the same shape; at least one.
    still
        True if the frames contain static fluorescence (a raw recording): heights are
        then measured from the minimum of each pixel over the frames of the box, because
        bright structures would otherwise be maxima.

    Returns
    -------
    numpy.ndarray
        int32: 0 outside the event, parts from 1 in raster order. A single part if there
        is nothing to divide.

    Examples
    --------
    >>> y, x = np.mgrid[:15, :30]
    >>> two = sum(
    ...     np.exp(-((y - 7) ** 2 + (x - column) ** 2) / 12) for column in (7, 22)
    ... )
    >>> int(divide(np.tile(two, (5, 1, 1)), np.ones((5, 15, 30), bool)).max())
    2
    """
    places = np.argwhere(mask)
    box = tuple(
        slice(a, b)
        for a, b in zip(places.min(axis=0), places.max(axis=0) + 1, strict=True)
    )
    inside = mask[box]
    voxels = np.flatnonzero(inside)
    values, noise = _heights(frames[box], inside, still)
    hills = find_hills(voxels, values, noise, inside.shape, _PROMINENCE, 0.0)
    event = join_hills(hills, values, noise, _DIPS, _DOUBTS)[hills.hill]
    part = _join_loose(_join_weak(event, hills, values, places), hills.links)
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    out = np.zeros(mask.shape, np.int32)
    out[mask] = (np.argsort(np.argsort(first)) + 1)[inverse]
    return out


def _heights(
    frames: NDArray[Any], mask: NDArray[np.bool_], still: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the smoothed signal of the event's voxels, and its noise, (voxel,) each.

    The signal is measured from the event's lowest values; the noise is a standard
    deviation, the same for all voxels.
    """
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    finite = np.isfinite(frames)
    values = np.where(
        finite, frames, np.median(frames[finite]) if finite.any() else 0
    ).astype(np.float32)
    flat = gaussian_filter(_without_spikes(values), (0, SIGMA, SIGMA))
    if still:
        flat = flat - gaussian_filter1d(
            flat, SIGMA_IN_TIME, axis=0, radius=_REACH, mode="nearest"
        ).min(axis=0)
    ground = float(np.quantile(flat[mask], _GROUND))
    # zero before and after the box: repeated edge frames would make maxima of the ends
    # of a travelling event
    height = gaussian_filter1d(
        flat - ground, SIGMA_IN_TIME, axis=0, radius=_REACH, mode="constant"
    )[mask]
    least = 1e-6 * max(float(height.max()), 1e-30)
    middle = float(temporal_gain(2 * _REACH + 1, SIGMA_IN_TIME, _REACH)[_REACH])
    noise = max(_BRIGHT * middle * _deviation(flat), least)
    return np.maximum(height, least).astype(np.float32), np.full(
        len(height), noise, np.float32
    )


def _deviation(frames: NDArray[np.float32]) -> float:
    """Return the standard deviation of the noise that is independent between frames.

    From second differences over time: six times the variance of the noise, and almost
    none of a signal that rises over several frames.
    """
    n = len(frames)
    if n == 1:
        return float(1.4826 * np.median(np.abs(frames - np.median(frames))))
    order = min(2, n - 1)
    return float(
        1.4826
        * np.median(np.abs(np.diff(frames, order, axis=0)))
        / np.sqrt((1, 2, 6)[order])
    )


def _without_spikes(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lower single values that are far above the frames before and after."""
    if len(frames) < 3:
        return frames
    around = np.maximum(frames[:-2], frames[2:])
    high = frames[1:-1] > around + _SPIKE * _deviation(frames)
    out = frames.copy()
    out[1:-1][high] = around[high]
    return out


@dataclass
class _Parts:
    """Properties of parts, by which weak parts are found; parts are numbered from 0.

    Parameters
    ----------
    top
        Index of the highest voxel of each part, (part,).
    frames
        Whether a part has voxels in a frame, (part, frame).
    borders
        For each part: the parts it touches, and the highest value of the border.
    """

    top: NDArray[np.int64]
    frames: NDArray[np.bool_]
    borders: list[dict[int, float]]

    @classmethod
    def of(
        cls,
        part: NDArray[np.int64],
        links: NDArray[np.int64],
        values: NDArray[np.float32],
        frame: Any,
    ) -> _Parts:
        """Return the parts of voxels: ``part``, ``values`` and ``frame`` (voxel,)."""
        count = int(part.max()) + 1
        rising = np.lexsort((values, part))
        frames = np.zeros((count, int(frame.max()) + 1), bool)
        frames[part, frame] = True
        borders: list[dict[int, float]] = [{} for _ in range(count)]
        between = links[part[links[:, 0]] != part[links[:, 1]]]
        sides, height = np.sort(part[between], axis=1), values[between].min(axis=1)
        order = np.lexsort((height, sides[:, 1], sides[:, 0]))
        sides, height = sides[order], height[order]
        # the last link of each pair of parts is its highest
        highest = np.ones(len(sides), bool)
        highest[:-1] = np.any(sides[1:] != sides[:-1], axis=1)
        for (a, b), h in zip(
            sides[highest].tolist(), height[highest].tolist(), strict=True
        ):
            borders[a][b] = borders[b][a] = h
        return cls(
            rising[np.searchsorted(part[rising], np.arange(count), side="right") - 1],
            frames,
            borders,
        )

    def join(self, gone: int, kept: int, values: NDArray[np.float32]) -> None:
        """Merge the part ``gone`` into the part ``kept``."""
        if values[self.top[gone]] > values[self.top[kept]]:
            self.top[kept] = self.top[gone]
        self.frames[kept] |= self.frames[gone]
        for other, height in self.borders[gone].items():
            del self.borders[other][gone]
            if other != kept:
                highest = max(height, self.borders[kept].get(other, -np.inf))
                self.borders[kept][other] = self.borders[other][kept] = highest
        self.borders[gone] = {}


def _join_weak(
    part: NDArray[np.int32],
    hills: Hills,
    values: NDArray[np.float32],
    places: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Merge parts that are too short, too low or too close to another one.

    A part is merged with the neighbour that has the highest border with it.
    """
    _, number = np.unique(part, return_inverse=True)
    frame = places[:, 0]
    parts = _Parts.of(number, hills.links, values, frame)
    highest = np.zeros(int(frame.max()) + 1)
    np.maximum.at(highest, frame, values)
    lasting = min(PERSISTENCE, int(parts.frames.any(axis=0).sum()))

    def joins(n: int) -> int | None:
        """Return the part with which a weak part is merged; None if it is not weak."""
        if not parts.borders[n]:
            return None
        other = max(parts.borders[n], key=lambda o: (parts.borders[n][o], -o))
        top = parts.top[n]
        near = np.linalg.norm(places[top] - places[parts.top[other]]) < DISTANCE
        low = values[top] < RELATIVE_HEIGHT * highest[frame[top]]
        return other if near or low or parts.frames[n].sum() < lasting else None

    name = np.arange(len(parts.top))
    weak = True
    while weak:
        weak = False
        for n in np.argsort(values[parts.top], kind="stable").tolist():
            other = joins(n)
            if other is not None:
                parts.join(n, other, values)
                name[name == n] = other
                weak = True
                break
    return name[number]


def _join_loose(part: NDArray[np.int64], links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Merge parts that touch no other part with the largest part.

    Without a common border no dip can be measured.
    """
    sides = part[links]
    linked = np.unique(sides[sides[:, 0] != sides[:, 1]])
    sizes = np.bincount(part)
    loose = np.setdiff1d(np.flatnonzero(sizes), linked)
    return np.where(np.isin(part, loose), sizes.argmax(), part)
