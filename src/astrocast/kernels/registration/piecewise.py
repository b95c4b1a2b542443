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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
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
from astrocast.kernels.registration.preprocess import View, cut_patches
from astrocast.kernels.registration.quality import estimate_noise_level
from astrocast.kernels.registration.rigid import RigidModel
from astrocast.kernels.registration.robust_patches import (
    CALM,
    MOST_APART,
    STEPS,
    average_patches,
    calm_shares,
    certainty_of,
    find_active_views,
    follow_calm_patches,
    patch_steps,
)
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
    """The places of the patches, and how their shifts are interpolated.

    Parameters
    ----------
    rows, columns
        First row of each row of patches and first column of each column, in pixels of
        the view.
    window
        Rows and columns of a patch, in pixels of the view.
    row_nodes, column_nodes
        Places of the nodes of the interpolated field, in pixels of the frame,
        ascending.
    row_weights, column_weights
        (node, patch): weights that interpolate the shifts of the patches at the nodes,
        along one axis.
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
    """The template of every patch, prepared for correlation.

    Parameters
    ----------
    correlator
        The prepared templates of the patches.
    bias
        (patch row, patch column, 2), pixels of the view: peak of the correlation of
        each template with itself. It is not zero if a masked template is brighter on
        one side; if it is not subtracted, the geometry of the template drifts with
        every round.
    """

    correlator: Correlator
    bias: NDArray[np.float64]


@dataclass(frozen=True)
class PiecewiseModel:
    """A template prepared for piecewise registration.

    Parameters
    ----------
    rigid
        The same template, prepared for the rigid shift.
    grid
        The places of the patches.
    patches
        The templates of the patches.
    deviation
        Largest distance of a patch's shift from the rigid shift, in pixels of the
        frame.
    halo
        Number of times that the maps are averaged with those of the frames before and
        after; the result depends on this many frames on either side.
    apart
        Standard deviation of a patch from those around it, and from the rigid shift,
        pixels of the view; see `robust_patches.typical_deviations`.
    """

    rigid: RigidModel
    grid: Grid
    patches: PatchTemplates
    deviation: float
    halo: int = 0
    apart: tuple[float, float] = (MOST_APART, MOST_APART)


def plan_grid(
    shape: tuple[int, int],
    view: View,
    strides: tuple[int, int],
    overlaps: tuple[int, int],
    upsample: int,
) -> Grid:
    """Return the grid of patches of the view.

    A patch is stride + overlap pixels long (at most the view), and patches are one
    stride apart; strides and overlaps are in pixels of the frame. The field has
    ``upsample`` nodes per patch; with 1 it is linear between the centres of the
    patches.
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
        weights.append(_spline_weights(centres, place))
    return Grid(
        starts[0],
        starts[1],
        (windows[0], windows[1]),
        nodes[0],
        nodes[1],
        weights[0],
        weights[1],
    )


def _spline_weights(centres: NDArray[np.float64], nodes: NDArray[np.float64]) -> Real:
    """Return weights that interpolate by a natural cubic spline, (node, centre)."""
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
    """Prepare the template of ``rigid`` for patches; lengths in pixels of the frame."""
    factor = rigid.view.factor
    own = cut_patches(
        rigid.template[None],
        grid.rows,
        grid.columns,
        grid.window,
        np.zeros((1, 2), np.int64),
    )[0]
    reach = min(int(-(-deviation // factor)) + 1, min(grid.window) // 2 - 1)
    scaled = None if sigma is None else (sigma[0] / factor, sigma[1] / factor)
    mask = taper_2d(grid.window, max(1, reach // 2), 7)
    correlator = build_correlator(own, mask, (reach, reach), scaled, noise=rigid.noise)
    itself = correlation_maps(cross_spectrum(own, correlator), correlator)
    bias = find_patch_peaks(itself.reshape(1, *grid.shape, *correlator.lags))[0]
    patch_templates = PatchTemplates(correlator, bias)
    return PiecewiseModel(rigid, grid, patch_templates, float(deviation), halo)


def find_patch_peaks(maps: Real) -> NDArray[np.float64]:
    """Average maps with those of neighbouring patches and return their peaks.

    ``maps`` (frame, patch row, patch column, lag, lag); returns (frame, patch row,
    patch column, 2), in pixels of the view.
    """
    near = np.ascontiguousarray(smooth_maps(smooth_maps(maps, 1, 1), 2, 1))
    return peaks(near.reshape(-1, *maps.shape[3:])).reshape(*maps.shape[:3], 2)


def estimate_patch_error(seen: Real, rigid: RigidModel, grid: Grid) -> float:
    """Return how far noise moves the shift of a typical patch (SD, pixels of the view).

    The Cramer-Rao bound: noise divided by the root of the summed squared gradient of
    the template. ``seen``: some views (frame, row, column), aligned or not.
    """
    rows, columns = np.gradient(rigid.template)
    energy = np.minimum(rows**2, columns**2)
    own = [
        energy[y : y + grid.window[0], x : x + grid.window[1]].sum()
        for y in grid.rows
        for x in grid.columns
    ]
    return estimate_noise_level(seen) / max(float(np.sqrt(np.median(own))), 1e-12)


def smooth_maps(maps: Real, axis: int, times: int) -> Real:
    """Average maps with neighbours along ``axis`` (1/4, 1/2, 1/4), ``times`` times.

    At the ends the map itself replaces the missing neighbour.
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
    seen: Real,
    shifts: NDArray[np.float64],
    model: PiecewiseModel,
    inner: slice = slice(None),
) -> NDArray[np.float32]:
    """Return the shifts of the patches of each view, by correlation.

    Parameters
    ----------
    seen
        Views float32 (frame, row, column): the frames ``inner``, with ``model.halo``
        frames before and after them where the recording has them.
    shifts
        (frame, 2), pixels of the frame: rigid shift of each view.
    model
        From `build_piecewise`.
    inner
        Frames to return.

    Returns
    -------
    numpy.ndarray
        float32 (frame, 2, patch row, patch column), pixels of the frame.
    """
    grid, factor = model.grid, model.rigid.view.factor
    own = shifts / factor
    whole = np.rint(own).astype(np.int64)
    cut = cut_patches(seen, grid.rows, grid.columns, grid.window, whole)
    correlator = model.patches.correlator
    maps = _patch_maps(cut, own - whole, correlator)
    maps = maps.reshape(len(seen), *grid.shape, *correlator.lags)
    maps = smooth_maps(maps, 0, model.halo)[inner]
    rest = (find_patch_peaks(maps) - model.patches.bias) * factor
    return limit_fields(shifts[inner], rest, model)


def limit_fields(
    shifts: NDArray[np.float64], rest: NDArray[np.float64], model: PiecewiseModel
) -> Real:
    """Add the deviations of patches, limited, to the rigid shifts.

    ``shifts`` (frame, 2) and the deviations ``rest`` (frame, patch row, patch column,
    2) are in pixels of the frame; returns float32 (frame, 2, patch row, patch column).
    """
    fields = shifts[:, None, None] + np.clip(rest, -model.deviation, model.deviation)
    return np.ascontiguousarray(fields.transpose(0, 3, 1, 2), np.float32)


def fit_fields(
    seen: Real,
    fields: Real,
    shifts: NDArray[np.float64],
    model: PiecewiseModel,
) -> tuple[Real, NDArray[np.float64]]:
    """Return fields that activity does not bias, and the agreement of each frame.

    Parameters
    ----------
    seen
        Views float32 (frame, row, column).
    fields
        From `view_fields`; fields of frames without activity are returned unchanged.
    shifts
        (frame, 2), pixels of the frame: robust rigid shifts.
    model
        Its rigid model has to contain the robust one.

    Returns
    -------
    fields
        float32 (frame, 2, patch row, patch column), pixels of the frame.
    after
        (frame,), weighted correlation with the template moved by the field.
    """
    robust, grid = model.rigid.robust, model.grid
    assert robust is not None
    level, factor = robust.coarse, model.rigid.view.factor
    corners = (grid.rows, grid.columns, grid.window[0], grid.window[1])
    n = len(seen)
    fits = np.column_stack([shifts / factor, np.ones(n), np.zeros(n)])
    active, after = np.zeros(seen.shape, np.uint8), np.zeros(n)

    def compare(frames: NDArray[np.intp]) -> Real:
        moved = move_templates(level.template, fields[frames], grid, model.rigid.view)
        found, own = active[frames], fits[frames]
        agreement = np.zeros((len(frames), 2))
        find_active_views(
            seen[frames], moved, level.weight, robust.active_sd, own, found, agreement
        )
        active[frames], fits[frames], after[frames] = found, own, agreement[:, 0]
        return moved

    fields = fields.copy()
    compare(np.arange(n))
    pulled = np.flatnonzero(active.any(axis=(1, 2)))
    whole = np.rint(shifts / factor).astype(np.int64)
    touched, expected = {}, {}
    for t in pulled:
        calm = calm_shares(active[t], whole[t], corners)
        # a patch shares its map with its neighbours, so their activity counts as well
        touched[t] = ndimage.minimum_filter(calm, 3, mode="nearest") < CALM
        own = shifts[t, :, None, None]
        free = ~touched[t].astype(bool)
        around = average_patches(fields[t] - own, free.astype(np.float64))
        expected[t] = own + around, certainty_of(free, model.apart)
        fields[t] = own + follow_calm_patches(fields[t] - own, calm)
    for _ in range(STEPS if len(pulled) else 0):
        moved = compare(pulled)
        for k, t in enumerate(pulled):
            wanted, certainty = expected[t]
            steps = patch_steps(
                seen[t],
                (moved[k], level.weight, level.slopes),
                fits[t],
                active[t],
                corners,
                ((wanted - fields[t]) / factor, certainty),
            )
            apart = fields[t] + factor * steps * touched[t] - shifts[t, :, None, None]
            limited = np.clip(apart, -model.deviation, model.deviation)
            fields[t] = shifts[t, :, None, None] + limited
    if len(pulled):
        compare(pulled)
    return fields, after


def move_templates(template: Real, fields: Real, grid: Grid, view: View) -> Real:
    """Return the template displaced by each field, (frame, row, column).

    ``template`` (row, column) of the view, ``fields`` in pixels of the frame. The field
    is read at the template's pixel instead of the frame's: fields are smooth, so both
    are nearly equal.
    """
    still = np.broadcast_to(template, (len(fields), *template.shape))
    return warp_view(np.ascontiguousarray(still), -fields, grid, view)


def _patch_maps(cut: Real, ahead: NDArray[np.float64], correlator: Correlator) -> Real:
    """Return maps of patches, centred ``ahead`` pixels from where they were read.

    ``ahead`` (frame, 2): the fraction of a pixel in the rigid shift. Maps of
    neighbouring frames then have the same centre and can be averaged.
    """
    spectrum = cross_spectrum(cut, correlator)
    spectrum *= phase_ramps(correlator.shape, ahead)[:, None]
    return correlation_maps(spectrum, correlator)


def spread_fields(fields: Real, grid: Grid) -> Real:
    """Interpolate the shifts of patches at the nodes of the grid.

    Returns (frame, 2, row node, column node).
    """
    return np.ascontiguousarray(grid.row_weights @ fields @ grid.column_weights.T)


def warp_view(seen: Real, fields: Real, grid: Grid, view: View) -> Real:
    """Return views moved back by the fields of their patches (pixels of the frame)."""
    centre = (view.factor - 1) / 2
    return warp_frames(
        seen,
        spread_fields(fields, grid) / np.float32(view.factor),
        (grid.row_nodes - view.top - centre) / view.factor,
        (grid.column_nodes - view.left - centre) / view.factor,
    )
