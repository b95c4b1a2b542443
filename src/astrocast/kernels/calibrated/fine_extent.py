"""The extent of small events, below the scale of the smoothing.

A Gaussian of 1.5 pixels makes an event of ten pixels twice as large. A small event
stays in place, so its footprint can be estimated without smoothing in space: each pixel
is averaged over the frames of the event, weighted by the time course, and the time
course over the pixels, weighted by the footprint (alternating least squares of the
unsmoothed signal, as in constrained matrix factorisation).
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.extent import Extents
from astrocast.kernels.calibrated.pieces import call_in_pieces
from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.scattered import largest_region

#: most pixels of an event that is refined, and least share of footprint x duration that
#: a faint and a clear event fill: a larger or moving event is not separable into
#: footprint x time course. A faint one is ragged: it may have more pixels, as many as
#: fill the second share with the same number of voxels
_LARGEST, _FILL = 70, (0.2, 0.4)
#: peak of the footprint over its noise: below the first an event is not refined, above
#: the second its footprint is not smoothed
_LEAST_HEIGHT, _CLEAR = 5.0, 16.0
#: peak of the smoothed footprint over its noise, below which it is not refined; noise
#: after / before this smoothing
_LEAST_SURE, _GAIN = 6.0, 0.28
#: share of its peak above which a pixel belongs to the footprint: of a footprint up to
#: the first height over its noise, which is smoothed, and from the second height on
_EDGE, _CLEAR_EDGE = (0.42, 0.28), (10.0, 16.0)
#: standard deviations, in pixels and frames, of the smoothing of footprint and course:
#: at the least height, and while they are fitted
_SMOOTH, _WHILE_FITTED = (0.8, 1.0), (1.0, 1.0)
#: times that footprint and course are fitted
_ROUNDS = 3
#: least share of the refined extent that lies in the first extent
_WITHIN = 0.7
#: and least share of the first extent that it has
_LEAST_LEFT = 0.12


def fine_extents(
    voxels: NDArray[np.int64],
    signal: tuple[NDArray[np.float32], NDArray[np.float32]],
    members: tuple[NDArray[np.int64], NDArray[np.int64]],
    extents: Extents,
    refined: NDArray[np.bool_],
    share: float,
    shape: tuple[int, int, int],
    pool: Executor | None = None,
) -> Extents:
    """Return extents in which those of small events are refined.

    Parameters
    ----------
    voxels
        Flat indices into a volume, ascending, int64.
    signal
        Signal of these voxels before smoothing and the standard deviation of its noise,
        float32.
    members
        As for `event_extents`.
    extents
        Extents of the events in the smoothed signal.
    refined
        Which events may be refined, bool, (event,).
    share
        Of the peak of the unsmoothed signal that a voxel of an event reaches.
    shape
        Of the volume, (frame, row, column).
    pool
        Threads to share the work with.
    """
    parts = call_in_pieces(
        pool,
        len(extents),
        _refine,
        voxels,
        *signal,
        *members,
        (extents.voxels, extents.first),
        refined,
        np.float32(share),
        np.array(shape),
    )
    count = np.concatenate([np.zeros(1, np.int64), *(p[1] for p in parts)])
    flat = np.concatenate([np.empty(0, np.int64), *(p[0] for p in parts)])
    return Extents(flat, np.cumsum(count), extents.peak)


@njit(cache=True, nogil=True)
def _refine(
    lo: int,
    hi: int,
    voxels: Any,
    single: Any,
    noise: Any,
    order: Any,
    first: Any,
    extents: Any,
    refined: Any,
    share: Any,
    shape: Any,
) -> Any:
    """Return voxels (int64) and number of voxels of the events ``lo`` to ``hi``."""
    found, count = [np.empty(0, np.int64)], np.zeros(hi - lo, np.int64)
    for e in range(lo, hi):
        own = extents[0][extents[1][e] : extents[1][e + 1]]
        if refined[e]:
            members = order[first[e] : first[e + 1]]
            own = _refine_extent(
                voxels[members], single[members], noise[members], own, share, shape
            )
        found.append(own)
        count[e - lo] = len(own)
    out = np.empty(count.sum(), np.int64)
    at = 0
    for piece in found:
        out[at : at + len(piece)] = piece
        at += len(piece)
    return out, count


@njit(cache=True, nogil=True)
def _refine_extent(
    voxels: Any, single: Any, noise: Any, extent: Any, share: Any, shape: Any
) -> Any:
    """Return the refined extent of one event, or its extent where that is not better.

    ``voxels`` (int64), ``single`` and ``noise`` (float32) are those of its hill.
    """
    rows, columns = shape[1], shape[2]
    size = rows * columns
    pixels = np.unique(extent % size)
    f0, f1 = extent[0] // size, extent[-1] // size + 1
    fill = len(extent) / ((f1 - f0) * len(pixels))
    if len(pixels) * min(1.0, fill / _FILL[1]) > _LARGEST or fill < _FILL[0]:
        return extent
    corner = np.array([pixels.min() // columns, (pixels % columns).min()])
    high = pixels.max() // columns + 1 - corner[0]
    wide = (pixels % columns).max() + 1 - corner[1]
    grid = np.zeros((f1 - f0, high, wide), np.float32)
    known = np.zeros((f1 - f0, high, wide), np.bool_)
    spread = 0.0
    for i in range(len(voxels)):
        t = voxels[i] // size - f0
        y, x = voxels[i] // columns % rows - corner[0], voxels[i] % columns - corner[1]
        if 0 <= t < f1 - f0 and 0 <= y < high and 0 <= x < wide:
            grid[t, y, x] = single[i]
            known[t, y, x] = True
            spread += noise[i]
    spread /= max(known.sum(), 1)
    footprint, course = _fit(grid, known, extent, corner, f0, rows, columns)
    power = (course * course).sum()
    height = footprint.max() * np.sqrt(power) / max(spread, 1e-30)
    low, high = _CLEAR_EDGE
    clear = min(max((height - low) / (high - low), 0.0), 1.0)
    smooth = _smooth_image(footprint, _WHILE_FITTED[0])
    sure = smooth.max() * np.sqrt(power) / max(_GAIN * spread, 1e-30)
    if sure < _LEAST_SURE or fill < _FILL[0] + clear * (_FILL[1] - _FILL[0]):
        return extent
    much = min(max((_CLEAR - height) / (_CLEAR - _LEAST_HEIGHT), 0.0), 1.0)
    footprint = _smooth_image(footprint, _SMOOTH[0] * np.sqrt(much))
    course = _smooth_image(course.reshape(1, -1), _SMOOTH[1] * np.sqrt(much)).ravel()
    # a blurred edge lies at half of its height
    highest = _top(footprint.ravel())
    edge = _EDGE[0] + clear * (_EDGE[1] - _EDGE[0])
    footprint = np.where(footprint < edge * highest, 0.0, footprint)
    level = share * highest * _top(course)
    return _chosen(footprint, course, level, known, extent, (f0, corner), shape)


@njit(cache=True, nogil=True)
def _top(values: Any) -> Any:
    """Return the mean of the three highest values.

    ``values`` float64 (n,).
    """
    k = min(3, len(values))
    return np.sort(values)[len(values) - k :].mean()


@njit(cache=True, nogil=True)
def _fit(
    grid: Any, known: Any, extent: Any, corner: Any, f0: Any, rows: Any, columns: Any
) -> Any:
    """Return footprint (row, column) and course (frame,), float64, none negative.

    ``grid`` float32 and ``known`` bool are (frame, row, column). The mean of the course
    over its three highest frames is 1.
    """
    n, high, wide = grid.shape
    size = high * wide
    footprint, course = np.zeros(size), np.zeros(n)
    for v in extent:
        y, x = v // columns % rows - corner[0], v % columns - corner[1]
        footprint[y * wide + x] += 1.0
    signal, there = grid.reshape(n, size), known.reshape(n, size)
    for _ in range(_ROUNDS):
        # noise would otherwise decide where the event is
        smooth = _smooth_image(footprint.reshape(high, wide), _WHILE_FITTED[0])
        weights = smooth.copy().ravel()
        for t in range(n):
            course[t] = _ratio(weights, signal[t], there[t])
        weights = _smooth_image(course.reshape(1, -1), _WHILE_FITTED[1]).copy().ravel()
        for p in range(size):
            footprint[p] = _ratio(weights, signal[:, p], there[:, p])
    for t in range(n):
        course[t] = _ratio(footprint, signal[t], there[t])
    course /= max(_top(course), 1e-30)
    for p in range(size):
        footprint[p] = _ratio(course, signal[:, p], there[:, p])
    return footprint.reshape(high, wide), course


@njit(cache=True, nogil=True)
def _ratio(weights: Any, signal: Any, known: Any) -> Any:
    """Return the factor of ``weights`` that fits a known signal, at least 0.

    ``weights`` float64, ``signal`` float32, ``known`` bool, all (n,).
    """
    u, w = 0.0, 1e-30
    for i in range(len(weights)):
        if known[i]:
            u += weights[i] * signal[i]
            w += weights[i] ** 2
    return max(u / w, 0.0)


@njit(cache=True, nogil=True)
def _smooth_image(image: Any, sigma: Any) -> Any:
    """Return an image (row, column), float64, after a Gaussian; 0 lies beyond it."""
    if sigma < 0.2:
        return image
    out = _smoothed_rows(image, sigma)
    if len(image) == 1:
        return out
    return _smoothed_rows(out.T.copy(), sigma).T.copy()


@njit(cache=True, nogil=True)
def _smoothed_rows(image: Any, sigma: Any) -> Any:
    """Return an image (row, column), float64, smoothed along its rows."""
    radius = 3
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    rows, columns = image.shape
    out = np.zeros((rows, columns))
    for y in range(rows):
        for x in range(columns):
            for j in range(max(-radius, -x), min(radius, columns - 1 - x) + 1):
                out[y, x] += weights[j + radius] * image[y, x + j]
    return out


@njit(cache=True, nogil=True)
def _chosen(
    footprint: Any,
    course: Any,
    level: Any,
    known: Any,
    extent: Any,
    origin: Any,
    shape: Any,
) -> Any:
    """Return the voxels that the product of footprint and course raises to a level.

    ``footprint`` (row, column) and ``course`` (frame,) float64, ``known`` bool (frame,
    row, column), ``extent`` int64 (voxel,). Returns int64 (voxel,).
    """
    f0, corner = origin
    rows, columns = shape[1], shape[2]
    chosen = np.empty(known.size, np.int64)
    n = 0
    for t in range(len(course)):
        for y in range(footprint.shape[0]):
            for x in range(footprint.shape[1]):
                if known[t, y, x] and footprint[y, x] * course[t] >= level:
                    place = (f0 + t) * rows + corner[0] + y
                    chosen[n] = place * columns + corner[1] + x
                    n += 1
    if n == 0:
        return extent
    box, low = largest_region(chosen[:n], rows, columns)
    out = np.empty(n, np.int64)
    k, inside = 0, 0
    for z in range(1, box.shape[0] - 1):
        for y in range(1, box.shape[1] - 1):
            for x in range(1, box.shape[2] - 1):
                if box[z, y, x] == 1:
                    place = (low[0] + z - 1) * rows + low[1] + y - 1
                    out[k] = place * columns + low[2] + x - 1
                    at = np.searchsorted(extent, out[k])
                    inside += at < len(extent) and extent[at] == out[k]
                    k += 1
    least = max(_WITHIN * k, _LEAST_LEFT * len(extent))
    return out[:k].copy() if inside >= least else extent
