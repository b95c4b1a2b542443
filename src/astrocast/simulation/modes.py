"""Slow changes of the baseline: spatial modes, each with a time course."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.scene import Scene, smooth_noise
from astrocast.simulation.streams import generator_of

#: number of patterns of diffuse light, each with its own time course
PATCH_MAPS = 12
#: beside a vessel the displacement decays over this many pixels
VESSEL_REACH = 8.0


@dataclass(frozen=True)
class Modes:
    """The baseline as sum of image * course, in units of the mean brightness.

    Parameters
    ----------
    images
        float64 (mode, row, column): image of each mode on the canvas.
    courses
        float64 (frame, mode): time courses without bleaching and flicker.
    radius
        float64 (frame,): change of the radius of the vessel, in pixels.
    """

    images: NDArray[np.float64]
    courses: NDArray[np.float64]
    radius: NDArray[np.float64]


def make_modes(settings: SimulationSettings, scene: Scene) -> Modes:
    """Draw the modes of a recording: rest, drift, focus, diffuse light, vessel."""
    s, n = settings, settings.frames
    image = scene.image.astype(np.float64)
    drift = _draw_drift(s, generator_of(s.seed, "drift"))
    images = [image, image * scene.local]
    courses = [1 + drift[:, 0], drift[:, 1]]
    if s.z_drift > 0:
        rng = generator_of(s.seed, "z_drift")
        images.append(
            image * _standardise(_draw_focus_pattern(image.shape, rng), scene)
        )
        courses.append(s.z_drift * _draw_focus_course(n, rng))
    if s.background > 0:
        rng = generator_of(s.seed, "background")
        for _ in range(PATCH_MAPS):
            patch = ndimage.gaussian_filter(
                rng.standard_normal(image.shape), s.background_scale, mode="wrap"
            )
            images.append(patch / patch.std() / PATCH_MAPS**0.5)
            courses.append(s.background * smooth_course(n, s.background_time, rng))
    radius = np.zeros(n)
    if s.vessel_pulsation > 0:
        rng = generator_of(s.seed, "vessel")
        radius = s.vessel_pulsation * smooth_course(n, s.vessel_time, rng)
        reach = max(2 * s.vessel_pulsation, 0.5)
        narrow, wide = (_widen_vessel(scene, change) for change in (-reach, reach))
        images += [0.5 * (wide - narrow), 0.5 * (wide + narrow) - image]
        courses += [radius / reach, (radius / reach) ** 2]
    return Modes(np.stack(images), np.stack(courses, axis=1), radius)


def _draw_drift(s: SimulationSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the drift of the whole baseline and of its local part, (frame, 2).

    Each is at most half of the setting `drift`.
    """
    phase = 2 * np.pi * np.arange(s.frames)[:, None, None] / s.frames
    cycles, weights = rng.uniform(0.3, 2.0, (1, 2, 3)), rng.uniform(0.3, 1.0, (1, 2, 3))
    waves = (
        weights * np.sin(cycles * phase + rng.uniform(0, 2 * np.pi, (1, 2, 3)))
    ).sum(-1)
    largest = np.maximum(np.abs(waves).max(0), 1e-12)
    return np.asarray(0.5 * s.drift * waves / largest)


def smooth_course(
    frames: int, sigma: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw smooth noise over time with mean 0 and sd 1, (frame,)."""
    pad = int(4 * sigma) + 1
    noise = ndimage.gaussian_filter1d(rng.standard_normal(frames + 2 * pad), sigma)
    course = noise[pad : pad + frames]
    # divide by the sd of the process: the sd of a short recording may be small
    sd = 1 / np.sqrt(2 * np.sqrt(np.pi) * sigma)
    return np.asarray((course - course.mean()) / sd)


def _draw_focus_course(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw an irregular course from 0 to 1 over the recording, (frame,)."""
    t = np.linspace(0, 1, frames)
    wander = np.sin(2 * np.pi * (t * rng.uniform(1.0, 2.5) + rng.random()))
    course = t + 0.15 * wander
    span = course[-1] - course[0]
    return np.asarray((course - course[0]) / (span if abs(span) > 1e-6 else 1.0))


def _draw_focus_pattern(
    shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the effect of a change of focus, with structures of several sizes."""
    size = int(shape[0]), int(shape[1])
    parts = [smooth_noise(size, sigma, rng) for sigma in (2.0, 4.0, 10.0)]
    return np.asarray(sum(part / part.std() for part in parts))


def _standardise(pattern: NDArray[np.float64], scene: Scene) -> NDArray[np.float64]:
    """Return the pattern with mean 0 and sd 1 within the frame."""
    inside = pattern[scene.inside]
    return (pattern - inside.mean()) / inside.std()


def _widen_vessel(scene: Scene, change: float) -> NDArray[np.float64]:
    """Return the image with the radius of the vessel larger by ``change`` pixels."""
    image = scene.image.astype(np.float64)
    if scene.vessel is None:
        return image
    wall = ndimage.gaussian_filter(scene.vessel.wall.astype(float), 1.0)
    slope = np.stack(np.gradient(wall))
    slope /= np.maximum(np.hypot(*slope), 0.2)
    # outside, tissue is pushed aside; inside, everything scales with the radius
    radius = -min(float(scene.vessel.wall.min()), -1.0)
    push = np.where(
        wall > 0, np.exp(-np.maximum(wall, 0) / VESSEL_REACH), 1 + wall / radius
    )
    where = np.indices(image.shape) - change * np.maximum(push, 0) * slope
    moved: NDArray[Any] = ndimage.map_coordinates(image, where, order=3, mode="nearest")
    return np.asarray(moved, np.float64)


def spline_through(images: NDArray[np.float64], photons: float) -> NDArray[np.float32]:
    """Return cubic spline coefficients through images (mode, row, column)."""
    return np.stack(
        [ndimage.spline_filter(m * photons, order=3, mode="mirror") for m in images]
    ).astype(np.float32)
