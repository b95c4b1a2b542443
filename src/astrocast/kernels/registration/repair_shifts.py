"""Find frames with a doubtful shift and replace it if another shift agrees better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from astrocast.kernels.registration.preprocess import as_native, view_frames
from astrocast.kernels.registration.robust import (
    compare_at,
    fit_frames,
    measure_at,
)
from astrocast.kernels.registration.robust_model import RobustModel
from astrocast.kernels.registration.sharpness import measure_sharpness

Real = NDArray[np.float32]

#: a shift is doubtful if it is this far from those of neighbouring frames, pixels ...
FAR = 0.5
#: ... and the frame's agreement is this many robust standard deviations below its
#: neighbours
LOW = 3.0
#: a shift is also doubtful if the agreement is this many robust standard deviations
#: below the median of all frames
LOWEST = 8.0
#: neighbours on either side: for comparing shifts, and for comparing agreements
NEAR, AROUND = 2, 12
#: a step of so many pixels, and so many robust standard deviations of all steps, is
#: looked at again
STEP, STEPS = 2.0, 6.0
#: correlation by which the fit that starts from the frame beside has to be better
FOLLOWED = 0.01
#: a shift closer than FAR to the present one replaces it only if its agreement is
#: higher by this much
BETTER = 0.02
#: lower limit of the robust standard deviation of the agreement
LEAST_DEVIATION = 1e-3


@dataclass(frozen=True)
class RepairedShifts:
    """The best shift of each doubtful frame.

    Parameters
    ----------
    shifts
        (frame, 2), pixels.
    rest, after
        (frame,): agreement with the template at rest, and moved by ``shifts``.
    sharpness
        (frame, 3), see `sharpness.measure_sharpness`.
    """

    shifts: NDArray[np.float64]
    rest: NDArray[np.float64]
    after: NDArray[np.float64]
    sharpness: NDArray[np.float64]


def neighbour_shifts(
    shifts: NDArray[np.float64], left_out: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the running median of shifts over neighbouring frames, (frame, 2).

    Shifts of ``left_out`` frames, bool (frame,), are interpolated first.
    """
    out = np.array(shifts, np.float64)
    times, good = np.arange(len(shifts)), ~left_out
    for column in out.T:
        if left_out.any() and good.any():
            column[left_out] = np.interp(times[left_out], times[good], column[good])
        column[:] = ndimage.median_filter(column, 2 * NEAR + 1, mode="nearest")
    return out


def find_suspects(
    shifts: NDArray[np.float64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    left_out: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return the numbers of the frames with a doubtful shift.

    Parameters
    ----------
    shifts
        (frame, 2), pixels.
    before, after
        (frame,): agreement with the template at rest and moved.
    left_out
        bool (frame,): bad frames, which are never returned.
    """
    usual = ndimage.median_filter(after, 2 * AROUND + 1, mode="nearest")
    apart = after - usual
    deviation = max(1.4826 * float(np.median(np.abs(apart))), LEAST_DEVIATION)
    far = np.abs(shifts - neighbour_shifts(shifts, left_out)).max(1) > FAR
    middle = float(np.median(after))
    usually = max(1.4826 * float(np.median(np.abs(after - middle))), LEAST_DEVIATION)
    lowest = after < middle - LOWEST * usually
    suspicious = (after < before) | (far & (apart < -LOW * deviation)) | lowest
    return np.flatnonzero(suspicious & ~left_out)


def find_steps(
    shifts: NDArray[np.float64], left_out: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Return the frames on both sides of an unusually large step.

    Parameters
    ----------
    shifts
        (frame, 2), pixels.
    left_out
        (frame,): frames that are known to be bad.
    """
    good = np.flatnonzero(~left_out)
    steps = np.abs(np.diff(shifts[good], axis=0)).max(axis=1, initial=0)
    if not len(steps):
        return good[:0]
    large = np.flatnonzero(steps > max(STEP, STEPS * 1.4826 * float(np.median(steps))))
    return np.unique(good[np.concatenate([large, large + 1])])


def follow_shift(
    frame: NDArray[Any],
    own: NDArray[np.float64],
    beside: NDArray[np.float64],
    model: RobustModel,
    limit: tuple[float, float],
) -> RepairedShifts | None:
    """Return the fit of a frame that starts from the frame beside it, if it is better.

    A search over the whole range may find events that look like other tissue, for as
    long as they last; the fit from a shift nearby does not see those places.

    Parameters
    ----------
    frame
        (row, column), any real dtype.
    own, beside
        (2,), pixels: its shift, and that of the frame beside it.
    model
        The template.
    limit
        Largest shift along rows and columns, pixels.
    """
    seen, native = view_frames(frame[None], model.view), as_native(frame[None])
    fit = fit_frames(native, seen, beside[None], model).shifts
    result = _measure_repaired(
        native, seen, np.clip(fit, np.negative(limit), limit), model
    )
    here = own[None]
    even = fit_frames(native, seen, here, model).even & np.isfinite(
        result.sharpness[:, 2]
    )
    if even.all():
        better = result.after - measure_at(seen, here, model)[1] > FOLLOWED
    else:
        # where most of a frame is active, only its fine structure can decide
        better = (
            compare_at(seen, result.shifts, model) - compare_at(seen, here, model)
            > BETTER
        )
    return result if better.all() else None


def search_by_phase(
    seen: Real, model: RobustModel, limit: tuple[float, float]
) -> NDArray[np.float64]:
    """Return shifts by phase correlation, in whole pixels of the view, (frame, 2).

    All frequencies have the same weight, so that periodic structure does not dominate.
    Slower than `rigid.search_shifts`; for few frames.

    Parameters
    ----------
    seen
        float32 (frame, row, column).
    model
        The template.
    limit
        Largest shift along rows and columns. Both the limit and the result are in
        pixels of the frame.
    """
    template, factor = model.coarse.template, model.view.factor
    h, w = template.shape
    window = np.sqrt(np.outer(np.hanning(h + 2)[1:-1], np.hanning(w + 2)[1:-1]))
    target = fft.rfft2((template - template.mean()) * window)
    spectra = fft.rfft2((seen - seen.mean((1, 2), keepdims=True)) * window)
    cross = spectra * np.conj(target)
    maps = fft.irfft2(cross / np.maximum(np.abs(cross), 1e-12), s=(h, w))
    dy, dx = np.rint(fft.fftfreq(h, 1 / h)), np.rint(fft.fftfreq(w, 1 / w))
    inside = (np.abs(dy) * factor <= limit[0])[:, None] & (
        np.abs(dx) * factor <= limit[1]
    )
    best = np.where(inside, maps, -np.inf).reshape(len(seen), -1).argmax(1)
    return factor * np.stack([dy[best // w], dx[best % w]], axis=1)


def mend_shifts(
    frames: NDArray[Any],
    shifts: NDArray[np.float64],
    near: NDArray[np.float64],
    model: RobustModel,
    limit: tuple[float, float],
) -> RepairedShifts:
    """Return the best of several candidate shifts for each of some frames.

    Candidates: the present shift, the shift of the neighbouring frames, a fit that
    starts there, a fit that starts from phase correlation, and no shift.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype.
    shifts, near
        (frame, 2), pixels: present shifts, and those from `neighbour_shifts`.
    model
        The template.
    limit
        Largest shift along rows and columns, pixels.
    """
    seen = view_frames(frames, model.view)
    native = as_native(frames)
    found = fit_frames(native, seen, search_by_phase(seen, model, limit), model).shifts
    again = fit_frames(native, seen, near, model).shifts
    candidates = np.stack([shifts, again, near, found, np.zeros_like(shifts)])
    candidates = np.clip(candidates, np.negative(limit), limit)
    agreement = np.stack([compare_at(seen, c, model) for c in candidates])
    best = agreement.argmax(0)
    frame = np.arange(len(frames))
    # for shifts this close the fit is more exact than the comparison, so the present
    # shift is kept, unless it agrees less than no shift
    rest = len(candidates) - 1
    moved = np.abs(candidates[best, frame] - candidates[0]).max(axis=1)
    better = agreement[best, frame] - agreement[0] > BETTER
    own_or_rest = np.where(agreement[rest] > agreement[0], rest, 0)
    best = np.where((moved <= FAR) & ~better, own_or_rest, best)
    chosen = candidates[best, frame]
    # candidates were compared by fine structure; report the measure of the fit
    return _measure_repaired(native, seen, chosen, model)


def _measure_repaired(
    frames: NDArray[Any], seen: Real, shifts: NDArray[np.float64], model: RobustModel
) -> RepairedShifts:
    """Return shifts (frame, 2) with what is measured of the frames at them."""
    fit = fit_frames(frames, seen, shifts, model)
    sharpness = measure_sharpness(seen, shifts, fit, model)
    return RepairedShifts(shifts, *measure_at(seen, shifts, model), sharpness)
