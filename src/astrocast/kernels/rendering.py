"""Rendering of simulated frames: events, the displaced baseline, photon and read noise.

Every frame is a function of its own number and the seed, so any block of frames is the
same as that part of the whole, whatever the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

#: columns of the array of event parameters, one row per event
PARAMETERS = (
    "row",
    "column",
    "row_speed",
    "column_speed",
    "radius",
    "exponent",
    "lobe2",
    "lobe3",
    "lobe4",
    "phase2",
    "phase3",
    "phase4",
    "start",
    "rise",
    "plateau",
    "decay",
    "growth",
    "amplitude",
    "end",
)
(
    ROW,
    COLUMN,
    ROW_SPEED,
    COLUMN_SPEED,
    RADIUS,
    EXPONENT,
    LOBE,
    _,
    _,
    PHASE,
    _,
    _,
    START,
    RISE,
    PLATEAU,
    DECAY,
    GROWTH,
    AMPLITUDE,
    END,
) = range(len(PARAMETERS))

#: share of an event's own peak above which a voxel belongs to it
TRUTH_LEVEL = 0.25
LN4 = math.log(4.0)
#: an event is cut where it falls below this share of its amplitude
FLOOR = 0.005
#: log(k!); beyond its end Stirling's series is exact to 1e-12
LOG_FACTORIAL = np.cumsum(np.log(np.maximum(np.arange(512.0), 1.0)))


@njit(cache=True, nogil=True)
def _course(e: Any, tau: float) -> float:
    """Time course of an event at time ``tau`` after the onset of the pixel, without the
    delay of the pixel.
    """
    if tau <= 0.0:
        return 0.0
    if tau < e[RISE]:
        return 0.5 - 0.5 * math.cos(math.pi * tau / e[RISE])
    return 1.0


@njit(cache=True, nogil=True)
def _decline(e: Any, tau: float) -> float:
    late = tau - e[GROWTH] - e[RISE] - e[PLATEAU]
    return math.exp(-late / e[DECAY]) if late > 0.0 else 1.0


@njit(cache=True, nogil=True)
def _reach(e: Any) -> float:
    """Distance from the centre beyond which the event is zero."""
    lobes = abs(e[LOBE]) + abs(e[LOBE + 1]) + abs(e[LOBE + 2])
    return e[RADIUS] * (1.0 + lobes) * (-math.log(FLOOR) / LN4) ** (1.0 / e[EXPONENT])


@njit(cache=True, nogil=True)
def _profile(e: Any, tau: float, dy: float, dx: float) -> float:
    """Share of the amplitude at time ``tau`` after the event's start, ``dy, dx`` from
    its centre.
    """
    angle = math.atan2(dy, dx)
    edge = 1.0
    for k in range(3):
        edge += e[LOBE + k] * math.cos((k + 2) * angle + e[PHASE + k])
    rho = math.sqrt(dy * dy + dx * dx) / (e[RADIUS] * edge)
    value = math.exp(-LN4 * rho ** e[EXPONENT])
    if value < FLOOR:
        return 0.0
    return value * _course(e, tau - e[GROWTH] * rho) * _decline(e, tau)


@njit(cache=True, nogil=True)
def _window(centre: float, reach: float, size: int) -> tuple[int, int]:
    low = min(max(math.floor(centre - reach), 0), size)
    return low, max(min(math.ceil(centre + reach) + 1, size), low)


@njit(cache=True, nogil=True)
def _add_event(
    e: Any, t: int, moved: Any, slack: float, scale: float, out: Any
) -> None:
    """Add ``scale`` times the event at frame ``t`` to ``out``; ``moved`` (2, 1, 1) or
    (2, row, column) displaces it.
    """
    tau = t - e[START]
    if tau <= 0.0 or tau >= e[END]:
        return
    cy, cx = e[ROW] + e[ROW_SPEED] * tau, e[COLUMN] + e[COLUMN_SPEED] * tau
    reach = _reach(e)
    rigid = moved.shape[1] == 1
    wide = reach if rigid else reach + slack
    sy, sx = (moved[0, 0, 0], moved[1, 0, 0]) if rigid else (0.0, 0.0)
    y0, y1 = _window(cy + sy, wide, out.shape[0])
    x0, x1 = _window(cx + sx, wide, out.shape[1])
    for y in range(y0, y1):
        for x in range(x0, x1):
            if not rigid:
                sy, sx = moved[0, y, x], moved[1, y, x]
            dy, dx = y - sy - cy, x - sx - cx
            if dy * dy + dx * dx < reach * reach:
                out[y, x] += scale * e[AMPLITUDE] * _profile(e, tau, dy, dx)


@njit(cache=True, nogil=True)
def _at_rest() -> Any:
    return np.zeros((2, 1, 1), np.float32)


@njit(cache=True, nogil=True, parallel=True)
def event_signal(
    events: NDArray[Any], start: int, scale: NDArray[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """Return the sum of the events, noise-free and at rest, for ``len(scale)`` frames
    from ``start``.

    Parameters
    ----------
    events
        (event, parameter), float64, columns as in `PARAMETERS`.
    start
        First frame.
    scale
        Factor of each frame (float64), for example the bleaching.
    shape
        (row, column).

    Returns
    -------
    float32 (frame, row, column).
    """
    out = np.zeros((len(scale), shape[0], shape[1]), np.float32)
    for i in nb.prange(len(scale)):
        for k in range(len(events)):
            _add_event(events[k], start + i, _at_rest(), 0.0, scale[i], out[i])
    return out


@njit(cache=True, nogil=True)
def single_event(
    event: NDArray[Any], start: int, scale: NDArray[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """Return `event_signal` of one event (parameters in one row), on one thread:
    starting threads would cost more.
    """
    out = np.zeros((len(scale), shape[0], shape[1]), np.float32)
    for i in range(len(scale)):
        _add_event(event, start + i, _at_rest(), 0.0, scale[i], out[i])
    return out


@njit(cache=True, nogil=True, parallel=True)
def event_labels(
    events: NDArray[Any],
    peaks: NDArray[Any],
    start: int,
    scale: NDArray[Any],
    shape: tuple[int, int],
) -> NDArray[Any]:
    """Return the label volume (int32) of ``len(scale)`` frames from ``start``: event k
    is k + 1, background 0.

    A voxel belongs to an event where the event is at least a quarter of its own peak
    (``peaks``, which include the ``scale`` of the frames); where several meet, to the
    one that is strongest there. Else as `event_signal`.
    """
    out = np.zeros((len(scale), shape[0], shape[1]), np.int32)
    for i in nb.prange(len(scale)):
        strongest = np.zeros(shape, np.float32)
        alone = np.zeros(shape, np.float32)
        for k in range(len(events)):
            e = events[k]
            tau = start + i - e[START]
            if tau <= 0.0 or tau >= e[END]:
                continue
            y0, y1 = _window(e[ROW] + e[ROW_SPEED] * tau, _reach(e), shape[0])
            x0, x1 = _window(e[COLUMN] + e[COLUMN_SPEED] * tau, _reach(e), shape[1])
            alone[y0:y1, x0:x1] = 0.0
            _add_event(e, start + i, _at_rest(), 0.0, scale[i], alone)
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if (
                        alone[y, x] >= TRUTH_LEVEL * peaks[k]
                        and alone[y, x] > strongest[y, x]
                    ):
                        strongest[y, x] = alone[y, x]
                        out[i, y, x] = k + 1
    return out


@njit(cache=True, nogil=True)
def _mix(z: Any) -> Any:
    """Finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _uniform(state: Any) -> float:
    """Advance the generator; return a number in (0, 1)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    return (np.float64(_mix(state[0]) >> np.uint64(11)) + 0.5) * (
        1.0 / 9007199254740992.0
    )


@njit(cache=True, nogil=True)
def _poisson_small(state: Any, mean: float) -> float:
    u = _uniform(state)
    p = math.exp(-mean)
    total, k = p, 0.0
    while u > total and k < 200.0:
        k += 1.0
        p *= mean / k
        total += p
    return k


@njit(cache=True, nogil=True)
def _log_factorial(k: float) -> float:
    if k < 512.0:
        return LOG_FACTORIAL[np.int64(k)]
    n = k + 1.0
    return (
        (n - 0.5) * math.log(n)
        - n
        + 0.9189385332046727
        + 1.0 / (12.0 * n)
        - 1.0 / (360.0 * n * n * n)
    )


@njit(cache=True, nogil=True)
def _poisson(state: Any, mean: float) -> float:
    """Draw a Poisson number; above 10 by transformed rejection (Hoermann 1993,
    doi:10.1016/0167-6687(93)90997-4).
    """
    if mean < 10.0:
        return _poisson_small(state, mean) if mean > 0.0 else 0.0
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    quick = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = _uniform(state) - 0.5, _uniform(state)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= quick:
            return k
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        scale = math.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b))
        if scale <= k * math.log(mean) - mean - _log_factorial(k):
            return k


@njit(cache=True, nogil=True)
def _expose(photons: Any, key: Any, camera: Any, limits: Any, out: Any) -> None:
    """Turn expected photons (row, column) into counts; ``camera`` is (gain, read noise,
    offset).
    """
    state = np.empty(1, np.uint64)
    whole = limits[1] > 0.0
    for y in range(photons.shape[0]):
        state[0] = _mix(key + np.uint64(y) * np.uint64(0xD1342543DE82EF95))
        spare, have = 0.0, False
        for x in range(photons.shape[1]):
            value = _poisson(state, photons[y, x])
            if camera[1] > 0.0:
                if have:
                    value += camera[1] * spare
                else:
                    size = math.sqrt(-2.0 * math.log(_uniform(state)))
                    angle = 2.0 * math.pi * _uniform(state)
                    value += camera[1] * size * math.cos(angle)
                    spare = size * math.sin(angle)
                have = not have
            value = camera[2] + camera[0] * value
            if whole:  # integers saturate, as a camera does
                value = min(max(math.floor(value + 0.5), limits[0]), limits[1])
            out[y, x] = value


@njit(cache=True, nogil=True)
def _weights(f: float) -> tuple[float, float, float, float]:
    """Cubic B-spline at distance ``f`` after the second of four knots."""
    g = 1.0 - f
    return (
        g * g * g / 6.0,
        2.0 / 3.0 - 0.5 * f * f * (1.0 + g),
        2.0 / 3.0 - 0.5 * g * g * (1.0 + f),
        f * f * f / 6.0,
    )


@njit(cache=True, nogil=True)
def _shift_baseline(c: Any, dy: float, dx: float, margin: int, out: Any) -> None:
    """Evaluate the spline ``c`` at every pixel minus (dy, dx): rows first, then
    columns.
    """
    h, w = out.shape
    y0, x0 = math.floor(margin - dy), math.floor(margin - dx)
    a = _weights(margin - dy - y0)
    b = _weights(margin - dx - x0)
    a0, a1, a2, a3 = (
        np.float32(a[0]),
        np.float32(a[1]),
        np.float32(a[2]),
        np.float32(a[3]),
    )
    b0, b1, b2, b3 = (
        np.float32(b[0]),
        np.float32(b[1]),
        np.float32(b[2]),
        np.float32(b[3]),
    )
    line = np.empty(w + 3, np.float32)
    for y in range(h):
        i = y + y0
        for x in range(w + 3):
            j = x + x0 - 1
            line[x] = (
                a0 * c[i - 1, j] + a1 * c[i, j] + a2 * c[i + 1, j] + a3 * c[i + 2, j]
            )
        for x in range(w):
            out[y, x] = (
                b0 * line[x] + b1 * line[x + 1] + b2 * line[x + 2] + b3 * line[x + 3]
            )


@njit(cache=True, nogil=True, fastmath=True)
def _warp_baseline(c: Any, moved: Any, margin: int, out: Any) -> None:
    """Evaluate the spline ``c`` at every pixel minus its own displacement."""
    flat, width = c.ravel(), c.shape[1]
    half, sixth, third, one = (
        np.float32(0.5),
        np.float32(1 / 6),
        np.float32(2 / 3),
        np.float32(1),
    )
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            py, px = (
                np.float32(y + margin) - moved[0, y, x],
                np.float32(x + margin) - moved[1, y, x],
            )
            # never negative: the margin is larger than any displacement
            i, j = np.int32(py), np.int32(px)
            f, u = py - np.float32(i), px - np.float32(j)
            g, v = one - f, one - u
            a0, a3, b0, b3 = (
                g * g * g * sixth,
                f * f * f * sixth,
                v * v * v * sixth,
                u * u * u * sixth,
            )
            a1, b1 = third - half * f * f * (one + g), third - half * u * u * (one + v)
            a2, b2 = one - a0 - a1 - a3, one - b0 - b1 - b3
            k = (i - 1) * width + j - 1
            value = a0 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            k += width
            value += a1 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            k += width
            value += a2 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            k += width
            value += a3 * (
                b0 * flat[k] + b1 * flat[k + 1] + b2 * flat[k + 2] + b3 * flat[k + 3]
            )
            out[y, x] = value


@njit(cache=True, nogil=True, parallel=True)
def render_frames(
    baseline: tuple[NDArray[Any], int],
    courses: NDArray[Any],
    events: NDArray[Any],
    moved: NDArray[Any],
    start: int,
    noise: tuple[Any, NDArray[Any], NDArray[Any]],
    out: NDArray[Any],
) -> None:
    """Render frames into ``out`` (frame, row, column), from ``start`` on.

    Parameters
    ----------
    baseline
        B-spline coefficients of the baseline's spatial modes in photons, float32 (mode,
        row, column), larger than the frame by a margin on every side; and that margin.
    courses
        (frame, 1 + mode), float64: factor of the events, then of each mode.
    events
        (event, parameter), float64, columns as in `PARAMETERS`.
    moved
        Displacement, float32 (frame, 2, 1, 1) where it is rigid, else (frame, 2, row,
        column); smaller than the margin. A pixel p of the frame shows the scene at p
        minus the displacement at p.
    start
        First frame.
    noise
        Key (uint64), camera (gain, read noise, offset) and limits (lowest, highest) of
        an integer type, or (0, 0). A negative gain renders the expected counts without
        noise.
    """
    coefficients, margin = baseline
    key, camera, limits = noise
    for i in nb.prange(len(out)):
        scene = coefficients[0] * np.float32(courses[i, 1])
        for m in range(1, len(coefficients)):
            scene += coefficients[m] * np.float32(courses[i, 1 + m])
        photons = np.empty(out.shape[1:], np.float32)
        slack = 0.0
        if moved.shape[2] == 1:
            _shift_baseline(
                scene, moved[i, 0, 0, 0], moved[i, 1, 0, 0], margin, photons
            )
        else:
            _warp_baseline(scene, moved[i], margin, photons)
            slack = np.abs(moved[i]).max()
        for k in range(len(events)):
            _add_event(events[k], start + i, moved[i], slack, courses[i, 0], photons)
        if camera[0] < 0.0:
            for y in range(out.shape[1]):
                for x in range(out.shape[2]):
                    out[i, y, x] = camera[2] - camera[0] * photons[y, x]
        else:
            _expose(photons, _mix(key + np.uint64(start + i)), camera, limits, out[i])


@njit(cache=True, nogil=True, parallel=True)
def smooth_field(
    knots: NDArray[Any], row_basis: NDArray[Any], column_basis: NDArray[Any]
) -> NDArray[Any]:
    """Return ``row_basis @ knots @ column_basis.T`` for a stack of small matrices,
    float32.

    BLAS would spend more on starting its threads than on the products; most weights of
    a B-spline are zero besides.

    Parameters
    ----------
    knots
        (matrix, row knot, column knot).
    row_basis, column_basis
        (row, row knot) and (column, column knot).

    Returns
    -------
    float32 (matrix, row, column).
    """
    n, ky, kx = knots.shape
    out = np.zeros((n, len(row_basis), len(column_basis)), np.float32)
    for i in nb.prange(n):
        across = np.zeros((ky, len(column_basis)), np.float32)
        for x in range(len(column_basis)):
            for b in range(kx):
                if column_basis[x, b] != 0.0:
                    for a in range(ky):
                        across[a, x] += knots[i, a, b] * column_basis[x, b]
        for y in range(len(row_basis)):
            for a in range(ky):
                if row_basis[y, a] != 0.0:
                    for x in range(len(column_basis)):
                        out[i, y, x] += row_basis[y, a] * across[a, x]
    return out


@njit(cache=True, nogil=True)
def draw_strokes(points: NDArray[Any], image: NDArray[Any]) -> NDArray[Any]:
    """Return ``image`` with each point (row, column, width, brightness) drawn as a
    Gaussian, the brightest on top.

    The maximum instead of the sum keeps a process as bright where its points are dense
    or where processes cross.
    """
    out = image.copy()
    for p in points:
        y0, y1 = _window(p[0], 3.0 * p[2], out.shape[0])
        x0, x1 = _window(p[1], 3.0 * p[2], out.shape[1])
        for y in range(y0, y1):
            for x in range(x0, x1):
                d = ((y - p[0]) ** 2 + (x - p[1]) ** 2) / (2.0 * p[2] * p[2])
                out[y, x] = max(out[y, x], p[3] * math.exp(-d))
    return out
