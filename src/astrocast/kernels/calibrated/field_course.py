"""The time course of the whole field: flashes, and events of the whole field.

The light that all tiles share is split into bleaching (falls, ever more slowly),
flicker (independent from frame to frame) and activity of the whole field (rises and
decays over several frames).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: time constants of the exponentials of bleaching, as a share of the recording
_TIMES = (0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
_ROUNDS = 15
#: frames of the median and standard deviation (in frames) of the Gaussian that take out
#: flicker
_MEDIAN, _SIGMA = 5, 2.0
#: longest run of frames that is a flash, and its least height above its neighbours: in
#: standard deviations of the steps, and times the steps beside it
_LONGEST, _OUT, _ABRUPT = 3, 8.0, 2.5
#: least height of a whole-field event: as a share of the light, in standard deviations
#: of the remaining flicker, and of the values below the level of the course
_OF_LIGHT, _OF_FLICKER, _OF_FALLS = 0.02, 4.0, 5.0
#: frames within which it rises by half, share of the lower peak to which the course
#: falls between two events
_RISE, _DIP = 20, 0.7
#: largest share of the highest activity that flicker may have where its course is not
#: smoothed, and the largest share of a tile's threshold that noise may have
_CALM, _CLEAR = 0.04, 0.25
#: standard deviations of the Gaussians in time, in frames: the smallest that suffices
_WIDTHS = (0.0, 0.75, 1.0, 1.5, 2.0)
#: share of the field that it covers at one time, and share of its height there
_WIDE, _ALIKE = 0.7, 0.3


@dataclass(frozen=True)
class FieldEvents:
    """Events of the whole field.

    Parameters
    ----------
    mask
        Tiles of each event, a list of (first frame, bool (frame, tile)).
    activity
        Course of the whole field while there is one, 0 elsewhere, float32, (frame,).
    ratio
        Height of each over the largest fluctuation that is not an event, (event,).
    """

    mask: list[tuple[int, NDArray[np.bool_]]]
    activity: NDArray[np.float32]
    ratio: NDArray[np.float64]


def flash_frames(tiles: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return frames that are brighter or darker than their neighbours, (frame,).

    Parameters
    ----------
    tiles
        Mean of each tile in each frame, (frame, tile), float32.

    Returns
    -------
    numpy.ndarray
        Runs of one to three frames that begin and end with a step. An event of the
        field decays, so it does not end with a step.

    Examples
    --------
    >>> tiles = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
    >>> tiles[20:22] += 30
    >>> np.flatnonzero(flash_frames(tiles)).tolist()
    [20, 21]
    """
    course = np.median(tiles - np.median(tiles, axis=0), axis=1).astype(np.float64)
    n = len(course)
    out = np.zeros(n, np.bool_)
    if n < _LONGEST + 4:
        return out
    steps = np.diff(course)
    scale = 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) + 1e-9
    for length in range(1, _LONGEST + 1):
        for start in range(n - length + 1):
            stop = start + length
            before, after = course[max(start - 2, 0) : start], course[stop : stop + 2]
            beside = np.concatenate([before[-1:], after[:1]])
            run = course[start:stop]
            around = [np.abs(np.diff(part)).max(initial=0) for part in (before, after)]
            height = max(run.min() - beside.max(), beside.min() - run.max())
            if height > max(_OUT * scale, _ABRUPT * max(around)):
                out[start:stop] = True
    return out


def bleaching(course: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Return the lower envelope of a course by falling exponentials and a constant.

    Parameters
    ----------
    course
        Light of each frame, (frame,).
    spread
        Standard deviation of its noise: values above the fit count less the farther
        they are from it, values below count fully.
    """
    from scipy.optimize import nnls

    t = np.arange(len(course)) / len(course)
    falls = [np.exp(-t / time) for time in _TIMES]
    matrix = np.stack([np.ones(len(course)), *falls], axis=1)
    # the camera's offset is not known: only the shape is constrained
    offset = course.min() - 2 * np.ptp(course) - 1e-9
    weight, fit = np.ones(len(course)), course
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        found, _ = nnls(matrix * root[:, None], (course - offset) * root)
        fit = matrix @ found + offset
        rest = (course - fit) / spread
        weight = np.where(rest > 0, 1 / (1 + rest * rest), 1.0)
    return np.asarray(fit)


def activity_peaks(
    activity: NDArray[np.float64], floor: float, least: float
) -> list[tuple[int, int, int]]:
    """Return stretches of activity: first frame, peak, and the frame after the last.

    Parameters
    ----------
    activity
        Course of the field above bleaching, (frame,).
    floor
        Where a stretch begins and ends.
    least
        Height that a peak reaches. A stretch is cut where the course falls between two
        such peaks to less than 0.7 of the lower one.

    Examples
    --------
    >>> activity_peaks(np.array([0, 3, 9, 4, 8, 2, 0.0]), 1.0, 5.0)
    [(1, 2, 3), (3, 4, 6)]
    """
    found: list[tuple[int, int, int]] = []
    edges = np.flatnonzero(
        np.diff(np.concatenate([[False], activity > floor, [False]]).astype(np.int8))
    )
    for begin, end in edges.reshape(-1, 2).tolist():
        start, top, low = begin, begin, begin
        for t in range(begin, end):
            if activity[t] < activity[low]:
                low = t
            lower = min(activity[top], activity[t])
            if activity[low] < _DIP * lower and lower >= least and low > top:
                found.append((start, top, low))
                start, top, low = low, t, t
            elif activity[t] > activity[top]:
                top = low = t
        found.append((start, top, end))
    return [peak for peak in found if activity[peak[1]] >= least]


def whole_field_events(tiles: NDArray[np.float32], share: float) -> FieldEvents:
    """Return the events of a whole field.

    Parameters
    ----------
    tiles
        Mean of each tile in each frame, (frame, tile), float32, without flashes.
    share
        An event extends to tiles above this fraction of its peak.

    Notes
    -----
    A rise is an event if it reaches 2 % of the light, exceeds the flicker and the
    fluctuations below the level of the course, rises by half within 20 frames, and
    covers 70 % of the field at one time.
    """
    from scipy.ndimage import gaussian_filter1d, median_filter

    n = len(tiles)
    nothing = FieldEvents([], np.zeros(n, np.float32), np.zeros(0))
    if n < 4 * _MEDIAN or tiles.shape[1] < 4:
        return nothing
    course = np.median(tiles - np.median(tiles, axis=0), axis=1).astype(np.float64)
    even = gaussian_filter1d(
        median_filter(course, _MEDIAN, mode="nearest"), _SIGMA, mode="nearest"
    )
    flicker = float(np.median(np.abs(course - even))) / 0.6745 + 1e-9
    base = bleaching(even, flicker / 2)
    activity = even - base
    level = float(np.median(activity))
    falls = level - activity[activity < level]
    sway = float(np.sqrt(np.mean(falls**2))) if len(falls) else 0.0
    light = abs(float(np.quantile(tiles, 0.2)))
    least = max(_OF_LIGHT * light, _OF_FLICKER * flicker, level + _OF_FALLS * sway)
    width = _smallest_width(flicker, _CALM * float(activity.max()))
    if width < _SIGMA:
        activity = median_filter(course, 3, mode="nearest") - base
        activity = gaussian_filter1d(activity, width) if width else activity
    floor = max(1.5 * flicker, 0.003 * light)
    peaks = [
        peak
        for peak in activity_peaks(activity, floor, least)
        if _rises(activity, peak, floor, least)
    ]
    if not peaks:
        return nothing
    quiet = np.ones(n, np.bool_)
    for start, _, stop in peaks:
        quiet[start:stop] = False
    if quiet.sum() < 2 * _MEDIAN:
        quiet = activity <= np.quantile(activity, 0.2)
    rest = tiles - base[:, None].astype(np.float32)
    above = (rest - np.median(rest[quiet], axis=0)).astype(np.float32)
    masks, ratio = [], []
    for start, top, stop in peaks:
        # an event that begins in the tail of another one begins at the dip
        begin = max(start - 3, 0) if activity[max(start - 1, 0)] <= floor else start
        part = _smooth_tiles(above, slice(begin, stop), share)
        highest = part.max(axis=0)
        at_top = part[max(top - begin - 1, 0) : top - begin + 2].max(axis=0)
        if (at_top >= _ALIKE * np.median(highest)).mean() < _WIDE:
            continue
        peak = float(np.quantile(part, 0.98))
        masks.append((begin, part >= share * peak))
        ratio.append(activity[top] / least)
    kept = np.where(quiet, 0, activity) if masks else np.zeros(n)
    return FieldEvents(masks, kept.astype(np.float32), np.array(ratio))


def _rises(
    activity: NDArray[np.float64],
    peak: tuple[int, int, int],
    floor: float,
    least: float,
) -> bool:
    """Return whether a stretch of activity (start, peak, stop) rises as an event does.

    One that begins in the tail of another event counts from the dip between them.
    """
    start, top, _ = peak
    before = max(start - 1, 0)
    rise = activity[top] - activity[max(before, top - _RISE) : top + 1].min()
    if start == 0 or activity[before] <= floor:
        return bool(rise >= 0.5 * activity[top])
    own = activity[top] - activity[start]
    return bool(own >= least and rise >= 0.5 * own)


def _smooth_tiles(
    above: NDArray[np.float32], frames: slice, share: float
) -> NDArray[np.float32]:
    """Return some frames of tiles, smoothed in time as little as their noise allows.

    ``above`` is float32 (frame, tile), without its median over time. Smoothing makes
    short events longer, so noise decides: its standard deviation must be a quarter of
    the threshold, which is ``share`` of the peak.
    """
    from scipy.ndimage import gaussian_filter1d

    steps = np.diff(above - np.median(above, axis=1, keepdims=True), axis=0)
    noise = float(np.median(np.abs(steps))) / 0.6745 / 2**0.5
    limit = _CLEAR * share * float(np.quantile(above[frames], 0.98))
    width = min(_smallest_width(noise, limit), 1.5)
    smooth = gaussian_filter1d(above, width, axis=0) if width else above
    return np.asarray(smooth[frames])


def _smallest_width(noise: float, limit: float) -> float:
    """Return the width of the Gaussian, in frames, that brings noise to a limit.

    0 where no smoothing is needed, at most 2; ``noise`` is a standard deviation.
    """
    for width in _WIDTHS[:-1]:
        gain = (2 * np.pi**0.5 * width) ** -0.5 if width else 1.0
        if noise * min(gain, 1.0) <= limit:
            return width
    return _WIDTHS[-1]
