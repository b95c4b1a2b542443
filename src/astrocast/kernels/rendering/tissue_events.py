"""Events defined per pixel: a weight and a delay for each pixel, one time course.

The events of a recording are a tuple of arrays, called ``events``, in this order:

first
    int64 (event + 1,): index of the first pixel of each event.
row, column
    int32 (pixel,): position in the frame; negative, or beyond the frame, in its margin.
weight, delay
    float32 (pixel,): fraction of the amplitude; frames from the start of the event to
    the onset of the pixel.
course_first
    int64 (event + 1,): index of the first sample of the time course of each event.
course
    float32 (sample,): time courses, `SAMPLES` per frame, 0 at both ends.
start, amplitude
    float64 (event,): frame in which the event starts; amplitude in photons.
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
    """Return the time course ``course[first:last]`` at ``tau`` frames, float64.

    ``course`` float32 (sample,); linear interpolation, 0 before and after the course.
    """
    place = tau * SAMPLES
    if place <= 0.0 or place >= last - first - 1:
        return 0.0
    k = int(place)
    f = place - k
    return (1.0 - f) * course[first + k] + f * course[first + k + 1]


@njit(cache=True, nogil=True)
def is_active(events: Any, k: int, t: float) -> bool:
    """Return whether event ``k`` may be above 0 at frame ``t``.

    ``events``: the tuple of arrays that the module describes; ``k`` int64, ``t`` in
    frames.
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
    """Add ``scale`` times event ``k`` at frame ``t`` to ``out``.

    ``events``: the tuple of arrays that the module describes; ``out`` float32 (row,
    column), larger than the frame by ``margin`` on every side.
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
    """Return the sum of the events without displacement, float32 (frame, row, column).

    ``events``: the tuple of arrays that the module describes; ``start``: first frame;
    ``scale`` float64 (frame,): factor of each frame; ``shape``: rows and columns.
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
    """Add events to labels and strengths; a voxel belongs to the strongest event.

    ``events``: the tuple of arrays that the module describes; ``peaks`` float64
    (event,); ``scale`` float64 (frame,): factor of each frame from ``start`` on;
    ``numbers`` int32 (event,); ``labels`` int32 and ``strengths`` float32 (frame, row,
    column). Returns changed copies of both; see `formula_events.event_labels`.
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

    ``weight`` and ``delay`` float32 (pixel,); ``course`` float32 (sample,), see the
    module; ``times`` float64 (frame,): frames after the start of the event; ``scale``
    float64 (frame,): factor of each frame.
    """
    out = np.empty((len(times), len(weight)), np.float32)
    for i in range(len(times)):
        for p in range(len(weight)):
            value = course_at(course, 0, len(course), times[i] - delay[p])
            out[i, p] = scale[i] * weight[p] * value
    return out


def no_tissue_events() -> tuple[NDArray[Any], ...]:
    """Return the tuple of arrays of a recording without tissue events."""
    ends, none = np.zeros(1, np.int64), np.zeros(0, np.float32)
    place, number = np.zeros(0, np.int32), np.zeros(0, np.float64)
    return ends, place, place, none, none, ends, none, number, number
