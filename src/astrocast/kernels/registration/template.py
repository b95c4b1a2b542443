"""A template from a sample of frames that are not aligned yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.registration.engine import (
    Model,
    align,
    batch_of,
    fine_agreement,
    in_batches,
    rigid_part,
    structure,
)
from astrocast.kernels.registration.illumination import evenly_lit
from astrocast.kernels.registration.piecewise import (
    DIM,
    DIM_HALO,
    Grid,
    PiecewiseModel,
    build_piecewise,
    uncertainty,
    warp_view,
)
from astrocast.kernels.registration.preprocess import View, halve
from astrocast.kernels.registration.quality import (
    SHARE,
    Normal,
    agreement,
    clipped_share,
    normal_range,
    pixel_noise,
)
from astrocast.kernels.registration.rigid import RigidModel, build_rigid, is_uneven
from astrocast.kernels.registration.warp import shift_frames

Real = NDArray[np.float32]

#: the first template is the mean of this many frames that look most alike
ALIKE = 20
#: percentiles over time between which a pixel counts in the search for frames that look
#: alike
USUAL = 20, 80
#: rounds of aligning and averaging with patches; the rigid rounds have come first
PIECEWISE_ROUNDS = 2
#: the rigid rounds before the last average every k-th frame of the sample, at least so
#: many of a large one
ROUND_FRAMES = 60


@dataclass(frozen=True)
class Sample:
    """Viewed frames that the template is made from, and how they are compared.

    Parameters
    ----------
    seen
        From `view_frames`.
    view, max_shifts, sigma
        See `build_rigid`.
    pool
        Threads that share the work; the result does not depend on them.
    """

    seen: Real
    view: View
    max_shifts: tuple[float, float]
    sigma: tuple[float, float] | None = None
    pool: Executor | None = field(default=None, compare=False)

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the noise of a pixel of the view."""
        return pixel_noise(self.seen[:: max(1, len(self.seen) // 16)])

    def model(self, template: Real, averaged: int) -> RigidModel:
        """Return a template, the mean of so many frames, prepared."""
        return build_rigid(
            template,
            self.view,
            self.max_shifts,
            self.sigma,
            self.noise**2 / averaged,
            averaged,
        )


def alike(frames: int) -> int:
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
    count = alike(len(seen))
    even = evenly_lit(seen)
    seen = seen if even.all() else seen[even]
    small = halve(seen) if min(seen.shape[1:]) >= 32 else seen
    flat = np.clip(small, *np.percentile(small, USUAL, axis=0)).reshape(len(small), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    similarity = flat @ flat.T
    best = int(np.sort(similarity, axis=1)[:, -count:].mean(1).argmax())
    return seen[np.argsort(-similarity[best], kind="stable")[:count]].mean(0)


def aligned_sample(
    sample: Sample, model: Model, seen: Real
) -> tuple[NDArray[np.float64], Real]:
    """Return shifts and fields of ``seen``, frames of the sample."""
    parts = in_batches(
        lambda part: align(seen[part], model)[:2],
        len(seen),
        batch_of(model),
        sample.pool,
    )
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def trusted_mean(
    sample: Sample, model: RigidModel, frames: int, move: Callable[[slice], Real]
) -> Real:
    """Return the mean of moved frames that resemble the template.

    They are lit like it, and not clipped.

    ``move(part)`` returns part of ``range(frames)``, moved back.
    """
    aligned = np.empty((frames, *model.view.shape), np.float32)

    def work(
        part: slice,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        own = aligned[part] = move(part)
        still = np.zeros((len(own), 2), np.int64)
        return (
            agreement(own, model.template, model.window)[0],
            clipped_share(own),
            is_uneven(own, still, model),
        )

    parts = in_batches(work, frames, batch_of(model), sample.pool)
    correlation, clipped, uneven = (
        np.concatenate([p[i] for p in parts]) for i in range(3)
    )
    normal = normal_range(correlation, clipped)
    good = (correlation >= normal.correlation) & (clipped <= normal.clipped)
    good = mostly(good, uneven)
    return aligned[good].mean(0) if good.any() and not good.all() else aligned.mean(0)


def rigid_template(sample: Sample, rounds: int) -> RigidModel:
    """Refine a template on a sample: align, average, ``rounds`` times.

    Its geometry is the median position of the sample. Rounds that only prepare the last
    one use part of the sample.
    """
    model = sample.model(first_template(sample.seen), alike(len(sample.seen)))
    few = np.ascontiguousarray(sample.seen[:: max(1, len(sample.seen) // ROUND_FRAMES)])
    for i in range(rounds):
        seen = few if i < rounds - 1 else sample.seen
        shifts, _ = aligned_sample(sample, model, seen)
        moves = (shifts - np.median(shifts, axis=0)) / sample.view.factor

        def move(
            part: slice, seen: Real = seen, moves: NDArray[np.float64] = moves
        ) -> Real:
            return shift_frames(seen[part], moves[part])

        model = sample.model(trusted_mean(sample, model, len(seen), move), len(seen))
    return model


def centred(shifts: NDArray[np.float64], fields: Real) -> Real:
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


def piecewise_template(
    sample: Sample, rigid: RigidModel, grid: Grid, deviation: float
) -> PiecewiseModel:
    """Refine a rigid template patch by patch.

    The fields of the sample are `centred` before each average: without that the
    geometry of the template is free to drift from round to round. The frames of the
    sample are not consecutive: only the model that is returned compares frames together
    with those around them, where the recording is dim.
    """
    model = build_piecewise(rigid, grid, deviation, sample.sigma)
    for _ in range(PIECEWISE_ROUNDS):
        fields = centred(*aligned_sample(sample, model, sample.seen))

        def move(part: slice, fields: Real = fields) -> Real:
            return warp_view(sample.seen[part], fields[part], grid, sample.view)

        template = trusted_mean(sample, model.rigid, len(sample.seen), move)
        model = build_piecewise(
            sample.model(template, len(sample.seen)), grid, deviation, sample.sigma
        )
    dim = (
        uncertainty(sample.seen[:: max(1, len(sample.seen) // 16)], model.rigid, grid)
        > DIM
    )
    return replace(model, halo=DIM_HALO if dim else 0)


def sample_range(
    sample: Sample, model: Model
) -> tuple[NDArray[np.float64], Real, NDArray[np.bool_], Normal]:
    """Return (shifts, fields, trusted, normal) of the sample.

    Against its final template.
    """
    rigid = rigid_part(model)

    if isinstance(model, PiecewiseModel):
        model = replace(model, halo=0)  # the frames of the sample are not consecutive

    def usual(aligned: Real) -> NDArray[np.float64]:
        return fine_agreement(aligned, rigid, 1 / len(sample.seen))

    def judge(part: slice) -> tuple[NDArray[Any], ...]:
        shifts, fields, aligned = align(sample.seen[part], model)
        correlation = agreement(aligned, rigid.template, rigid.window)[0]
        return (
            shifts,
            fields,
            correlation,
            structure(aligned, rigid),
            usual(aligned[:1]),
        )

    parts = in_batches(judge, len(sample.seen), batch_of(model), sample.pool)
    shifts, fields, correlation, fine, others = (
        np.concatenate([p[i] for p in parts]) for i in range(5)
    )
    clipped = clipped_share(sample.seen)
    normal = replace(
        normal_range(correlation, clipped),
        structure=SHARE * max(float(np.median(others)), 0.0),
    )
    return (
        shifts,
        fields,
        mostly(normal.trusts(correlation, fine, clipped), ~np.isnan(fine)),
        normal,
    )


def mostly(good: NDArray[np.bool_], uneven: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the good frames that are evenly lit, or all good ones if few are.

    If most are uneven, the light changes in any case.
    """
    even = good & ~uneven
    return even if 2 * np.count_nonzero(even) >= len(good) else good
