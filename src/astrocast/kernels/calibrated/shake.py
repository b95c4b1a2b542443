"""Rigid motion that a motion correction left, taken out of what remains above the background, to second order.

A background ``b`` displaced by ``s`` differs from itself by ``-s . grad b + s' H s / 2`` (Lucas and Kanade 1981, one
step). At an edge of a bright soma a tenth of a pixel is as much as an event; in the whole frame it is known far better
than that.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrocast.kernels.parallel import spread

#: how many standard deviations a pixel counts at most, so that events do not pull
_CLIP = 3.0
#: pixels along each edge that do not count: there the motion correction repeats or invents
_BORDER = 2
#: displacements are expected to be of about this size; it decides where there is no texture
_EXPECTED = 0.2


@dataclass(frozen=True)
class Texture:
    """Derivatives of a background and how much each pixel tells of a displacement.

    Parameters
    ----------
    first, second
        (2, row, column): along rows and columns; (3, row, column): rows, both, columns; float32.
    weights
        First derivatives over the variance, 0 along the edges, (2, row, column), float32.
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
    def of(cls, background: NDArray[np.float32], variance: NDArray[np.float32]) -> Texture:
        """Return the texture of a background (row, column) with noise of that variance."""
        dy, dx = np.gradient(background)
        first = np.stack([dy, dx]).astype(np.float32)
        second = np.stack([np.gradient(dy, axis=0), np.gradient(dy, axis=1), np.gradient(dx, axis=1)])
        weights = first / variance
        b = _BORDER
        inside = np.zeros(background.shape, bool)
        inside[b:-b, b:-b] = True
        weights[:, ~inside] = 0
        matrix = np.einsum("iyx,jyx->ij", weights.astype(np.float64), first.astype(np.float64))
        inverse = np.linalg.inv(matrix + np.eye(2) / _EXPECTED**2)
        return cls(first, second.astype(np.float32), weights, inverse, np.sqrt(variance).astype(np.float32))


def without_shake(
    frames: NDArray[np.float32], texture: Texture, pool: Executor | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return frames less what a displacement of each of them makes of the background, and the displacements.

    Parameters
    ----------
    frames
        What is left of frames without the background, (frame, row, column), float32.
    texture
        Of the background, with the noise of these frames.

    Returns
    -------
    frames : numpy.ndarray
        float32, of the same shape.
    shifts : numpy.ndarray
        Displacement of each frame, pixels, row then column, (frame, 2); positive is down and right.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scene = np.cumsum(rng.normal(size=(64, 64)), axis=0).astype(np.float32)
    >>> texture = Texture.of(scene, np.full((64, 64), 0.01, np.float32))
    >>> moved = (-0.1 * np.gradient(scene)[0]).astype(np.float32)[None]
    >>> without_shake(moved, texture)[1].round(2)
    array([[0.1, 0. ]])
    """
    shifts, out = np.zeros((len(frames), 2)), np.empty_like(frames)
    spread(
        pool, len(frames), _take_out, frames, texture.first, texture.second, texture.weights,
        np.ascontiguousarray(texture.inverse), texture.noise, out, shifts,
    )  # fmt: skip
    return out, shifts


@njit(cache=True, nogil=True)
def _take_out(
    lo: int,
    hi: int,
    frames: Any,
    first: Any,
    second: Any,
    weights: Any,
    inverse: Any,
    noise: Any,
    out: Any,
    shifts: Any,
) -> None:
    _, rows, columns = frames.shape
    for t in range(lo, hi):
        a, b = np.float64(0), np.float64(0)
        for y in range(rows):
            la, lb = np.float32(0), np.float32(0)
            for x in range(columns):
                limit = np.float32(_CLIP) * noise[y, x]
                value = min(max(frames[t, y, x], -limit), limit)
                la += weights[0, y, x] * value
                lb += weights[1, y, x] * value
            a += np.float64(la)
            b += np.float64(lb)
        dy = np.float32(-(inverse[0, 0] * a + inverse[0, 1] * b))
        dx = np.float32(-(inverse[1, 0] * a + inverse[1, 1] * b))
        shifts[t, 0], shifts[t, 1] = dy, dx
        yy, xy, xx = np.float32(0.5) * dy * dy, dy * dx, np.float32(0.5) * dx * dx
        for y in range(rows):
            for x in range(columns):
                out[t, y, x] = (
                    frames[t, y, x]
                    + dy * first[0, y, x]
                    + dx * first[1, y, x]
                    - (yy * second[0, y, x] + xy * second[1, y, x] + xx * second[2, y, x])
                )
