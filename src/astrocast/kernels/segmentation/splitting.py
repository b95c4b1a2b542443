"""Divide an event where the signal sinks between two maxima beyond the noise.

The smoothed frames are divided as the calibrated detection divides connected voxels:
into hills (`astrocast.kernels.segmentation.watershed`), of which those are one event
between which the signal does not sink (`astrocast.kernels.segmentation.merge_hills`). A
maximum that moves drags no dip behind it, so an event that travels stays one; between
two that meet, and between two one after the other in the same place, there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.frames.smoothing import temporal_gain
from astrocast.kernels.segmentation.merge_hills import join_hills
from astrocast.kernels.segmentation.watershed import Hills, find_hills

#: of the Gaussian that frames are smoothed with, in pixels, and in frames
SIGMA, SIGMA_IN_TIME = 2.0, 1.5
#: where the latter is cut, in frames
_REACH = 6
#: least distance of two maxima, in pixels and frames
DISTANCE = 5
#: least height of a maximum, as a share of the highest of its frame
RELATIVE_HEIGHT = 0.5
#: frames through which a part goes on at least; noise has maxima too, but not in the
#: same place
PERSISTENCE = 3
#: dips in space and in time, and doubts, of `join_hills`; least prominence of a hill in
#: deviations of the noise
_DIPS, _DOUBTS, _PROMINENCE = (0.04, 0.2), (0.5, 4.5), 2.0
#: the noise is estimated from a whole box, and is larger where the event is bright
_BRIGHT = 1.5
#: share of the event's voxels below the height that heights are counted from: it may
#: lie on a pedestal
_GROUND = 0.05
#: deviations of the noise by which a value of one frame stands out of both neighbours
#: that is no signal
_SPIKE = 8.0


def divide(
    frames: NDArray[Any], mask: NDArray[np.bool_], still: bool = False
) -> NDArray[np.int32]:
    """Divide an event into the parts that its maxima belong to.

    Parameters
    ----------
    frames
        Recording in which the event is, (frame, row, column); what is beyond its
        bounding box is left out.
    mask
        Voxels of the event, of the same shape.
    still
        The frames hold light that stands still, as a raw recording does: heights are
        counted from the lowest that each pixel is within the box. Bright structures
        would be maxima.

    Returns
    -------
    numpy.ndarray
        int32: 0 outside the event, its parts from 1 in raster order within. One part
        where there is nothing to divide.

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
    """Return the smoothed signal of an event's voxels, and its noise.

    The signal is that above the event's lowest values; the noise a standard deviation.
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
    # beyond its box an event is at its ground: an edge that repeats would make the ends
    # of one that travels its summits
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
    """Return the standard deviation of noise that differs from frame to frame.

    Second differences have six times its variance and hardly any of a signal that rises
    over some frames.
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
    """Return frames without single values far from those before and after."""
    if len(frames) < 3:
        return frames
    around = np.maximum(frames[:-2], frames[2:])
    high = frames[1:-1] > around + _SPIKE * _deviation(frames)
    out = frames.copy()
    out[1:-1][high] = around[high]
    return out


@dataclass
class _Parts:
    """Properties that separate parts; index: number of the part from 0.

    Parameters
    ----------
    top
        Position of the highest voxel of each.
    frames
        In which frames each is, (part, frame).
    borders
        For each, the parts it touches with the highest value of the border.
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
        count = int(part.max()) + 1
        rising = np.lexsort((values, part))
        frames = np.zeros((count, int(frame.max()) + 1), bool)
        frames[part, frame] = True
        borders: list[dict[int, float]] = [{} for _ in range(count)]
        between = links[part[links[:, 0]] != part[links[:, 1]]]
        sides, height = np.sort(part[between], axis=1), values[between].min(axis=1)
        order = np.lexsort((height, sides[:, 1], sides[:, 0]))
        sides, height = sides[order], height[order]
        # the last of each pair of parts
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
        """Make one part of two."""
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
    """Merge parts that are too short, too low or too close with the nearest one.

    The nearest is the part with the lowest dip between.
    """
    _, number = np.unique(part, return_inverse=True)
    frame = places[:, 0]
    parts = _Parts.of(number, hills.links, values, frame)
    highest = np.zeros(int(frame.max()) + 1)
    np.maximum.at(highest, frame, values)
    lasting = min(PERSISTENCE, int(parts.frames.any(axis=0).sum()))

    def joins(n: int) -> int | None:
        """Return the part that a weak one is joined to."""
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
    """Merge parts that touch no other by a face with the largest part.

    No dip between them and others can be measured.
    """
    sides = part[links]
    linked = np.unique(sides[sides[:, 0] != sides[:, 1]])
    sizes = np.bincount(part)
    loose = np.setdiff1d(np.flatnonzero(sizes), linked)
    return np.where(np.isin(part, loose), sizes.argmax(), part)
