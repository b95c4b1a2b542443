"""Events given pixel by pixel: a weight and a delay per pixel, one time course.

All events of a recording are one tuple of arrays, in this order:

first
    int64 (event + 1,): where the pixels of each event begin.
row, column
    int32 (pixel,): place in the frame; negative or beyond the frame in its margin.
weight, delay
    float32 (pixel,): share of the amplitude; frames from the start to the onset.
course_first
    int64 (event + 1,): where the time course of each event begins.
course
    float32 (sample,): time courses, `SAMPLES` per frame, 0 at both ends.
start, amplitude
    float64 (event,): frame at which the first pixel begins; photons.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.rendering.formula_events import TRUTH_LEVEL

#: samples of a time course per frame
SAMPLES = 8


@njit(cache=True, nogil=True)
def course_at(course: Any, first: int, last: int, tau: float) -> float:
    """Return ``course[first:last]``, float32, at ``tau`` frames after its begin."""
    place = tau * SAMPLES
    if place <= 0.0 or place >= last - first - 1:
        return 0.0
    k = int(place)
    f = place - k
    return (1.0 - f) * course[first + k] + f * course[first + k + 1]


@njit(cache=True, nogil=True)
def is_active(events: Any, k: int, t: float) -> bool:
    """Whether event ``k`` of ``events`` (see the module) may be above 0 at frame t.

    ``events`` is the tuple of arrays of all events; ``k`` and ``t`` int64.
    """
    first, delay = events[0], events[4]
    tau = t - events[7][k]
    if tau <= 0.0:
        return False
    length = (events[5][k + 1] - events[5][k]) / SAMPLES
    if tau < length:
        return True
    latest = np.float32(0.0)
    for p in range(first[k], first[k + 1]):
        latest = max(latest, delay[p])
    return tau < length + latest


@njit(cache=True, nogil=True)
def add_tissue_event(
    events: Any, k: int, t: float, scale: float, margin: int, out: Any
) -> None:
    """Add ``scale`` times event ``k`` at frame ``t`` to ``out``, float32 (row, column).

    ``out`` is larger than the frame by ``margin`` on every side; ``events`` as in the
    module.
    """
    first, row, column, weight, delay = events[:5]
    low, high = events[5][k], events[5][k + 1]
    tau = t - events[7][k]
    strength = scale * events[8][k]
    for p in range(first[k], first[k + 1]):
        y, x = row[p] + margin, column[p] + margin
        if 0 <= y < out.shape[0] and 0 <= x < out.shape[1]:
            value = course_at(events[6], low, high, tau - delay[p])
            out[y, x] += strength * weight[p] * value


@njit(cache=True, nogil=True, parallel=True)
def tissue_signal(
    events: Any, start: int, scale: NDArray[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """Return the sum of the events at rest, float32 (frame, row, column).

    ``events`` as in the module; ``scale`` float64 (frame,): factor of each frame from
    ``start`` on; ``shape`` (row, column).
    """
    out = np.zeros((len(scale), shape[0], shape[1]), np.float32)
    for i in nb.prange(len(scale)):
        for k in range(len(events[7])):
            if is_active(events, k, start + i):
                add_tissue_event(events, k, start + i, scale[i], 0, out[i])
    return out


@njit(cache=True, nogil=True, parallel=True)
def label_tissue_events(
    events: Any,
    peaks: NDArray[Any],
    start: int,
    scale: NDArray[Any],
    numbers: NDArray[Any],
    labels: NDArray[Any],
    strengths: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return labels and strengths with the events in: the stronger event has a voxel.

    ``events`` as in the module; ``peaks`` float64 (event,); ``scale`` float64 (frame,);
    ``numbers`` int32 (event,); ``labels`` int32 and ``strengths`` float32 (frame, row,
    column), as the results.
    """
    labels, strengths = labels.copy(), strengths.copy()
    first, row, column, weight, delay = events[:5]
    for i in nb.prange(len(scale)):
        for k in range(len(events[7])):
            if not is_active(events, k, start + i):
                continue
            tau = start + i - events[7][k]
            strength = scale[i] * events[8][k]
            for p in range(first[k], first[k + 1]):
                y, x = row[p], column[p]
                if y < 0 or x < 0 or y >= labels.shape[1] or x >= labels.shape[2]:
                    continue
                low, high = events[5][k], events[5][k + 1]
                value = strength * weight[p]
                value *= course_at(events[6], low, high, tau - delay[p])
                if value >= TRUTH_LEVEL * peaks[k] and value > strengths[i, y, x]:
                    strengths[i, y, x] = value
                    labels[i, y, x] = numbers[k]
    return labels, strengths


@njit(cache=True, nogil=True)
def pixel_courses(
    weight: NDArray[Any],
    delay: NDArray[Any],
    course: NDArray[Any],
    times: NDArray[Any],
    scale: NDArray[Any],
) -> NDArray[Any]:
    """Return the signal of the pixels of one event, float32 (frame, pixel).

    ``weight`` and ``delay`` float32 (pixel,); ``course`` float32 (sample,); ``times``
    float64 (frame,), frames after the start; ``scale`` float64 (frame,).
    """
    out = np.empty((len(times), len(weight)), np.float32)
    for i in range(len(times)):
        for p in range(len(weight)):
            value = course_at(course, 0, len(course), times[i] - delay[p])
            out[i, p] = scale[i] * weight[p] * value
    return out


def no_tissue_events() -> tuple[NDArray[Any], ...]:
    """Return the arrays of a recording without such events."""
    ends, none = np.zeros(1, np.int64), np.zeros(0, np.float32)
    place, number = np.zeros(0, np.int32), np.zeros(0, np.float64)
    return ends, place, place, none, none, ends, none, number, number
