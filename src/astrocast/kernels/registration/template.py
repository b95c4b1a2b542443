"""A template from a sample of frames that are not aligned yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.registration.quality import agreement, clipped_share, normal_range
from astrocast.kernels.registration.rigid import RigidModel, build_rigid, view_shifts
from astrocast.kernels.registration.view import View, halve
from astrocast.kernels.registration.warp import shift_frames

#: the first template is the mean of this many frames that look most alike
ALIKE = 20
#: frames per call: their spectra stay in the cache
BATCH = 8


def first_template(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the frames of the sample that look most alike, (row, column).

    Nothing is aligned: of all frames the one is taken that correlates best with its closest neighbours, averaged with
    them. It is sharp where a mean over all frames would be smeared.
    """
    small = halve(seen) if min(seen.shape[1:]) >= 32 else seen
    flat = small.reshape(len(small), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    similarity = flat @ flat.T
    count = min(ALIKE, max(1, len(seen) // 4))
    best = int(np.sort(similarity, axis=1)[:, -count:].mean(1).argmax())
    return seen[np.argsort(-similarity[best], kind="stable")[:count]].mean(0)


def sample_shifts(seen: NDArray[np.float32], model: RigidModel) -> NDArray[np.float64]:
    """Return `view_shifts` of many frames, in batches that stay in the cache."""
    return np.concatenate([view_shifts(seen[i : i + BATCH], model) for i in range(0, len(seen), BATCH)])


def trusted(seen: NDArray[np.float32], model: RigidModel) -> NDArray[np.bool_]:
    """Return which of the aligned frames of a sample look like the template and are not clipped."""
    correlation, _ = agreement(seen, model.template, model.window)
    clipped = clipped_share(seen)
    normal = normal_range(correlation, clipped)
    good = (correlation >= normal.correlation) & (clipped <= normal.clipped)
    return good if good.any() else np.ones(len(seen), np.bool_)


def rigid_template(
    seen: NDArray[np.float32],
    view: View,
    max_shifts: tuple[float, float],
    sigma: tuple[float, float] | None,
    rounds: int,
) -> tuple[RigidModel, NDArray[np.float64]]:
    """Refine a template on a sample and return it with the sample's shifts.

    Parameters
    ----------
    seen
        Sample, from `view_frames`.
    view, max_shifts, sigma
        See `build_rigid`.
    rounds
        How often the sample is aligned to the template and averaged again.

    Returns
    -------
    model
        The template prepared; its geometry is the median position of the sample.
    shifts
        (frame, 2), pixels: of the sample, relative to it.
    """
    model = build_rigid(first_template(seen), view, max_shifts, sigma)
    for _ in range(rounds):
        shifts = sample_shifts(seen, model)
        shifts -= np.median(shifts, axis=0)
        aligned = shift_frames(seen, shifts / view.factor)
        model = build_rigid(aligned[trusted(aligned, model)].mean(0), view, max_shifts, sigma)
    return model, sample_shifts(seen, model)
