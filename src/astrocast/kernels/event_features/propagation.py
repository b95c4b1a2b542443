"""Where and how fast the front of an event moves.

Each pixel of the footprint becomes active at one frame (its onset) and is last active
at another (its offset). A plane fitted to these times, ``t = a + p row + q column``,
has the slowness (p, q): the front moves along it at the speed ``1 / |(p, q)|``. Pixels
that are active from the event's first frame on have no onset of their own and are left
out, as those active in its last frame are of the offset. Onset is the wave that the
event spreads by, offset the one that it goes out by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.packed_masks import Masks, is_set
from astrocast.kernels.ragged.ragged import Offsets


@dataclass(frozen=True)
class Front:
    """Motion of the fronts, one number per event.

    ``velocity_row`` and ``velocity_column`` in pixels per frame (in the unit of
    ``pixel_size`` per frame when given), ``r2`` the share of the variance of the times
    that the plane explains. NaN where fewer than three pixels, pixels on one line, or
    simultaneous pixels leave the motion undefined.
    """

    velocity_row: NDArray[np.float64]
    velocity_column: NDArray[np.float64]
    r2: NDArray[np.float64]

    @property
    def speed(self) -> NDArray[np.float64]:
        """Length of the velocity."""
        return np.hypot(self.velocity_row, self.velocity_column)

    @property
    def direction(self) -> NDArray[np.float64]:
        """Angle of the velocity, see `direction_of`."""
        return direction_of(self.velocity_row, self.velocity_column)


def direction_of(
    rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the angle of a displacement in degrees, in (-180, 180].

    0 points to larger columns (right), 90 to larger rows (down, as an image is shown),
    as in `astrocast.simulation`.

    >>> direction_of(np.array([1.0]), np.array([0.0]))
    array([90.])
    """
    return np.asarray(np.degrees(np.arctan2(rows, columns)))


@njit(cache=True, nogil=True)
def _times(
    bits: NDArray[np.uint8],
    first: int,
    shape: NDArray[np.int64],
    times: NDArray[np.int64],
) -> None:
    """First and last frame of each pixel of the box, -1 where it never is active.

    ``bits`` uint8 from byte ``first`` on, ``shape`` int64 (3,), ``times`` int64 (2,
    pixels of the box).
    """
    pixels = shape[1] * shape[2]
    times[:, :pixels] = -1
    k = 0
    for z in range(shape[0]):
        for p in range(pixels):
            if is_set(bits, first, k):
                if times[0, p] < 0:
                    times[0, p] = z
                times[1, p] = z
            k += 1


@njit(cache=True, nogil=True)
def _plane(
    times: NDArray[np.int64],
    cut: int,
    columns: int,
    pixels: int,
    size: tuple[float, float],
) -> tuple[float, float, float]:
    """Return the slopes of a plane through the times, and its explained variance.

    Slopes along rows and columns, by least squares; the variance as a fraction.

    ``times`` int64 and ``pixels`` int64 (n,), ``size`` float64 (2,).
    """
    n, sx, sy, st = 0, 0.0, 0.0, 0.0
    for p in range(pixels):
        if times[p] >= 0 and times[p] != cut:
            n += 1
            sx += (p // columns) * size[0]
            sy += (p % columns) * size[1]
            st += times[p]
    if n < 3:
        return np.nan, np.nan, np.nan
    sx, sy, st = sx / n, sy / n, st / n
    xx, yy, xy, xt, yt, tt = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for p in range(pixels):
        if times[p] >= 0 and times[p] != cut:
            x, y, t = (
                (p // columns) * size[0] - sx,
                (p % columns) * size[1] - sy,
                times[p] - st,
            )
            xx, yy, xy = xx + x * x, yy + y * y, xy + x * y
            xt, yt, tt = xt + x * t, yt + y * t, tt + t * t
    determinant = xx * yy - xy * xy
    if tt == 0 or determinant <= 1e-9 * max(xx, yy) ** 2:
        return np.nan, np.nan, np.nan
    p_row, p_column = (
        (yy * xt - xy * yt) / determinant,
        (xx * yt - xy * xt) / determinant,
    )
    return p_row, p_column, (p_row * xt + p_column * yt) / tt


@njit(cache=True, nogil=True)
def _fronts(
    bits: NDArray[np.uint8],
    offsets: Offsets,
    shapes: NDArray[np.int64],
    size: tuple[float, float],
    out: NDArray[np.float64],
) -> None:
    """Fill ``out``, float64 (6, events): both velocities and r2, onset then offset.

    ``bits`` uint8, ``offsets`` int64 (events + 1,), ``shapes`` int64 (events, 3),
    ``size`` float64 (2,).
    """
    largest = 1
    for i in range(len(shapes)):
        largest = max(largest, shapes[i, 1] * shapes[i, 2])
    times = np.empty((2, largest), np.int64)
    for i in range(len(shapes)):
        _times(bits, offsets[i], shapes[i], times)
        for end in range(2):
            # when the pixels of the first (last) frame began (ended) to be active is
            # not in the mask
            cut = 0 if end == 0 else shapes[i, 0] - 1
            p, q, r2 = _plane(
                times[end], cut, shapes[i, 2], shapes[i, 1] * shapes[i, 2], size
            )
            square = p * p + q * q
            # a symmetric spread leaves a slope of rounding errors: no direction
            defined = square > 1e-12 and r2 > 1e-6
            out[3 * end, i] = p / square if defined else np.nan
            out[3 * end + 1, i] = q / square if defined else np.nan
            out[3 * end + 2, i] = r2


def fronts(
    masks: Masks, pixel_size: tuple[float, float] = (1.0, 1.0)
) -> tuple[Front, Front]:
    """Return how the onset and the offset of each event propagate.

    Parameters
    ----------
    masks
        Masks of the events.
    pixel_size
        Height and width of a pixel; velocities are in its unit per frame.

    Notes
    -----
    A plane through the activation times is the estimate of conduction velocity of Bayly
    et al. 1998 (https://doi.org/10.1109/10.668746), over the whole footprint. An event
    that grows evenly to all sides has no direction: its ``r2`` is near 0, read the
    speed together with it.

    >>> from astrocast.kernels.masks.packed_masks import pack_masks
    >>> wave = np.tril(np.ones((4, 4), bool))[:, None, :].repeat(
    ...     2, axis=1
    ... )  # a column further each frame
    >>> onset, _ = fronts(pack_masks([wave]))
    >>> float(onset.speed[0].round(6)), float(onset.direction[0])
    (1.0, 0.0)
    """
    out = np.empty((6, len(masks.shapes)), np.float64)
    _fronts(
        masks.bits,
        masks.offsets,
        masks.shapes,
        (float(pixel_size[0]), float(pixel_size[1])),
        out,
    )
    return Front(*out[:3]), Front(*out[3:])
