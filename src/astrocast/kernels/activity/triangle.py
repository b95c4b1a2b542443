"""Triangle threshold of each frame, from the histogram of the frame and neighbours."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

BINS = 256
#: interleaved histograms: neighbouring pixels often fall into the same bin, and the
#: processor would wait for its counter
_LANES = 4


def frame_ranges(
    frames: NDArray[np.float32], pool: Executor | None = None
) -> NDArray[np.float32]:
    """Return minimum and maximum of each frame, float32 (frame, 2)."""
    out = np.empty((len(frames), 2), np.float32)
    run_in_threads(pool, len(frames), _ranges, np.ascontiguousarray(frames), out)
    return out


def triangle_thresholds(
    frames: NDArray[np.float32],
    depth: int = 1,
    inner: slice = slice(None),
    pool: Executor | None = None,
    ranges: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the triangle threshold of each frame.

    The histogram of a fluorescence frame has one large peak (background) and a long
    tail (activity). The threshold is the bin farthest from the line between the top of
    the peak and the end of the tail. Frames before and after are included.

    Parameters
    ----------
    frames
        Block of a recording, (frame, row, column), float32, finite.
    depth
        Frames on either side that are included in the histogram; beyond the ends of the
        block the end frame is repeated.
    inner
        Frames whose threshold is returned; with ``depth`` further frames on either side
        the result equals that of the whole recording.
    pool
        Threads that share the work.
    ranges
        `frame_ranges` of ``frames``; None: computed here.

    Returns
    -------
    numpy.ndarray
        Threshold of each frame of ``inner``, float32; values above it are active. Where
        all values are equal it is that value, so that nothing is active.

    Notes
    -----
    Equals `skimage.filters.threshold_triangle` of ``frames[t - depth : t + depth + 1]``
    with 256 bins exactly: Zack, Rogers & Latt 1977, https://doi.org/10.1177/25.7.70454

    Examples
    --------
    >>> frames = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    >>> frames[1, :4, :4] += 10
    >>> bool(1 < triangle_thresholds(frames)[1] < 8)
    True
    """
    start, stop, _ = inner.indices(len(frames))
    n = max(0, stop - start)
    if n == 0:
        return np.empty(0, np.float32)
    if ranges is None:
        ranges = frame_ranges(frames, pool)
    neighbours = np.clip(
        np.arange(start, stop)[:, None] + np.arange(-depth, depth + 1),
        0,
        len(frames) - 1,
    )
    low, high = ranges[neighbours, 0].min(axis=1), ranges[neighbours, 1].max(axis=1)
    counts = np.zeros((len(frames), 2 * depth + 1, _LANES, BINS), np.int32)
    run_in_threads(
        pool,
        len(frames),
        _count,
        np.ascontiguousarray(frames),
        start,
        low,
        high,
        counts,
    )
    out = np.empty(n, np.float32)
    for i in range(n):
        if low[i] == high[i]:
            out[i] = low[i]
            continue
        histogram = np.zeros(BINS, np.int64)
        for frame in neighbours[i]:
            histogram += counts[frame, start + i - frame + depth].sum(axis=0)
        level = _triangle_level(histogram)
        # the range of the values may exceed float32: then there are no bins
        with np.errstate(over="ignore", invalid="ignore"):
            edges = np.linspace(low[i], high[i], BINS + 1, dtype=np.float32)
            out[i] = (edges[level] + edges[level + 1]) / np.float32(2)
    return out


def active_thresholds(
    frames: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    min_ratio: float,
    pool: Executor | None = None,
) -> NDArray[np.float32]:
    r"""Return thresholds, infinite for frames whose active pixels are not bright.

    Parameters
    ----------
    frames
        (frame, row, column), float32.
    thresholds
        float32 (frame,); pixels above it are active.
    min_ratio
        A frame keeps its threshold if mean(active) > min_ratio * \|mean(inactive)\|,
        and it has active and inactive pixels.
    pool
        Threads that share the work.
    """
    out = np.array(thresholds, np.float32)
    run_in_threads(
        pool,
        len(frames),
        _stand_out,
        np.ascontiguousarray(frames),
        float(min_ratio),
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _ranges(lo: int, hi: int, frames: Any, out: Any) -> None:
    """Write minimum and maximum of frames ``lo`` to ``hi - 1`` into ``out`` (frame, 2).

    ``frames``: float32 (frame, row, column).
    """
    rows, columns = frames.shape[1:]
    for t in range(lo, hi):
        # extremes of each column first: these comparisons run as vector instructions
        low, high = frames[t, 0].copy(), frames[t, 0].copy()
        for y in range(1, rows):
            for x in range(columns):
                v = frames[t, y, x]
                low[x] = v if v < low[x] else low[x]
                high[x] = v if v > high[x] else high[x]
        out[t, 0], out[t, 1] = low.min(), high.max()


@njit(cache=True, nogil=True)
def _count(
    lo: int,
    hi: int,
    frames: Any,
    start: int,
    low: Any,
    high: Any,
    counts: Any,
) -> None:
    """Count frames ``lo`` to ``hi - 1``, float32 (frame, row, column), into histograms.

    A frame is part of 2 * depth + 1 windows, each with its own range ``low``, ``high``,
    float32 (window,), the first of which is around frame ``start``: ``counts`` is int32
    (frame, window, lane, bin).
    """
    depth = counts.shape[1] // 2
    columns = frames.shape[2]
    bins = np.empty(columns, np.int32)
    for t in range(lo, hi):
        for y in range(frames.shape[1]):
            for k in range(2 * depth + 1):
                w = t - start + k - depth
                if w < 0 or w >= len(low) or low[w] == high[w]:
                    continue
                _bins(frames[t, y], low[w], high[w], bins)
                _tally(bins, counts[t, k])


@njit(cache=True, nogil=True)
def _bins(line: Any, first: float, last: float, bins: Any) -> None:
    """Write the bin of each value of ``line``, float32 (column,), into ``bins``, int32.

    The same steps as `numpy.histogram` in float32: an estimate, then a comparison with
    the edges on either side.
    """
    extent = last - first
    step = extent / np.float32(BINS)
    for x in range(len(line)):
        v = line[x]
        i = np.int32((v - first) / extent * np.float32(BINS))
        i = min(i, np.int32(BINS - 1))
        i -= np.int32(v < np.float32(i) * step + first)
        i += np.int32(
            (v >= np.float32(i + np.int32(1)) * step + first)
            and (i != np.int32(BINS - 1))
        )
        bins[x] = max(i, np.int32(0))  # the range may exceed float32


@njit(cache=True, nogil=True)
def _tally(bins: Any, counts: Any) -> None:
    """Add bins, int32 (column,), to the histogram ``counts``, int32 (lane, bin)."""
    whole = len(bins) - len(bins) % _LANES
    for x in range(0, whole, _LANES):
        for lane in range(_LANES):
            counts[lane, bins[x + lane]] += 1
    for x in range(whole, len(bins)):
        counts[0, bins[x]] += 1


@njit(cache=True, nogil=True)
def _triangle_level(histogram: Any) -> int:
    """Return the bin of the triangle threshold of a histogram, int64 (bin,)."""
    peak = np.argmax(histogram)
    occupied = np.flatnonzero(histogram)
    low, high = occupied[0], occupied[-1]
    flip = peak - low < high - peak
    if flip:
        low, peak = BINS - high - 1, BINS - peak - 1
    height, width = (
        float(histogram[BINS - 1 - peak if flip else peak]),
        float(peak - low),
    )
    norm = np.sqrt(height**2 + width**2)
    height, width = height / norm, width / norm
    best, farthest = 0, -np.inf
    for i in range(peak - low):
        level = low + i
        distance = height * i - width * histogram[BINS - 1 - level if flip else level]
        if distance > farthest:
            best, farthest = i, distance
    return BINS - 1 - (best + low) if flip else best + low


@njit(cache=True, nogil=True)
def _stand_out(lo: int, hi: int, frames: Any, min_ratio: float, out: Any) -> None:
    """Set thresholds ``out``, float32 (frame,), to infinity where frames fail the test.

    Frames ``lo`` to ``hi - 1`` of ``frames``, float32 (frame, row, column); see
    `active_thresholds`.
    """
    rows, columns = frames.shape[1:]
    total = np.empty(columns, np.float64)
    above = np.empty(columns, np.float64)
    count = np.empty(columns, np.int64)
    for t in range(lo, hi):
        total[:] = 0
        above[:] = 0
        count[:] = 0
        level = out[t]
        for y in range(rows):
            for x in range(columns):
                v = frames[t, y, x]
                total[x] += v
                above[x] += v if v > level else np.float32(0)
                count[x] += v > level
        active, n = count.sum(), rows * columns
        if active == 0 or active == n:
            out[t] = np.inf
            continue
        inside = above.sum() / active
        outside = (total.sum() - above.sum()) / (n - active)
        if not inside > min_ratio * abs(outside):
            out[t] = np.inf
