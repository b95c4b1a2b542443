"""Motion of the tissue: rigid shifts, a smooth field, and motion between lines."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import BSpline

from astrocast.kernels.rendering.spline import smooth_field
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation.streams import generator_of

#: the spline of the baseline needs 3 pixels around a sample; the rest is for rounding
SPLINE_MARGIN = 5
#: with the setting `astrocytes` the margin of the canvas is a multiple of this
CANVAS = 24


@dataclasses.dataclass(frozen=True)
class Motion:
    """Displacement of every pixel.

    Pixel p of frame t shows the scene at ``p - shift(t) - field(t, p) - line(t, p)``.

    Parameters
    ----------
    shifts
        float64 (frame, 2): rigid part in pixels, row then column; positive is down and
        right.
    knots
        float32 (frame, 2, row knot, column knot): control points of the field in
        pixels; no knots if the field is zero. The mean of the field over a frame is
        zero.
    lines
        float32 (frame, line, 2): additional displacement of each line in pixels,
        including the phase of a bidirectional scan; no lines if it is zero.
    row_basis, column_basis
        Weights of the knots at each row (row, row knot) and column (column, column
        knot).
    """

    shifts: NDArray[np.float64]
    knots: NDArray[np.float32]
    row_basis: NDArray[np.float32]
    column_basis: NDArray[np.float32]
    lines: NDArray[np.float32] = dataclasses.field(
        default_factory=lambda: np.zeros((0, 0, 2), np.float32)
    )

    @property
    def rigid(self) -> bool:
        """Whether all pixels of a frame have the same displacement."""
        return self.knots.shape[2] == 0 and self.lines.shape[1] == 0

    @property
    def line_shifts(self) -> NDArray[np.float32] | None:
        """Displacement of each line (frame, line, 2) in pixels, or None.

        It is the sum of rigid shift, motion within the frame and phase; None if lines
        do not move.
        """
        if self.lines.shape[1] == 0:
            return None
        return self.shifts[:, None].astype(np.float32) + self.lines

    def field(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the smooth non-rigid part (frame, 2, row, column) in pixels."""
        knots = self.knots[start:stop]
        stacked = knots.reshape(-1, *knots.shape[2:])
        field: NDArray[np.float32] = smooth_field(
            stacked, self.row_basis, self.column_basis
        )
        return field.reshape(*knots.shape[:2], *field.shape[1:])

    def displacement(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the displacement of each pixel (frame, 2, row, column) in pixels.

        The shape is (frame, 2, 1, 1) if the motion is rigid.
        """
        moved = self.shifts[start:stop, :, None, None].astype(np.float32)
        if self.knots.shape[2]:
            moved = moved + self.field(start, stop)
        if self.lines.shape[1]:
            lines = self.lines[start:stop].transpose(0, 2, 1)[..., None]
            columns = len(self.column_basis)
            moved = moved + np.broadcast_to(lines, (*lines.shape[:3], columns))
        return np.ascontiguousarray(moved)


def motion_margin(settings: SimulationSettings) -> int:
    """Return the margin of the canvas around the frame in pixels."""
    s = settings
    lines = s.line_motion + abs(s.bidirectional)
    needed = math.ceil(s.motion + 1.25 * s.deformation + lines) + SPLINE_MARGIN
    # equal canvas with and without motion, so that the tissue is equal
    return CANVAS * math.ceil(needed / CANVAS) if s.astrocytes else needed


def make_motion(settings: SimulationSettings, seed: np.random.SeedSequence) -> Motion:
    """Draw the motion of a recording."""
    walk, warp = seed.spawn(2)
    shifts = _draw_walk(settings, np.random.default_rng(walk))
    n, rows, columns = settings.shape
    lines = _draw_line_motion(settings)
    if settings.deformation == 0:
        return Motion(
            shifts,
            np.zeros((n, 2, 0, 0), np.float32),
            np.zeros((rows, 0), np.float32),
            np.zeros((columns, 0), np.float32),
            lines,
        )
    by, bx = (
        _make_basis(rows, settings.deformation_scale),
        _make_basis(columns, settings.deformation_scale),
    )
    bt = _make_basis(n, settings.deformation_time)
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
    return Motion(shifts, knots, by.astype(np.float32), bx.astype(np.float32), lines)


def _draw_line_motion(s: SimulationSettings) -> NDArray[np.float32]:
    """Draw the displacement of each line (frame, line, 2) in pixels.

    Lines follow each other in time, without a pause between frames.
    """
    if s.line_motion == 0 and s.bidirectional == 0:
        return np.zeros((s.frames, 0, 2), np.float32)
    rng = generator_of(s.seed, "line_motion")
    walk = rng.standard_normal((s.frames * s.rows, 2))
    walk = ndimage.gaussian_filter1d(walk, s.line_motion_time, axis=0)
    lines = s.line_motion * walk / np.abs(walk).max(axis=0)
    lines = lines.reshape(s.frames, s.rows, 2)
    lines[:, 1::2, 1] += s.bidirectional
    return lines.astype(np.float32)


def _draw_walk(
    settings: SimulationSettings, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a random walk from zero with jumps, reflected at the bounds."""
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


def _make_basis(size: int, spacing: float) -> NDArray[np.float64]:
    """Return cubic B-splines about ``spacing`` apart, (sample, knot); rows sum to 1."""
    pieces = max(1, round(size / spacing))
    knots = (np.arange(-3, pieces + 4) * max(size - 1, 1) / pieces).astype(np.float64)
    matrix: Any = BSpline.design_matrix(np.arange(size, dtype=np.float64), knots, 3)
    return np.asarray(matrix.toarray())
