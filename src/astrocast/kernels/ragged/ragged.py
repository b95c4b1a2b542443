"""Traces of unequal length in two arrays: joined values, and offsets.

Trace ``i`` is ``values[offsets[i]:offsets[i + 1]]``; values are float32 or float64,
offsets int64 (traces + 1,). A hundred thousand traces need two allocations, and every
operation is one pass of compiled code. NaN means "missing" and is left out of every
statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit

MODES = ("first", "mean", "median", "min", "min_abs", "max", "max_abs", "std")
Floats = NDArray[np.floating[Any]]
Offsets = NDArray[np.int64]


def offsets_of(lengths: NDArray[Any] | Sequence[int]) -> Offsets:
    """Return the offsets of traces of these lengths, int64 (traces + 1,).

    >>> offsets_of([2, 0, 3])
    array([0, 2, 2, 5])
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def flatten(traces: Sequence[Any]) -> tuple[Floats, Offsets]:
    """Join 1-D arrays into values and offsets.

    Values are float64 if an array is float64, else float32.

    >>> flatten([[1, 2], [3]])
    (array([1., 2., 3.], dtype=float32), array([0, 2, 3]))
    """
    arrays = [np.asarray(t).ravel() for t in traces]
    offsets = offsets_of([a.size for a in arrays])
    wide = any(a.dtype == np.float64 for a in arrays) and all(
        isinstance(t, np.ndarray) for t in traces
    )
    values: Floats = np.empty(int(offsets[-1]), np.float64 if wide else np.float32)
    if arrays:
        np.concatenate(arrays, out=values, casting="unsafe")
    return values, offsets


def split(values: Floats, offsets: Offsets) -> list[Floats]:
    """Return the traces as a list of views."""
    bounds = offsets.tolist()
    return [values[a:b] for a, b in pairwise(bounds)]


@njit(cache=True, nogil=True)
def _moments(values: Floats, begin: int, end: int) -> tuple[float, float]:
    """Return mean and standard deviation of ``values[begin:end]`` without NaN.

    ``values`` float (frames of all traces,).
    """
    n, total = 0, 0.0
    for k in range(begin, end):
        v = values[k]
        if v == v:  # false for NaN only
            n += 1
            total += v
    if n == 0:
        return np.nan, np.nan
    mean = total / n
    square = 0.0
    for k in range(begin, end):
        v = values[k]
        if v == v:
            square += (v - mean) ** 2
    return mean, np.sqrt(square / n)


@njit(cache=True, nogil=True)
def _low(part: Floats) -> Any:
    """Return the minimum without NaN, of the dtype of ``part`` (values,).

    Four running minima let the processor compare several values at once.
    """
    a = b = c = d = part.dtype.type(np.inf)
    whole = part.size - part.size % 4
    for k in range(0, whole, 4):
        # a comparison with NaN is false: NaN never becomes the minimum
        a = part[k] if part[k] < a else a
        b = part[k + 1] if part[k + 1] < b else b
        c = part[k + 2] if part[k + 2] < c else c
        d = part[k + 3] if part[k + 3] < d else d
    for k in range(whole, part.size):
        a = part[k] if part[k] < a else a
    return min(min(a, b), min(c, d))


@njit(cache=True, nogil=True)
def _high(part: Floats) -> Any:
    """Return the maximum without NaN, see `_low`."""
    a = b = c = d = part.dtype.type(-np.inf)
    whole = part.size - part.size % 4
    for k in range(0, whole, 4):
        a = part[k] if part[k] > a else a
        b = part[k + 1] if part[k + 1] > b else b
        c = part[k + 2] if part[k + 2] > c else c
        d = part[k + 3] if part[k + 3] > d else d
    for k in range(whole, part.size):
        a = part[k] if part[k] > a else a
    return max(max(a, b), max(c, d))


@njit(cache=True, nogil=True)
def _extreme(part: Floats, mode: int) -> Any:
    """Return min, min_abs, max or max_abs (modes 3 to 6); NaN if all values are NaN.

    ``part`` float (frames,).
    """
    if mode == 4 or mode == 6:
        part = np.abs(part)
    found = _high(part) if mode >= 5 else _low(part)
    if np.isinf(found) and np.isnan(part).all():
        return part.dtype.type(np.nan)
    return found


@njit(cache=True, nogil=True)
def statistic_of(trace: Floats, mode: int) -> float:
    """Return a statistic of a trace (values,); ``mode`` is an index into `MODES`.

    ``trace`` float (frames,); returns float64.
    """
    if trace.size == 0:
        return np.nan
    if mode == 0:
        return np.float64(trace[0])
    if mode == 1:
        return _moments(trace, 0, trace.size)[0]
    if mode == 2:
        return np.float64(np.nanmedian(trace))
    if mode == 7:
        return _moments(trace, 0, trace.size)[1]
    return np.float64(_extreme(trace, mode))


@njit(cache=True, nogil=True)
def _reduce(
    values: Floats, offsets: Offsets, mode: int, out: NDArray[np.float64]
) -> None:
    """Write a statistic of each trace into ``out``, float64 (traces,)."""
    for i in range(offsets.size - 1):
        out[i] = statistic_of(values[offsets[i] : offsets[i + 1]], mode)


def reduce_each(values: Floats, offsets: Offsets, mode: str) -> NDArray[np.float64]:
    """Return one statistic per trace.

    Parameters
    ----------
    values, offsets
        The traces.
    mode
        One of `MODES`; ``first`` is the first value, NaN or not, ``std`` the standard
        deviation with ``ddof=0``.

    Returns
    -------
    numpy.ndarray
        float64 (traces,); NaN for a trace that is empty or all NaN.

    >>> reduce_each(*flatten([[1, 3], [5]]), "mean")
    array([2., 5.])
    """
    out = np.empty(offsets.size - 1, np.float64)
    _reduce(values, offsets, MODES.index(mode), out)
    return out


@njit(cache=True, nogil=True)
def _by_position(
    values: Floats, offsets: Offsets, out: Floats, filled: NDArray[np.int64]
) -> None:
    """Write the transposed traces into ``out``, as long as ``values``.

    ``filled``, int64 (positions,), is the next free place of each position; it changes.
    """
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            position = k - offsets[i]
            out[filled[position]] = values[k]
            filled[position] += 1


def by_position(values: Floats, offsets: Offsets) -> tuple[Floats, Offsets]:
    """Return the traces transposed: one row per position, from all traces that have it.

    >>> [v.tolist() for v in split(*by_position(*flatten([[1, 2], [3]])))]
    [[1.0, 3.0], [2.0]]
    """
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    # number of traces that are longer than each position
    reach = np.cumsum(np.bincount(lengths, minlength=longest + 1)[::-1])[::-1][1:]
    turned = offsets_of(reach)
    out = np.empty_like(values)
    _by_position(values, offsets, out, turned[:-1].copy())
    return out, turned


# Loops over slices from 0: the compiler knows that no index is negative and uses vector
# instructions.
@njit(cache=True, nogil=True)
def subtract_number(trace: Floats, operand: float, out: Floats) -> None:
    """Write ``trace - operand`` into ``out``, both (values,) of one dtype."""
    for k in range(trace.size):
        out[k] = trace[k] - operand


@njit(cache=True, nogil=True)
def divide_by_number(trace: Floats, operand: float, out: Floats) -> None:
    """Write ``trace / operand`` into ``out``, both (values,) of one dtype."""
    for k in range(trace.size):
        out[k] = trace[k] / operand


@njit(cache=True, nogil=True)
def _combine(
    values: Floats,
    offsets: Offsets,
    operand: Floats,
    per_position: bool,
    divide: bool,
    out: Floats,
) -> None:
    """Subtract or divide by ``operand``, (traces,) or (positions,), into ``out``.

    ``values`` and ``out`` float (frames of all traces,), ``offsets`` int64 (traces +
    1,), ``operand`` float.
    """
    for i in range(offsets.size - 1):
        begin, end = offsets[i], offsets[i + 1]
        if per_position and divide:
            out[begin:end] = values[begin:end] / operand[: end - begin]
        elif per_position:
            out[begin:end] = values[begin:end] - operand[: end - begin]
        elif divide:
            divide_by_number(values[begin:end], operand[i], out[begin:end])
        else:
            subtract_number(values[begin:end], operand[i], out[begin:end])


def subtract(
    values: Floats,
    offsets: Offsets,
    operand: NDArray[np.float64],
    per_position: bool = False,
) -> Floats:
    """Return the traces minus a number per trace, or per position in the trace."""
    out = np.empty_like(values)
    _combine(values, offsets, operand.astype(values.dtype), per_position, False, out)
    return out


def divide(
    values: Floats,
    offsets: Offsets,
    operand: NDArray[np.float64],
    per_position: bool = False,
) -> Floats:
    """Return the traces divided by a number per trace, or per position.

    Where the number is 0, values stay as they are.
    """
    out = np.empty_like(values)
    by = np.where(operand == 0, 1.0, operand).astype(values.dtype)
    _combine(values, offsets, by, per_position, True, out)
    return out


@njit(cache=True, nogil=True)
def _difference(values: Floats, offsets: Offsets, out: Floats) -> None:
    """Write the differences of each trace into ``out``, as long as ``values``.

    ``values`` and ``out`` float (frames of all traces,), ``offsets`` int64 (traces +
    1,).
    """
    for i in range(offsets.size - 1):
        begin, end = offsets[i], offsets[i + 1]
        if begin < end:
            out[begin] = 0
        for k in range(begin + 1, end):
            out[k] = values[k] - values[k - 1]


def difference(values: Floats, offsets: Offsets) -> Floats:
    """Return the difference from frame to frame of each trace; the first is 0.

    >>> difference(*flatten([[1, 4], [5]]))
    array([0., 3., 0.], dtype=float32)
    """
    out = np.empty_like(values)
    _difference(values, offsets, out)
    return out


@njit(cache=True, nogil=True)
def _interpolate(values: Floats, offsets: Offsets, out: Floats) -> None:
    """Write the traces with NaN interpolated into ``out``, as long as ``values``.

    ``values`` and ``out`` float (frames of all traces,), ``offsets`` int64 (traces +
    1,).
    """
    for i in range(offsets.size - 1):
        begin, end = offsets[i], offsets[i + 1]
        last = begin - 1  # the last frame that is not NaN
        for k in range(begin, end):
            if np.isnan(values[k]):
                continue
            out[k] = values[k]
            for gap in range(last + 1, k):
                if last < begin:
                    out[gap] = values[k]
                else:
                    share = (gap - last) / (k - last)
                    out[gap] = values[last] * (1.0 - share) + values[k] * share
            last = k
        for gap in range(last + 1, end):
            out[gap] = values[last] if last >= begin else np.nan


def interpolate_nan(values: Floats, offsets: Offsets) -> Floats:
    """Return the traces with NaN replaced by linear interpolation.

    At the ends the nearest value is repeated. A trace that is all NaN stays NaN.

    >>> interpolate_nan(*flatten([[1, float("nan"), 3]]))
    array([1., 2., 3.], dtype=float32)
    """
    out = np.empty_like(values)
    _interpolate(values, offsets, out)
    return out


@njit(cache=True, nogil=True)
def _place(
    values: Floats, offsets: Offsets, starts: NDArray[np.int64], out: NDArray[Any]
) -> None:
    """Write each trace into its row of ``out`` (traces, frames), from its start on.

    ``values`` float (frames of all traces,), ``offsets`` int64 (traces + 1,),
    ``starts`` int64 (traces,), ``out`` (traces, samples).
    """
    frames = out.shape[1]
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            frame = starts[i] + k - offsets[i]
            if 0 <= frame < frames:
                out[i, frame] = values[k]


def place(
    values: Floats, offsets: Offsets, starts: NDArray[np.int64], frames: int
) -> Floats:
    """Return a matrix (traces, frames) with each trace at its frames, NaN elsewhere.

    Values outside the matrix are left out.

    >>> place(*flatten([[1, 2]]), np.array([1]), 4)
    array([[nan,  1.,  2., nan]], dtype=float32)
    """
    out = np.full((offsets.size - 1, frames), np.nan, values.dtype)
    _place(values, offsets, starts, out)
    return out


@njit(cache=True, nogil=True)
def _take(
    values: NDArray[Any],
    offsets: Offsets,
    chosen: NDArray[np.int64],
    out: Offsets,
    taken: NDArray[Any],
) -> None:
    """Copy the chosen traces into ``taken``, whose offsets are ``out``.

    ``values`` of any dtype (n,), ``offsets`` int64 (traces + 1,), ``chosen`` int64.
    """
    for i in range(chosen.size):
        begin = offsets[chosen[i]]
        for k in range(out[i + 1] - out[i]):
            taken[out[i] + k] = values[begin + k]


def take(
    values: NDArray[Any], offsets: Offsets, chosen: NDArray[np.int64]
) -> tuple[NDArray[Any], Offsets]:
    """Return traces by index, in the order of ``chosen``; -1 gives an empty trace."""
    lengths = np.where(
        chosen < 0,
        0,
        np.diff(offsets, append=offsets[-1])[chosen] if offsets.size > 1 else 0,
    )
    out = offsets_of(lengths)
    taken = np.empty(int(out[-1]), values.dtype)
    _take(values, offsets, np.where(chosen < 0, 0, chosen), out, taken)
    return taken, out
