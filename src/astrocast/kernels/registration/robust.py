"""The shift of a frame by weighted least squares: activity does not pull it.

A frame is modelled as ``gain * template(moved by the shift) + level``. The shift, gain
and level are refined by Gauss-Newton steps; the template is moved, never the frame, so
that noise stays white. Three properties keep events from pulling:

- pixels whose residual is too large for their noise do not count (iteratively
  reweighted least squares);
- regions in which the smoothed residual is too large (activity) hardly count;
- the slopes that the residual is compared with contain nothing that is smooth over a
  few pixels (instrumental variables), so that smooth light is orthogonal to them.

The mask is found at the resolution of the view; the last steps use all pixels of the
frame.
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

#: Gauss-Newton ends after a step shorter than this, pixels: what is left is its square
SETTLED = 0.1
#: and after so many steps at each resolution
ROUNDS = 4


@njit(cache=True, nogil=True)
def _agree(
    frame: Real,
    images: tuple[Real, Real],
    weight: Real,
    fit: NDArray[np.float64],
    active: NDArray[np.uint8],
    agreement: NDArray[np.float64],
) -> None:
    """Fill agreement float64 (4,) [0] and [1]: correlation at rest and moved.

    ``images``: template at rest and moved, float32 (row, column) as ``frame`` and
    ``weight``; ``active`` uint8 (row, column).
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
    """Fit views in place, and fill where the tissue is active and how well they agree.

    ``seen`` float32 (frame, row, column); ``level`` template, weight (row, column) and
    slopes (2, row, column) float32; ``fits`` float64 (frame, 4): shift in pixels of the
    view, gain, level; ``active`` uint8 (frame, row, column); ``agreement`` float64
    (frame, 4): correlation at rest and moved, standard deviation of the smoothed
    residual, and 1 where the light was evened.
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
        _agree(frame, (template, moved), weight, fit, active[b], agreement[b])
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
    """Fit the ``even`` ones (frame,) of frames at their own resolution, in place.

    ``frames`` (frame, row, column) of any real dtype, of which a window from ``corner``
    on is used; ``level`` float32 template, weight (row, column), slopes (2, row,
    column); ``active`` uint8 (frame, row, column) of the view; ``fits``
    float64 (frame, 4): shift in pixels of the frame, gain, level.
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
            # after a short step the next one would be within the noise
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
    """Add every fourth pixel along each axis of a window to float64 (frame,).

    ``frames`` (frame, row, column) of any real dtype; ``corner`` and ``shape`` are
    those of the window.
    """
    for b in range(len(frames)):
        for y in range(0, shape[0], 4):
            row = frames[b, corner[0] + y, corner[1] : corner[1] + shape[1]]
            for x in range(0, shape[1], 4):
                sums[b] += np.float64(row[x])


def window_means(
    frames: NDArray[Any], corner: tuple[int, int], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the mean of a window of each frame (frame,), from every fourth pixel.

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
        The shift is the first estimate where no fit is found.
    """
    n, factor = len(seen), model.view.factor
    fits = np.column_stack([shifts / factor, np.ones(n), np.zeros(n)])
    active, agreement = np.zeros(seen.shape, np.uint8), np.zeros((n, 4))
    _fit_view(seen, _images(model.coarse), model.active_sd, fits, active, agreement)
    gain, offset = fits[:, 2].copy(), fits[:, 3].copy()
    fits[:, :2] *= factor
    if model.fine is not None:
        view, level = model.view, model.fine
        # the view of a frame has mean zero: the level starts at the frame's own mean
        means = window_means(frames, (view.top, view.left), level.template.shape)
        fits[:, 3] = means - gain * float(level.template.mean())
        even = agreement[:, 3] == 0
        _fit_frames(frames, (view.top, view.left), _images(level), active, even, fits)
    return RobustFit(
        np.ascontiguousarray(fits[:, :2]),
        gain,
        offset,
        active,
        agreement[:, 0].copy(),
        agreement[:, 1].copy(),
        agreement[:, 3] == 0,
    )


def _images(level: Level) -> tuple[Real, Real, Real]:
    return level.template, level.weight, level.slopes


def active_deviation(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> float:
    """Return the usual standard deviation of the smoothed residual.

    From some of the views (frame, row, column); ``shifts`` (frame, 2) in pixels of the
    frame.
    """
    few = slice(None, None, max(1, len(seen) // 16))
    seen, shifts = np.ascontiguousarray(seen[few]), shifts[few]
    n, agreement = len(seen), np.zeros((len(seen), 4))
    fits = np.column_stack([shifts / model.view.factor, np.ones(n), np.zeros(n)])
    active = np.zeros(seen.shape, np.uint8)
    _fit_view(seen, _images(model.coarse), 0.0, fits, active, agreement)
    return float(np.median(agreement[:, 2]))


@njit(cache=True, nogil=True)
def _compare(
    seen: Real,
    level: tuple[Real, Real, Real],
    usual: float,
    shifts: NDArray[np.float64],
    agreement: NDArray[np.float64],
) -> None:
    """Fill float64 (frame,) with the weighted correlation of views with the template.

    ``seen`` float32 (frame, row, column), ``level`` and ``usual`` as in `_fit_view`,
    ``shifts`` float64 (frame, 2) in pixels of the view. Light is evened in all frames,
    so that events do not decide.
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
        # what is smooth was made the same: the rest decides
        local_means(moved, LIGHT_RADIUS, base)
        evened -= base
        moved -= base
        agreement[b] = weighted_correlation(evened, moved, own, PAD)


@njit(cache=True, nogil=True)
def _measure(
    seen: Real,
    level: tuple[Real, Real, Real],
    usual: float,
    fits: NDArray[np.float64],
    agreement: NDArray[np.float64],
) -> None:
    """Fill agreement float64 (frame, 4) at given shifts, by the measure of `_fit_view`.

    ``seen`` float32 (frame, row, column); ``level`` and ``usual`` as in `_fit_view`;
    ``fits`` float64 (frame, 4): shift in pixels of the view, gain and level, which are
    fitted in place.
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
        _agree(frame, (template, moved), weight, fit, active, agreement[b])


def measure_at(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (before, after) of `fit_frames` for given shifts, each (frame,).

    Arguments as in `compare_at`, which is for choosing between shifts: it compares fine
    structure only, so its values are not those that frames are judged by.
    """
    n, agreement = len(seen), np.zeros((len(seen), 4))
    fits = np.column_stack([shifts / model.view.factor, np.ones(n), np.zeros(n)])
    _measure(seen, _images(model.coarse), model.active_sd, fits, agreement)
    return agreement[:, 0].copy(), agreement[:, 1].copy()


def compare_at(
    seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> NDArray[np.float64]:
    """Return how well views agree with the template moved by given shifts, (frame,).

    A weighted correlation that means the same for any shift: the frame is not
    interpolated.

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
    _compare(seen, _images(model.coarse), model.active_sd, places, agreement)
    return agreement
