"""Events given by a formula: a round footprint with lobes that may grow or travel."""

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


@njit(cache=True, nogil=True)
def _rise_at(e: Any, tau: float) -> float:
    """Return the rise (0 to 1) at ``tau`` frames after the onset of a pixel.

    ``e`` float64: the parameters of the event.
    """
    if tau <= 0.0:
        return 0.0
    if tau < e[RISE]:
        return 0.5 - 0.5 * math.cos(math.pi * tau / e[RISE])
    return 1.0


@njit(cache=True, nogil=True)
def _decay_at(e: Any, tau: float) -> float:
    """Return the decay (1 to 0) at ``tau`` frames after the start of the event.

    ``e`` float64: the parameters of the event.
    """
    late = tau - e[GROWTH] - e[RISE] - e[PLATEAU]
    return math.exp(-late / e[DECAY]) if late > 0.0 else 1.0


@njit(cache=True, nogil=True)
def _reach(e: Any) -> float:
    """Return the distance (pixels) from the centre beyond which the event is zero.

    ``e`` float64: the parameters of the event.
    """
    lobes = abs(e[LOBE]) + abs(e[LOBE + 1]) + abs(e[LOBE + 2])
    return e[RADIUS] * (1.0 + lobes) * (-math.log(FLOOR) / LN4) ** (1.0 / e[EXPONENT])


@njit(cache=True, nogil=True)
def _profile(e: Any, tau: float, dy: float, dx: float) -> float:
    """Return the share of the amplitude ``tau`` frames after the event's start.

    ``dy, dx`` is the distance from the centre in pixels; ``e`` float64 (parameter,).
    """
    angle = math.atan2(dy, dx)
    edge = 1.0
    for k in range(3):
        edge += e[LOBE + k] * math.cos((k + 2) * angle + e[PHASE + k])
    rho = math.sqrt(dy * dy + dx * dx) / (e[RADIUS] * edge)
    value = math.exp(-LN4 * rho ** e[EXPONENT])
    if value < FLOOR:
        return 0.0
    return value * _rise_at(e, tau - e[GROWTH] * rho) * _decay_at(e, tau)


@njit(cache=True, nogil=True)
def window_around(centre: float, reach: float, size: int) -> tuple[int, int]:
    """Return the half-open range of pixels within ``reach`` of ``centre``, clipped.

    ``centre`` and ``reach`` float64, ``size`` int64.
    """
    low = min(max(math.floor(centre - reach), 0), size)
    return low, max(min(math.ceil(centre + reach) + 1, size), low)


@njit(cache=True, nogil=True)
def add_event(e: Any, t: int, moved: Any, slack: float, scale: float, out: Any) -> None:
    """Add ``scale`` times the event at frame ``t`` to ``out``, float32 (row, column).

    ``e`` float64 (parameter,); ``moved`` float32 (2, 1, 1) or (2, row, column): the
    displacement, at most ``slack`` pixels long.
    """
    tau = t - e[START]
    if tau <= 0.0 or tau >= e[END]:
        return
    cy, cx = e[ROW] + e[ROW_SPEED] * tau, e[COLUMN] + e[COLUMN_SPEED] * tau
    reach = _reach(e)
    rigid = moved.shape[1] == 1
    wide = reach if rigid else reach + slack
    sy, sx = (moved[0, 0, 0], moved[1, 0, 0]) if rigid else (0.0, 0.0)
    y0, y1 = window_around(cy + sy, wide, out.shape[0])
    x0, x1 = window_around(cx + sx, wide, out.shape[1])
    for y in range(y0, y1):
        for x in range(x0, x1):
            if not rigid:
                sy, sx = moved[0, y, x], moved[1, y, x]
            dy, dx = y - sy - cy, x - sx - cx
            if dy * dy + dx * dx < reach * reach:
                out[y, x] += scale * e[AMPLITUDE] * _profile(e, tau, dy, dx)


@njit(cache=True, nogil=True)
def _zero_displacement() -> Any:
    """Return a displacement of zero, float32 (2, 1, 1)."""
    return np.zeros((2, 1, 1), np.float32)


@njit(cache=True, nogil=True, parallel=True)
def event_signal(
    events: NDArray[Any], start: int, scale: NDArray[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """Return the sum of the events, without noise and at rest.

    Parameters
    ----------
    events
        (event, parameter), float64, columns as in `PARAMETERS`.
    start
        First frame.
    scale
        Factor of each frame from ``start`` on, float64 (frame,), for example the
        bleaching.
    shape
        (row, column).

    Returns
    -------
    float32 (frame, row, column).
    """
    out = np.zeros((len(scale), shape[0], shape[1]), np.float32)
    for i in nb.prange(len(scale)):
        for k in range(len(events)):
            add_event(events[k], start + i, _zero_displacement(), 0.0, scale[i], out[i])
    return out


@njit(cache=True, nogil=True)
def single_event(
    event: NDArray[Any], start: int, scale: NDArray[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """Return `event_signal` of one event, float64 (parameter,), on one thread.

    Starting threads would cost more than the work.
    """
    out = np.zeros((len(scale), shape[0], shape[1]), np.float32)
    for i in range(len(scale)):
        add_event(event, start + i, _zero_displacement(), 0.0, scale[i], out[i])
    return out


@njit(cache=True, nogil=True, parallel=True)
def event_labels(
    events: NDArray[Any],
    peaks: NDArray[Any],
    start: int,
    scale: NDArray[Any],
    shape: tuple[int, int],
    numbers: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the number of the event of each voxel, and the strength of that event.

    A voxel belongs to an event where the event is at least a quarter of its own peak
    (``peaks`` float64 (event,), which include the ``scale`` of the frames). Where
    several meet, the strongest event has the voxel. Other arguments as `event_signal`.

    Returns
    -------
    labels
        ``numbers`` of the event, 0 for the background, int32 (frame, row, column).
    strengths
        float32 (frame, row, column).
    """
    out = np.zeros((len(scale), shape[0], shape[1]), np.int32)
    strengths = np.zeros((len(scale), shape[0], shape[1]), np.float32)
    for i in nb.prange(len(scale)):
        strongest = strengths[i]
        alone = np.zeros(shape, np.float32)
        for k in range(len(events)):
            e = events[k]
            tau = start + i - e[START]
            if tau <= 0.0 or tau >= e[END]:
                continue
            y0, y1 = window_around(e[ROW] + e[ROW_SPEED] * tau, _reach(e), shape[0])
            x0, x1 = window_around(
                e[COLUMN] + e[COLUMN_SPEED] * tau, _reach(e), shape[1]
            )
            alone[y0:y1, x0:x1] = 0.0
            add_event(e, start + i, _zero_displacement(), 0.0, scale[i], alone)
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if (
                        alone[y, x] >= TRUTH_LEVEL * peaks[k]
                        and alone[y, x] > strongest[y, x]
                    ):
                        strongest[y, x] = alone[y, x]
                        out[i, y, x] = numbers[k]
    return out, strengths
