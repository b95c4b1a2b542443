"""How much of the template's fine structure a frame shows, to find blurred frames.

The frame is regressed on the template, with the template's fine structure as the
instrument: the sharpness is sum(fine * frame) / sum(fine * template) over the gain of
the frame. Noise does not change it (it is a regression, not a variance), and events,
which are wider than a few pixels, are orthogonal to the fine structure. A frame that is
blurred or from another plane shows less of it than the template.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.robust_activity import local_means
from astrocast.kernels.registration.robust_model import PAD, RobustFit, RobustModel
from astrocast.kernels.registration.robust_steps import move_image

Real = NDArray[np.float32]

#: a frame with less than this share of the usual sharpness is left out ...
BLURRED = 0.5
#: ... where that is beyond so many standard deviations
DEVIATIONS = 4.0
#: one with less than this share is named, beyond so many
SOFT, SOFT_DEVIATIONS = 0.7, 6.0
#: where noise alone changes the usual sharpness by more than this share, or the
#: template has hardly any fine structure that frames repeat, nothing is said
UNCERTAIN, LEAST = 0.3, 0.2
#: frames on either side that give the gain of one that has none
AROUND = 5
#: shorter recordings have no slow changes
SLOW_FRAMES = 40
#: a slow change of the focus is looked for where the sharpness of one frame in twenty
#: is at most this many times the median
MOST_VARIED = 1.5
#: the pattern has changed below this share of the usual correlation
CHANGED = 0.8
#: structure is fine below a square of this radius, pixels of the view
FINE_RADIUS = 2


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _add_row(
    frame: Real, moved: Real, fine: Real, weight: Real, sums: NDArray[np.float64]
) -> None:
    """Add one row to sums float64 (6,) of f, m, y, fm, fy, ff / weight.

    ``frame`` y, ``moved`` m (the template), ``fine`` f (its fine structure) and
    ``weight`` (1 / variance of the noise) float32 (column,).
    """
    s0 = s1 = s2 = s3 = s4 = s5 = np.float32(0)
    for x in range(len(frame)):
        y, m, f = frame[x], moved[x], fine[x]
        s0 += f
        s1 += m
        s2 += y
        s3 += f * m
        s4 += f * y
        s5 += f * f / weight[x]
    sums[0] += s0
    sums[1] += s1
    sums[2] += s2
    sums[3] += s3
    sums[4] += s4
    sums[5] += s5


@njit(cache=True, nogil=True)
def _measure(
    seen: Real,
    level: tuple[Real, Real, Real],
    shifts: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Fill float64 (frame, 2): b, and its standard error; NaN where there is none.

    ``seen`` float32 (frame, row, column), finite; ``level``: template, weight and fine
    structure, float32 (row, column); ``shifts`` float64 (frame, 2), pixels of the view.

    All pixels count alike: weights that follow the light would let smooth light of an
    event correlate with the fine structure.
    """
    template, weight, own = level
    h, w = template.shape
    moved, fine = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    s, pad = np.empty(6), PAD + 2 * FINE_RADIUS
    for b in range(len(seen)):
        out[b, 0] = out[b, 1] = np.nan
        dy, dx = shifts[b]
        iy, ix = int(np.rint(dy)), int(np.rint(dx))
        y0, y1 = pad + max(iy, 0), h - pad + min(iy, 0)
        x0, x1 = pad + max(ix, 0), w - pad + min(ix, 0)
        if y1 - y0 < pad or x1 - x0 < pad:
            continue
        move_image(template, dy, dx, moved)
        move_image(own, dy, dx, fine)
        s[:] = 0
        for y in range(y0, y1):
            noise = weight[y - iy, x0 - ix : x1 - ix]
            _add_row(seen[b, y, x0:x1], moved[y, x0:x1], fine[y, x0:x1], noise, s)
        n = (y1 - y0) * (x1 - x0)
        power = s[3] - s[0] * s[1] / n
        if power > 0:
            out[b, 0] = (s[4] - s[0] * s[2] / n) / power
            out[b, 1] = np.sqrt(s[5]) / power


def fine_structure(template: Real) -> Real:
    """Return what is smaller than a few pixels in a template (row, column).

    The mean of the square around each pixel is taken out twice, so that light which
    changes slowly over the field does not correlate with what is left.
    """
    fine, smooth = template.copy(), np.empty_like(template)
    for _ in range(2):
        local_means(fine, FINE_RADIUS, smooth)
        fine -= smooth
    return fine


def measure_sharpness(
    seen: Real, shifts: NDArray[np.float64], fit: RobustFit, model: RobustModel
) -> NDArray[np.float64]:
    """Return the share of the fine structure that views show, and its error.

    Parameters
    ----------
    seen
        float32 (frame, row, column), from `preprocess.view_frames`.
    shifts
        (frame, 2), pixels of the frame.
    fit
        Of these frames: their gain.
    model
        The template.

    Returns
    -------
    numpy.ndarray
        (frame, 3): how much of the template's fine structure the frame shows, the
        standard error of that by noise alone, and the gain of the frame. NaN where it
        cannot be measured: a uniform template, no light, no gain where most of a frame
        seems active.
    """
    both, level = np.empty((len(seen), 2)), model.coarse
    places = np.ascontiguousarray(shifts / model.view.factor, np.float64)
    images = level.template, level.weight, fine_structure(level.template)
    _measure(seen, images, places, both)
    return np.column_stack([both, np.where(fit.even, fit.gain, np.nan)])


def relative_sharpness(
    sharpness: NDArray[np.float64], left_out: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return sharpness and its error (frame, 2), as shares of the gain of the frame.

    Arguments as in `judge_sharpness`.
    """
    gain = sharpness[:, 2]
    known = np.flatnonzero((gain > 0) & ~left_out)
    if not len(known):
        return np.full((len(sharpness), 2), np.nan)
    smooth = ndimage.median_filter(gain[known], 2 * AROUND + 1, mode="nearest")
    around = np.interp(np.arange(len(gain)), known, smooth)
    return np.asarray(sharpness[:, :2] / np.where(gain > 0, gain, around)[:, None])


def judge_sharpness(
    sharpness: NDArray[np.float64],
    agreement: NDArray[np.float64],
    left_out: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how severely each frame is out of focus, and its share of fine structure.

    Severity: 1 where a frame has less than half of the usual sharpness, 0.3 where it is
    clearly lower than usual, else 0. The share is that of the usual sharpness. Single
    frames and slow changes (`judge_slow_change`) are found.

    Parameters
    ----------
    sharpness
        (frame, 3), from `measure_sharpness`. The gain of frames that have none is that
        of the frames around.
    agreement
        (frame,): correlation with the template.
    left_out
        (frame,): frames that are known to be bad.

    Examples
    --------
    >>> values = np.tile([1.0, 0.02, 1.0], (20, 1))
    >>> values[:, 0] = np.linspace(0.98, 1.02, 20)
    >>> values[7, 0] = 0.2
    >>> severity, share = judge_sharpness(values, np.ones(20), np.zeros(20, bool))
    >>> np.flatnonzero(severity).tolist(), bool(share[7] < 0.25)
    ([7], True)
    """
    severity = np.zeros(len(sharpness))
    values, error = relative_sharpness(sharpness, left_out).T
    use = ~left_out & np.isfinite(values) & np.isfinite(error)
    if use.sum() < 3:
        return severity, np.full(len(values), np.nan)
    usual, reference = float(np.median(values[use])), np.empty(len(values))
    reference[:] = usual
    if usual < LEAST:
        return severity, values / reference
    if np.median(error[use]) <= UNCERTAIN * usual:
        deviation = 1.4826 * float(np.median(np.abs(values[use] - usual)))
        drop = np.where(use, usual - values, 0)
        drops = drop / np.maximum(np.where(use, error, 1), max(deviation, 1e-3 * usual))
        severity[(drop > (1 - SOFT) * usual) & (drops > SOFT_DEVIATIONS)] = 0.3
        severity[(drop > (1 - BLURRED) * usual) & (drops > DEVIATIONS)] = 1.0
    slow, best = judge_slow_change(values[use], error[use], agreement[use])
    changed = np.flatnonzero(use)[slow > severity[use]]
    severity[use] = np.maximum(severity[use], slow)
    reference[changed] = best
    return severity, values / reference


def judge_slow_change(
    values: NDArray[np.float64],
    error: NDArray[np.float64],
    agreement: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Return the severity of frames whose sharpness is low for long, and the best.

    The running median over 11 frames is compared with the level that a quarter of the
    recording reaches: where the focus drifts, the median of all frames is between the
    two. Events on the tissue raise the sharpness: calm frames, which agree better than
    usual with the template, are not blurred.

    Parameters
    ----------
    values, error
        (frame,): sharpness and its standard error, without frames that are left out.
    agreement
        (frame,): correlation with the template.

    Examples
    --------
    >>> values = np.r_[np.ones(60), np.linspace(1, 0.2, 80)]
    >>> severity, best = judge_slow_change(values, np.full(140, 0.02), values)
    >>> [int(np.flatnonzero(severity == s)[0]) for s in (0.3, 1)], best
    ([90, 110], 1.0)
    """
    severity, width = np.zeros(len(values)), 2 * AROUND + 1
    if len(values) < SLOW_FRAMES:
        return severity, float("nan")
    smooth = ndimage.median_filter(values, width, mode="nearest")
    best, middle = float(np.percentile(smooth, 75)), float(np.median(smooth))
    noise = np.maximum(error, 1.4826 * np.median(np.abs(values - smooth)))
    # the median over some frames varies by 1.25 times as much as their mean
    noise = np.maximum(1.25 * noise / np.sqrt(width), 1e-3 * best)
    even = np.percentile(smooth, 95) < MOST_VARIED * middle
    if best < LEAST or not even or np.median(noise) > UNCERTAIN * best:
        return severity, best
    drops = (best - smooth) / noise
    severity[(smooth < SOFT * best) & (drops > SOFT_DEVIATIONS)] = 0.3
    severity[(smooth < BLURRED * best) & (drops > DEVIATIONS)] = 1.0
    agreed = ndimage.median_filter(agreement, width, mode="nearest")
    severity[agreed >= np.median(agreed)] = 0
    # the frames at the edge of a run are not all as low as its median
    severity[values > SOFT * best] = 0
    return severity, best


def find_changed_pattern(
    agreement: NDArray[np.float64],
    share: NDArray[np.float64],
    left_out: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return the frames in which the pattern of light differs from the usual for long.

    Tissue that moves slowly out of the plane changes its pattern first, while most of
    its fine structure is still there.

    Parameters
    ----------
    agreement
        (frame,): correlation with the template.
    share
        (frame,), from `judge_sharpness`.
    left_out
        (frame,): frames that are known to be bad.

    Examples
    --------
    >>> agreement = np.r_[np.full(60, 0.9), np.linspace(0.9, 0.5, 40)]
    >>> changed = find_changed_pattern(agreement, np.ones(100), np.zeros(100, bool))
    >>> int(np.flatnonzero(changed)[0])
    78
    """
    changed, good = np.zeros(len(agreement), bool), np.flatnonzero(~left_out)
    if len(good) < SLOW_FRAMES:
        return changed
    values, width = agreement[good], 2 * AROUND + 1
    smooth = ndimage.median_filter(values, width, mode="nearest")
    usual = float(np.percentile(smooth, 75))
    noise = 1.4826 * float(np.median(np.abs(values - smooth)))
    low = (smooth < CHANGED * usual) & (usual - smooth > SOFT_DEVIATIONS * noise)
    # events on the tissue change its fine structure as well
    low &= np.abs(share[good] - 1) < 1 - SOFT
    # shorter changes are those of events
    long = ndimage.binary_opening(low, np.ones(width, bool))
    changed[good[long]] = True
    return changed
