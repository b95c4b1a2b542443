"""How fast the front of an event moves along its own footprint.

The way from where an event begins is measured within its footprint (geodesic), so an
event that follows a branching process is as long as the process and not as the straight
line between its ends. Speed is the inverse of the slope of a line through the onset
times of the pixels over their way.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.packed_masks import Masks, is_set
from astrocast.kernels.parallel import run_in_threads

#: steps to neighbours (rows, columns): straight, diagonal, knight's move. With these a
#: straight way is at most 2.8% too long
_STEPS = (
    (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1),
    (1, 2), (1, -2), (-1, 2), (-1, -2), (2, 1), (2, -1), (-2, 1), (-2, -1),
)  # fmt: skip
#: fewest different onset frames, and fewest pixels, from which a speed follows
_FEWEST_FRAMES, _FEWEST_PIXELS = 3, 8


@dataclass(frozen=True)
class FrontSpeed:
    """Speed and direction of the fronts of events, one number per event, float64.

    Parameters
    ----------
    speed, speed_error
        Along the footprint, and its standard error, in units of ``pixel_size`` per
        frame.
    direction, direction_error
        Of the plane wave through the onset times, degrees: 0 to larger columns (right),
        90 to larger rows (down); and its standard error.
    """

    speed: NDArray[np.float64]
    speed_error: NDArray[np.float64]
    direction: NDArray[np.float64]
    direction_error: NDArray[np.float64]


def front_speed(
    masks: Masks,
    pixel_size: tuple[float, float] = (1.0, 1.0),
    pool: Executor | None = None,
) -> FrontSpeed:
    """Return speed and direction of the onset front of each event.

    Parameters
    ----------
    masks
        Masks of the events.
    pixel_size
        Height and width of a pixel.
    pool
        Threads to share the work with.

    Returns
    -------
    FrontSpeed
        NaN for events whose pixels begin in fewer than 3 different frames, have fewer
        than 8 pixels that begin after the first frame, or do not begin later the
        further away they are (by less than two standard errors).

    Notes
    -----
    The onsets of neighbouring pixels are not independent, so the standard errors count
    one independent onset per frame in which pixels begin. An event that brightens
    everywhere at once still shows a speed where its rim crosses the level of detection
    later than its centre; do not read a speed where `speed_error` is large.

    >>> from astrocast.kernels.masks.packed_masks import pack_masks
    >>> wave = np.tril(np.ones((9, 9), bool))[:, None, :].repeat(3, axis=1)
    >>> found = front_speed(pack_masks([wave]))
    >>> float(found.speed[0].round(6)), float(found.direction[0])
    (1.0, 0.0)
    """
    n = len(masks.shapes)
    out = np.full((4, n), np.nan)
    size = np.array(pixel_size, np.float64)
    run_in_threads(pool, n, _speeds, masks.bits, masks.offsets, masks.shapes, size, out)
    return FrontSpeed(*out)


@njit(cache=True, nogil=True)
def _speeds(
    lo: int, hi: int, bits: Any, offsets: Any, shapes: Any, size: Any, out: Any
) -> None:
    """Fill ``out`` float64 (4, events) for events lo to hi.

    ``bits`` uint8, ``offsets`` int64 (events + 1,), ``shapes`` int64 (events, 3),
    ``size`` float64 (2,): height and width of a pixel.
    """
    for e in range(lo, hi):
        depth, rows, columns = shapes[e]
        onset = np.full((rows, columns), -1, np.int64)
        k = 0
        for t in range(depth):
            for y in range(rows):
                for x in range(columns):
                    if is_set(bits, offsets[e], k) and onset[y, x] < 0:
                        onset[y, x] = t
                    k += 1
        frames = _onset_frames(onset, depth)
        if frames < _FEWEST_FRAMES:
            continue
        way = _way_from_start(onset, size)
        out[0, e], out[1, e] = _slope_speed(onset, way, frames)
        if not np.isnan(out[0, e]):
            out[2, e], out[3, e] = _direction(onset, size, frames)


@njit(cache=True, nogil=True)
def _onset_frames(onset: Any, depth: int) -> int:
    """Return in how many frames pixels begin; ``onset`` int64 (rows, columns)."""
    seen = np.zeros(depth, np.bool_)
    for t in onset.ravel():
        if t >= 0:
            seen[t] = True
    return seen.sum()


@njit(cache=True, nogil=True)
def _way_from_start(onset: Any, size: Any) -> Any:
    """Return the distance inside the footprint from the first frame's pixels.

    float64 (rows, columns), from the nearest of these pixels; infinite where there is
    no path.

    ``onset`` int64 (rows, columns), -1 outside. Pixels are taken from a circular list
    until no way gets shorter.
    """
    rows, columns = onset.shape
    way = np.full((rows, columns), np.inf)
    capacity = rows * columns + 1
    queue = np.empty(capacity, np.int64)
    waiting = np.zeros(rows * columns, np.bool_)
    head, tail = 0, 0
    for y in range(rows):
        for x in range(columns):
            if onset[y, x] == 0:
                way[y, x] = 0.0
                queue[tail], waiting[y * columns + x] = y * columns + x, True
                tail += 1
    while head != tail:
        p = queue[head]
        head = (head + 1) % capacity
        waiting[p] = False
        y, x = p // columns, p % columns
        for k in range(len(_STEPS)):
            dy, dx = _STEPS[k]
            if not _is_open(onset, y, x, dy, dx):
                continue
            v, u = y + dy, x + dx
            length = way[y, x] + np.sqrt((dy * size[0]) ** 2 + (dx * size[1]) ** 2)
            if length < way[v, u] - 1e-9:
                way[v, u] = length
                q = v * columns + u
                if not waiting[q]:
                    queue[tail], waiting[q] = q, True
                    tail = (tail + 1) % capacity
    return way


@njit(cache=True, nogil=True)
def _is_open(onset: Any, y: int, x: int, dy: int, dx: int) -> bool:
    """Return whether a step stays in the footprint.

    ``onset``: int64 (rows, columns), -1 outside. A knight's move passes between two
    pixels, one of which has to be inside.
    """
    v, u = y + dy, x + dx
    if not (0 <= v < onset.shape[0] and 0 <= u < onset.shape[1]) or onset[v, u] < 0:
        return False
    if abs(dy) == 2:
        return onset[y + dy // 2, x] >= 0 or onset[y + dy // 2, u] >= 0
    if abs(dx) == 2:
        return onset[y, x + dx // 2] >= 0 or onset[v, x + dx // 2] >= 0
    return True


@njit(cache=True, nogil=True)
def _slope_speed(onset: Any, way: Any, frames: int) -> Any:
    """Return speed and its standard error from onset times and distances.

    int64 and float64, both (rows, columns); NaN where the front does not move.
    """
    n, sx, st = 0, 0.0, 0.0
    for p in range(onset.size):
        t, d = onset.flat[p], way.flat[p]
        if t > 0 and np.isfinite(d):
            n += 1
            sx += d
            st += t
    if n < _FEWEST_PIXELS:
        return np.nan, np.nan
    sx, st = sx / n, st / n
    xx, xt, tt = 0.0, 0.0, 0.0
    for p in range(onset.size):
        t, d = onset.flat[p], way.flat[p]
        if t > 0 and np.isfinite(d):
            xx += (d - sx) ** 2
            xt += (d - sx) * (t - st)
            tt += (t - st) ** 2
    if xx <= 0 or xt <= 0:
        return np.nan, np.nan
    slowness = xt / xx
    left = max(tt - slowness * xt, 0.0) / n
    # as many independent onsets as frames in which pixels begin
    error = np.sqrt(left / (xx / n) / max(frames - 2, 1))
    if slowness < 2 * error:
        return np.nan, np.nan
    return 1.0 / slowness, error / slowness**2


@njit(cache=True, nogil=True)
def _direction(onset: Any, size: Any, frames: int) -> Any:
    """Return direction and its standard error, in degrees.

    Of a plane through onset times, int64 (rows, columns); NaN where there is none.
    """
    columns = onset.shape[1]
    n, sy, sx, st = 0, 0.0, 0.0, 0.0
    for p in range(onset.size):
        t = onset.flat[p]
        if t > 0:
            n += 1
            sy += p // columns * size[0]
            sx += p % columns * size[1]
            st += t
    sy, sx, st = sy / n, sx / n, st / n
    yy, xx, yx, yt, xt, tt = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for p in range(onset.size):
        t = onset.flat[p]
        if t > 0:
            y, x = p // columns * size[0] - sy, p % columns * size[1] - sx
            yy, xx, yx = yy + y * y, xx + x * x, yx + y * x
            yt, xt, tt = yt + y * (t - st), xt + x * (t - st), tt + (t - st) ** 2
    determinant = yy * xx - yx * yx
    if determinant <= 1e-9 * max(yy, xx) ** 2:
        return np.nan, np.nan
    down = (xx * yt - yx * xt) / determinant
    right = (yy * xt - yx * yt) / determinant
    square = down * down + right * right
    if square <= 1e-12:
        return np.nan, np.nan
    left = max(tt - down * yt - right * xt, 0.0) / max(frames - 3, 1)
    # variance of the angle of (down, right), by the covariance of the fitted slopes
    v_down, v_right, both = xx / determinant, yy / determinant, -yx / determinant
    across = right * right * v_down + down * down * v_right - 2 * down * right * both
    angle = np.sqrt(left * max(across, 0.0)) / square
    return np.degrees(np.arctan2(down, right)), min(np.degrees(angle), 180.0)
