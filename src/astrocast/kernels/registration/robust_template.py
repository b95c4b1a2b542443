"""A template without activity, and the noise of its pixels."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.median import median_over_frames
from astrocast.kernels.registration.preprocess import View, as_native
from astrocast.kernels.registration.robust import (
    active_deviation,
    fit_frames,
    window_means,
)
from astrocast.kernels.registration.robust_model import (
    SMOOTH,
    Level,
    RobustFit,
    RobustModel,
    noise_variance,
    prepare_level,
)
from astrocast.kernels.registration.robust_steps import (
    OUTLIER,
    move_image,
)
from astrocast.kernels.registration.template_denoising import denoise_template
from astrocast.kernels.registration.warp import shift_frames

Real = NDArray[np.float32]

#: the first template is the median of about this many frames
MEDIAN_FRAMES = 40
#: unevenly lit frames are left out of a template if at least this fraction of the
#: sample is evenly lit
EVEN_SHARE = 0.2
#: frames are left out of a template if their correlation with it is below this share of
#: the median, by so many robust standard deviations: they are from another plane
UNLIKE, UNLIKE_DEVIATIONS = 0.85, 8.0


@njit(cache=True, nogil=True)
def _add_row(
    moved: Real,
    template: Real,
    light: tuple[np.float32, np.float32],
    limit: Real,
    most: Real,
    sums: NDArray[np.float64],
) -> None:
    """Add a row of residuals to ``sums``.

    ``moved`` and ``template`` float32 (column,); ``light``: scale and level of the
    frame; ``limit`` and ``most`` float32 (column,): a squared residual counts if it is
    below both; ``sums`` float64 (3, column): number, residual, squared residual.
    """
    scale, level = light
    count, total, square = sums[0], sums[1], sums[2]
    for x in range(len(moved)):
        r = (moved[x] - level) * scale - template[x]
        fits = (r * r < limit[x]) & (r * r < most[x])
        r = r if fits else np.float32(0)
        count[x] += np.float64(1) if fits else np.float64(0)
        total[x] += np.float64(r)
        square[x] += np.float64(r * r)


@njit(cache=True, nogil=True)
def _add_frames(
    frames: NDArray[Any],
    corner: tuple[int, int],
    fits: NDArray[np.float64],
    active: NDArray[np.uint8],
    template: Real,
    limit: Real,
    sums: NDArray[np.float64],
) -> None:
    """Add the residuals of frames, aligned and scaled to the template, to ``sums``.

    ``frames`` (frame, row, column) of any real dtype, of which the window at ``corner``
    is used; ``fits`` float64 (frame, 4): shift in pixels of these frames, gain, level;
    ``active`` uint8 (frame, row, column) of the view; ``template`` and ``limit``
    (largest squared residual that counts) float32 (row, column); ``sums`` float64 (3,
    row, column): number of values, residual, squared residual.
    """
    h, w = template.shape
    factor = h // active.shape[1]
    image, moved = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    most = np.empty(w, np.float32)
    for b in range(len(frames)):
        for y in range(h):
            row, own = frames[b, corner[0] + y, corner[1] : corner[1] + w], image[y]
            for x in range(w):
                own[x] = np.float32(row[x])
        move_image(image, -fits[b, 0], -fits[b, 1], moved)
        scale, level = np.float32(1 / fits[b, 2]), np.float32(fits[b, 3])
        iy, ix = int(np.rint(fits[b, 0])), int(np.rint(fits[b, 1]))
        for y in range(max(0, 1 - iy), min(h, h - 1 - iy)):
            line = active[b, (y + iy) // factor]
            most[:] = -1
            for x in range(len(line)):
                if line[x] == 0:
                    most[x * factor : (x + 1) * factor] = np.inf
            x0, x1 = max(0, 1 - ix), min(w, w - 1 - ix)
            if x0 < x1:
                _add_row(
                    moved[y, x0:x1],
                    template[y, x0:x1],
                    (scale, level),
                    limit[y, x0:x1],
                    most[x0 + ix : x1 + ix],
                    sums[:, y, x0:x1],
                )


def masked_moments(
    frames: NDArray[Any],
    corner: tuple[int, int],
    fits: NDArray[np.float64],
    active: NDArray[np.uint8],
    template: Real,
    limit: Real,
    pool: Executor | None = None,
) -> tuple[Real, Real]:
    """Return mean and residual variance of frames without activity, (row, column) each.

    Arguments as in `_add_frames`. A pixel with values in fewer than an eighth of the
    frames takes the mean of the nearest other pixel and the median variance.
    """
    parts = [slice(i, i + 8) for i in range(0, len(frames), 8)]

    def add(part: slice) -> NDArray[np.float64]:
        sums = np.zeros((3, *template.shape))
        _add_frames(
            frames[part], corner, fits[part], active[part], template, limit, sums
        )
        return sums

    total = np.zeros((3, *template.shape))
    for sums in map(add, parts) if pool is None else pool.map(add, parts):
        total += sums
    count = np.maximum(total[0], 1)
    mean = total[1] / count
    variance = total[2] / count - mean**2
    enough = total[0] > len(frames) / 8
    if not enough.any():
        return template, np.ones_like(template)
    mean = (template + mean).astype(np.float32)
    return fill_nearest(mean, enough), np.where(
        enough, np.maximum(variance, 0), np.median(variance[enough])
    ).astype(np.float32)


def fill_nearest(image: Real, known: NDArray[np.bool_]) -> Real:
    """Replace unknown pixels of an image (row, column) by the nearest known pixel.

    Any other value would make an edge in the template that no frame has.
    """
    if known.all():
        return image
    nearest = ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    return np.asarray(image[tuple(nearest)])


def build_robust(
    frames: NDArray[Any],
    seen: Real,
    view: View,
    shifts: NDArray[np.float64],
    sigma: tuple[float, float] | None,
    pool: Executor | None = None,
    whole: bool = True,
    rounds: int = 2,
) -> tuple[RobustModel, NDArray[np.float64]]:
    """Return the robust model of a sample, and the shifts of its frames (frame, 2).

    Parameters
    ----------
    frames, seen
        Sample (frame, row, column), raw and as views.
    view
        Window and binning of ``seen``.
    shifts
        (frame, 2), pixels of the frame: first estimate. The template is placed at their
        median.
    sigma
        Width of the high-pass, pixels; only None matters here: smooth differences of
        light then influence the shifts as well.
    pool
        Threads that share the work; the result does not depend on them.
    whole
        Whether the model also contains the template at full resolution.
    rounds
        Number of times that the frames are fitted and averaged.
    """
    frames = as_native(frames)
    smooth = slope_smoothing(sigma)
    shifts = shifts - np.median(shifts, axis=0)
    model, found = _median_model(seen, shifts, view, smooth), None
    for _ in range(rounds):
        found = fit_frames(frames, seen, shifts, model)
        shifts = found.shifts - np.median(found.shifts, axis=0)
        model = _averaged_model(seen, shifts, found, model, smooth, pool)
    if view.factor == 1 or not whole:
        return model, shifts
    if found is None:
        found = fit_frames(frames, seen, shifts, model)
    fine = _fine_level(frames, shifts, found, view, smooth, pool)
    return replace(model, fine=fine), shifts


def _median_model(
    seen: Real, shifts: NDArray[np.float64], view: View, smooth: float | None
) -> RobustModel:
    """Return a model of the median of some aligned views.

    ``shifts`` (frame, 2), pixels of the frame.
    """
    few = slice(None, None, max(1, len(seen) // MEDIAN_FRAMES))
    aligned = shift_frames(seen[few], shifts[few] / view.factor)
    template = median_over_frames(aligned)
    own = (1.4826 * median_over_frames(np.abs(aligned - template))) ** 2
    coarse = prepare_template(template, own, 0.6 * len(aligned), view.factor, smooth)
    model = RobustModel(view, coarse, None, 0.0)
    return replace(model, active_sd=active_deviation(seen, shifts, model))


def _averaged_model(
    seen: Real,
    shifts: NDArray[np.float64],
    found: RobustFit,
    model: RobustModel,
    smooth: float | None,
    pool: Executor | None,
) -> RobustModel:
    """Return a model of the mean of aligned views, without their activity.

    ``found``: fit of the views to ``model``; ``shifts`` (frame, 2), pixels of the
    frame: shifts of this fit minus their median.
    """
    view, level, use = model.view, model.coarse, frames_to_average(found)
    fits = np.column_stack([shifts / view.factor, found.gain, found.level])[use]
    template, own = masked_moments(
        seen[use],
        (0, 0),
        fits,
        found.active[use],
        level.template,
        _largest_squares(level),
        pool,
    )
    coarse = prepare_template(template, own, len(use), view.factor, smooth)
    model = replace(model, coarse=coarse)
    return replace(model, active_sd=active_deviation(seen, shifts, model))


def _fine_level(
    frames: NDArray[Any],
    shifts: NDArray[np.float64],
    found: RobustFit,
    view: View,
    smooth: float | None,
    pool: Executor | None,
) -> Level:
    """Return the mean of aligned frames (frame, row, column) at full resolution."""
    use = frames_to_average(found)
    corner = (view.top, view.left)
    shape = (view.shape[0] * view.factor, view.shape[1] * view.factor)
    means = window_means(frames, corner, shape)
    level = means - means.mean() * found.gain
    fits = np.column_stack([shifts, found.gain, level])[use]
    start = np.zeros(shape, np.float32)
    anything = np.full(start.shape, np.inf, np.float32)
    template, own = masked_moments(
        frames if len(use) == len(frames) else frames[use],
        corner,
        fits,
        found.active[use],
        start,
        anything,
        pool,
    )
    return prepare_template(template, own, len(use), 1, smooth)


def frames_to_average(found: RobustFit) -> NDArray[np.intp]:
    """Return the numbers of the frames from which the template is averaged.

    These are the evenly lit ones, because active pixels cannot be located if most of a
    frame is active; all frames if too few are even. Those that agree much less with the
    template than most others are left out.
    """
    even = found.even.mean() >= EVEN_SHARE
    use = np.flatnonzero(found.even if even else np.ones_like(found.even))
    after = found.after[use]
    usual = float(np.median(after))
    deviation = 1.4826 * float(np.median(np.abs(after - usual)))
    least = min(UNLIKE * usual, usual - UNLIKE_DEVIATIONS * deviation)
    return use[after >= least]


def slope_smoothing(sigma: tuple[float, float] | None) -> float | None:
    """Return the width of the blur that is subtracted from slopes, pixels of the frame.

    None: nothing is subtracted (``sigma``, the high-pass, is None).
    """
    return None if sigma is None else SMOOTH


def prepare_template(
    template: Real, own: Real, frames: float, factor: int, smooth: float | None
) -> Level:
    """Denoise a template and return it with its weights and slopes.

    ``template`` and ``own`` (variance of the residual of each pixel over time) (row,
    column); ``frames``: number of frames that were averaged; ``factor``: binning;
    ``smooth``: from `slope_smoothing`.
    """
    variance = noise_variance(template, own)
    clean = denoise_template(template, variance / np.float32(frames))
    return prepare_level(clean, variance, None if smooth is None else smooth / factor)


def _largest_squares(level: Level) -> Real:
    """Return the squared residual beyond which a value is an outlier, (row, column)."""
    return (np.float32(OUTLIER**2) / level.weight).astype(np.float32)
