"""Register blocks of frames on the threads of this computer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.kernels.registration.piecewise import (
    PiecewiseModel,
    fit_fields,
    spread_fields,
    view_fields,
    warp_view,
)
from astrocast.kernels.registration.preprocess import as_native, view_frames
from astrocast.kernels.registration.quality import agreement, measure_clipping
from astrocast.kernels.registration.rigid import RigidModel, view_shifts
from astrocast.kernels.registration.robust import fit_frames
from astrocast.kernels.registration.sharpness import measure_sharpness
from astrocast.kernels.registration.warp import shift_frames, stored_as, warp_frames

Model = RigidModel | PiecewiseModel

ALL = slice(None)
#: pixels of views that a thread processes at a time: few enough to fit in its cache
BATCH_PIXELS = 1 << 18


@dataclass(frozen=True)
class Estimate:
    """Shifts and quality of consecutive frames.

    Parameters
    ----------
    shifts
        (frame, 2), pixels.
    fields
        float32 (frame, 2, patch row, patch column), pixels; a rigid estimate has no
        patches: (frame, 2, 0, 0).
    correlation_before, correlation_after
        (frame,), weighted correlation of the frame with the template, without and with
        correction. The template is moved, the frame is never interpolated, and active
        pixels hardly count: both values can be compared.
    residual
        (frame,), pixels: displacement that remains after correction.
    clipped
        (frame,), fraction of pixels at the lowest or highest value of the frame.
    sharpness
        (frame, 3): how much of the template's fine structure the frame shows, its
        standard error, and the gain; see `sharpness.measure_sharpness`.
    sum_before, sum_after
        (row, column): sum of the raw and of the aligned views.
    """

    shifts: NDArray[np.float64]
    fields: NDArray[np.float32]
    correlation_before: NDArray[np.float64]
    correlation_after: NDArray[np.float64]
    residual: NDArray[np.float64]
    clipped: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    sum_before: NDArray[np.floating]
    sum_after: NDArray[np.floating]

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Join the estimates of consecutive groups of frames; sums are added."""
        joined: dict[str, Any] = {}
        for f in fields(cls):
            values = [getattr(p, f.name) for p in parts]
            joined[f.name] = (
                _sum_arrays(values)
                if f.name.startswith("sum_")
                else np.concatenate(values)
            )
        return cls(**joined)


def _sum_arrays(values: list[NDArray[Any]]) -> NDArray[np.float64]:
    total = values[0].astype(np.float64)
    for value in values[1:]:
        total += value
    return total


def run_batches(
    work: Callable[[slice], Any], n: int, batch: int, pool: Executor | None = None
) -> list[Any]:
    """Return ``work(slice)`` of consecutive parts of ``range(n)``, in order.

    Parts have ``batch`` frames and run on the threads of ``pool``, if there is one.
    """
    parts = [slice(i, min(i + batch, n)) for i in range(0, n, batch)]
    return list(map(work, parts) if pool is None else pool.map(work, parts))


def rigid_part(model: Model) -> RigidModel:
    """Return the rigid model itself, or the rigid part of a piecewise model."""
    return model if isinstance(model, RigidModel) else model.rigid


def halo_of(model: Model) -> int:
    """Return how many frames before and after a frame influence its estimate."""
    return 0 if isinstance(model, RigidModel) else model.halo


def batch_of(model: Model) -> int:
    """Return how many frames a thread processes at a time."""
    frames = max(1, min(8, BATCH_PIXELS // int(np.prod(rigid_part(model).view.shape))))
    # larger batches with a halo, which is computed again in the next batch
    return 2 * frames if halo_of(model) else frames


def estimate_batch(frames: NDArray[Any], model: Model, inner: slice = ALL) -> Estimate:
    """Compare some frames, those of the slice ``inner``, with the template."""
    rigid = rigid_part(model)
    seen = view_frames(frames, rigid.view)
    if isinstance(model, RigidModel):
        frames, seen, inner = frames[inner], seen[inner], ALL
    start = view_shifts(seen, rigid)
    fields = None
    if isinstance(model, PiecewiseModel):
        fields = view_fields(seen, start, model, inner)
    return refine_estimate(frames[inner], seen[inner], start[inner], fields, model)


def refine_estimate(
    frames: NDArray[Any],
    seen: NDArray[np.float32],
    start: NDArray[np.float64],
    fields: NDArray[np.float32] | None,
    model: Model,
) -> Estimate:
    """Refine shifts found by correlation, and judge them.

    Parameters
    ----------
    frames, seen
        (frame, row, column), raw and as views.
    start
        (frame, 2), pixels: rigid shifts.
    fields
        float32 (frame, 2, patch row, patch column), pixels; None in a rigid model.
    model
        Its rigid part has to contain a robust model (`robust_template.build_robust`).
    """
    rigid = rigid_part(model)
    assert rigid.robust is not None
    view = rigid.view
    fit = fit_frames(as_native(frames), seen, start, rigid.robust)
    shifts = np.clip(fit.shifts, np.negative(rigid.limit), rigid.limit)
    before, after = fit.before, fit.after
    if isinstance(model, RigidModel):
        found = np.empty((len(shifts), 2, 0, 0), np.float32)
        aligned = shift_frames(seen, shifts / view.factor)
    else:
        assert fields is not None
        found, after = fit_fields(seen, fields, shifts, model)
        aligned = warp_view(seen, found, model.grid, view)
    _, residual = agreement(aligned, rigid.template, rigid.window)
    # sums of a few frames: float32 is exact enough and needs no float64 copy
    return Estimate(
        shifts,
        found,
        before,
        after,
        np.hypot(*residual.T) * view.factor,
        measure_clipping(seen),
        measure_sharpness(seen, shifts, fit, rigid.robust),
        seen.sum(0),
        aligned.sum(0),
    )


def estimate(
    frames: NDArray[Any], model: Model, inner: slice = ALL, pool: Executor | None = None
) -> Estimate:
    """Compare the ``inner`` frames of a block (frame, row, column) with the template.

    The frames outside ``inner`` are the halo (`halo_of`), which dim recordings need.
    The result depends neither on ``pool`` nor on how the recording is cut into blocks.
    """
    first, last, _ = inner.indices(len(frames))
    halo = halo_of(model)

    def work(part: slice) -> Estimate:
        start, stop = first + part.start, first + part.stop
        low, high = max(0, start - halo), min(len(frames), stop + halo)
        return estimate_batch(frames[low:high], model, slice(start - low, stop - low))

    return Estimate.join(run_batches(work, last - first, batch_of(model), pool))


@dataclass(frozen=True)
class OutputConversion:
    """How corrected values are stored.

    Parameters
    ----------
    dtype
        Dtype of the result; integers are rounded and clipped.
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
    store: OutputConversion,
    pool: Executor | None = None,
) -> NDArray[Any]:
    """Return frames moved back by their shifts (rigid) or fields (piecewise)."""
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

    run_batches(
        work, len(frames), max(1, BATCH_PIXELS // int(np.prod(frames.shape[1:]))), pool
    )
    return out


def dense_field(
    field: NDArray[np.float32], model: Model, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Interpolate the shifts of patches (2, patch row, patch column) at each pixel.

    Returns float32 (2, row, column), pixels; ``shape``: rows and columns of the frame.
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
