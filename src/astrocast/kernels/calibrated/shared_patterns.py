"""Changes of the scene that many pixels share: focus, vessels, diffuse light, motion.

When the focus drifts, a vessel pulsates, or tissue moves, some pixels become brighter
while others become darker, and all follow the same few courses. An event makes the
pixels of one place brighter and no others darker. So courses are taken from all pixels
together, and only those count whose pattern goes both up and down: at the times at
which some pixels rise, others must fall below their level by as much as the pattern
says. Each pixel is then fitted by these courses.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: pixels along the side of a bin, from which courses are estimated
BIN = 3
#: most patterns; variance of one over the largest that noise alone has
_MOST, _EXCESS = 8, 1.15
#: least number of steps for each pattern
_STEPS_FOR_ONE = 6
#: standard deviations of its noise from which a bin is strong in a pattern, least share
#: of the bins that are, and least share of their power that lies in falls
_STRONG = 3.0
_SPREAD, _BALANCE = 0.015, 0.2
#: changes of sign of a course, values below a share of its largest left out, that make
#: it sway although its pattern goes one way only
_SWAYS, _SMALL = 4, 0.2
#: share of the bins below which a pattern may be the activity of few places that are
#: active again and again; least share of its power in falls, as such a place falls less
#: than it rises
_WIDE, _EVEN = 0.05, 0.43
#: least slope of what falls with a pattern, as a share of the slope of what rises
_FALLS = 0.5
#: most that a bin counts, in standard deviations of its noise, so that an event does
#: not decide
_CUT = 5.0
#: times that courses are found (the second time without what stands out; more often, a
#: long event would come in), and that a bin is fitted by them
_FITS, _REFITS = 2, 6
#: standard deviations above its fit from which a bin stands out
_STANDS_OUT = 2.5
#: pixels over which the power of a pattern is averaged, to tell it from noise
_NEAR = 1.5


@dataclass(frozen=True)
class Patterns:
    """Patterns of a stretch of frames, and the course of each.

    Parameters
    ----------
    maps
        How much each pixel follows, float32, (pattern, row, column).
    courses
        Of mean 0, float32, (pattern, step).
    """

    maps: NDArray[np.float32]
    courses: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of patterns."""
        return len(self.courses)

    @classmethod
    def none(cls, steps: int, shape: tuple[int, ...]) -> Patterns:
        """Return no pattern."""
        return cls(np.empty((0, *shape), np.float32), np.empty((0, steps), np.float32))

    def add_to(self, values: NDArray[np.float32], sign: float) -> None:
        """Add ``sign`` times the patterns to values (step, row, column), in place."""
        for image, course in zip(self.maps, self.courses, strict=True):
            for t in range(len(values)):
                values[t] += np.float32(sign * course[t]) * image


def find_patterns(
    values: NDArray[np.float32],
    noise: NDArray[np.float32],
    counted: NDArray[np.bool_],
    pool: Executor | None = None,
) -> Patterns:
    """Return the patterns that the pixels of a stretch share: those that go both ways.

    Parameters
    ----------
    values
        Means of steps of frames less the level of each pixel, (step, row, column),
        float32.
    noise
        Standard deviation of the means, (row, column), float32.
    counted
        Steps that count, bool, (step,): not those in which the whole field is active.
        There, courses are interpolated.
    pool
        Threads to share the work with.
    """
    n, rows, columns = values.shape
    all_steps = np.arange(n)
    values = values if counted.all() else values[counted]
    courses, out = shared_courses(values, noise)
    if not len(courses):
        return Patterns.none(n, (rows, columns))
    shape = len(courses) + 1, rows, columns
    maps, doubt = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    run_in_threads(
        pool, rows, _fit_rows, values, out, columns // BIN, courses, noise, maps, doubt
    )
    full = np.array([np.interp(all_steps, all_steps[counted], c) for c in courses])
    full -= full.mean(axis=1, keepdims=True)
    return Patterns(_less_noise(maps[:-1], doubt[:-1]), full.astype(np.float32))


def shared_courses(
    values: NDArray[np.float32], noise: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the courses of the patterns that go up and down, and what stands out.

    Parameters
    ----------
    values
        Means of steps of frames less the level of each pixel, (step, row, column),
        float32.
    noise
        Standard deviation of the means, (row, column), float32.

    Returns
    -------
    courses : numpy.ndarray
        float32, (course, step), each of mean square 1; there may be none.
    out : numpy.ndarray
        1 where a bin stands out of the patterns, as in an event, uint8, (step, bin).
    """
    n = len(values)
    bins = _bins_of(values, noise)
    # an event leaves the median where it is; what sways all the time does not
    bins -= _medians(bins)
    out = np.zeros(bins.shape, np.uint8)
    courses = np.empty((0, n))
    if bins.shape[1] < 4 * n or n < 2 * _STEPS_FOR_ONE:
        return courses.astype(np.float32), out
    model = np.zeros_like(bins)
    for round_ in range(_FITS):
        filled = np.where(out, model, bins) if round_ else bins
        courses = _main_courses(filled - _medians(filled))
        if not len(courses):
            break
        _fit_bins(np.ascontiguousarray(bins.T), courses, model, out)
    return courses.astype(np.float32), out


def _main_courses(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the courses of the patterns that go up and down, (course, step).

    ``bins`` (step, bin) are in units of the noise, each of median 0 over steps.
    """
    n, p = bins.shape
    # a bin with much is scaled down as a whole, which leaves its course as it is
    size = np.sqrt((bins**2).mean(axis=0))
    bins = bins * np.minimum(1, _CUT / np.maximum(size, 1e-30))
    # without the constant: medians have noise, too
    centred = bins - bins.mean(axis=0)
    power, vectors = np.linalg.eigh(centred @ centred.T / p)
    # the largest eigenvalue of noise alone (Marchenko and Pastur 1967)
    edge = float(np.median(power)) * (1 + np.sqrt(n / p)) ** 2
    found = [
        vectors[:, k] * np.sqrt(n)
        for k in np.argsort(-power)[: min(_MOST, n // _STEPS_FOR_ONE)]
        if power[k] > _EXCESS * edge and _goes_both_ways(bins, vectors[:, k])
    ]
    return np.array(found).reshape(len(found), n)


@njit(cache=True, nogil=True)
def _medians(values: Any) -> Any:
    """Return the median of each column, float64 (column,).

    ``values``: float64 (step, column), finite.
    """
    n, columns = values.shape
    half, width = n // 2, 512
    out = np.empty(columns)
    # the lowest values of some columns so far, in order; a new one moves to its place
    lowest, moving = np.empty((half + 1, width)), np.empty(width)
    for first in range(0, columns, width):
        many = min(width, columns - first)
        lowest[:] = np.inf
        for k in range(n):
            moving[:many] = values[k, first : first + many]
            for place in lowest[: k + 1]:
                for x in range(width):
                    low = min(place[x], moving[x])
                    moving[x] = max(place[x], moving[x])
                    place[x] = low
        middle, before = lowest[half], lowest[half - 1] if n > 1 else lowest[half]
        for x in range(many):
            upper = middle[x]
            lower = upper if n % 2 else before[x]
            out[first + x] = (lower + upper) / 2
    return out


@njit(cache=True, nogil=True)
def _fit_bins(bins: Any, courses: Any, model: Any, out: Any) -> None:
    """Fit each bin by the courses and a constant, without what stands out.

    ``bins`` float64 (bin, step) in units of the noise, ``courses`` float64 (course,
    step); writes the fit into ``model``, float64 (step, bin), and 1 into ``out``, uint8
    (step, bin), where a bin stands out.
    """
    p, n = bins.shape
    k = len(courses)
    design = np.ones((k + 1, n))
    design[:k] = courses
    fit, rest = np.empty(n), np.empty(n)
    for i in range(p):
        # what rises may be an event, what falls is none: the fit begins from nothing,
        # and what is far above it does not count
        fit[:] = 0
        for _ in range(_REFITS):
            for t in range(n):
                rest[t] = bins[i, t] - fit[t]
            spread = max(_spread_below(rest), 1.0)
            matrix = 1e-3 * np.eye(k + 1)
            right = np.zeros(k + 1)
            for t in range(n):
                far = rest[t] / (_STANDS_OUT * spread)
                if far > 1:
                    continue
                weight = min(1.0, 1 / max(-far, 1e-9))
                _add_equation(design[:, t], bins[i, t], weight, matrix, right)
            found = np.linalg.solve(matrix, right)
            for t in range(n):
                fit[t] = (found * design[:, t]).sum()
        for t in range(n):
            model[t, i] = fit[t]
            out[t, i] = np.uint8(bins[i, t] - fit[t] > _STANDS_OUT * spread)


@njit(cache=True, nogil=True)
def _add_equation(row: Any, value: Any, weight: Any, matrix: Any, right: Any) -> None:
    """Add ``row @ factors = value`` to normal equations, in place.

    ``row`` (factor,), ``matrix`` (factor, factor) and ``right`` (factor,) are float64.
    """
    for i in range(len(row)):
        right[i] += weight * row[i] * value
        for j in range(len(row)):
            matrix[i, j] += weight * row[i] * row[j]


@njit(cache=True, nogil=True)
def _spread_below(rest: Any) -> Any:
    """Return the standard deviation of values, float64 (n,), from those below 0."""
    below = -rest[rest < 0]
    return np.median(below) / 0.6745 if len(below) else 0.0


def _bins_of(
    values: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the means of bins in units of their noise, (step, bin)."""
    n, rows, columns = values.shape
    high, wide = rows // BIN, columns // BIN
    shape = (n, high, BIN, wide, BIN)
    inner = values[:, : high * BIN, : wide * BIN].reshape(shape)
    level = noise[: high * BIN, : wide * BIN].reshape(shape[1:]).mean((1, 3)) / BIN
    bins = inner.mean((2, 4), dtype=np.float32) / level
    return np.asarray(bins.reshape(n, -1), np.float64)


def _crossings(course: NDArray[np.float64]) -> int:
    """Return how often a course of median 0 changes its sign, but for small values."""
    signs = np.sign(course[np.abs(course) > _SMALL * np.abs(course).max()])
    return int((signs[1:] != signs[:-1]).sum())


def _goes_both_ways(bins: NDArray[np.float64], course: NDArray[np.float64]) -> bool:
    """Whether a pattern is wide, and falls as it rises.

    ``bins`` (step, bin) in units of the noise; ``course`` (step,) of length 1. Where a
    mixture of events looks like a pattern, nothing falls when others rise.
    """
    course = course - np.median(course)
    pattern = course @ bins
    strong = np.abs(pattern) > _STRONG
    if strong.mean() < _SPREAD:
        return False
    model = np.outer(course, pattern[strong])
    power = (model**2).sum()
    falls = model < 0
    low = (model[falls] ** 2).sum()
    if low < _BALANCE * power:
        return False
    up = (np.maximum(pattern[strong], 0) ** 2).sum() / power
    narrow, one_way = strong.mean() < _WIDE, not _BALANCE < up < 1 - _BALANCE
    if narrow and (one_way or low < _EVEN * power):
        return False
    if one_way and _crossings(course) < _SWAYS:
        return False
    along = bins[:, strong] * model
    fall = along[falls].sum() / low
    rise = along[~falls].sum() / (power - low)
    return bool(fall > _FALLS * rise)


@njit(cache=True, nogil=True)
def _fit_rows(
    lo: int,
    hi: int,
    values: Any,
    out: Any,
    wide: Any,
    courses: Any,
    noise: Any,
    maps: Any,
    doubt: Any,
) -> None:
    """Fit rows ``lo`` to ``hi``: least squares over quiet steps, with a constant.

    ``values`` float32 (step, row, column); ``out`` uint8 (step, bin), ``wide`` bins in
    a row, 1 where a bin stands out; ``courses`` float32 (course, step), ``noise``
    float32 (row, column); ``maps`` and ``doubt``, float32 (course + 1, row, column),
    take the factors and their standard errors, the constant last.
    """
    n, _, columns = values.shape
    k = len(courses)
    high = out.shape[1] // wide
    matrix, right = np.empty((k + 1, k + 1)), np.empty(k + 1)
    row = np.ones(k + 1)
    for y in range(lo, hi):
        for x in range(columns):
            place = min(y // BIN, high - 1) * wide + min(x // BIN, wide - 1)
            matrix[:] = 0
            right[:] = 0
            for t in range(n):
                if out[t, place] == 0:
                    row[:k] = courses[:, t]
                    _add_equation(row, values[t, y, x], 1.0, matrix, right)
            for i in range(k + 1):
                matrix[i, i] += 1e-2
            inverse = np.linalg.inv(matrix)
            for i in range(k + 1):
                maps[i, y, x] = (inverse[i] * right).sum()
                doubt[i, y, x] = noise[y, x] * np.sqrt(inverse[i, i])


def _less_noise(
    maps: NDArray[np.float32], doubt: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return maps without the noise of their pixels (Wiener's filter, locally).

    The power of a map around a pixel less that of its error says how much of the pixel
    is the pattern's.
    """
    from scipy.ndimage import gaussian_filter

    out = np.empty_like(maps)
    for image, error, into in zip(maps, doubt, out, strict=True):
        power = gaussian_filter(image * image, _NEAR)
        noise = gaussian_filter(error * error, _NEAR)
        share = np.maximum(power - noise, 0) / np.maximum(power, 1e-30)
        into[:] = image * share
    return out


def courses_of_frames(
    courses: NDArray[np.float32], steps: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return courses at single frames, (course, frame), float32.

    Parameters
    ----------
    courses
        Means over steps of frames, (course, step), float32.
    steps
        First frame of each step and the end of the last, (step + 1,).

    Returns
    -------
    numpy.ndarray
        A cubic spline of which the means over the steps are those given.

    Examples
    --------
    >>> edges = np.arange(0, 33, 8)
    >>> straight = np.array([[3.5, 11.5, 19.5, 27.5]], np.float32)
    >>> courses_of_frames(straight, edges)[0, [0, 13, 31]].tolist()
    [0.0, 13.0, 31.0]
    """
    from scipy.interpolate import CubicSpline

    sums = np.cumsum(courses * np.diff(steps), axis=1, dtype=np.float64)
    until = np.concatenate([np.zeros((len(courses), 1)), sums], axis=1)
    frames = np.arange(steps[0], steps[-1] + 1)
    return np.diff(CubicSpline(steps, until, axis=1)(frames), axis=1).astype(np.float32)
