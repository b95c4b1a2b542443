"""Render whole frames: the displaced baseline with events, converted to counts."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.rendering.camera import GAIN, OFFSET, expose_frame
from astrocast.kernels.rendering.formula_events import add_event
from astrocast.kernels.rendering.random_numbers import mix_bits
from astrocast.kernels.rendering.spline import (
    blur_image,
    shift_image,
    spline_coefficients,
    warp_image,
)
from astrocast.kernels.rendering.tissue_events import add_tissue_event, is_active


@njit(cache=True, nogil=True)
def _add_tissue(scene: Any, events: Any, t: int, scale: float, margin: int) -> Any:
    """Return the scene plus the tissue events of frame ``t``, as spline coefficients.

    ``scene`` and the result: float32 (row, column), larger than the frame by ``margin``
    on every side; ``events``: the tuple described in `tissue_events`; ``scale``: factor
    of the events.
    """
    active = False
    light = np.zeros((0, 0), np.float32)
    for k in range(len(events[7])):
        if is_active(events, k, t):
            if not active:
                light = np.zeros_like(scene)
            active = True
            add_tissue_event(events, k, t, scale, margin, light)
    return scene + spline_coefficients(light) if active else scene


@njit(cache=True, nogil=True)
def _disturb_sensor(photons: Any, light: Any, pixels: Any, extra: Any) -> Any:
    """Return the photons at the sensor: blur, light, hot and dead pixels.

    ``photons`` and the result: float32 (row, column); ``light`` float64 (3,): factor,
    added photons, blur in pixels; ``pixels`` int32 (pixel, 2): row and column of hot
    and dead pixels; ``extra`` float32 (pixel,): photons that a hot pixel adds, negative
    for a dead pixel.
    """
    if light[2] > 0.0:
        photons = blur_image(photons, light[2])
    photons = photons * np.float32(light[0]) + np.float32(light[1])
    for k in range(len(pixels)):
        y, x = pixels[k]
        photons[y, x] = max(photons[y, x] + extra[k], 0.0) if extra[k] >= 0 else 0.0
    return photons


@njit(cache=True, nogil=True, parallel=True)
def render_frames(
    baseline: tuple[NDArray[Any], int],
    courses: NDArray[Any],
    events: tuple[NDArray[Any], Any],
    moved: NDArray[Any],
    frames: NDArray[Any],
    sensor: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    noise: tuple[Any, NDArray[Any], NDArray[Any]],
) -> NDArray[Any]:
    """Return rendered frames in counts, float32 (frame, row, column).

    Parameters
    ----------
    baseline
        B-spline coefficients of the spatial modes of the baseline in photons, float32
        (mode, row, column), larger than the frame by a margin on every side; and this
        margin, int.
    courses
        float64 (frame, 1 + mode): factor of the events, then factor of each mode.
    events
        Parameters of the formula events, float64 (event, parameter); and the tuple of
        the tissue events (`tissue_events`).
    moved
        Displacement in pixels, smaller than the margin: float32 (frame, 2, 1, 1) if it
        is rigid, else (frame, 2, row, column). Pixel p of the frame shows the scene at
        p minus the displacement at p.
    frames
        int64 (frame, 2): time of the frame (frames), and number of the frame from which
        the seed of its noise is derived.
    sensor
        float64 (frame, 3): factor, added photons, blur (pixels); int32 (pixel, 2): row
        and column of hot and dead pixels; float32 (frame, pixel): photons that a hot
        pixel adds, negative for a dead pixel.
    noise
        Key (uint64); camera float64 (4,): gain, read noise, offset, gain noise; limits
        float64 (2,): lowest and highest value of the integer dtype, or (0, 0) for a
        float dtype. A negative gain renders the expected counts without noise.
    """
    coefficients, margin = baseline
    formula, tissue = events
    light, pixels, extra = sensor
    key, camera, limits = noise
    height = coefficients.shape[1] - 2 * margin
    width = coefficients.shape[2] - 2 * margin
    out = np.empty((len(frames), height, width), np.float32)
    for i in nb.prange(len(out)):
        t = frames[i, 0]
        scene = coefficients[0] * np.float32(courses[i, 1])
        for m in range(1, len(coefficients)):
            scene += coefficients[m] * np.float32(courses[i, 1 + m])
        scene = _add_tissue(scene, tissue, t, courses[i, 0], margin)
        photons = np.empty(out.shape[1:], np.float32)
        slack = 0.0
        if moved.shape[2] == 1:
            shift_image(scene, moved[i, 0, 0, 0], moved[i, 1, 0, 0], margin, photons)
        else:
            warp_image(scene, moved[i], margin, photons)
            slack = np.abs(moved[i]).max()
        for k in range(len(formula)):
            add_event(formula[k], t, moved[i], slack, courses[i, 0], photons)
        photons = _disturb_sensor(photons, light[i], pixels, extra[i])
        if camera[GAIN] < 0.0:
            for y in range(out.shape[1]):
                for x in range(out.shape[2]):
                    out[i, y, x] = camera[OFFSET] - camera[GAIN] * photons[y, x]
        else:
            own = mix_bits(key + np.uint64(frames[i, 1]))
            expose_frame(photons, own, camera, limits, out[i])
    return out
