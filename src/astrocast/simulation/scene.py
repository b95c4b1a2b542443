"""The resting fluorescence: somata with branching, tapering processes and spongy fine
structure on a background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.rendering import draw_strokes
from astrocast.settings.simulation import SimulationSettings

#: length of a step along a process, in pixels
STEP = 0.7


@dataclass(frozen=True)
class Scene:
    """Resting fluorescence with a mean of 1 over the frame, larger than the frame by
    ``margin`` pixels on every side.

    ``image`` is the brightness, ``local`` a smooth map (zero mean, at most 1) of where
    the baseline drifts on its own.
    """

    image: NDArray[np.float32]
    local: NDArray[np.float32]
    margin: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """The part that an unmoved frame shows."""
        m = self.margin
        return slice(m, self.image.shape[0] - m), slice(m, self.image.shape[1] - m)


def make_scene(
    settings: SimulationSettings, margin: int, seed: np.random.SeedSequence
) -> Scene:
    """Draw the scene of a recording."""
    rng = np.random.default_rng(seed)
    shape = settings.rows + 2 * margin, settings.columns + 2 * margin
    cells, domain = _draw_cells(shape, settings.cell_spacing, rng)
    haze = 0.5 + 0.5 * _noise(shape, 30.0, rng)
    # the leaflets between the processes are below the resolution: a sponge-like
    # texture, denser near a cell
    sponge = _noise(shape, 1.6, rng) * (0.15 + 0.85 * domain)
    structure = cells + 0.45 * domain * (1.0 + 0.35 * sponge) + 0.08 * sponge
    image = (
        1.0 + 0.25 * haze + 1.2 * settings.contrast * structure
        if settings.contrast
        else np.ones(shape)
    )
    # the microscope's own blur
    image = np.maximum(ndimage.gaussian_filter(image, 0.7), 0.05)
    local = _noise(shape, 40.0, rng)
    scene = Scene(image.astype(np.float32), local.astype(np.float32), margin)
    mean = float(scene.image[scene.inside].mean())
    return Scene(scene.image / np.float32(mean), scene.local, margin)


def _noise(
    shape: tuple[int, int], sigma: float, rng: np.random.Generator
) -> NDArray[Any]:
    """Smooth noise between -1 and 1, of mean 0."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    smooth -= smooth.mean()
    return smooth / np.abs(smooth).max()


def _draw_cells(
    shape: tuple[int, int], spacing: float, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the cells (brightest about 1) and the domain that their fine processes
    fill (0 to 1).
    """
    image, domain = np.zeros(shape), np.zeros(shape)
    centres = _scatter(shape, spacing, rng)
    strokes = [_cell(centre, spacing, rng) for centre in centres]
    if strokes:
        image = draw_strokes(np.concatenate(strokes), image)
        spread = np.array(
            [
                (*c, 0.33 * spacing * rng.uniform(0.8, 1.2), rng.uniform(0.6, 1.0))
                for c in centres
            ]
        )
        domain = draw_strokes(spread, domain)
    return image, ndimage.gaussian_filter(
        domain * (1 + 0.5 * _noise(shape, 6.0, rng)), 2.0
    )


def _scatter(
    shape: tuple[int, int], spacing: float, rng: np.random.Generator
) -> NDArray[Any]:
    """Centres that keep at least 0.7 of their mean distance: neighbouring astrocytes
    tile the tissue.
    """
    chosen: list[NDArray[Any]] = []
    wanted = max(1, round(shape[0] * shape[1] / spacing**2))
    for candidate in rng.uniform((0, 0), shape, (30 * wanted, 2)):
        if all(np.hypot(*(candidate - c)) > 0.7 * spacing for c in chosen):
            chosen.append(candidate)
        if len(chosen) == wanted:
            break
    return np.array(chosen)


def _cell(
    centre: NDArray[Any], spacing: float, rng: np.random.Generator
) -> NDArray[Any]:
    """Strokes (row, column, width, brightness) of a soma with its processes."""
    brightness = rng.uniform(0.6, 1.0)
    size = rng.uniform(2.0, 3.2)
    soma = [
        (
            *(centre + rng.normal(0, 0.35 * size, 2)),
            size * rng.uniform(0.7, 1.0),
            brightness,
        )
        for _ in range(5)
    ]
    strokes = [np.array(soma)]
    directions = (
        rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(n := rng.integers(4, 8)) / n
    )
    for direction in directions + rng.normal(0, 0.25, n):
        _grow(
            centre,
            direction,
            rng.uniform(0.45, 0.8) * spacing,
            0.55 * size,
            0.75 * brightness,
            3,
            strokes,
            rng,
        )
    return np.concatenate(strokes)


def _grow(
    begin: NDArray[Any],
    direction: float,
    length: float,
    width: float,
    brightness: float,
    generations: int,
    strokes: list[NDArray[Any]],
    rng: np.random.Generator,
) -> None:
    """Append a process that wanders, tapers and branches."""
    steps = max(2, int(length / STEP))
    angle = direction + np.cumsum(rng.normal(0, 0.09, steps))
    along = np.linspace(0, 1, steps)
    rows = begin[0] + STEP * np.cumsum(np.sin(angle))
    columns = begin[1] + STEP * np.cumsum(np.cos(angle))
    strokes.append(
        np.c_[
            rows,
            columns,
            np.maximum(width * (1 - 0.7 * along), 0.5),
            brightness * (1 - 0.6 * along),
        ]
    )
    if generations == 0:
        return
    for at in rng.uniform(0.2, 0.95, rng.integers(2, 5)):
        k = int(at * (steps - 1))
        side = rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.1)
        share = 1 - 0.6 * at
        _grow(
            np.array((rows[k], columns[k])),
            angle[k] + side,
            length * rng.uniform(0.25, 0.5),
            width * share * 0.8,
            brightness * share * 0.9,
            generations - 1,
            strokes,
            rng,
        )
