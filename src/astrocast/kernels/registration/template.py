"""A template from a sample of frames that are not aligned yet."""

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
    in_batches,
    refine_estimate,
)
from astrocast.kernels.registration.illumination import evenly_lit
from astrocast.kernels.registration.piecewise import (
    DIM,
    DIM_HALO,
    Grid,
    PiecewiseModel,
    build_piecewise,
    fit_fields,
    moved_templates,
    uncertainty,
    view_fields,
    warp_view,
)
from astrocast.kernels.registration.preprocess import View, halve
from astrocast.kernels.registration.quality import (
    NormalRange,
    estimate_noise_level,
    normal_range,
)
from astrocast.kernels.registration.rigid import RigidModel, build_rigid, view_shifts
from astrocast.kernels.registration.robust_model import RobustModel
from astrocast.kernels.registration.robust_patches import find_active_views
from astrocast.kernels.registration.robust_template import (
    build_robust,
    prepare_template,
    smooth_of,
)

Real = NDArray[np.float32]

#: the first template is the mean of this many frames that look most alike
ALIKE = 20
#: percentiles over time between which a pixel counts in the search for frames that look
#: alike
USUAL = 20, 80
#: rounds of aligning and averaging with patches; the rigid rounds have come first
PIECEWISE_ROUNDS = 2
#: values further than this many standard deviations from the median over time are not
#: part of a template
CLIPPED_AT = 4.0
#: the rigid rounds before the last average every k-th frame of the sample, at least so
#: many of a large one
ROUND_FRAMES = 60


@dataclass(frozen=True)
class Sample:
    """Viewed frames that the template is made from, and how they are compared.

    Parameters
    ----------
    frames
        (frame, row, column), raw.
    seen
        The same frames from `view_frames`.
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
        """Return a template, the mean of so many frames, prepared."""
        return build_rigid(
            template,
            self.view,
            self.max_shifts,
            self.sigma,
            self.noise**2 / averaged,
        )


def first_template_frames(frames: int) -> int:
    """Return how many frames of a sample the first template is the mean of."""
    return min(ALIKE, max(1, frames // 4))


def first_template(seen: Real) -> Real:
    """Return the mean of the frames of the sample that look most alike, (row, column).

    Nothing is aligned: of all frames the one is taken that correlates best with its
    closest neighbours, averaged with them. It is sharp where a mean over all frames
    would be smeared. Frames look alike by their events as well, whatever their motion:
    frames that are not `evenly_lit` are left out, and no pixel counts as brighter or
    darker than it is in most frames.
    """
    count = first_template_frames(len(seen))
    even = evenly_lit(seen)
    seen = seen if even.all() else seen[even]
    small = halve(seen) if min(seen.shape[1:]) >= 32 else seen
    flat = np.clip(small, *np.percentile(small, USUAL, axis=0)).reshape(len(small), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    similarity = flat @ flat.T
    best = int(np.sort(similarity, axis=1)[:, -count:].mean(1).argmax())
    return seen[np.argsort(-similarity[best], kind="stable")[:count]].mean(0)


def find_shifts(sample: Sample, model: RigidModel) -> NDArray[np.float64]:
    """Return the shifts of the sample by correlation with a template, (frame, 2)."""
    return np.concatenate(
        in_batches(
            lambda part: view_shifts(sample.seen[part], model),
            len(sample.seen),
            batch_of(model),
            sample.pool,
        )
    )


def rigid_template(sample: Sample, rounds: int, whole: bool = True) -> RigidModel:
    """Refine a template on a sample: align and average, ``rounds`` times.

    The first round aligns by correlation with the frames that look most alike, the
    others by least squares, which is more exact and leaves activity out.

    Its geometry is the median position of the sample. ``whole``: see `build_robust`.
    """
    alike = first_template_frames(len(sample.seen))
    first = sample.model(first_template(sample.seen), alike)
    shifts = find_shifts(sample, first)
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
    """Return fields whose deviation from the rigid shift has mean zero.

    Shape (frame, 2, patch row, patch column).

    The mean, not the median: deviations are limited, so no frame counts for much, and
    the median of motion that swings between two sides is anywhere between them.
    """
    apart = fields - shifts[:, :, None, None]
    return np.asarray(
        fields - apart.mean(axis=0) - np.median(shifts, axis=0)[:, None, None],
        np.float32,
    )


def clipped_moments(aligned: Real) -> tuple[Real, Real]:
    """Return mean and variance over frames without values far from the median.

    Frames are aligned, (frame, row, column); events are not part of the mean.
    """
    few = aligned[:: max(1, len(aligned) // ROUND_FRAMES)]
    middle = np.median(few, axis=0)
    sd = 1.4826 * np.median(np.abs(few - middle), axis=0)
    # the deviation of a pixel from few frames is uncertain
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

    The fields of the sample are centred (`centre_fields`) before each average: without
    that the geometry of the template is free to drift from round to round. The frames
    of the sample are not consecutive: only the model that is returned compares frames
    together with those around them, where the recording is dim.
    """
    model = build_piecewise(rigid, grid, deviation, sample.sigma)
    for _ in range(PIECEWISE_ROUNDS):
        shifts, fields = find_fields(sample, model)
        fields = centre_fields(shifts, fields)
        aligned = np.concatenate(
            in_batches(
                lambda part, fields=fields: warp_view(  # type: ignore[misc]
                    sample.seen[part], fields[part], grid, sample.view
                ),
                len(sample.seen),
                batch_of(model),
                sample.pool,
            )
        )
        template, own = clipped_moments(aligned)
        model = replace_template(sample, model, fields, template, own)
    dim = (
        uncertainty(sample.seen[:: max(1, len(sample.seen) // 16)], model.rigid, grid)
        > DIM
    )
    return replace(model, halo=DIM_HALO if dim else 0)


def find_fields(
    sample: Sample, model: PiecewiseModel
) -> tuple[NDArray[np.float64], Real]:
    """Return shifts and fields of the sample, which activity does not pull.

    Shapes (frame, 2) and (frame, 2, patch row, patch column).
    """

    def work(part: slice) -> tuple[NDArray[np.float64], Real]:
        seen = sample.seen[part]
        shifts = view_shifts(seen, model.rigid)
        fields = view_fields(seen, shifts, model)
        return shifts, fit_fields(seen, fields, shifts, model)[0]

    parts = in_batches(work, len(sample.seen), batch_of(model), sample.pool)
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def replace_template(
    sample: Sample, model: PiecewiseModel, fields: Real, template: Real, own: Real
) -> PiecewiseModel:
    """Return the model with another template (row, column of the view).

    Its pixels have the variance ``own`` in frames moved back by ``fields``.
    """
    grid, view = model.grid, sample.view
    level = prepare_template(
        template, own, len(sample.seen), view.factor, smooth_of(sample.sigma)
    )
    few = slice(None, None, max(1, len(sample.seen) // 16))
    seen = np.ascontiguousarray(sample.seen[few])
    moved = moved_templates(level.template, fields[few], grid, view)
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
    """Return the sample's estimate, which frames are trusted, and what is normal.

    The sample is compared with its final template.
    """
    if isinstance(model, PiecewiseModel):
        model = replace(model, halo=0)  # the frames of the sample are not consecutive
        rigid = model.rigid
    else:
        # a hundredth of a pixel does not matter here
        assert model.robust is not None
        model = rigid = replace(model, robust=replace(model.robust, fine=None))

    def work(part: slice) -> Estimate:
        seen = sample.seen[part]
        start = view_shifts(seen, rigid)
        fields = None
        if isinstance(model, PiecewiseModel):
            fields = view_fields(seen, start, model)
        return refine_estimate(sample.frames[part], seen, start, fields, model)

    parts = in_batches(work, len(sample.seen), batch_of(model), sample.pool)
    found = Estimate.join(parts)
    normal = normal_range(found.correlation_after, found.clipped)
    return found, normal.trusts(found.correlation_after, found.clipped), normal
