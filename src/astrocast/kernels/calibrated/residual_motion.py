"""Subtract the residual rigid motion from the signal, to second order.

A background ``b`` displaced by ``s`` differs from itself by ``-s . grad b + s' H s /
2`` (Lucas and Kanade 1981, one step). At the edge of a bright soma a shift of 0.1 pixel
changes the signal as much as an event does; the whole frame determines the shift far
better than that.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: limit of the value of a pixel, in standard deviations, so that events do not bias the
#: shift
_CLIP = 3.0
_LANES = 16
#: pixels along each edge that are left out: there motion correction repeats pixels
_BORDER = 2
#: prior standard deviation of a displacement, pixels; decides where there is no texture
_EXPECTED = 0.2


@dataclass(frozen=True)
class Texture:
    """Derivatives of a background, and the weight of each pixel in a displacement.

    Parameters
    ----------
    first, second
        (2, row, column): along rows and columns; (3, row, column): rows, both, columns;
        float32.
    weights
        First derivatives over the variance, 0 along the edges, (2, row, column),
        float32.
    inverse
        From sums over the frame to the displacement, (2, 2).
    noise
        Standard deviation of each pixel, (row, column), float32.
    """

    first: NDArray[np.float32]
    second: NDArray[np.float32]
    weights: NDArray[np.float32]
    inverse: NDArray[np.float64]
    noise: NDArray[np.float32]

    @classmethod
    def of(
        cls, background: NDArray[np.float32], variance: NDArray[np.float32]
    ) -> Texture:
        """Return the texture of a background (row, column) with noise of a variance."""
        dy, dx = np.gradient(background)
        first = np.stack([dy, dx]).astype(np.float32)
        second = np.stack(
            [np.gradient(dy, axis=0), np.gradient(dy, axis=1), np.gradient(dx, axis=1)]
        )
        weights = first / variance
        b = _BORDER
        inside = np.zeros(background.shape, bool)
        inside[b:-b, b:-b] = True
        weights[:, ~inside] = 0
        matrix = np.einsum(
            "iyx,jyx->ij", weights.astype(np.float64), first.astype(np.float64)
        )
        inverse = np.linalg.inv(matrix + np.eye(2) / _EXPECTED**2)
        return cls(
            first,
            second.astype(np.float32),
            weights,
            inverse,
            np.sqrt(variance).astype(np.float32),
        )

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The five arrays, as compiled kernels take them."""
        return tuple(
            map(
                np.ascontiguousarray,
                (self.first, self.second, self.weights, self.inverse, self.noise),
            )
        )


def without_shake(
    frames: NDArray[np.float32],
    texture: Texture,
    pool: Executor | None = None,
    out: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return frames corrected for small displacements, and the displacements.

    The background's change due to the displacement is subtracted.

    Parameters
    ----------
    frames
        Frames minus the background, (frame, row, column), float32.
    texture
        Texture of the background, with the noise of these frames.
    pool
        Threads to share the work with.
    out
        Array for the result, which may be ``frames`` itself; None: a new one.

    Returns
    -------
    frames : numpy.ndarray
        float32, of the same shape.
    shifts : numpy.ndarray
        Displacement of each frame, pixels, row then column, (frame, 2); positive is
        down and right.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scene = np.cumsum(rng.normal(size=(64, 64)), axis=0).astype(np.float32)
    >>> texture = Texture.of(scene, np.full((64, 64), 0.01, np.float32))
    >>> moved = (-0.1 * np.gradient(scene)[0]).astype(np.float32)[None]
    >>> without_shake(moved, texture)[1].round(2)
    array([[0.1, 0. ]])
    """
    shifts = np.zeros((len(frames), 2))
    out = np.empty_like(frames) if out is None else out
    run_in_threads(pool, len(frames), _take_out, frames, texture.arrays, out, shifts)
    return out, shifts


@njit(cache=True, nogil=True)
def _take_out(
    lo: int, hi: int, frames: Any, texture: Any, out: Any, shifts: Any
) -> None:
    """Correct frames ``lo`` to ``hi`` for their displacement, into ``out``.

    ``frames`` and ``out`` float32 (frame, row, column), ``texture`` from
    `Texture.arrays`, ``shifts`` float64 (frame, 2).
    """
    for t in range(lo, hi):
        shifts[t] = displacement(frames[t], texture)
        take_out(frames[t], shifts[t], texture, out[t])


# Sums of a row are taken in lanes, which are vectors of the processor. With fastmath
# their order, and so their last bits, would differ between callers: each has a copy.
@njit(cache=True, nogil=True)
def displacement(frame: Any, texture: Any) -> Any:
    """Return the displacement of a frame (row, column), (2,); see `without_shake`.

    ``frame`` float32, finite, ``texture`` from `Texture.arrays`. For other compiled
    kernels.
    """
    _, _, weights, inverse, noise = texture
    rows, columns = frame.shape
    whole = columns - columns % _LANES
    sums = np.zeros(2, np.float64)
    a, b = np.empty(_LANES, np.float32), np.empty(_LANES, np.float32)
    for y in range(rows):
        line, limits, down, right = frame[y], noise[y], weights[0, y], weights[1, y]
        a[:] = 0
        b[:] = 0
        for start in range(0, whole, _LANES):
            for k in range(_LANES):
                x = start + k
                limit = np.float32(_CLIP) * limits[x]
                value = min(max(line[x], -limit), limit)
                a[k] += down[x] * value
                b[k] += right[x] * value
        for x in range(whole, columns):
            limit = np.float32(_CLIP) * limits[x]
            value = min(max(line[x], -limit), limit)
            a[x - whole] += down[x] * value
            b[x - whole] += right[x] * value
        for k in range(_LANES):
            sums[0] += np.float64(a[k])
            sums[1] += np.float64(b[k])
    out = np.empty(2, np.float64)
    for i in range(2):
        # frames are corrected in single precision
        out[i] = np.float32(-(inverse[i, 0] * sums[0] + inverse[i, 1] * sums[1]))
    return out


@njit(cache=True, nogil=True)
def take_out(frame: Any, shift: Any, texture: Any, out: Any) -> None:
    """Write a frame without the effect of a shift of the background into ``out``.

    ``out`` may be the frame itself.

    ``frame`` float32 (row, column), ``shift`` float64 (2,), ``texture`` from
    `Texture.arrays`.
    """
    first, second, _, _, _ = texture
    dy, dx = np.float32(shift[0]), np.float32(shift[1])
    yy, xy, xx = np.float32(0.5) * dy * dy, dy * dx, np.float32(0.5) * dx * dx
    rows, columns = frame.shape
    for y in range(rows):
        line, into = frame[y], out[y]
        along_y, along_x = first[0, y], first[1, y]
        along_yy, along_xy, along_xx = second[0, y], second[1, y], second[2, y]
        for x in range(columns):
            into[x] = (
                line[x]
                + dy * along_y[x]
                + dx * along_x[x]
                - (yy * along_yy[x] + xy * along_xy[x] + xx * along_xx[x])
            )
