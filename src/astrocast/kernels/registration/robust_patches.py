"""The shifts of patches by weighted least squares, where activity would pull them.

The fields of calm frames are those of the correlation. Where the smoothed residual of a
frame shows activity, patches with much of it first take the deviation of the calm ones
around them; then each patch is refined as a whole frame is (`robust`): active pixels
hardly count, smooth light is orthogonal to the slopes, and each patch has a gain and a
level of its own. The equations of a patch are averaged with those of its neighbours, as
the correlation maps are, so a patch that is all activity follows them.
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

#: steps of the patches of a frame with activity
STEPS = 2
#: patches of which, and of whose neighbours, at least this share is calm stay as they
#: are
CALM = 0.98
#: a patch is expected to move by about so much from its first estimate (pixels of the
#: view), and its gain and relative level to differ by so much
EXPECTED_STEP, EXPECTED_GAIN = 1.0, 0.5
#: power of a patch's calm share that it counts with for its neighbours
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
    """Fill where the tissue of views is active, beside templates moved by a field.

    ``seen``, ``moved`` float32 (frame, row, column); ``weight`` float32 (row, column)
    in the template's place; ``usual`` see `find_active`; ``fits`` float64 (frame, 4) of
    the rigid shift, of which gain and level are fitted; ``active`` uint8 (frame, row,
    column); ``agreement`` float64 (frame, 2): correlation with the moved template, and
    the standard deviation of the smoothed residual.
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
    """Fill float64 (patch row, patch column, 4, 5): the equations of each patch.

    Images of one frame as in `robust.normal_equations`; ``corners`` are the first rows
    and columns of the patches (int64, in the template's place), and their size.
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
                max(top, y), min(bottom, y + height),
                max(left, x), min(right, x + width),
            )  # fmt: skip
            normal_equations(seen, moved, weight, slopes, fit, box, sums[i, j])


@njit(cache=True, nogil=True)
def _average_neighbours(sums: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return (patch row, patch column, ...) averaged along an axis, 1/4 1/2 1/4.

    float64; at the ends the patch itself stands for the neighbour.
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
    moved: Real,
    weight: Real,
    slopes: Real,
    fit: NDArray[np.float64],
    active: NDArray[np.uint8],
    corners: tuple[NDArray[np.int64], NDArray[np.int64], int, int],
) -> NDArray[np.float64]:
    """Return by how much each patch of one frame is off, pixels of the view.

    float64 (2, patch row, patch column).

    ``seen``, ``moved`` float32 (row, column) in the frame's place, ``weight`` (row,
    column) and ``slopes`` (2, row, column) in the template's; ``fit`` float64 (4,);
    ``active`` uint8 (row, column); ``corners`` see `_patch_equations`.
    """
    own = np.empty(weight.shape, np.float32)
    place_weight(weight, int(np.rint(fit[0])), int(np.rint(fit[1])), own)
    weigh_down(own, active, 1)
    sums = np.zeros((len(corners[0]), len(corners[1]), 4, 5))
    _patch_equations(seen, moved, own, slopes, fit, corners, sums)
    sums = _average_neighbours(_average_neighbours(sums, 0), 1)
    steps, step = np.zeros((2, sums.shape[0], sums.shape[1])), np.zeros(4)
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            equations = sums[i, j]
            equations[0, 0] += 1 / EXPECTED_STEP**2
            equations[1, 1] += 1 / EXPECTED_STEP**2
            equations[2, 2] += 1 / EXPECTED_GAIN**2
            if solve_equations(equations, step):
                for axis in range(2):
                    by = step[axis] / max(fit[2], 0.2)
                    steps[axis, i, j] = min(max(by, -1.0), 1.0)
    return steps


def calm_shares(
    active: NDArray[np.uint8],
    shift: NDArray[np.int64],
    corners: tuple[NDArray[np.int64], NDArray[np.int64], int, int],
) -> NDArray[np.float64]:
    """Return the share of each patch (patch row, patch column) that is not active.

    ``active`` is uint8 (row, column) of one view, ``shift`` its whole-pixel shift.
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
    """Return deviations in which active patches follow the calm ones around.

    Shape (2, patch row, patch column).

    ``calm`` is from `calm_shares`; where all of a frame is active nothing deviates.
    """
    if deviation.shape[1] * deviation.shape[2] == 1:
        return deviation
    trust = np.maximum(calm, 0.0) ** TRUST
    first = trust * deviation
    value, weight = first, trust
    # as often as there are patches, so that a calm one is reached from anywhere
    for _ in range(max(calm.shape)):
        value = np.stack([_spread_once(v) for v in value])
        weight = _spread_once(weight)
        value, weight = value + first, weight + trust
    around = value / (weight + 1e-3 * weight.max() + 1e-30)
    return np.asarray(trust * deviation + (1 - trust) * around)


def _spread_once(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, 1)
    near = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return np.asarray((near[:, :-2] + 2 * near[:, 1:-1] + near[:, 2:]) / 16)
