"""A smooth field of shifts per frame from overlapping patches (piecewise-rigid).

After Pnevmatikakis & Giovannucci 2017 (NoRMCorre, doi:10.1016/j.jneumeth.2017.07.031),
with differences:

- a patch of the frame is read where the frame's rigid shift has put it. Patches of
  little contrast, read in place and compared with the template at the same place, are
  pulled towards zero;
- the correlation maps of a patch and of its neighbours are averaged before the peak is
  taken (as suite2p does, Pachitariu et al. 2017, doi:10.1101/061507), so a patch with
  few photons follows its neighbours; in dim recordings those of the frames before and
  after as well;
- the field is interpolated at the true centres of the patches, the last of which does
  not fall on the regular grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from astrocast.kernels.registration.correlation import (
    Correlator,
    build_correlator,
    correlation_maps,
    cross_spectrum,
    peaks,
    phase_ramps,
    taper_2d,
)
from astrocast.kernels.registration.preprocess import View, patches
from astrocast.kernels.registration.quality import pixel_noise
from astrocast.kernels.registration.rigid import RigidModel, is_uneven, view_shifts
from astrocast.kernels.registration.warp import warp_frames

Real = NDArray[np.float32]

#: a patch whose shift the noise makes more uncertain than this, in pixels of the view,
#: is compared together with ...
DIM = 0.2
#: ... this many frames before and after
DIM_HALO = 2
#: weights of the neighbour on either side and of the map itself, along each axis
NEIGHBOURS = np.float32(0.25), np.float32(0.5)


@dataclass(frozen=True)
class Grid:
    """Where the patches are, and how their shifts spread over the frame.

    Parameters
    ----------
    rows, columns
        First row of each row of patches and first column of each column, in pixels of
        the view.
    window
        Rows and columns of a patch, in pixels of the view.
    row_nodes, column_nodes
        Places of the interpolated field's nodes, in pixels of the frame, evenly spaced.
    row_weights, column_weights
        (node, patch): the field at a node from the shifts of the patches along one
        axis.
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
class PatchTemplates:
    """The template of every patch, prepared.

    Parameters
    ----------
    correlator
        What the patches are compared with.
    bias
        (patch row, patch column, 2), pixels of the view: where the template's own map
        peaks. A masked template that is compared with itself peaks away from zero when
        it is brighter on one side; without taking that out, the geometry of the
        template drifts with every round.
    """

    correlator: Correlator
    bias: NDArray[np.float64]


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
        What they are compared with.
    deviation
        Largest distance of a patch's shift from the rigid one, in pixels of the frame.
    finer
        What the patches of uneven frames are compared with, see `RigidModel`.
    halo
        How often the maps are averaged with those of the neighbouring frames; that many
        frames on either side count.
    """

    rigid: RigidModel
    grid: Grid
    patches: PatchTemplates
    deviation: float
    finer: PatchTemplates | None = None
    halo: int = 0


def plan_grid(
    shape: tuple[int, int],
    view: View,
    strides: tuple[int, int],
    overlaps: tuple[int, int],
    upsample: int,
) -> Grid:
    """Return the patches of frames of ``shape``.

    Windows of stride + overlap pixels, one stride apart.

    A window larger than the view becomes the view. ``upsample`` nodes per patch carry
    the field between their centres; with one it is linear between the centres.
    """
    starts, windows, nodes, weights = [], [], [], []
    for axis, origin in ((0, view.top), (1, view.left)):
        n = view.shape[axis]
        window = min(
            n, max(8, 2 * ((strides[axis] + overlaps[axis]) // (2 * view.factor)))
        )
        stride = max(1, strides[axis] // view.factor)
        first = np.unique(np.append(np.arange(0, n - window, stride), n - window))
        centres = (
            origin + view.factor * (first + (window - 1) / 2) + (view.factor - 1) / 2
        )
        count = max(2, (len(first) - 1) * upsample + 1)
        place = (
            centres
            if upsample == 1 and len(first) > 1
            else np.linspace(centres[0], centres[-1], count)
        )
        starts.append(first)
        windows.append(window)
        nodes.append(place)
        weights.append(_spread(centres, place))
    return Grid(
        starts[0],
        starts[1],
        (windows[0], windows[1]),
        nodes[0],
        nodes[1],
        weights[0],
        weights[1],
    )


def _spread(centres: NDArray[np.float64], nodes: NDArray[np.float64]) -> Real:
    """Return the weights of a natural cubic spline at the nodes, (node, centre)."""
    if len(centres) == 1:
        return np.ones((len(nodes), 1), np.float32)
    return CubicSpline(centres, np.eye(len(centres)), bc_type="natural")(nodes).astype(
        np.float32
    )


def build_piecewise(
    rigid: RigidModel,
    grid: Grid,
    deviation: float,
    sigma: tuple[float, float] | None = None,
    halo: int = 0,
) -> PiecewiseModel:
    """Prepare the template of ``rigid`` by patches; lengths in frame pixels."""
    factor = rigid.view.factor
    own = patches(
        rigid.template[None],
        grid.rows,
        grid.columns,
        grid.window,
        np.zeros((1, 2), np.int64),
    )[0]
    reach = min(int(-(-deviation // factor)) + 1, min(grid.window) // 2 - 1)
    scaled = None if sigma is None else (sigma[0] / factor, sigma[1] / factor)
    plain, height = _patch_templates(own, grid, reach, scaled, rigid.noise)
    finer = None
    if rigid.finer is not None:
        finer, low = _patch_templates(own, grid, reach, rigid.finer.sigma, rigid.noise)
        # so that the maps of even and uneven frames weigh the same where they are
        # averaged
        scale = np.divide(height, low, out=np.ones_like(height), where=low > 0)[
            :, None, None
        ]
        spectrum = finer.correlator.spectrum * scale
        finer = replace(finer, correlator=replace(finer.correlator, spectrum=spectrum))
    return PiecewiseModel(rigid, grid, plain, float(deviation), finer, halo)


def _patch_templates(
    own: Real, grid: Grid, reach: int, sigma: tuple[float, float] | None, noise: float
) -> tuple[PatchTemplates, Real]:
    """Return the templates of patches, and the peak of each one's autocorrelation."""
    mask = taper_2d(grid.window, max(1, reach // 2), 7)
    correlator = build_correlator(own, mask, (reach, reach), sigma, noise=noise)
    itself = correlation_maps(cross_spectrum(own, correlator), correlator)
    bias = peaks_of(itself.reshape(1, *grid.shape, *correlator.lags))[0]
    return PatchTemplates(correlator, bias), itself[:, reach, reach]


def peaks_of(maps: Real) -> NDArray[np.float64]:
    """Return the peaks of maps that were averaged with those of neighbours.

    Shape (frame, patch row, patch column, 2).
    """
    near = np.ascontiguousarray(smoothed(smoothed(maps, 1, 1), 2, 1))
    return peaks(near.reshape(-1, *maps.shape[3:])).reshape(*maps.shape[:3], 2)


def uncertainty(seen: Real, rigid: RigidModel, grid: Grid) -> float:
    """Return the standard deviation of a typical patch's shift due to noise.

    In pixels of the view.

    The Cramer-Rao bound: noise over the root of the summed squared gradient of the
    template. ``seen`` are some viewed frames, aligned or not.
    """
    rows, columns = np.gradient(rigid.template)
    energy = np.minimum(rows**2, columns**2)
    own = [
        energy[y : y + grid.window[0], x : x + grid.window[1]].sum()
        for y in grid.rows
        for x in grid.columns
    ]
    return pixel_noise(seen) / max(float(np.sqrt(np.median(own))), 1e-12)


def smoothed(maps: Real, axis: int, times: int) -> Real:
    """Return maps averaged with neighbours along ``axis`` (1/4, 1/2, 1/4), repeatedly.

    ``times`` times.

    At the ends the map itself stands for the neighbour that is not there.
    """
    side, middle = NEIGHBOURS
    for _ in range(times):
        moved = np.moveaxis(maps, axis, 0)
        result = np.multiply(moved, middle)
        result[1:] += side * moved[:-1]
        result[:-1] += side * moved[1:]
        result[0] += side * moved[0]
        result[-1] += side * moved[-1]
        maps = np.moveaxis(result, 0, axis)
    return maps


def view_fields(
    seen: Real, model: PiecewiseModel, inner: slice = slice(None)
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the rigid shift and the shifts of the patches of each viewed frame.

    Parameters
    ----------
    seen
        Viewed frames; the model's ``halo`` frames before and after those of interest
        are compared with them, where the recording has them.
    model
        From `build_piecewise`.
    inner
        The frames of interest.

    Returns
    -------
    shifts
        (frame, 2), pixels of the frame.
    fields
        float32 (frame, 2, patch row, patch column), pixels of the frame.
    """
    grid, factor = model.grid, model.rigid.view.factor
    shifts = view_shifts(seen, model.rigid) / factor
    whole = np.rint(shifts).astype(np.int64)
    cut = patches(seen, grid.rows, grid.columns, grid.window, whole)
    uneven = is_uneven(seen, whole, model.rigid)
    maps = np.empty(
        (len(seen), *grid.shape, *model.patches.correlator.lags), np.float32
    )
    bias = np.where(
        uneven[inner, None, None, None],
        model.finer.bias if model.finer else 0,
        model.patches.bias,
    )
    for templates, own in ((model.patches, ~uneven), (model.finer, uneven)):
        if templates is not None and own.any():
            some = slice(None) if own.all() else own
            found = _patch_maps(cut[some], (shifts - whole)[some], templates.correlator)
            maps[some] = found.reshape(-1, *maps.shape[1:])
    maps = smoothed(maps, 0, model.halo)[inner]
    rest = (peaks_of(maps) - bias) * factor
    own_shifts = shifts[inner] * factor
    fields = own_shifts[:, None, None] + np.clip(
        rest, -model.deviation, model.deviation
    )
    return own_shifts, np.ascontiguousarray(fields.transpose(0, 3, 1, 2), np.float32)


def _patch_maps(cut: Real, ahead: NDArray[np.float64], correlator: Correlator) -> Real:
    """Return maps of patches, centred ``ahead`` of the place where they were read.

    So that maps of neighbouring frames can be added.
    """
    spectrum = cross_spectrum(cut, correlator)
    spectrum *= phase_ramps(correlator.shape, ahead)[:, None]
    return correlation_maps(spectrum, correlator)


def spread_fields(fields: Real, grid: Grid) -> Real:
    """Return the shifts at the nodes of the grid from those of the patches.

    Shape (frame, 2, row node, column node).
    """
    return np.ascontiguousarray(grid.row_weights @ fields @ grid.column_weights.T)


def warp_view(seen: Real, fields: Real, grid: Grid, view: View) -> Real:
    """Return views moved back by the fields of their patches.

    Fields are in pixels of the frame.
    """
    centre = (view.factor - 1) / 2
    return warp_frames(
        seen,
        spread_fields(fields, grid) / np.float32(view.factor),
        (grid.row_nodes - view.top - centre) / view.factor,
        (grid.column_nodes - view.left - centre) / view.factor,
    )
