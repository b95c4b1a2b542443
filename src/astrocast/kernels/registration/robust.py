"""The shift of a frame by weighted least squares that activity does not bias.

A frame is modelled as ``gain * template(moved by the shift) + level``. Shift, gain and
level are refined by Gauss-Newton steps. The template is moved, never the frame:
interpolation would correlate the noise of the frame. Events do not bias the shift for
three reasons:

- pixels with a residual too large for their noise are ignored (iteratively reweighted
  least squares);
- regions in which the smoothed residual is too large (activity) get a small weight;
- the residual is compared with slopes from which everything smooth over a few pixels
  was subtracted (instrumental variables): smooth light is orthogonal to them.

The mask of active pixels is found at the resolution of the view; the last steps use the
full resolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.robust_activity import (
    even_light,
    find_active,
    fit_light,
    local_means,
    place_weight,
    weigh_down,
    weighted_correlation,
)
from astrocast.kernels.registration.robust_model import (
    GAINS,
    LIGHT_RADIUS,
    PAD,
    UNEVEN,
    Level,
    RobustFit,
    RobustModel,
)
from astrocast.kernels.registration.robust_steps import (
    move_image,
    step_fit,
)

Real = NDArray[np.float32]

#: Gauss-Newton ends after a step shorter than this, pixels: the remaining error is
#: about its square
SETTLED = 0.1
#: largest number of steps at each resolution
ROUNDS = 4


@njit(cache=True, nogil=True)
def _fill_correlations(
    frame: Real,
    images: tuple[Real, Real],
    weight: Real,
    fit: NDArray[np.float64],
    active: NDArray[np.uint8],
    agreement: NDArray[np.float64],
) -> None:
    """Fill agreement[0] and [1]: correlation with the template at rest and moved.

    ``frame``, ``weight`` and ``images`` (template at rest, template moved): float32
    (row, column); ``fit`` float64 (4,), from which the shift is used; ``active`` uint8
    (row, column); ``agreement`` float64 (4,).
    """
    still, moved = images
    own = np.empty_like(weight)
    place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
    weigh_down(own, active, 1)
    agreement[1] = weighted_correlation(frame, moved, own, PAD)
    place_weight(weight, 0, 0, own)
    weigh_down(own, active, 1)
    agreement[0] = weighted_correlation(frame, still, own, PAD)


@njit(cache=True, nogil=True)
def _fit_view(
    seen: Real,
    level: tuple[Real, Real, Real],
    usual: float,
    fits: NDArray[np.float64],
    active: NDArray[np.uint8],
    agreement: NDArray[np.float64],
) -> None:
    """Fit views; fill ``fits``, ``active`` and ``agreement``.

    ``seen`` float32 (frame, row, column); ``level``: template and weight (row, column)
    and slopes (2, row, column), float32; ``usual``: see `find_active`; ``fits`` float64
    (frame, 4): shift in pixels of the view, gain, level, changed in place; ``active``
    uint8 (frame, row, column): 1 where the tissue is active; ``agreement`` float64
    (frame, 4): correlation at rest, correlation moved, standard deviation of the
    smoothed residual, 1 if the light was evened.
    """
    n, h, w = seen.shape
    template, weight, slopes = level
    moved, own = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    evened = np.empty((h, w), np.float32)
    for b in range(n):
        fit, frame, start = fits[b], seen[b], fits[b].copy()
        uneven = False
        move_image(template, fit[0], fit[1], moved)
        for k in range(ROUNDS):
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            if uneven:
                even_light(seen[b], moved, own, evened)
            if k:
                weigh_down(own, active[b], 1)
            step = step_fit(frame, moved, own, slopes, fit, PAD)
            if not GAINS[0] < fit[2] < GAINS[1]:
                fit[:] = start
            if k == 0 or step > SETTLED or uneven:
                move_image(template, fit[0], fit[1], moved)
                place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
                if uneven:
                    even_light(seen[b], moved, own, evened)
                agreement[b, 2] = find_active(frame, moved, own, fit, usual, active[b])
            if k == 0 and active[b].sum() > UNEVEN * h * w:
                uneven, frame = True, evened
                fit[:] = start
                fit[2], fit[3] = 1.0, 0.0
                move_image(template, fit[0], fit[1], moved)
                active[b] = 0
            elif step < SETTLED and (k or not active[b].any()):
                break
        _fill_correlations(
            frame, (template, moved), weight, fit, active[b], agreement[b]
        )
        agreement[b, 3] = 1.0 if uneven else 0.0


@njit(cache=True, nogil=True)
def _fit_frames(
    frames: NDArray[Any],
    corner: tuple[int, int],
    level: tuple[Real, Real, Real],
    active: NDArray[np.uint8],
    even: NDArray[np.bool_],
    fits: NDArray[np.float64],
) -> None:
    """Refine the fits of evenly lit frames at full resolution, in place.

    ``frames`` (frame, row, column) of any real dtype, of which the window at ``corner``
    is used; ``level``: template and weight (row, column) and slopes (2, row, column),
    float32; ``active`` uint8 (frame, row, column) of the view; ``even`` bool (frame,);
    ``fits`` float64 (frame, 4): shift in pixels of the frame, gain, level.
    """
    template, weight, slopes = level
    top, left = corner
    h, w = template.shape
    factor = h // active.shape[1]
    frame, moved = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    own = np.empty((h, w), np.float32)
    for b in np.flatnonzero(even):
        fit, start = fits[b], fits[b].copy()
        for y in range(h):
            source, row = frames[b, top + y, left : left + w], frame[y]
            for x in range(w):
                row[x] = source[x]
        for _ in range(ROUNDS):
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            weigh_down(own, active[b], factor)
            move_image(template, fit[0], fit[1], moved)
            # the step after a short one would be smaller than the noise
            if step_fit(frame, moved, own, slopes, fit, factor * PAD) < SETTLED:
                break
        if (
            not GAINS[0] < fit[2] < GAINS[1]
            or abs(fit[0] - start[0]) > 2
            or abs(fit[1] - start[1]) > 2
        ):
            fit[:] = start


@njit(cache=True, nogil=True)
def _add_window(
    frames: NDArray[Any],
    corner: tuple[int, int],
    shape: tuple[int, int],
    sums: NDArray[np.float64],
) -> None:
    """Add every fourth pixel along each axis of a window of each frame to ``sums``.

    ``frames`` (frame, row, column) of any real dtype; ``corner`` and ``shape`` of the
    window, (row, column); ``sums`` float64 (frame,).
    """
    for b in range(len(frames)):
        for y in range(0, shape[0], 4):
            row = frames[b, corner[0] + y, corner[1] : corner[1] + shape[1]]
            for x in range(0, shape[1], 4):
                sums[b] += np.float64(row[x])


def window_means(
    frames: NDArray[Any], corner: tuple[int, int], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the mean of a window of each frame, float64 (frame,).

    Every fourth pixel along each axis is used. A mean that is not finite becomes 0 (or
    the largest float64).

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype that compiled loops take.
    corner, shape
        First row and column of the window, and its rows and columns.
    """
    sums = np.zeros(len(frames))
    rows, columns = shape
    _add_window(frames, corner, (rows, columns), sums)
    return np.nan_to_num(sums / (-(-rows // 4) * -(-columns // 4)))


def fit_frames(
    frames: NDArray[Any], seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> RobustFit:
    """Refine the shifts of frames.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype that compiled loops take.
    seen
        The same frames as views, from `preprocess.view_frames`.
    shifts
        (frame, 2), pixels of the frame: first estimate, within about a pixel of the
        view.
    model
        The template.

    Returns
    -------
    RobustFit
        If the fit of a frame fails, its shift is the first estimate.
    """
    n, factor = len(seen), model.view.factor
    fits = np.column_stack([shifts / factor, np.ones(n), np.zeros(n)])
    active, agreement = np.zeros(seen.shape, np.uint8), np.zeros((n, 4))
    _fit_view(
        seen, _level_arrays(model.coarse), model.active_sd, fits, active, agreement
    )
    gain, offset = fits[:, 2].copy(), fits[:, 3].copy()
    fits[:, :2] *= factor
    if model.fine is not None:
        view, level = model.view, model.fine
        # the view of a frame has mean zero: the level starts at the frame's own mean
        means = window_means(frames, (view.top, view.left), level.template.shape)
        fits[:, 3] = means - gain * float(level.template.mean())
        even = agreement[:, 3] == 0
        _fit_frames(
            frames, (view.top, view.left), _level_arrays(level), active, even, fits
        )
    return RobustFit(
        np.ascontiguousarray(fits[:, :2]),
        gain,
        offset,
        active,
        agreement[:, 0].copy(),
        agreement[:, 1].copy(),
        agreement[:, 3] == 0,
    )


def _level_arrays(level: Level) -> tuple[Real, Real, Real]:
    return level.template, level.weight, level.slopes


def active_deviation(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> float:
    """Return the median over frames of the standard deviation of the smoothed residual.

    About 16 of the views (frame, row, column) are used; ``shifts`` (frame, 2) in pixels
    of the frame.
    """
    few = slice(None, None, max(1, len(seen) // 16))
    seen, shifts = np.ascontiguousarray(seen[few]), shifts[few]
    n, agreement = len(seen), np.zeros((len(seen), 4))
    fits = np.column_stack([shifts / model.view.factor, np.ones(n), np.zeros(n)])
    active = np.zeros(seen.shape, np.uint8)
    _fit_view(seen, _level_arrays(model.coarse), 0.0, fits, active, agreement)
    return float(np.median(agreement[:, 2]))


@njit(cache=True, nogil=True)
def _compare_details(
    seen: Real,
    level: tuple[Real, Real, Real],
    usual: float,
    shifts: NDArray[np.float64],
    agreement: NDArray[np.float64],
) -> None:
    """Fill ``agreement`` with correlations of fine structure, view with template.

    ``seen`` float32 (frame, row, column), ``level`` and ``usual`` as in `_fit_view`,
    ``shifts`` float64 (frame, 2) in pixels of the view, ``agreement`` float64 (frame,).
    The light of all frames is evened, so that events have little influence.
    """
    n, h, w = seen.shape
    template, weight, _ = level
    moved, own = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    evened, active = np.empty((h, w), np.float32), np.zeros((h, w), np.uint8)
    base = np.empty((h, w), np.float32)
    fit = np.array([0.0, 0.0, 1.0, 0.0])
    for b in range(n):
        fit[:2] = shifts[b]
        move_image(template, fit[0], fit[1], moved)
        place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
        even_light(seen[b], moved, own, evened)
        find_active(evened, moved, own, fit, usual, active)
        if active.sum() < UNEVEN * active.size:
            weigh_down(own, active, 1)
        # `even_light` made the smooth part equal in both: only details are compared
        local_means(moved, LIGHT_RADIUS, base)
        evened -= base
        moved -= base
        agreement[b] = weighted_correlation(evened, moved, own, PAD)


@njit(cache=True, nogil=True)
def _measure_views(
    seen: Real,
    level: tuple[Real, Real, Real],
    usual: float,
    fits: NDArray[np.float64],
    agreement: NDArray[np.float64],
) -> None:
    """Fill ``agreement`` as `_fit_view` does, at given shifts.

    ``seen`` float32 (frame, row, column); ``level``, ``usual`` and ``agreement``
    (float64 (frame, 4), of which columns 0 and 1 are filled) as in `_fit_view`;
    ``fits`` float64 (frame, 4): shift in pixels of the view; gain and level are fitted
    in place.
    """
    n, h, w = seen.shape
    template, weight, _ = level
    moved, own = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    evened, active = np.empty((h, w), np.float32), np.zeros((h, w), np.uint8)
    for b in range(n):
        fit, frame = fits[b], seen[b]
        move_image(template, fit[0], fit[1], moved)
        active[:] = 0
        for _ in range(2):
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            weigh_down(own, active, 1)
            fit_light(frame, moved, own, fit)
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            find_active(frame, moved, own, fit, usual, active)
        if active.sum() > UNEVEN * h * w:
            even_light(seen[b], moved, own, evened)
            frame, fit[2], fit[3] = evened, 1.0, 0.0
            find_active(frame, moved, own, fit, usual, active)
        _fill_correlations(frame, (template, moved), weight, fit, active, agreement[b])


def measure_at(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``before`` and ``after`` of `fit_frames` for given shifts, each (frame,).

    Arguments as in `compare_at`. Frames are judged by these values; `compare_at`
    compares only fine structure and is for choosing between shifts.
    """
    n, agreement = len(seen), np.zeros((len(seen), 4))
    fits = np.column_stack([shifts / model.view.factor, np.ones(n), np.zeros(n)])
    _measure_views(seen, _level_arrays(model.coarse), model.active_sd, fits, agreement)
    return agreement[:, 0].copy(), agreement[:, 1].copy()


def compare_at(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> NDArray[np.float64]:
    """Return the correlation of views with the template at given shifts, (frame,).

    The template is moved, not the view, so that values at different shifts can be
    compared.

    Parameters
    ----------
    seen
        float32 (frame, row, column), from `preprocess.view_frames`.
    shifts
        (frame, 2), pixels of the frame.
    model
        The template.
    """
    agreement = np.zeros(len(seen))
    places = np.ascontiguousarray(shifts / model.view.factor, np.float64)
    _compare_details(
        seen, _level_arrays(model.coarse), model.active_sd, places, agreement
    )
    return agreement
