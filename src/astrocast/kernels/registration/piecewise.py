"""A smooth field of shifts per frame, from overlapping patches (piecewise-rigid correction).

After Pnevmatikakis & Giovannucci 2017 (NoRMCorre, doi:10.1016/j.jneumeth.2017.07.031), with differences:

- a patch of the frame is read where the frame's rigid shift has put it. Patches of little contrast, read in place and
  compared with the template at the same place, are pulled towards zero;
- the correlation maps of a patch and of its neighbours are averaged before the peak is taken (as suite2p does,
  Pachitariu et al. 2017, doi:10.1101/061507), so a patch with few photons follows its neighbours;
- the field is interpolated at the true centres of the patches, the last of which does not fall on the regular grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from astrocast.kernels.registration.correlation import (
    Correlator,
    build_correlator,
    correlation_maps,
    cross_spectrum,
    peaks,
    taper_2d,
)
from astrocast.kernels.registration.rigid import RigidModel, view_shifts
from astrocast.kernels.registration.view import View, patches
from astrocast.kernels.registration.warp import warp_frames

Real = NDArray[np.float32]

#: the maps of the patches are sampled at this step, in pixels of the view
PATCH_STEP = 0.5
#: weights of a patch and of its neighbour on either side, along each axis
NEIGHBOURS = np.array([0.25, 0.5, 0.25], np.float32)


@dataclass(frozen=True)
class Grid:
    """Where the patches are, and how their shifts spread over the frame.

    Parameters
    ----------
    rows, columns
        First row of each row of patches and first column of each column, in pixels of the view.
    window
        Rows and columns of a patch, in pixels of the view.
    row_nodes, column_nodes
        Places of the interpolated field's nodes, in pixels of the frame, evenly spaced.
    row_weights, column_weights
        (node, patch): the field at a node from the shifts of the patches along one axis.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    window: tuple[int, int]
    row_nodes: NDArray[np.float64]
    column_nodes: NDArray[np.float64]
    row_weights: Real
    column_weights: Real

    @property
    def shape(self) -> tuple[int, int]:
        """Patches along rows and columns."""
        return len(self.rows), len(self.columns)


@dataclass(frozen=True)
class PiecewiseModel:
    """A template as the patches need it.

    Parameters
    ----------
    rigid
        The same template for the rigid shift.
    grid
        The patches.
    patches
        The template of every patch, prepared.
    deviation
        Largest distance of a patch's shift from the rigid one, in pixels of the frame.
    """

    rigid: RigidModel
    grid: Grid
    patches: Correlator
    deviation: float


def plan_grid(
    shape: tuple[int, int], view: View, strides: tuple[int, int], overlaps: tuple[int, int], upsample: int
) -> Grid:
    """Return the patches of frames of ``shape``: windows of stride + overlap pixels, a stride apart.

    A window larger than the view becomes the view. ``upsample`` nodes per patch carry the field between their centres;
    with one it is linear between the centres.
    """
    starts, windows, nodes, weights = [], [], [], []
    for axis, origin in ((0, view.top), (1, view.left)):
        n = view.shape[axis]
        window = min(n, max(8, 2 * ((strides[axis] + overlaps[axis]) // (2 * view.factor))))
        stride = max(1, strides[axis] // view.factor)
        first = np.unique(np.append(np.arange(0, n - window, stride), n - window))
        centres = origin + view.factor * (first + (window - 1) / 2) + (view.factor - 1) / 2
        count = max(2, (len(first) - 1) * upsample + 1)
        place = centres if upsample == 1 and len(first) > 1 else np.linspace(centres[0], centres[-1], count)
        starts.append(first)
        windows.append(window)
        nodes.append(place)
        weights.append(_spread(centres, place))
    return Grid(starts[0], starts[1], (windows[0], windows[1]), nodes[0], nodes[1], weights[0], weights[1])


def _spread(centres: NDArray[np.float64], nodes: NDArray[np.float64]) -> Real:
    """Weights of a natural cubic spline through the centres, at the nodes; (node, centre)."""
    if len(centres) == 1:
        return np.ones((len(nodes), 1), np.float32)
    return CubicSpline(centres, np.eye(len(centres)), bc_type="natural")(nodes).astype(np.float32)


def build_piecewise(
    rigid: RigidModel, grid: Grid, deviation: float, sigma: tuple[float, float] | None = None
) -> PiecewiseModel:
    """Prepare the template of ``rigid`` patch by patch; lengths in pixels of the frame."""
    factor = rigid.view.factor
    own = patches(rigid.template[None], grid.rows, grid.columns, grid.window, np.zeros((1, 2), np.int64))[0]
    samples = int(-(-(deviation / factor + 0.5) // PATCH_STEP)) + 1
    reach = min(samples, int((min(grid.window) // 2 - 1) / PATCH_STEP))
    mask = taper_2d(grid.window, max(1, round(reach * PATCH_STEP / 2)), 7)
    scaled = None if sigma is None else (sigma[0] / factor, sigma[1] / factor)
    return PiecewiseModel(
        rigid, grid, build_correlator(own, mask, (reach, reach), scaled, step=PATCH_STEP), float(deviation)
    )


def smoothed(maps: Real) -> Real:
    """Return maps (frame, patch row, patch column, ...) averaged with those of the neighbouring patches."""
    side, middle, _ = NEIGHBOURS
    for axis in (1, 2):
        moved = np.moveaxis(maps, axis, 0)
        result = np.empty_like(moved)
        np.multiply(moved, middle, out=result)
        result[1:] += side * moved[:-1]
        result[:-1] += side * moved[1:]
        # a patch at the edge counts for the neighbour that it does not have
        result[0] += side * moved[0]
        result[-1] += side * moved[-1]
        maps = np.moveaxis(result, 0, axis)
    return np.ascontiguousarray(maps)


def view_fields(seen: Real, model: PiecewiseModel) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the rigid shift and the shifts of the patches of each viewed frame.

    Returns
    -------
    shifts
        (frame, 2), pixels of the frame.
    fields
        float32 (frame, 2, patch row, patch column), pixels of the frame.
    """
    grid, factor = model.grid, model.rigid.view.factor
    shifts = view_shifts(seen, model.rigid)
    whole = np.rint(shifts / factor).astype(np.int64)
    cut = patches(seen, grid.rows, grid.columns, grid.window, whole)
    maps = correlation_maps(cross_spectrum(cut, model.patches), model.patches)
    lags = model.patches.lags
    maps = smoothed(maps.reshape(len(seen), *grid.shape, *lags))
    rest = model.patches.step * peaks(maps.reshape(-1, *lags)).reshape(len(seen), *grid.shape, 2)
    found = (whole[:, None, None] + rest) * factor
    centre = shifts[:, None, None]
    fields = np.clip(found, centre - model.deviation, centre + model.deviation)
    return shifts, np.ascontiguousarray(fields.transpose(0, 3, 1, 2), np.float32)


def spread_fields(fields: Real, grid: Grid) -> Real:
    """Return the shifts at the nodes of the grid, (frame, 2, row node, column node), from those of the patches."""
    return np.ascontiguousarray(grid.row_weights @ fields @ grid.column_weights.T)


def warp_view(seen: Real, fields: Real, grid: Grid, view: View) -> Real:
    """Return viewed frames moved back by the fields of their patches (in pixels of the frame)."""
    centre = (view.factor - 1) / 2
    return warp_frames(
        seen,
        spread_fields(fields, grid) / np.float32(view.factor),
        (grid.row_nodes - view.top - centre) / view.factor,
        (grid.column_nodes - view.left - centre) / view.factor,
    )
