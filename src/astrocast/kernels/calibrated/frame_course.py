"""Light that all pixels of a frame share: flicker of the lamp, drift of the offset.

A lamp that flickers multiplies the light, an offset that wanders adds to it. Both are
fitted to the means of tiles of a frame, leaving out the tiles that stand out above or
below, so that an event in a part of the field does not count.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: least side of a tile in pixels, and most tiles along a side of the frame
_SIDE, _TILES = 8, 32
#: repetitions of the fit without outliers, and their limit in standard deviations
_ROUNDS, _OUT = 4, 2.5
#: share of the tiles that must be left
_LEAST_LEFT = 0.3


def tile_side(shape: tuple[int, ...]) -> int:
    """Return the side of a tile for frames of a shape (..., row, column), in pixels."""
    return max(_SIDE, -(-max(shape[-2:]) // _TILES))


def tiles_of(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the mean of each tile of an image (row, column), one after the other.

    Examples
    --------
    >>> tiles_of(np.arange(16, dtype=np.float32).reshape(4, 4), 2).tolist()
    [2.5, 4.5, 10.5, 12.5]
    """
    out = np.empty(
        (-(-image.shape[0] // side)) * (-(-image.shape[1] // side)), np.float32
    )
    mean_tiles(np.ascontiguousarray(image, np.float32), side, out)
    return out


@njit(cache=True, nogil=True)
def mean_tiles(frame: Any, side: int, out: Any) -> None:
    """Write the mean of each tile of a frame (row, column) into ``out``.

    ``frame`` float32, uint8 or uint16; ``out`` float32 (tiles,), row after row of
    tiles.
    """
    rows, columns = frame.shape
    wide = (columns + side - 1) // side
    sums = np.empty(wide, np.float64)
    for i in range((rows + side - 1) // side):
        sums[:] = 0
        top, bottom = i * side, min((i + 1) * side, rows)
        for y in range(top, bottom):
            line = frame[y]
            for j in range(wide):
                total = np.float32(0)
                for x in range(j * side, min((j + 1) * side, columns)):
                    total += np.float32(line[x])
                sums[j] += total
        for j in range(wide):
            width = min((j + 1) * side, columns) - j * side
            out[i * wide + j] = np.float32(sums[j] / (width * (bottom - top)))


@njit(cache=True, nogil=True)
def fit_frame(means: Any, light: Any, noise: Any) -> Any:
    """Return offset and gain, (2,), float64, of the light that all tiles share.

    ``means`` are the means of tiles above the background, ``light`` their background
    less its mean over tiles, ``noise`` the standard deviation of a tile; float32,
    (tiles,).
    """
    n = len(means)
    out = np.zeros(2)
    rest = means / noise
    out[0] = np.median(rest) * np.median(noise)
    power = 0.0
    for j in range(n):
        power += (light[j] / noise[j]) ** 2
    for _ in range(_ROUNDS):
        for j in range(n):
            rest[j] = (means[j] - np.float32(out[0] + out[1] * light[j])) / noise[j]
        limit = _OUT * max(1.0, 1.4826 * np.median(np.abs(rest)))
        a, b, c, u, v = 0.0, 0.0, 1e-3 * power + 1e-30, 0.0, 0.0
        left = 0
        for j in range(n):
            if abs(rest[j]) > limit:
                continue
            w = 1.0 / (noise[j] * noise[j])
            a += w
            b += w * light[j]
            c += w * light[j] * light[j]
            u += w * means[j]
            v += w * means[j] * light[j]
            left += 1
        if left < _LEAST_LEFT * n or left < 4:
            break
        d = a * c - b * b
        out[0] = (u * c - v * b) / d
        out[1] = (v * a - u * b) / d
    return out


def tile_means_of_frames(
    frames: NDArray[Any], side: int, pool: Executor | None = None
) -> NDArray[np.float32]:
    """Return the mean of each tile in each frame, (frame, tile), float32.

    Parameters
    ----------
    frames
        (frame, row, column), float32 (finite), uint8 or uint16.
    side
        Of a tile, in pixels; tiles at the edges may be smaller.
    pool
        Threads to share the work with.
    """
    high, wide = (-(-n // side) for n in frames.shape[1:])
    out = np.empty((len(frames), high * wide), np.float32)
    run_in_threads(pool, len(frames), _mean_tiles_of, frames, side, out)
    return out


@njit(cache=True, nogil=True)
def _mean_tiles_of(lo: int, hi: int, frames: Any, side: int, out: Any) -> None:
    """Write tiles of frames ``lo`` to ``hi`` into ``out``, float32 (frame, tile)."""
    for t in range(lo, hi):
        mean_tiles(frames[t], side, out[t])
