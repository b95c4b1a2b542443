"""The two-sided rolling minimum as a baseline, and the signal above it.

The background of frame ``t`` is the larger of ``min F[t - window .. t]`` and ``min F[t
.. t + window]``: each side sees ``window + 1`` frames, windows are cut at the ends of
the recording (which equals repeating the edge value), and the larger of the two is
kept, so that a slope such as bleaching does not pull the background down.

Both minima come from one running minimum of each direction within segments of
``window`` frames (van Herk 1992, https://doi.org/10.1016/0167-8655(92)90069-C; Gil and
Werman 1993, https://doi.org/10.1109/34.211471): with segments as long as the window,
``[t - window, t]`` is the tail of the previous segment from the same position on and
the head of this one up to it. The cost per voxel does not depend on the window, and a
segment may be cut into blocks (`advance`), so that memory does not either.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

Method = Literal["background", "dF", "dFF"]
METHODS: tuple[str, ...] = get_args(Method)
#: pixels per piece of work: the minima of their windows fit into the caches
STRIP = 512


def two_sided_minimum(
    frames: NDArray[Any],
    window: int,
    method: Method = "background",
    *,
    inner: slice = slice(None),
    floor: float = 1.0,
    pool: Executor | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Return the two-sided rolling minimum of a movie, or the signal above it.

    Parameters
    ----------
    frames
        Movie (frame, row, column) of any real dtype without NaN; not changed.
    window
        Frames on each side, at least 1.
    method
        ``background``: the minimum; ``dF``: F - background; ``dFF``: (F - background) /
        background.
    inner
        Frames of the result; the others only serve as context (a halo).
    floor
        Least background that ``dFF`` divides by, in the units of the movie.
    pool
        Threads that share the pixels; the calling thread works alone when None.

    Returns
    -------
    result, floored
        float32 (frame, row, column), and the number of its voxels whose background was
        below ``floor`` (0 unless ``dFF``).

    Examples
    --------
    >>> import numpy as np
    >>> movie = np.array([5, 4, 9, 4, 3], dtype=np.uint16).reshape(-1, 1, 1)
    >>> two_sided_minimum(movie, window=1)[0].ravel().tolist()
    [5.0, 4.0, 4.0, 4.0, 3.0]
    """
    check_window(window)
    rule = make_rule(method, floor, frames.dtype)
    first, last, _ = inner.indices(len(frames))
    flat = np.ascontiguousarray(frames).reshape(len(frames), -1)
    result = np.empty((last - first, flat.shape[1]), np.float32)
    strips = -(-flat.shape[1] // STRIP)
    floored = np.zeros(strips, np.int64)
    run_in_threads(
        pool,
        strips,
        _whole,
        flat,
        highest(flat.dtype),
        (min(int(window), len(frames)), first),
        rule,
        (result, floored),
    )
    return result.reshape(last - first, *frames.shape[1:]), int(floored.sum())


def advance(
    past: NDArray[Any] | None,
    now: NDArray[Any],
    future: NDArray[Any],
    edges: NDArray[Any],
    method: Method,
    *,
    floor: float = 1.0,
    pool: Executor | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Return the result for one block of a segment, see the module for segments.

    Parameters
    ----------
    past, now, future
        The frames at the same positions of the previous, this and the next segment
        (frame, pixel); ``past`` None in the first segment, ``future`` shorter or empty
        where the recording ends.
    edges
        (4, pixel), in the dtype of the movie: the minimum of the frames after the
        block, in the previous segment and in this one; and of the frames before it, in
        this segment and in the next one. The last two are updated. Where there are no
        such frames, `highest`.
    method, floor, pool
        As in `two_sided_minimum`.

    Returns
    -------
    result, floored
        float32 (frame, pixel) and the count of floored divisions.
    """
    result = np.empty(now.shape, np.float32)
    strips = -(-now.shape[1] // STRIP)
    floored = np.zeros(strips, np.int64)
    rule = make_rule(method, floor, now.dtype)
    segments = (now[:0] if past is None else past), now, future
    run_in_threads(pool, strips, _advance, segments, edges, rule, (result, floored))
    return result, int(floored.sum())


def signal_above(
    frames: NDArray[Any],
    background: NDArray[np.float32],
    method: Method,
    *,
    floor: float = 1.0,
    raised: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    pool: Executor | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Return the signal of ``method``, and the number of divisions that were limited.

    Parameters
    ----------
    frames, background
        Of the same shape (frame, row, column); the background is float32.
    method, floor, pool
        As in `two_sided_minimum`.
    raised
        Two float32 arrays, (frame,) and (row, column): their product is added to the
        background.
    """
    rule = make_rule(method, floor, frames.dtype)
    if method == "background" and raised is None:
        return background, 0
    n = len(frames)
    of_frame, of_pixel = raised or (
        np.zeros(n, np.float32),
        np.zeros(frames.shape[1:], np.float32),
    )
    flat = np.ascontiguousarray(frames).reshape(n, -1)
    result = np.empty(flat.shape, np.float32)
    strips = -(-flat.shape[1] // STRIP)
    floored = np.zeros(strips, np.int64)
    run_in_threads(
        pool,
        strips,
        _signal,
        flat,
        np.ascontiguousarray(background).reshape(n, -1),
        (np.ascontiguousarray(of_frame), np.ascontiguousarray(of_pixel).reshape(-1)),
        rule,
        (result, floored),
    )
    return result.reshape(frames.shape), int(floored.sum())


def frame_minimum(frames: NDArray[Any], pool: Executor | None = None) -> NDArray[Any]:
    """Return the minimum over frames of each pixel.

    Parameters
    ----------
    frames
        (frame, pixel), contiguous, at least one frame, without NaN.
    pool
        Threads that share the pixels.
    """
    out = np.empty(frames.shape[1], frames.dtype)
    run_in_threads(pool, -(-len(out) // STRIP), _minimum, frames, out)
    return out


def check_window(window: int) -> None:
    """Refuse a window that is not a positive number of frames."""
    if int(window) != window or window < 1:
        raise InvalidValueError(
            f"window is {window!r}; expected a whole number of frames, at least 1"
        )


class SignalRule(NamedTuple):
    """How the signal follows from a value and its background, for compiled functions.

    Parameters
    ----------
    method
        Position in `METHODS`.
    floor
        Least divisor.
    real
        Float dtype in which differences are computed, see `arithmetic`.
    """

    method: int
    floor: np.float32
    real: type[np.floating[Any]]


def make_rule(method: str, floor: float, dtype: np.dtype[Any]) -> SignalRule:
    """Return the rule for a movie of ``dtype``; refuse an unknown method."""
    return SignalRule(method_code(method), np.float32(floor), arithmetic(dtype))


def method_code(method: str) -> int:
    """Return the position of ``method`` in `METHODS`, refusing others."""
    if method not in METHODS:
        raise InvalidValueError(
            f"method is {method!r}; choose one of {', '.join(METHODS)}"
        )
    return METHODS.index(method)


def highest(dtype: np.dtype[Any]) -> Any:
    """Return the highest value of ``dtype``, the neutral element of a minimum."""
    return dtype.type(np.inf) if dtype.kind == "f" else np.iinfo(dtype).max


def arithmetic(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Return the float dtype in which differences of ``dtype`` are exact.

    float32 would round integers above 2**24.
    """
    return np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64


@njit(nogil=True, cache=True)
def _tails(frames, edge, out):  # type: ignore[no-untyped-def] # numba infers
    """Fill ``out[i]`` with the minimum of ``frames[i:]`` and ``edge``.

    All float32: ``frames`` and ``out`` (frame, pixel), ``edge`` (pixel,).
    """
    following = edge
    for i in range(frames.shape[0] - 1, -1, -1):
        row, target = frames[i], out[i]
        for p in range(row.size):
            target[p] = row[p] if row[p] < following[p] else following[p]
        following = target


@njit(nogil=True, cache=True)
def _lower(running, row):  # type: ignore[no-untyped-def] # numba infers
    """Replace ``running`` by the smaller of it and ``row``, in place.

    Both float32 (pixel,); NaN in ``row`` is skipped.
    """
    for p in range(row.size):
        running[p] = row[p] if row[p] < running[p] else running[p]


@njit(nogil=True, cache=True)
def _combine(before, head, tail, ahead, out):  # type: ignore[no-untyped-def] # numba infers
    """Write the larger of the minima on both sides.

    Each side joins the tail of one segment and the head of the next.

    All float32 (pixel,).
    """
    for p in range(out.size):
        back = head[p] if head[p] < before[p] else before[p]
        front = tail[p] if tail[p] < ahead[p] else ahead[p]
        out[p] = back if back > front else front


@njit(nogil=True, cache=True)
def emit(row, background, rule, result):  # type: ignore[no-untyped-def] # numba infers
    """Write the signal for a row; return the number of limited divisions.

    ``row``, ``background`` and ``result`` are float32 (pixel,); ``rule``: `SignalRule`.
    """
    method, floor, real = rule
    floored = np.int64(0)
    if method == 0:
        for p in range(row.size):
            result[p] = np.float32(background[p])
    elif method == 1:
        for p in range(row.size):
            result[p] = np.float32(real(row[p]) - real(background[p]))
    else:
        for p in range(row.size):
            b = np.float32(background[p])
            floored += np.int64(b < floor)
            above = np.float32(real(row[p]) - real(background[p]))
            result[p] = above / (b if b > floor else floor)
    return floored


@njit(nogil=True, cache=True)
def _whole(  # type: ignore[no-untyped-def] # numba infers
    lo, hi, frames, nothing_above, times, rule, out
):
    """Correct strips ``lo`` to ``hi`` of a recording that fits into one block.

    ``frames`` (frame, pixel); ``times``: frames of the window, and the first frame of
    the result; ``rule``: `SignalRule`. ``out``: result float32 (frame, pixel), and the
    number of backgrounds raised to the floor, int64 (strip,).
    """
    window, first = times
    result, floored = out
    n, pixels = frames.shape
    for s in range(lo, hi):
        p0, p1 = s * STRIP, min(pixels, (s + 1) * STRIP)
        strip = frames[:, p0:p1]
        nothing = np.empty(p1 - p0, frames.dtype)
        nothing[:] = nothing_above
        before = np.empty((window, p1 - p0), frames.dtype)
        before[:] = nothing
        tail, head, ahead, background = (
            np.empty_like(before),
            nothing.copy(),
            nothing.copy(),
            nothing.copy(),
        )
        for begin in range(0, n, window):
            end = min(begin + window, n)
            _tails(strip[begin:end], nothing, tail)
            head[:] = nothing
            ahead[:] = nothing
            for t in range(begin, end):
                _lower(head, strip[t])
                if t + window < n:
                    _lower(ahead, strip[t + window])
                if first <= t < first + result.shape[0]:
                    _combine(
                        before[t - begin], head, tail[t - begin], ahead, background
                    )
                    floored[s] += emit(
                        strip[t], background, rule, result[t - first, p0:p1]
                    )
            before, tail = tail, before


@njit(nogil=True, cache=True)
def _advance(lo, hi, segments, edges, rule, out):  # type: ignore[no-untyped-def]
    """Correct strips ``lo`` to ``hi`` of a block, with the blocks before and after it.

    ``segments``: the block before, this one and the one after, ``edges``: see
    `advance`; all (frame, pixel); ``rule``: `SignalRule`. ``out``: see `_whole`.
    """
    past, now, future = segments
    result, floored = out
    pixels = now.shape[1]
    for s in range(lo, hi):
        p0, p1 = s * STRIP, min(pixels, (s + 1) * STRIP)
        head, ahead = edges[2, p0:p1], edges[3, p0:p1]
        # the segment before is complete where this one is cut by the end of the
        # recording
        before = np.empty((max(past.shape[0], now.shape[0]), p1 - p0), now.dtype)
        before[:] = edges[0, p0:p1]
        tail, background = np.empty_like(before), np.empty(p1 - p0, now.dtype)
        _tails(past[:, p0:p1], edges[0, p0:p1], before)
        _tails(now[:, p0:p1], edges[1, p0:p1], tail)
        for i in range(now.shape[0]):
            _lower(head, now[i, p0:p1])
            if i < future.shape[0]:
                _lower(ahead, future[i, p0:p1])
            _combine(before[i], head, tail[i], ahead, background)
            floored[s] += emit(now[i, p0:p1], background, rule, result[i, p0:p1])


@njit(nogil=True, cache=True)
def _minimum(lo, hi, frames, out):  # type: ignore[no-untyped-def] # numba infers
    """Write the minimum of ``frames`` (frame, pixel) over frames into ``out``."""
    for s in range(lo, hi):
        p0, p1 = s * STRIP, min(out.size, (s + 1) * STRIP)
        running = out[p0:p1]
        running[:] = frames[0, p0:p1]
        for t in range(1, frames.shape[0]):
            _lower(running, frames[t, p0:p1])


@njit(nogil=True, cache=True)
def _signal(  # type: ignore[no-untyped-def] # numba infers
    lo, hi, frames, background, raised, rule, out
):
    """Write the signal above a raised background.

    ``frames`` (any real dtype) and ``background`` (float32) are (frame, pixel);
    ``raised``: what is added to the background is the product of both, float32 (frame,)
    and (pixel,); ``rule``: `SignalRule`. ``out``: see `_whole`.
    """
    of_frame, of_pixel = raised
    result, floored = out
    pixels = frames.shape[1]
    for s in range(lo, hi):
        p0, p1 = s * STRIP, min(pixels, (s + 1) * STRIP)
        below, scale = np.empty(p1 - p0, np.float32), of_pixel[p0:p1]
        for t in range(frames.shape[0]):
            level = background[t, p0:p1]
            for p in range(p1 - p0):
                below[p] = level[p] + of_frame[t] * scale[p]
            floored[s] += emit(frames[t, p0:p1], below, rule, result[t, p0:p1])
