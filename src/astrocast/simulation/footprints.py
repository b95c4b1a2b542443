"""Footprints of events in the tissue: weight and delay of each pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from astrocast.kernels.rendering.strokes import draw_strokes, path_distance
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.scene import Scene, smooth_noise

#: pixels with a weight below this fraction of the largest are removed
FAINTEST = 0.03
#: width in pixels of the fine leaflets around processes; events extend into them
LEAFLETS = 2.0
#: a wave across cells has at least this fraction of its pixels in each of two cells
SHARE = 0.15


@dataclass(frozen=True)
class Footprint:
    """Pixels of one event without motion.

    Parameters
    ----------
    row, column
        int32 (pixel,): position in the frame; pixels in the margin are outside it.
    weight
        float32 (pixel,): fraction of the amplitude, at most 1.
    delay
        float32 (pixel,): onset of the pixel after the first onset, in frames.
    cell
        Number of the cell, from 1; 0: the event belongs to no single cell.
    speed, path
        Speed (pixels/frame) and length (pixels) of the path of a wave; 0 for other
        events.
    """

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    weight: NDArray[np.float32]
    delay: NDArray[np.float32]
    cell: int = 0
    speed: float = 0.0
    path: float = 0.0


@dataclass(frozen=True)
class Tissue:
    """The scene in which footprints are drawn, and masks on its canvas."""

    scene: Scene
    settings: SimulationSettings

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the canvas."""
        rows, columns = self.scene.image.shape
        return rows, columns

    @cached_property
    def processes(self) -> tuple[NDArray[np.bool_], ...]:
        """Mask of each cell: soma and processes with their leaflets."""
        masks = []
        for cell in self.scene.cells:
            points = cell.strokes.copy()
            # a point's Gaussian is above exp(-1/2) within its width
            points[:, 2] = np.maximum(1.3 * points[:, 2], LEAFLETS)
            points[:, 3] = 1.0
            masks.append(draw_strokes(points, np.zeros(self.shape)) > math.exp(-0.5))
        return tuple(masks)

    @cached_property
    def outside_vessel(self) -> NDArray[np.bool_]:
        """Mask of the tissue outside the vessel."""
        if self.scene.vessel is None:
            return np.ones(self.shape, bool)
        return self.scene.vessel.wall > 0

    @cached_property
    def view(self) -> NDArray[np.bool_]:
        """Mask of the frame without its `border`."""
        inside = np.zeros(self.shape, bool)
        edge = self.scene.margin + math.ceil(self.settings.border)
        inside[edge:-edge, edge:-edge] = True
        return inside

    @cached_property
    def any_process(self) -> NDArray[np.bool_]:
        """Mask of all cells together."""
        found = np.zeros(self.shape, bool)
        for mask in self.processes:
            found |= mask
        return found

    @cached_property
    def nearest_cell(self) -> NDArray[np.int64]:
        """Number of the nearest cell of each pixel, from 1; 0 without cells."""
        if not self.scene.cells:
            return np.zeros(self.shape, np.int64)
        places = np.indices(self.shape).reshape(2, -1).T
        centres = [cell.centre for cell in self.scene.cells]
        return 1 + cKDTree(centres).query(places)[1].reshape(self.shape)

    def cell_at(self, place: tuple[int, int]) -> int:
        """Return the number of the nearest cell, from 1; 0 without cells."""
        return int(self.nearest_cell[place])


def draw_footprint(
    kind: str, tissue: Tissue, rng: np.random.Generator
) -> Footprint | None:
    """Draw the footprint of an event; return None if this draw does not fit."""
    return _SHAPES.get(kind, _draw_patch)(tissue, rng)


def _pick(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a random pixel of a mask, or None if the mask is empty."""
    at = np.flatnonzero(mask)
    if not len(at):
        return None
    row, column = np.unravel_index(at[rng.integers(len(at))], mask.shape)
    return int(row), int(column)


def _grow_region(
    cost: NDArray[Any], origin: tuple[int, int], area: float, tissue: Tissue
) -> NDArray[np.bool_] | None:
    """Return the ``area`` pixels with the smallest path cost from ``origin``."""
    start = np.array(origin, np.int64)
    wanted = round(area)
    distance = path_distance(cost.astype(np.float32), start, math.inf, wanted)
    region = np.isfinite(distance)
    fits = region.sum() == wanted and tissue.view[region].all()
    return region if fits else None


def _draw_step_costs(
    tissue: Tissue, inside: NDArray[np.bool_], rng: np.random.Generator, beyond: float
) -> NDArray[Any]:
    """Draw the cost of a step to each pixel: about 1 inside, ``beyond`` outside."""
    rough = np.exp(0.8 * smooth_noise(tissue.shape, 2.0, rng))
    cost = rough * np.where(inside, 1.0, beyond)
    return np.where(tissue.outside_vessel, cost, np.inf)


def _draw_domain(tissue: Tissue, rng: np.random.Generator) -> Footprint | None:
    low, high = np.log(tissue.settings.domain_area)
    area = math.exp(rng.uniform(low, high))
    origin = _pick(tissue.any_process & tissue.view, rng)
    if origin is None:
        return None
    region = _grow_region(
        _draw_step_costs(tissue, tissue.any_process, rng, 1.5), origin, area, tissue
    )
    return _weigh(region, tissue, rng, tissue.cell_at(origin))


def _draw_patch(tissue: Tissue, rng: np.random.Generator) -> Footprint | None:
    area = rng.uniform(*tissue.settings.patch_area)
    origin = _pick(tissue.any_process & tissue.view, rng)
    if origin is None:
        return None
    cell = tissue.cell_at(origin)
    cost = _draw_step_costs(tissue, tissue.processes[cell - 1], rng, 3.0)
    return _weigh(_grow_region(cost, origin, area, tissue), tissue, rng, cell)


def _draw_soma(tissue: Tissue, rng: np.random.Generator) -> Footprint | None:
    if not tissue.scene.cells:
        return None
    number = int(rng.integers(len(tissue.scene.cells)))
    cell = tissue.scene.cells[number]
    radius = cell.size * rng.uniform(1.7, 2.3)
    rows, columns = np.indices(tissue.shape)
    distance = np.hypot(rows - cell.centre[0], columns - cell.centre[1])
    region = distance < radius * (1 + 0.2 * smooth_noise(tissue.shape, 3.0, rng))
    if not region.any() or not tissue.view[region].all():
        return None
    return _weigh(region, tissue, rng, number + 1)


def _draw_endfoot(tissue: Tissue, rng: np.random.Generator) -> Footprint | None:
    vessel = tissue.scene.vessel
    if vessel is None:
        return None
    thick = rng.uniform(3.5, 5.5)
    sheath = (vessel.wall > 0) & (vessel.wall < thick) & tissue.view
    origin = _pick(sheath, rng)
    if origin is None:
        return None
    half = rng.uniform(*tissue.settings.endfoot_length) / 2
    region = sheath & (np.abs(vessel.along - vessel.along[origin]) < half)
    if rng.random() < 0.7:  # the others reach around the vessel
        region &= vessel.side == vessel.side[origin]
    # one connected part: where the vessel bends, `along` jumps
    parts, _ = ndimage.label(region | ((vessel.wall <= 0) & (vessel.wall > -3)))
    region &= parts == parts[origin]
    return _weigh(region, tissue, rng, tissue.cell_at(origin))


def _draw_wave(tissue: Tissue, rng: np.random.Generator) -> Footprint | None:
    settings = tissue.settings
    origin = _pick(tissue.any_process & tissue.view, rng)
    path, speed = rng.uniform(*settings.wave_path), rng.uniform(*settings.wave_speed)
    if origin is None:
        return None
    cell = tissue.cell_at(origin)
    way = tissue.processes[cell - 1] & tissue.outside_vessel & tissue.view
    if not way[origin]:
        return None
    cost = np.where(way, 1.0, np.inf).astype(np.float32)
    start, everywhere = np.array(origin, np.int64), way.size
    distance = path_distance(cost, start, path, everywhere)
    region = np.isfinite(distance)
    reached = distance[region].max()
    if reached < 0.9 * path or region.sum() < 4 * path:
        return None
    return _weigh(region, tissue, rng, cell, distance, speed)


def _draw_cell_wave(tissue: Tissue, rng: np.random.Generator) -> Footprint | None:
    settings = tissue.settings
    path, speed = (
        rng.uniform(*settings.cell_wave_path),
        rng.uniform(*settings.wave_speed),
    )
    origin = _pick(tissue.any_process & tissue.view, rng)
    if origin is None:
        return None
    # a front is faster along processes than between them
    cost = np.where(tissue.any_process, 0.85, 1.15) * np.exp(
        0.4 * smooth_noise(tissue.shape, 8.0, rng)
    )
    cost = np.where(tissue.outside_vessel, cost, np.inf)
    start, everywhere = np.array(origin, np.int64), cost.size
    distance = path_distance(cost.astype(np.float32), start, path, everywhere)
    region = np.isfinite(distance)
    shares = np.bincount(tissue.nearest_cell[region & tissue.view])
    if (shares > SHARE * region.sum()).sum() < 2:
        return None  # the wave is in one cell only
    return _weigh(region, tissue, rng, 0, distance, speed, spread=True)


def _draw_whole_field(tissue: Tissue, rng: np.random.Generator) -> Footprint | None:
    region = np.ones(tissue.shape, bool)
    delay = 1.0 + smooth_noise(tissue.shape, 25.0, rng)
    made = _weigh(region, tissue, rng, 0, delay, 1.0, spread=True)
    if made is None:
        return None
    return Footprint(made.row, made.column, made.weight, made.delay)


#: functions that draw the footprint of a kind; other kinds have a patch along processes
_SHAPES: dict[str, Callable[[Tissue, np.random.Generator], Footprint | None]] = {
    "domain": _draw_domain,
    "soma": _draw_soma,
    "endfoot": _draw_endfoot,
    "wave": _draw_wave,
    "cell_wave": _draw_cell_wave,
    "whole_field": _draw_whole_field,
}


def _weigh(
    region: NDArray[np.bool_] | None,
    tissue: Tissue,
    rng: np.random.Generator,
    cell: int,
    distance: NDArray[Any] | None = None,
    speed: float = 0.0,
    *,
    spread: bool = False,
) -> Footprint | None:
    """Return the footprint of a region, with soft edge, hot spot, texture and delay.

    ``spread``: instead of one hot spot, the weights vary over tens of pixels (for large
    regions).
    """
    if region is None or not region.any():
        return None
    settings, shape = tissue.settings, tissue.shape
    hot = _pick(region, rng)
    grain = smooth_noise(shape, 1.5, rng)
    coarse = smooth_noise(shape, 12.0, rng)
    if spread:
        hill = 0.5 + 0.5 * coarse
    else:
        rows, columns = np.indices(shape)
        width = 0.45 * math.sqrt(region.sum() / math.pi) + 1.0
        assert hot is not None
        hill = np.exp(
            -((rows - hot[0]) ** 2 + (columns - hot[1]) ** 2) / (2 * width * width)
        )
    height = 1 - settings.hot_spot + settings.hot_spot * hill
    height = height * np.clip(1 + settings.texture * grain / grain.std(), 0.4, 1.6)
    soft = ndimage.gaussian_filter(region.astype(float), settings.soft_edge)
    weight = ndimage.gaussian_filter(region * height, settings.soft_edge)
    weight[soft < FAINTEST] = 0
    weight /= weight.max()
    at = np.nonzero(weight > FAINTEST)
    delay = np.zeros(len(at[0]), np.float32)
    if distance is not None:
        # pixels of the soft edge have the onset of the nearest pixel of the region
        nearest = ndimage.distance_transform_edt(
            ~region, return_distances=False, return_indices=True
        )
        within = distance[tuple(nearest)][at]
        delay = ((within - within.min()) / speed).astype(np.float32)
    margin = tissue.scene.margin
    return Footprint(
        (at[0] - margin).astype(np.int32),
        (at[1] - margin).astype(np.int32),
        weight[at].astype(np.float32),
        delay,
        cell,
        speed if distance is not None else 0.0,
        float(delay.max() * speed) if distance is not None else 0.0,
    )
