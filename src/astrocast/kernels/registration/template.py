"""Make a template from a sample of unaligned frames."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.registration.engine import (
    Estimate,
    Model,
    batch_of,
    refine_estimate,
    run_batches,
)
from astrocast.kernels.registration.illumination import find_evenly_lit
from astrocast.kernels.registration.piecewise import (
    DIM,
    DIM_HALO,
    Grid,
    PiecewiseModel,
    build_piecewise,
    estimate_patch_error,
    fit_fields,
    move_templates,
    view_fields,
    warp_view,
)
from astrocast.kernels.registration.preprocess import View, halve
from astrocast.kernels.registration.quality import (
    NormalRange,
    estimate_noise_level,
    normal_range,
)
from astrocast.kernels.registration.repair_shifts import find_steps, mend_shifts
from astrocast.kernels.registration.rigid import RigidModel, build_rigid, view_shifts
from astrocast.kernels.registration.robust_model import RobustModel
from astrocast.kernels.registration.robust_patches import (
    find_active_views,
    typical_deviations,
)
from astrocast.kernels.registration.robust_template import (
    build_robust,
    prepare_template,
    slope_smoothing,
)

Real = NDArray[np.float32]

#: the first template is the mean of the most similar frames: this many
ALIKE = 20
#: for the search of similar frames, pixels are clipped to these percentiles over time
USUAL = 20, 80
#: rounds of aligning and averaging with patches, after the rigid rounds
PIECEWISE_ROUNDS = 2
#: a template leaves out values further than this many standard deviations from the
#: median over time
CLIPPED_AT = 4.0
#: the median over time is taken from about this many frames of a large sample
ROUND_FRAMES = 60
#: frames of the sample are far from the first template from so many pixels on
FAR = 4.0
#: frames of the sample whose search is repeated at a time
SEARCHED_TOGETHER = 16


@dataclass(frozen=True)
class Sample:
    """Frames from which the template is made, and settings of the comparison.

    Parameters
    ----------
    frames
        (frame, row, column), raw.
    seen
        The views of these frames, from `view_frames`.
    view, max_shifts, sigma
        See `build_rigid`.
    pool
        Threads that share the work; the result does not depend on them.
    """

    frames: NDArray[Any]
    seen: Real
    view: View
    max_shifts: tuple[float, float]
    sigma: tuple[float, float] | None = None
    pool: Executor | None = field(default=None, compare=False)

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the noise of a pixel of the view."""
        return estimate_noise_level(self.seen[:: max(1, len(self.seen) // 16)])

    def model(self, template: Real, averaged: int) -> RigidModel:
        """Return the rigid model of a template, a mean of ``averaged`` frames."""
        return build_rigid(
            template,
            self.view,
            self.max_shifts,
            self.sigma,
            self.noise**2 / averaged,
        )


def first_template_frames(frames: int) -> int:
    """Return how many of the ``frames`` of a sample the first template averages."""
    return min(ALIKE, max(1, frames // 4))


def find_similar_frames(seen: Real) -> NDArray[np.intp]:
    """Return the numbers of the most similar frames of the sample.

    The frame that correlates best with its most similar frames, and these. Their mean
    is sharp without being aligned, whereas a mean over all frames would be blurred by
    motion. Events make frames similar as well: unevenly lit frames (`find_evenly_lit`)
    are left out, and pixels are clipped to their usual range.
    """
    count = first_template_frames(len(seen))
    even = np.flatnonzero(find_evenly_lit(seen))
    seen = seen if len(even) == len(seen) else seen[even]
    small = halve(seen) if min(seen.shape[1:]) >= 32 else seen
    flat = np.clip(small, *np.percentile(small, USUAL, axis=0)).reshape(len(small), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    similarity = flat @ flat.T
    best = int(np.sort(similarity, axis=1)[:, -count:].mean(1).argmax())
    return np.asarray(even[np.argsort(-similarity[best], kind="stable")[:count]])


def find_shifts(sample: Sample, model: RigidModel) -> NDArray[np.float64]:
    """Return shifts of the sample by correlation, (frame, 2), pixels of the frame."""
    return np.concatenate(
        run_batches(
            lambda part: view_shifts(sample.seen[part], model),
            len(sample.seen),
            batch_of(model),
            sample.pool,
        )
    )


def search_far_frames(
    sample: Sample, shifts: NDArray[np.float64], alike: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the shifts of a sample, (frame, 2), after a second search of far frames.

    The first search finds tissue that repeats itself a period away. Frames beside large
    steps are compared with the first template at several places; if another place is
    better in one of them, so are all frames that are far from the template.

    Parameters
    ----------
    sample
        The sample.
    shifts
        (frame, 2), pixels, from `find_shifts`.
    alike
        Numbers of the frames that the first template averages.
    """
    far = np.flatnonzero(np.abs(shifts).max(axis=1) > FAR)
    beside = np.intersect1d(find_steps(shifts, np.zeros(len(shifts), bool)), far)
    if not len(beside):
        return shifts
    model, _ = build_robust(
        sample.frames[alike],
        sample.seen[alike],
        sample.view,
        np.zeros((len(alike), 2)),
        sample.sigma,
        sample.pool,
        False,
        0,
    )
    limit = sample.model(model.coarse.template, len(alike)).limit
    out = shifts.copy()
    for own in (beside, far):
        parts = run_batches(
            lambda part, own=own: (
                mend_shifts(  # type: ignore[misc]
                    sample.frames[own[part]],
                    out[own[part]],
                    np.zeros((len(own[part]), 2)),
                    model,
                    limit,
                ).shifts
            ),
            len(own),
            SEARCHED_TOGETHER,
            sample.pool,
        )
        out[own] = np.concatenate(parts)
        if not (np.abs(out - shifts).max(axis=1) > FAR).any():
            return shifts
    return out


def rigid_template(sample: Sample, rounds: int, whole: bool = True) -> RigidModel:
    """Make a rigid template: align and average the sample ``rounds`` times.

    The first round aligns by correlation with the mean of the most similar frames; the
    others use least squares, which is more exact and leaves activity out. The template
    lies at the median position of the sample. ``whole``: see `build_robust`.
    """
    alike = find_similar_frames(sample.seen)
    count = first_template_frames(len(sample.seen))
    first = sample.model(sample.seen[alike].mean(0), count)
    shifts = search_far_frames(sample, find_shifts(sample, first), alike)
    robust, _ = build_robust(
        sample.frames,
        sample.seen,
        sample.view,
        shifts,
        sample.sigma,
        sample.pool,
        whole,
        rounds - 1,
    )
    final = sample.model(robust.coarse.template, len(sample.seen))
    return replace(final, robust=robust)


def centre_fields(shifts: NDArray[np.float64], fields: Real) -> Real:
    """Subtract the mean deviation from the rigid shift, and the median rigid shift.

    ``shifts`` (frame, 2); fields and result (frame, 2, patch row, patch column).

    The mean and not the median of the deviations: they are limited, so a single frame
    has little influence, and if motion alternates between two positions the median is
    not well defined.
    """
    apart = fields - shifts[:, :, None, None]
    return np.asarray(
        fields - apart.mean(axis=0) - np.median(shifts, axis=0)[:, None, None],
        np.float32,
    )


def clipped_moments(aligned: Real) -> tuple[Real, Real]:
    """Return mean and variance over frames, without outliers (such as events).

    ``aligned`` (frame, row, column); returns two float32 (row, column).
    """
    few = aligned[:: max(1, len(aligned) // ROUND_FRAMES)]
    middle = np.median(few, axis=0)
    sd = 1.4826 * np.median(np.abs(few - middle), axis=0)
    # from few frames, the standard deviation of a single pixel is uncertain
    limit = CLIPPED_AT * np.maximum(sd, np.median(sd))
    apart = aligned - middle
    near = np.abs(apart) <= limit
    count = np.maximum(near.sum(0), 1)
    mean = np.where(near, apart, 0).sum(0) / count
    variance = np.where(near, apart**2, 0).sum(0) / count - mean**2
    return (middle + mean).astype(np.float32), variance.astype(np.float32)


def piecewise_template(
    sample: Sample, rigid: RigidModel, grid: Grid, deviation: float
) -> PiecewiseModel:
    """Refine a rigid template patch by patch.

    The fields of the sample are centred (`centre_fields`) before each average, because
    otherwise the geometry of the template can drift from round to round. Frames of the
    sample are not consecutive, so only the returned model has a halo (if the recording
    is dim).
    """
    model = build_piecewise(rigid, grid, deviation, sample.sigma)
    for _ in range(PIECEWISE_ROUNDS):
        shifts, fields = find_fields(sample, model)
        fields = centre_fields(shifts, fields)
        aligned = np.concatenate(
            run_batches(
                lambda part, fields=fields: warp_view(  # type: ignore[misc]
                    sample.seen[part], fields[part], grid, sample.view
                ),
                len(sample.seen),
                batch_of(model),
                sample.pool,
            )
        )
        template, own = clipped_moments(aligned)
        apart = typical_deviations(
            fields - fields.mean((2, 3), keepdims=True), sample.view.factor
        )
        model = replace_template(sample, model, fields, template, own)
        model = replace(model, apart=apart)
    dim = (
        estimate_patch_error(
            sample.seen[:: max(1, len(sample.seen) // 16)], model.rigid, grid
        )
        > DIM
    )
    return replace(model, halo=DIM_HALO if dim else 0)


def find_fields(
    sample: Sample, model: PiecewiseModel
) -> tuple[NDArray[np.float64], Real]:
    """Return shifts (frame, 2) and fields of the sample.

    Fields: (frame, 2, patch row, patch column); activity does not bias them.
    """

    def work(part: slice) -> tuple[NDArray[np.float64], Real]:
        seen = sample.seen[part]
        shifts = view_shifts(seen, model.rigid)
        fields = view_fields(seen, shifts, model)
        return shifts, fit_fields(seen, fields, shifts, model)[0]

    parts = run_batches(work, len(sample.seen), batch_of(model), sample.pool)
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def replace_template(
    sample: Sample, model: PiecewiseModel, fields: Real, template: Real, own: Real
) -> PiecewiseModel:
    """Return the model with another template.

    ``template`` and ``own`` (variance of each pixel over aligned frames) (row, column)
    of the view; ``fields`` of the sample, with which it was aligned.
    """
    grid, view = model.grid, sample.view
    level = prepare_template(
        template, own, len(sample.seen), view.factor, slope_smoothing(sample.sigma)
    )
    few = slice(None, None, max(1, len(sample.seen) // 16))
    seen = np.ascontiguousarray(sample.seen[few])
    moved = move_templates(level.template, fields[few], grid, view)
    rest, n = np.zeros((len(seen), 2)), len(seen)
    fits = np.column_stack(
        [fields[few].mean((2, 3)) / view.factor, np.ones(n), rest[:, 0]]
    )
    active = np.zeros(seen.shape, np.uint8)
    find_active_views(seen, moved, level.weight, 0.0, fits, active, rest)
    rigid = sample.model(template, len(sample.seen))
    robust = RobustModel(view, level, None, float(np.median(rest[:, 1])))
    rigid = replace(rigid, robust=robust)
    return build_piecewise(rigid, grid, model.deviation, sample.sigma)


def judge_sample(
    sample: Sample, model: Model
) -> tuple[Estimate, NDArray[np.bool_], NormalRange]:
    """Compare the sample with its final template.

    Returns its estimate, which frames are trusted (bool (frame,)), and the limits of
    trust.
    """
    if isinstance(model, PiecewiseModel):
        model = replace(model, halo=0)  # the frames of the sample are not consecutive
        rigid = model.rigid
    else:
        # full resolution would change shifts by about 0.01 pixels: not needed here
        assert model.robust is not None
        model = rigid = replace(model, robust=replace(model.robust, fine=None))

    def work(part: slice) -> Estimate:
        seen = sample.seen[part]
        start = view_shifts(seen, rigid)
        fields = None
        if isinstance(model, PiecewiseModel):
            fields = view_fields(seen, start, model)
        return refine_estimate(sample.frames[part], seen, start, fields, model)

    parts = run_batches(work, len(sample.seen), batch_of(model), sample.pool)
    found = Estimate.join(parts)
    normal = normal_range(found.correlation_after, found.clipped)
    return found, normal.trusts(found.correlation_after, found.clipped), normal
