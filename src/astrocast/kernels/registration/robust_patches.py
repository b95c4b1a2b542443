"""The shifts of patches by weighted least squares, in frames with activity.

Frames without activity keep the fields found by correlation. In a frame with activity
(large smoothed residual), active patches first take the deviation of the calm patches
around them. Then each patch is refined like a whole frame (`robust`): active pixels
hardly count, smooth light is orthogonal to the slopes, and gain and level are fitted
per patch. A patch is expected to follow the calm ones around it as closely as patches
of this recording usually do. The equations of a patch are averaged with those of its
neighbours, like the correlation maps, so that a fully active patch follows its
neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.robust_activity import (
    find_active,
    fit_light,
    place_weight,
    weigh_down,
    weighted_correlation,
)
from astrocast.kernels.registration.robust_model import PAD
from astrocast.kernels.registration.robust_steps import (
    normal_equations,
    solve_equations,
)

Real = NDArray[np.float32]

#: Gauss-Newton steps of the patches of a frame with activity
STEPS = 2
#: a patch is not refined if at least this fraction of its pixels, and of the pixels of
#: each neighbour, is not active
CALM = 0.98
#: a patch deviates from the calm patches around it by at least and at most this (SD,
#: pixels of the view)
LEAST_APART, MOST_APART = 0.02, 1.0
#: standard deviation of the gain of a patch, and of its relative level
EXPECTED_GAIN = 0.5
#: a patch influences its neighbours by its calm fraction to this power
TRUST = 4


@njit(cache=True, nogil=True)
def find_active_views(
    seen: Real,
    moved: Real,
    weight: Real,
    usual: float,
    fits: NDArray[np.float64],
    active: NDArray[np.uint8],
    agreement: NDArray[np.float64],
) -> None:
    """Fill ``active`` and ``agreement`` of views, given templates moved by fields.

    ``seen``, ``moved`` float32 (frame, row, column); ``weight`` float32 (row, column)
    at the template's position; ``usual``: see `find_active`; ``fits`` float64 (frame,
    4): rigid shift, gain and level, of which gain and level are fitted; ``active``
    uint8 (frame, row, column); ``agreement`` float64 (frame, 2): correlation with the
    moved template, standard deviation of the smoothed residual.
    """
    own = np.empty(weight.shape, np.float32)
    for b in range(len(seen)):
        fit = fits[b]
        for again in range(2):
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            if again:
                weigh_down(own, active[b], 1)
            fit_light(seen[b], moved[b], own, fit)
            place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
            agreement[b, 1] = find_active(seen[b], moved[b], own, fit, usual, active[b])
        weigh_down(own, active[b], 1)
        agreement[b, 0] = weighted_correlation(seen[b], moved[b], own, PAD)


@njit(cache=True, nogil=True)
def _patch_equations(
    seen: Real,
    moved: Real,
    weight: Real,
    slopes: Real,
    fit: NDArray[np.float64],
    corners: tuple[NDArray[np.int64], NDArray[np.int64], int, int],
    sums: NDArray[np.float64],
) -> None:
    """Fill ``sums`` with the equations of each patch of one frame.

    Images and ``fit`` as in `robust_steps.normal_equations`; ``corners``: first rows
    and first columns of the patches (int64, at the template's position), and rows and
    columns of a patch; ``sums`` float64 (patch row, patch column, 4, 5).
    """
    rows, columns, height, width = corners
    h, w = seen.shape
    iy, ix = int(np.rint(fit[0])), int(np.rint(fit[1]))
    top, bottom = PAD + max(iy, 0), h - PAD + min(iy, 0)
    left, right = PAD + max(ix, 0), w - PAD + min(ix, 0)
    for i in range(len(rows)):
        for j in range(len(columns)):
            y, x = rows[i] + iy, columns[j] + ix
            box = (
                max(top, y),
                min(bottom, y + height),
                max(left, x),
                min(right, x + width),
            )
            normal_equations(seen, moved, weight, slopes, fit, box, sums[i, j])


@njit(cache=True, nogil=True)
def _average_neighbours(sums: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Average patches with their neighbours along an axis (1/4, 1/2, 1/4).

    ``sums`` and the result: float64 (patch row, patch column, 4, 5); ``axis`` 0 or 1.
    At the ends the patch itself replaces the missing neighbour.
    """
    out = np.empty_like(sums)
    n = sums.shape[axis]
    for k in range(n):
        before, after = max(k - 1, 0), min(k + 1, n - 1)
        if axis == 0:
            out[k] = 0.5 * sums[k] + 0.25 * (sums[before] + sums[after])
        else:
            out[:, k] = 0.5 * sums[:, k] + 0.25 * (sums[:, before] + sums[:, after])
    return out


@njit(cache=True, nogil=True)
def patch_steps(
    seen: Real,
    template: tuple[Real, Real, Real],
    fit: NDArray[np.float64],
    active: NDArray[np.uint8],
    corners: tuple[NDArray[np.int64], NDArray[np.int64], int, int],
    prior: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return one Gauss-Newton step of each patch, float64 (2, patch row, patch column).

    Steps are in pixels of the view, at most 1. ``seen`` float32 (row, column);
    ``template``: moved template (row, column) at the frame's position, weight (row,
    column) and slopes (2, row, column) at the template's, float32; ``fit`` float64
    (4,); ``active`` uint8 (row, column); ``corners``: see `_patch_equations`;
    ``prior``: step to the expected shift, float64 (2, patch row, patch column), and 1 /
    variance of that, float64 (patch row, patch column).
    """
    moved, weight, slopes = template
    towards, certainty = prior
    own = np.empty(weight.shape, np.float32)
    place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
    weigh_down(own, active, 1)
    sums = np.zeros((len(corners[0]), len(corners[1]), 4, 5))
    _patch_equations(seen, moved, own, slopes, fit, corners, sums)
    sums = _average_neighbours(_average_neighbours(sums, 0), 1)
    steps, step = np.zeros((2, sums.shape[0], sums.shape[1])), np.zeros(4)
    gain = max(fit[2], 0.2)
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            equations = sums[i, j]
            for axis in range(2):
                equations[axis, axis] += certainty[i, j]
                equations[axis, 4] += certainty[i, j] * gain * towards[axis, i, j]
            equations[2, 2] += 1 / EXPECTED_GAIN**2
            if solve_equations(equations, step):
                for axis in range(2):
                    steps[axis, i, j] = min(max(step[axis] / gain, -1.0), 1.0)
    return steps


def calm_shares(
    active: NDArray[np.uint8],
    shift: NDArray[np.int64],
    corners: tuple[NDArray[np.int64], NDArray[np.int64], int, int],
) -> NDArray[np.float64]:
    """Return the fraction of each patch that is not active, (patch row, patch column).

    ``active`` uint8 (row, column) of one view; ``shift`` int64 (2,), its shift in whole
    pixels; ``corners``: see `_patch_equations`.
    """
    rows, columns, height, width = corners
    h, w = active.shape
    total = np.zeros((h + 1, w + 1))
    total[1:, 1:] = active.cumsum(0).cumsum(1)
    y0, x0 = np.clip(rows + shift[0], 0, h), np.clip(columns + shift[1], 0, w)
    y1 = np.clip(rows + shift[0] + height, 0, h)
    x1 = np.clip(columns + shift[1] + width, 0, w)
    inside = (
        total[np.ix_(y1, x1)]
        - total[np.ix_(y0, x1)]
        - total[np.ix_(y1, x0)]
        + total[np.ix_(y0, x0)]
    )
    return np.asarray(1 - inside / (height * width))


def follow_calm_patches(
    deviation: NDArray[np.float64], calm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Replace deviations of active patches by those of the calm patches around them.

    ``deviation`` and the result: (2, patch row, patch column); ``calm``: from
    `calm_shares`. If a frame is fully active, the result is 0.
    """
    if deviation.shape[1] * deviation.shape[2] == 1:
        return deviation
    trust = np.maximum(calm, 0.0) ** TRUST
    around = average_patches(deviation, trust)
    return np.asarray(trust * deviation + (1 - trust) * around)


def average_patches(
    deviation: NDArray[np.float64], trust: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what trusted patches around each patch, and itself, say.

    ``deviation`` and the result: (2, patch row, patch column); ``trust`` (patch row,
    patch column), 0 to 1. 0 if no patch is trusted.
    """
    first = trust * deviation
    value, weight = first, trust
    # enough repeats for a trusted patch to reach the patch farthest from it
    for _ in range(max(trust.shape)):
        value = np.stack([_spread_once(v) for v in value])
        weight = _spread_once(weight)
        value, weight = value + first, weight + trust
    return np.asarray(value / (weight + 1e-3 * weight.max() + 1e-30))


def certainty_of(
    free: NDArray[np.bool_], apart: tuple[float, float]
) -> NDArray[np.float64]:
    """Return 1 / variance of what the patches around say, (patch row, patch column).

    Parameters
    ----------
    free
        bool (patch row, patch column): patches that no activity touches.
    apart
        Standard deviation of a patch from those around it, and from the rigid shift,
        pixels of the view (`typical_deviations`): the second counts where the patches
        around are touched as well.
    """
    near = _spread_once(free.astype(np.float64)) / _spread_once(np.ones(free.shape))
    return np.asarray(1 / (apart[0] ** 2 + (1 - near) * apart[1] ** 2))


def typical_deviations(
    deviation: NDArray[np.floating], factor: int
) -> tuple[float, float]:
    """Return the SD of a patch from those around it, and from the rigid shift.

    In pixels of the view, robust. ``deviation`` (frame, 2, patch row, patch column),
    pixels of the frame: of the patches of a sample.
    """
    flat = deviation.reshape(-1, *deviation.shape[2:])
    count = _spread_once(np.ones(flat.shape[1:]))
    around = np.stack([_spread_once(f) for f in flat]) / count
    local, whole = (
        1.4826 * float(np.median(np.abs(part))) / factor
        for part in (flat - around, flat)
    )
    return (
        min(max(local, LEAST_APART), MOST_APART),
        min(max(whole, LEAST_APART), MOST_APART),
    )


def _spread_once(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, 1)
    near = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return np.asarray((near[:, :-2] + 2 * near[:, 1:-1] + near[:, 2:]) / 16)
