"""The two-sided rolling minimum as a baseline, and what is left above it.

The background of frame ``t`` is the larger of ``min F[t - window .. t]`` and ``min F[t .. t + window]``: each side sees
``window + 1`` frames, windows are cut at the ends of the recording (which equals repeating the edge value), and the larger
of the two is kept, so that a slope such as bleaching does not pull the background down.

Both minima come from one running minimum of each direction within segments of ``window`` frames (van Herk 1992,
https://doi.org/10.1016/0167-8655(92)90069-C; Gil and Werman 1993, https://doi.org/10.1109/34.211471): with segments as long
as the window, ``[t - window, t]`` is the tail of the previous segment from the same position and the head of this one up to
it. The cost per voxel does not depend on the window.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numba as nb
import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError

Method = Literal["background", "dF", "dFF"]
METHODS: tuple[str, ...] = get_args(Method)
#: pixels that one thread works on at a time: the minima of a window of them stay in the caches
STRIP = 256


def two_sided_minimum(
    frames: NDArray[Any],
    window: int,
    method: Method = "background",
    *,
    inner: slice = slice(None),
    floor: float = 1.0,
) -> tuple[NDArray[np.float32], int]:
    """Return the two-sided rolling minimum of a movie, or the signal above it.

    Parameters
    ----------
    frames
        Movie (frame, row, column) of any real dtype without NaN; not changed.
    window
        Frames on each side, at least 1.
    method
        ``background``: the minimum; ``dF``: F - background; ``dFF``: (F - background) / background.
    inner
        Frames of the result; the others only serve as context (a halo).
    floor
        Least background that ``dFF`` divides by, in the units of the movie.

    Returns
    -------
    result, floored
        float32 (frame, row, column), and the number of its voxels whose background was below ``floor`` (0 unless ``dFF``).

    Examples
    --------
    >>> import numpy as np
    >>> movie = np.array([5, 4, 9, 4, 3], dtype=np.uint16).reshape(-1, 1, 1)
    >>> two_sided_minimum(movie, window=1)[0].ravel().tolist()
    [4.0, 4.0, 4.0, 4.0, 3.0]
    """
    check_window(window)
    code = method_code(method)
    first, last, _ = inner.indices(len(frames))
    flat = np.ascontiguousarray(frames).reshape(len(frames), -1)
    result = np.empty((last - first, flat.shape[1]), np.float32)
    floored = _whole(flat, min(int(window), len(frames)), code, first, np.float32(floor), result)
    return result.reshape(last - first, *frames.shape[1:]), int(floored)


def check_window(window: int) -> None:
    """Refuse a window that is no positive number of frames."""
    if int(window) != window or window < 1:
        raise InvalidValueError(f"window is {window!r}; expected a whole number of frames, at least 1")


def method_code(method: str) -> int:
    """Return the position of ``method`` in `METHODS`, refusing others."""
    if method not in METHODS:
        raise InvalidValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    return METHODS.index(method)


def highest(dtype: np.dtype[Any]) -> Any:
    """Return the value of ``dtype`` that no minimum is changed by."""
    return dtype.type(np.inf) if dtype.kind == "f" else np.iinfo(dtype).max


@nb.njit(nogil=True, cache=True, inline="always")
def emit(value, background, method, floor, count):  # type: ignore[no-untyped-def] # numba infers
    """Return what ``method`` makes of a value and its background, and the count of floored divisions so far."""
    f = np.float32(value)
    b = np.float32(background)
    if method == 0:
        return b, count
    # the difference of the original values: integers above 2**24 would lose it in float32
    above = np.float32(np.float64(value) - np.float64(background)) if method != 3 else f
    if method == 1:
        return above, count
    if b < floor:
        return above / floor, count + 1
    return above / b, count


@nb.njit(nogil=True, cache=True, parallel=True)
def _whole(frames, window, method, first, floor, result):  # type: ignore[no-untyped-def] # numba infers
    n, pixels = frames.shape
    floored = 0
    for s in nb.prange((pixels + STRIP - 1) // STRIP):
        floored += _strip(frames, window, method, first, floor, result, s * STRIP, min(pixels, (s + 1) * STRIP))
    return floored


@nb.njit(nogil=True, cache=True)
def _strip(frames, window, method, first, floor, result, p0, p1):  # type: ignore[no-untyped-def] # numba infers
    n = frames.shape[0]
    width = p1 - p0
    past = np.empty((window, width), frames.dtype)
    tail = np.empty((window, width), frames.dtype)
    head = np.empty(width, frames.dtype)
    ahead = np.empty(width, frames.dtype)
    floored = 0
    for begin in range(0, n, window):
        end = min(begin + window, n)
        tail[end - begin - 1] = frames[end - 1, p0:p1]
        for i in range(end - begin - 2, -1, -1):
            for p in range(width):
                tail[i, p] = min(tail[i + 1, p], frames[begin + i, p0 + p])
        for i in range(end - begin):
            t = begin + i
            for p in range(width):
                v = frames[t, p0 + p]
                head[p] = v if i == 0 else min(head[p], v)
                back = head[p] if begin == 0 else min(past[i, p], head[p])
                if t + window < n:
                    w = frames[t + window, p0 + p]
                    ahead[p] = w if i == 0 else min(ahead[p], w)
                front = tail[i, p]
                if end < n:
                    front = min(front, ahead[p])
                if first <= t < first + result.shape[0]:
                    result[t - first, p0 + p], floored = emit(v, max(back, front), method, floor, floored)
        past, tail = tail, past
    return floored
