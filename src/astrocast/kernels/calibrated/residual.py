"""Subtract background, light that all pixels share, and motion, frame by frame."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.background import Background
from astrocast.kernels.calibrated.frame_course import (
    fit_frame,
    mean_tiles,
    tile_side,
    tiles_of,
)
from astrocast.kernels.calibrated.residual_motion import Texture, displacement, take_out
from astrocast.kernels.calibrated.shared_patterns import courses_of_frames
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: frames at each end of a stretch in which the patterns are fitted to single frames:
#: there, a course is not enclosed by the means of steps
_ENDS = 6
#: repetitions of that fit, and the limit of a pixel's value in standard deviations, so
#: that events do not bias it
_FITS, _CLIP = 3, 3.0


def residual(
    frames: NDArray[Any],
    start: int,
    background: Background,
    texture: Texture,
    pool: Executor | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return frames minus background, without common light and residual motion.

    Parameters
    ----------
    frames
        (frame, row, column), float32 (finite), uint8 or uint16.
    start
        Number of the first of them, counted from the first frame of the stretch whose
        background this is. Frames beyond the stretch get the background of its end.
    background, texture
        Background of the stretch, and the texture of its mean with the noise of one
        frame.
    pool
        Threads to share the work with.
    out
        Array for the result, as ``frames``; None: a new one.
    """
    edges = background.steps
    middle = (edges[:-1] + edges[1:] - 1) / 2
    at = _position(np.arange(start, start + len(frames)), edges, middle)
    before = np.clip(np.floor(at).astype(np.int64), 0, max(len(middle) - 2, 0))
    out = np.empty(frames.shape, np.float32) if out is None else out
    run_in_threads(
        pool,
        len(frames),
        _above,
        np.ascontiguousarray(frames),
        background.levels,
        before,
        (at - before).astype(np.float32),
        _shared_light(background),
        texture.arrays,
        background.patterns.maps,
        (
            _factors(background, start, len(frames)),
            *_end_fit(background, start, len(frames)),
        ),
        out,
    )
    return out


def _end_fit(
    background: Background, start: int, n: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float64]]:
    """Return which frames are near an end, weights, and matrix of `_fit_patterns`."""
    edges, maps = background.steps, background.patterns.maps
    frames = np.arange(start, start + n)
    near = (frames < edges[0] + _ENDS) | (frames >= edges[-1] - _ENDS)
    weights = (maps / background.variance).astype(np.float32)
    if not len(maps):
        return np.zeros(n, np.bool_), weights, np.zeros((0, 0))
    matrix = np.einsum("iyx,jyx->ij", weights, maps, dtype=np.float64)
    # between steps a course changes by less than it does over the stretch
    prior = np.maximum(background.patterns.courses.var(axis=1), 1e-30)
    return near, weights, np.linalg.inv(matrix + np.diag(1 / prior))


def _factors(background: Background, start: int, n: int) -> NDArray[np.float32]:
    """Return the course of each pattern in ``n`` frames, (pattern, frame), float32.

    Frames beyond the stretch take the course of its end.
    """
    courses = courses_of_frames(background.patterns.courses, background.steps)
    inside = np.clip(np.arange(start, start + n), 0, courses.shape[1] - 1)
    return np.ascontiguousarray(courses[:, inside])


def _shared_light(
    background: Background,
) -> tuple[int, NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the inputs of `fit_frame`: tile side, pixel and tile light, noise."""
    side = tile_side(background.mean.shape)
    mean = background.mean
    light = (mean - mean.mean()).astype(np.float32)
    noise = np.sqrt(tiles_of(background.variance, side)).astype(np.float32)
    noise /= np.float32(side)
    return side, light, tiles_of(light, side), noise


def _position(
    frames: NDArray[np.int64], edges: NDArray[np.int64], middle: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the position of frames among the centres of the steps.

    Extrapolated as a line up to the ends of the stretch.
    """
    if len(middle) < 2:
        return np.zeros(len(frames))
    inside = np.clip(frames, edges[0], edges[-1] - 1)
    at = np.interp(inside, middle, np.arange(len(middle)))
    first, last = middle[1] - middle[0], middle[-1] - middle[-2]
    at += (
        np.minimum(inside - middle[0], 0) / first
        + np.maximum(inside - middle[-1], 0) / last
    )
    return np.asarray(at)


@njit(cache=True, nogil=True)
def _above(
    lo: int,
    hi: int,
    frames: Any,
    levels: Any,
    before: Any,
    share: Any,
    shared: Any,
    texture: Any,
    maps: Any,
    courses: Any,
    out: Any,
) -> None:
    """Write frames ``lo`` to ``hi`` less their background into ``out``.

    ``frames`` (float32, uint8 or uint16) and ``out`` (float32) are (frame, row,
    column); ``levels`` the background
    at each step; ``before`` (int64) is the step before each frame, ``share`` (float32)
    its weight; ``maps`` (pattern, row, column) are the patterns, float32; ``courses``
    come from `_factors` and `_end_fit`, ``shared`` and ``texture`` from `_shared_light`
    and `Texture`.
    """
    factors, near_end, weights, inverse = courses
    _, rows, columns = frames.shape
    side, light, tile_light, tile_noise = shared
    means = np.empty(len(tile_light), np.float32)
    for t in range(lo, hi):
        a, b = levels[before[t]], levels[min(before[t] + 1, len(levels) - 1)]
        s = share[t]
        for y in range(rows):
            line, low, high, into = frames[t, y], a[y], b[y], out[t, y]
            for x in range(columns):
                into[x] = np.float32(line[x]) - (low[x] + s * (high[x] - low[x]))
        for k in range(len(maps)):
            factor, image = factors[k, t], maps[k]
            for y in range(rows):
                into, follows = out[t, y], image[y]
                for x in range(columns):
                    into[x] -= factor * follows[x]
        if near_end[t]:
            _fit_patterns(out[t], maps, weights, inverse, texture[4])
        # all steps for one frame, while it is in the cache
        mean_tiles(out[t], side, means)
        fit = fit_frame(means, tile_light, tile_noise)
        offset, gain = np.float32(fit[0]), np.float32(fit[1])
        for y in range(rows):
            into, bright = out[t, y], light[y]
            for x in range(columns):
                into[x] -= offset + gain * bright[x]
        take_out(out[t], displacement(out[t], texture), texture, out[t])


@njit(cache=True, nogil=True)
def _fit_patterns(frame: Any, maps: Any, weights: Any, inverse: Any, sd: Any) -> None:
    """Subtract what the patterns explain of a frame, in place.

    ``frame`` and ``sd`` (noise) float32 (row, column), ``maps`` and ``weights`` float32
    (pattern, row, column), ``inverse`` float64 (pattern, pattern).
    """
    count = len(maps)
    sums = np.empty(count)
    for _ in range(_FITS):
        sums[:] = 0
        for k in range(count):
            for y in range(frame.shape[0]):
                for x in range(frame.shape[1]):
                    most = np.float32(_CLIP) * sd[y, x]
                    sums[k] += weights[k, y, x] * min(max(frame[y, x], -most), most)
        for k in range(count):
            factor = np.float32(0)
            for j in range(count):
                factor += np.float32(inverse[k, j] * sums[j])
            for y in range(frame.shape[0]):
                for x in range(frame.shape[1]):
                    frame[y, x] -= factor * maps[k, y, x]


def background_of_frames(
    start: int, stop: int, background: Background
) -> NDArray[np.float32]:
    """Return the background of frames, float32, (frame, row, column).

    Parameters
    ----------
    start, stop
        First frame and the one after the last, counted from the first frame of the
        stretch that the background is of. Frames beyond it take that of its end.
    background
        The background, interpolated between the middles of its steps.
    """
    edges = background.steps
    middle = (edges[:-1] + edges[1:] - 1) / 2
    at = _position(np.arange(start, stop), edges, middle)
    before = np.clip(np.floor(at).astype(np.int64), 0, max(len(middle) - 2, 0))
    after = np.minimum(before + 1, len(middle) - 1)
    share = (at - before).astype(np.float32)[:, None, None]
    low = background.levels[before]
    levels = low + share * (background.levels[after] - low)
    factors = _factors(background, start, stop - start)
    for image, course in zip(background.patterns.maps, factors, strict=True):
        levels += course[:, None, None] * image
    return np.asarray(levels, np.float32)
