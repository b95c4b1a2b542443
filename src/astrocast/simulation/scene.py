"""The resting fluorescence: somata, branching processes, fine structure, a vessel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from astrocast.kernels.rendering.strokes import draw_strokes
from astrocast.settings.simulation import SimulationSettings

#: length of a step along a process, in pixels
STEP = 0.7


@dataclass(frozen=True)
class Cell:
    """One astrocyte on the canvas.

    Parameters
    ----------
    centre
        Row and column on the canvas.
    size
        Gaussian sd of the soma in pixels.
    strokes
        float64 (point, 4): points along the processes with row, column, width,
        brightness.
    """

    centre: NDArray[np.float64]
    size: float
    strokes: NDArray[np.float64]


@dataclass(frozen=True)
class Vessel:
    """A vessel across the canvas; the maps are float32 (row, column).

    Parameters
    ----------
    wall
        Distance to the wall in pixels, negative inside the vessel.
    along
        Position along the axis in pixels.
    side
        Side of the axis: -1 or 1.
    """

    wall: NDArray[np.float32]
    along: NDArray[np.float32]
    side: NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """Resting fluorescence with a mean of 1 over the frame, on a canvas.

    The canvas is larger than the frame by ``margin`` pixels on every side.

    Parameters
    ----------
    image
        Brightness, float32 (row, column).
    local
        Smooth map of the local drift of the baseline, with mean 0 and at most 1.
    margin
        Number of pixels around the frame.
    cells
        The astrocytes.
    vessel
        The vessel, or None.
    """

    image: NDArray[np.float32]
    local: NDArray[np.float32]
    margin: int
    cells: tuple[Cell, ...] = ()
    vessel: Vessel | None = None

    @property
    def inside(self) -> tuple[slice, slice]:
        """The part of the canvas that a frame without motion shows."""
        m = self.margin
        return slice(m, self.image.shape[0] - m), slice(m, self.image.shape[1] - m)


def make_scene(
    settings: SimulationSettings, margin: int, seed: np.random.SeedSequence
) -> Scene:
    """Draw the scene of a recording."""
    rng = np.random.default_rng(seed)
    shape = settings.rows + 2 * margin, settings.columns + 2 * margin
    vessel = None
    if settings.astrocytes and settings.vessel_radius > 0:
        vessel = _draw_vessel(shape, settings.vessel_radius, rng)
    cells = _draw_cells(shape, settings.cell_spacing, vessel, rng)
    light, domain = _paint_cells(shape, cells, settings.cell_spacing, rng)
    haze = 0.5 + 0.5 * smooth_noise(shape, 30.0, rng)
    # leaflets between processes are smaller than the resolution: they give a texture
    # like a sponge, denser near a cell
    sponge = smooth_noise(shape, 1.6, rng) * (0.15 + 0.85 * domain)
    structure = light + 0.45 * domain * (1.0 + 0.35 * sponge) + 0.08 * sponge
    if vessel is not None:
        structure = structure + _paint_endfeet(vessel, rng)
    image = (
        1.0 + 0.25 * haze + 1.2 * settings.contrast * structure
        if settings.contrast
        else np.ones(shape)
    )
    if vessel is not None and settings.contrast:
        image = image * (0.35 + 0.65 / (1.0 + np.exp(-vessel.wall / 0.6)))
    # blur of the microscope
    image = np.maximum(ndimage.gaussian_filter(image, 0.7), 0.05)
    local = smooth_noise(shape, 40.0, rng)
    scene = Scene(
        image.astype(np.float32), local.astype(np.float32), margin, cells, vessel
    )
    mean = np.float32(scene.image[scene.inside].mean())
    return replace(scene, image=scene.image / mean)


def _draw_vessel(
    shape: tuple[int, int], radius: float, rng: np.random.Generator
) -> Vessel:
    """Draw a slightly curved vessel that crosses the middle of the canvas."""
    angle = rng.uniform(0, np.pi)
    middle = np.array(shape) * rng.uniform(0.38, 0.62, 2)
    reach = float(np.hypot(*shape))
    along = np.arange(-reach, reach, 0.5)
    bend = 8.0 * np.sin(2 * np.pi * along / rng.uniform(120, 220) + rng.uniform(0, 6.3))
    direction = np.array([np.sin(angle), np.cos(angle)])
    normal = np.array([direction[1], -direction[0]])
    axis = middle + along[:, None] * direction + bend[:, None] * normal
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    pixels = np.c_[rows.ravel(), columns.ravel()]
    distance, nearest = cKDTree(axis).query(pixels)
    side = np.sign((pixels - axis[nearest]) @ normal)
    maps = (distance - radius, along[nearest], side)
    return Vessel(*(np.asarray(m, np.float32).reshape(shape) for m in maps))


def _paint_endfeet(vessel: Vessel, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the light of the endfeet: bright patches along the wall."""
    place = np.arange(vessel.along.min(), vessel.along.max() + 2)
    patches = [
        ndimage.gaussian_filter1d(rng.standard_normal(len(place)), 5.0) for _ in (-1, 1)
    ]
    index = (vessel.along - place[0]).astype(int)
    height = np.where(vessel.side > 0, patches[0][index], patches[1][index])
    height = np.clip(0.5 + height / (2.0 * height.std()), 0.1, 1.2)
    sheath: NDArray[np.float64] = height * np.exp(-(((vessel.wall - 1.5) / 1.8) ** 2))
    return sheath


def smooth_noise(
    shape: tuple[int, int], sigma: float, rng: np.random.Generator
) -> NDArray[Any]:
    """Draw smooth noise between -1 and 1, with mean 0."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    smooth -= smooth.mean()
    return smooth / np.abs(smooth).max()


def _draw_cells(
    shape: tuple[int, int],
    spacing: float,
    vessel: Vessel | None,
    rng: np.random.Generator,
) -> tuple[Cell, ...]:
    """Draw the astrocytes that tile the tissue outside the vessel."""
    cells = []
    for centre in _scatter(shape, spacing, rng):
        strokes, size = _draw_cell(centre, spacing, rng)
        if vessel is None:
            cells.append(Cell(centre, size, strokes))
            continue
        wall = vessel.wall[tuple(centre.astype(int))]
        if wall < 2.5 * size:
            continue
        if wall < 0.9 * spacing:
            to_wall = _draw_wall_process(centre, vessel, size, rng)
            strokes = np.concatenate([strokes, to_wall])
        cells.append(Cell(centre, size, strokes))
    return tuple(cells)


def _draw_wall_process(
    centre: NDArray[Any], vessel: Vessel, size: float, rng: np.random.Generator
) -> NDArray[Any]:
    """Draw the process (point, 4) from a soma to the wall of the vessel."""
    slope = np.stack([np.gradient(vessel.wall, axis=axis) for axis in (0, 1)])
    points = [np.asarray(centre, float)]
    angle = rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for _ in range(400):
        at = tuple(
            np.clip(points[-1].astype(int), 0, np.array(vessel.wall.shape) - 1).tolist()
        )
        if vessel.wall[at] < 1.0:
            break
        down = -slope[:, at[0], at[1]]
        points.append(points[-1] + STEP * (turn @ down) / max(np.hypot(*down), 1e-6))
    place = np.array(points)
    along = np.linspace(0, 1, len(place))
    width = np.maximum(0.5 * size * (1 - 0.4 * along), 1.0)
    return np.c_[place, width, 0.6 - 0.1 * along]


def _paint_cells(
    shape: tuple[int, int],
    cells: tuple[Cell, ...],
    spacing: float,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the light of the cells (at most about 1) and their domains (0 to 1).

    The domain of a cell is the area of its fine processes.
    """
    image, domain = np.zeros(shape), np.zeros(shape)
    if cells:
        image = draw_strokes(np.concatenate([c.strokes for c in cells]), image)
        spread = np.array(
            [
                (
                    *c.centre,
                    0.33 * spacing * rng.uniform(0.8, 1.2),
                    rng.uniform(0.6, 1.0),
                )
                for c in cells
            ]
        )
        domain = draw_strokes(spread, domain)
    return image, ndimage.gaussian_filter(
        domain * (1 + 0.5 * smooth_noise(shape, 6.0, rng)), 2.0
    )


def _scatter(
    shape: tuple[int, int], spacing: float, rng: np.random.Generator
) -> NDArray[Any]:
    """Draw centres with distances of at least 0.7 times the spacing.

    So neighbouring astrocytes tile the tissue.
    """
    chosen: list[NDArray[Any]] = []
    wanted = max(1, round(shape[0] * shape[1] / spacing**2))
    for candidate in rng.uniform((0, 0), shape, (30 * wanted, 2)):
        if all(np.hypot(*(candidate - c)) > 0.7 * spacing for c in chosen):
            chosen.append(candidate)
        if len(chosen) == wanted:
            break
    return np.array(chosen)


def _draw_cell(
    centre: NDArray[Any], spacing: float, rng: np.random.Generator
) -> tuple[NDArray[Any], float]:
    """Draw a soma with its processes; return the strokes (point, 4) and its size."""
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
    return np.concatenate(strokes), float(size)


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
    """Append the strokes of a curved process that tapers and branches."""
    steps = max(2, int(length / STEP))
    angle = direction + np.cumsum(rng.normal(0, 0.09, steps))
    along = np.linspace(0, 1, steps)
    rows = begin[0] + STEP * np.cumsum(np.sin(angle))
    columns = begin[1] + STEP * np.cumsum(np.cos(angle))
    strokes.append(
        np.stack(
            (
                rows,
                columns,
                np.maximum(width * (1 - 0.7 * along), 0.5),
                brightness * (1 - 0.6 * along),
            ),
            axis=1,
        )
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
