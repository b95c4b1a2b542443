"""Blocks of frames through the registration on the threads of this computer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.kernels.registration.illumination import evened
from astrocast.kernels.registration.piecewise import (
    PiecewiseModel,
    spread_fields,
    view_fields,
    warp_view,
)
from astrocast.kernels.registration.preprocess import view_frames
from astrocast.kernels.registration.quality import agreement, clipped_share
from astrocast.kernels.registration.rigid import RigidModel, is_uneven, view_shifts
from astrocast.kernels.registration.warp import shift_frames, stored_as, warp_frames

Model = RigidModel | PiecewiseModel

ALL = slice(None)
#: pixels of the view that a thread works on at a time: few enough to stay in its cache
BATCH_PIXELS = 1 << 18


@dataclass(frozen=True)
class Estimate:
    """What is known of a run of frames after they were compared with the template.

    Parameters
    ----------
    shifts
        (frame, 2), pixels.
    fields
        float32 (frame, 2, patch row, patch column), pixels; no patches (0, 0) in a
        rigid estimate.
    correlation_before, correlation_after
        (frame,), correlation of the raw and of the aligned view with the template.
    structure
        (frame,), of unevenly lit frames the correlation of their fine structure with
        the template's; NaN of others.
    residual
        (frame,), pixels: displacement that is left.
    clipped
        (frame,), share of pixels at the frame's lowest or highest value.
    sum_before, sum_after
        (row, column): sum of the raw and of the aligned views.
    """

    shifts: NDArray[np.float64]
    fields: NDArray[np.float32]
    correlation_before: NDArray[np.float64]
    correlation_after: NDArray[np.float64]
    structure: NDArray[np.float64]
    residual: NDArray[np.float64]
    clipped: NDArray[np.float64]
    sum_before: NDArray[np.floating]
    sum_after: NDArray[np.floating]

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return one estimate of consecutive groups of frames.

        Values per frame are joined, sums are added.
        """
        joined: dict[str, Any] = {}
        for f in fields(cls):
            values = [getattr(p, f.name) for p in parts]
            joined[f.name] = (
                _sum(values) if f.name.startswith("sum_") else np.concatenate(values)
            )
        return cls(**joined)


def _sum(values: list[NDArray[Any]]) -> NDArray[np.float64]:
    total = values[0].astype(np.float64)
    for value in values[1:]:
        total += value
    return total


def in_batches(
    work: Callable[[slice], Any], n: int, batch: int, pool: Executor | None = None
) -> list[Any]:
    """Return ``work(slice)`` of consecutive parts of ``range(n)``, in order.

    On the threads of ``pool``.
    """
    parts = [slice(i, min(i + batch, n)) for i in range(0, n, batch)]
    return list(map(work, parts) if pool is None else pool.map(work, parts))


def rigid_part(model: Model) -> RigidModel:
    """Return the rigid model, or that within a piecewise one."""
    return model if isinstance(model, RigidModel) else model.rigid


def halo_of(model: Model) -> int:
    """Return how many frames on either side the estimate of a frame depends on."""
    return 0 if isinstance(model, RigidModel) else model.halo


def batch_of(model: Model) -> int:
    """Return how many frames a thread works on at a time."""
    frames = max(1, min(8, BATCH_PIXELS // int(np.prod(rigid_part(model).view.shape))))
    # the halo of a batch is worked on again
    return 2 * frames if halo_of(model) else frames


def align(
    seen: NDArray[np.float32], model: Model, inner: slice = ALL
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Return (shifts, fields, aligned views) of the ``inner`` frames.

    A rigid model has no fields.
    """
    if isinstance(model, RigidModel):
        shifts = view_shifts(seen[inner], model)
        return (
            shifts,
            np.empty((len(shifts), 2, 0, 0), np.float32),
            shift_frames(seen[inner], shifts / model.view.factor),
        )
    shifts, found = view_fields(seen, model, inner)
    return shifts, found, warp_view(seen[inner], found, model.grid, model.rigid.view)


def estimate_batch(frames: NDArray[Any], model: Model, inner: slice = ALL) -> Estimate:
    """Compare the ``inner`` ones of a few frames with the template."""
    rigid = rigid_part(model)
    seen = view_frames(frames, rigid.view)
    shifts, found, aligned = align(seen, model, inner)
    return judged(seen[inner], shifts, found, aligned, rigid)


def judged(
    seen: NDArray[np.float32],
    shifts: NDArray[np.float64],
    found: NDArray[np.float32],
    aligned: NDArray[np.float32],
    rigid: RigidModel,
) -> Estimate:
    """Return the estimate of viewed frames whose motion has been found."""
    before, _ = agreement(seen, rigid.template, rigid.window)
    after, residual = agreement(aligned, rigid.template, rigid.window)
    left = np.hypot(*residual.T) * rigid.view.factor
    fine = structure(aligned, rigid)
    # a few frames: float32 is exact enough, and no copy in float64 is made of them
    return Estimate(
        shifts,
        found,
        before,
        after,
        fine,
        left,
        clipped_share(seen),
        seen.sum(0),
        aligned.sum(0),
    )


def structure(aligned: NDArray[np.float32], rigid: RigidModel) -> NDArray[np.float64]:
    """Return the fine-structure correlation with the template for uneven frames.

    Of unevenly lit, aligned views; NaN for the rest.

    A frame is not to be mistrusted for an event that fills it.
    """
    correlation = np.full(len(aligned), np.nan)
    uneven = is_uneven(aligned, np.zeros((len(aligned), 2), np.int64), rigid)
    if uneven.any():
        correlation[uneven] = fine_agreement(aligned[uneven], rigid)
    return correlation


def fine_agreement(
    aligned: NDArray[np.float32], rigid: RigidModel, share: float = 0.0
) -> NDArray[np.float64]:
    """Return the fine-structure correlation of aligned views with the template.

    Shape (frame,); used for unevenly lit frames.

    ``share`` is that of each frame in the template; without its own noise there, it
    compares as any other frame does.
    """
    sigma = None if rigid.finer is None else rigid.finer.sigma
    template, frames = evened(rigid.template[None], sigma)[0], evened(aligned, sigma)
    one_by_one = (
        agreement(f[None], template - np.float32(share) * f, rigid.window)[0]
        for f in frames
    )
    return np.concatenate(list(one_by_one))


def estimate(
    frames: NDArray[Any], model: Model, inner: slice = ALL, pool: Executor | None = None
) -> Estimate:
    """Compare the ``inner`` frames of a block (frame, row, column) with the template.

    Outside ``inner`` are the frames that dim recordings are compared together with
    (`halo_of`). The result does not depend on ``pool``, nor on how the recording is cut
    into blocks.
    """
    first, last, _ = inner.indices(len(frames))
    halo = halo_of(model)

    def work(part: slice) -> Estimate:
        start, stop = first + part.start, first + part.stop
        low, high = max(0, start - halo), min(len(frames), stop + halo)
        return estimate_batch(frames[low:high], model, slice(start - low, stop - low))

    return Estimate.joined(in_batches(work, last - first, batch_of(model), pool))


@dataclass(frozen=True)
class Finish:
    """How corrected values are stored.

    Parameters
    ----------
    dtype
        Of the result; integers are rounded and clipped.
    offset
        Added to every value.
    nonnegative
        Whether values below zero become zero.
    """

    dtype: DTypeLike = np.float32
    offset: float = 0.0
    nonnegative: bool = False


def correct(
    frames: NDArray[Any],
    shifts: NDArray[np.float64],
    fields: NDArray[np.float32],
    model: Model,
    store: Finish,
    pool: Executor | None = None,
) -> NDArray[Any]:
    """Return a block of frames moved back by their shifts.

    By their fields where the model is piecewise.
    """
    out = np.empty(frames.shape, store.dtype)
    rule = stored_as(out.dtype, store.offset, store.nonnegative)

    def work(part: slice) -> None:
        if isinstance(model, RigidModel):
            shift_frames(frames[part], shifts[part], rule, out[part])
        else:
            nodes = spread_fields(fields[part], model.grid)
            warp_frames(
                frames[part],
                nodes,
                model.grid.row_nodes,
                model.grid.column_nodes,
                rule,
                out[part],
            )

    in_batches(
        work, len(frames), max(1, BATCH_PIXELS // int(np.prod(frames.shape[1:]))), pool
    )
    return out


def dense_field(
    field: NDArray[np.float32], model: Model, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the shift of each pixel from the shifts of the patches.

    Shapes (2, row, column) and (2, patch row, patch column).
    """
    assert isinstance(model, PiecewiseModel)
    grid = model.grid
    nodes = spread_fields(field[None], grid)[0]
    rows, columns = (
        np.stack(
            [np.interp(np.arange(n), places, unit) for unit in np.eye(len(places))],
            axis=1,
        )
        for n, places in zip(shape, (grid.row_nodes, grid.column_nodes), strict=True)
    )
    return np.asarray(rows @ nodes @ columns.T, np.float32)
