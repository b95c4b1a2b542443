"""How the tissue moves under the camera: rigid shifts and a smooth field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from astrocast.kernels.rendering import smooth_field
from astrocast.settings.simulation import SimulationSettings

#: the spline of the baseline needs three pixels around a sample, the rest is for
#: rounding
SPLINE_MARGIN = 5


@dataclass(frozen=True)
class Motion:
    """Displacement of every pixel: pixel p of frame t shows the scene at ``p - shift(t)
    - field(t, p)``.

    Parameters
    ----------
    shifts
        Rigid part (frame, 2), float64, pixels, row then column; positive is down and
        right.
    knots
        Control points of the field (frame, 2, row knot, column knot), float32, pixels;
        no knots where it is zero. The field's mean over a frame is zero.
    row_basis, column_basis
        Weights of the knots at every row (row, row knot) and column (column, column
        knot).
    """

    shifts: NDArray[np.float64]
    knots: NDArray[np.float32]
    row_basis: NDArray[np.float32]
    column_basis: NDArray[np.float32]

    @property
    def rigid(self) -> bool:
        """Whether all pixels of a frame move alike."""
        return self.knots.shape[2] == 0

    def field(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the non-rigid part of frames ``start`` to ``stop`` (frame, 2, row,
        column), pixels.
        """
        knots = self.knots[start:stop]
        stacked = knots.reshape(-1, *knots.shape[2:])
        field: NDArray[np.float32] = smooth_field(
            stacked, self.row_basis, self.column_basis
        )
        return field.reshape(*knots.shape[:2], *field.shape[1:])

    def displacement(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return shift plus field (frame, 2, row, column), or (frame, 2, 1, 1) where
        the motion is rigid.
        """
        shifts = self.shifts[start:stop, :, None, None].astype(np.float32)
        return (
            shifts
            if self.rigid
            else np.ascontiguousarray(shifts + self.field(start, stop))
        )


def motion_margin(settings: SimulationSettings) -> int:
    """Return by how many pixels the scene is larger than the frame on every side."""
    return math.ceil(settings.motion + 1.25 * settings.deformation) + SPLINE_MARGIN


def make_motion(settings: SimulationSettings, seed: np.random.SeedSequence) -> Motion:
    """Draw the motion of a recording."""
    walk, warp = seed.spawn(2)
    shifts = _walk(settings, np.random.default_rng(walk))
    n, rows, columns = settings.shape
    if settings.deformation == 0:
        nothing = np.zeros((n, 2, 0, 0), np.float32)
        return Motion(
            shifts,
            nothing,
            np.zeros((rows, 0), np.float32),
            np.zeros((columns, 0), np.float32),
        )
    by, bx = (
        _basis(rows, settings.deformation_scale),
        _basis(columns, settings.deformation_scale),
    )
    bt = _basis(n, settings.deformation_time)
    rng = np.random.default_rng(warp)
    control = rng.uniform(-1, 1, (bt.shape[1], 2, by.shape[1], bx.shape[1]))
    # the basis sums to one, so subtracting a constant from the knots subtracts it from
    # the field
    control -= np.einsum("i,tcij,j->tc", by.mean(0), control, bx.mean(0))[
        :, :, None, None
    ]
    sample = np.einsum("ti,icjk->tcjk", bt[:: max(1, n // 100)], control)
    largest = np.abs(by[::4] @ sample @ bx[::4].T).max(axis=(0, 2, 3))
    control *= (settings.deformation / largest)[:, None, None]
    knots = np.einsum("ti,icjk->tcjk", bt, control).astype(np.float32)
    return Motion(shifts, knots, by.astype(np.float32), bx.astype(np.float32))


def _walk(
    settings: SimulationSettings, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a random walk from zero that is reflected at the bounds, with jumps."""
    n, bound = settings.frames, settings.motion
    if bound == 0:
        return np.zeros((n, 2))
    steps = rng.normal(0, settings.motion_step, (n, 2))
    steps[0] = 0
    for frame in rng.integers(1, max(n, 2), settings.jumps):
        if frame < n:
            steps[frame] += (
                rng.choice((-1.0, 1.0), 2) * rng.uniform(0.5, 1.0, 2) * bound
            )
    return bound - np.abs((np.cumsum(steps, axis=0) + bound) % (4 * bound) - 2 * bound)


def _basis(size: int, spacing: float) -> NDArray[np.float64]:
    """Cubic B-splines about ``spacing`` apart at the samples 0 to size - 1: (sample,
    knot), rows sum to one.
    """
    pieces = max(1, round(size / spacing))
    knots = (np.arange(-3, pieces + 4) * max(size - 1, 1) / pieces).astype(np.float64)
    matrix: Any = BSpline.design_matrix(np.arange(size, dtype=np.float64), knots, 3)
    return np.asarray(matrix.toarray())
