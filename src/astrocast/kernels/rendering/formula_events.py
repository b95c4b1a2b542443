"""Events defined by a formula: a round footprint with lobes that may grow or travel."""

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

#: a voxel belongs to an event if it is above this fraction of the event's peak
TRUTH_LEVEL = 0.25
LN4 = math.log(4.0)
#: an event is set to zero where it is below this fraction of its amplitude
FLOOR = 0.005


@njit(cache=True, nogil=True)
def _rise_at(e: Any, tau: float) -> float:
    """Return the rise (0 to 1) ``tau`` frames after the onset of a pixel, float64.

    ``e`` float64 (parameter,): the event, see `PARAMETERS`.
    """
    if tau <= 0.0:
        return 0.0
    if tau < e[RISE]:
        return 0.5 - 0.5 * math.cos(math.pi * tau / e[RISE])
    return 1.0


@njit(cache=True, nogil=True)
def _decay_at(e: Any, tau: float) -> float:
    """Return the decay (1 to 0) ``tau`` frames after the start of the event, float64.

    ``e`` float64 (parameter,): the event, see `PARAMETERS`.
    """
    late = tau - e[GROWTH] - e[RISE] - e[PLATEAU]
    return math.exp(-late / e[DECAY]) if late > 0.0 else 1.0


@njit(cache=True, nogil=True)
def _reach(e: Any) -> float:
    """Return the distance from the centre beyond which the event is 0, pixels, float64.

    ``e`` float64 (parameter,): the event, see `PARAMETERS`.
    """
    lobes = abs(e[LOBE]) + abs(e[LOBE + 1]) + abs(e[LOBE + 2])
    return e[RADIUS] * (1.0 + lobes) * (-math.log(FLOOR) / LN4) ** (1.0 / e[EXPONENT])


@njit(cache=True, nogil=True)
def _profile(e: Any, tau: float, dy: float, dx: float) -> float:
    """Return the signal relative to the amplitude (0 to 1), float64.

    ``e`` float64 (parameter,): the event; ``tau``: frames after its start; ``dy`` and
    ``dx``: distance from its centre, pixels.
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
    """Return the range of pixels within ``reach`` of ``centre``: first, end (int64).

    ``centre`` and ``reach`` float64, pixels; the range is clipped to 0 to ``size``
    (int64).
    """
    low = min(max(math.floor(centre - reach), 0), size)
    return low, max(min(math.ceil(centre + reach) + 1, size), low)


@njit(cache=True, nogil=True)
def add_event(e: Any, t: int, moved: Any, slack: float, scale: float, out: Any) -> None:
    """Add ``scale`` times the event at frame ``t`` to ``out``.

    ``e`` float64 (parameter,): the event; ``moved`` float32 (2, 1, 1) or (2, row,
    column): displacement of the tissue, at most ``slack`` pixels; ``out`` float32 (row,
    column).
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
    """Return the sum of the events, without noise and without displacement.

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
    """Return `event_signal` of one event, float32 (frame, row, column), on one thread.

    ``event`` float64 (parameter,); other arguments as in `event_signal`. For one event,
    starting threads takes longer than the calculation.
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
    """Return the number of the event at each voxel, and the signal of that event.

    A voxel belongs to an event if the event's signal there is at least a quarter of the
    event's peak; if several events qualify, to the strongest. ``peaks`` float64
    (event,), ``scale`` of the frames included; ``numbers`` int (event,): label of each
    event; other arguments as in `event_signal`.

    Returns
    -------
    labels
        int32 (frame, row, column); 0 for the background.
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
