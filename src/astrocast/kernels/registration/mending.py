"""No frame gets worse: shifts that agree less than others would are replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.registration.preprocess import as_native, view_frames
from astrocast.kernels.registration.robust import (
    RobustModel,
    compare_at,
    fit_frames,
)

#: a shift that is this far from those around it is looked at again, pixels ...
FAR = 0.5
#: ... where the frame agrees less than usual by so many robust standard deviations
LOW = 3.0
#: frames on either side that a shift is compared with, and an agreement
NEAR, AROUND = 2, 12
#: robust standard deviation of the agreement, at least
LEAST_DEVIATION = 1e-3


@dataclass(frozen=True)
class Mended:
    """Shifts of suspicious frames after all candidates were compared.

    Parameters
    ----------
    shifts
        (frame, 2), pixels: those that agree best.
    rest, after
        (frame,): agreement of the frame at rest, and moved by ``shifts``.
    """

    shifts: NDArray[np.float64]
    rest: NDArray[np.float64]
    after: NDArray[np.float64]


def neighbour_shifts(
    shifts: NDArray[np.float64], left_out: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the median shift of the frames around each frame (frame, 2).

    ``left_out`` (frame,) are interpolated first, from the frames around them.
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
    """Return the numbers of the frames whose shift is to be looked at again.

    Parameters
    ----------
    shifts
        (frame, 2), pixels.
    before, after
        (frame,): agreement with the template at rest and moved.
    left_out
        (frame,): frames that are known to be bad.
    """
    usual = ndimage.median_filter(after, 2 * AROUND + 1, mode="nearest")
    apart = after - usual
    deviation = max(1.4826 * float(np.median(np.abs(apart))), LEAST_DEVIATION)
    far = np.abs(shifts - neighbour_shifts(shifts, left_out)).max(1) > FAR
    suspicious = (after < before) | (far & (apart < -LOW * deviation))
    return np.flatnonzero(suspicious & ~left_out)


def mend_shifts(
    frames: NDArray[Any],
    shifts: NDArray[np.float64],
    near: NDArray[np.float64],
    model: RobustModel,
) -> Mended:
    """Return the best of several shifts for each of some frames.

    Candidates: the frame's own shift, that of its neighbours, the fit that starts from
    there, and none.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype.
    shifts, near
        (frame, 2), pixels: their own, and from `neighbour_shifts`.
    model
        The template.
    """
    seen = view_frames(frames, model.view)
    again = fit_frames(as_native(frames), seen, near, model).shifts
    candidates = np.stack([shifts, again, near, np.zeros_like(shifts)])
    agreement = np.stack([compare_at(seen, c, model) for c in candidates])
    best = agreement.argmax(0)
    frame = np.arange(len(frames))
    return Mended(candidates[best, frame], agreement[-1], agreement[best, frame])
