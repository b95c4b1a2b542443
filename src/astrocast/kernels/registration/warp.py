"""Move frames back to the template: cubic interpolation in float32.

The kernel is Catmull-Rom (Keys 1981, doi:10.1109/TASSP.1981.1163711, a = -1/2). Beyond
the edge the nearest pixel is repeated; `quality.valid_border` returns how many rows and
columns of the result contain repeated pixels. Integers are clipped, never wrapped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.registration.preprocess import as_native

Real = NDArray[np.float32]


@njit(inline="always")
def _cubic_weights(f: Any) -> Any:
    """Return the four float32 weights of cubic interpolation at a fraction ``f``."""
    one, half = np.float32(1), np.float32(0.5)
    a = -half * f * (one - f) * (one - f)
    d = -half * f * f * (one - f)
    b = one + f * f * (np.float32(1.5) * f - np.float32(2.5))
    return a, b, one - a - b - d, d


#: how a value is stored: offset that is added, lowest value, highest value, whether it
#: is rounded to a whole number
Rule = tuple[np.float32, np.float32, np.float32, bool]
AS_IT_IS: Rule = (np.float32(0), np.float32(-np.inf), np.float32(np.inf), False)


@njit(cache=True, nogil=True)
def _store_row(values: Real, rule: Rule, result: NDArray[Any]) -> None:
    """Write one row of values into ``result`` by a ``rule`` from `stored_as`.

    ``values`` float32 (column,), ``result`` (column,) of the dtype that is stored.
    """
    offset, low, high, whole = rule
    for i in range(len(values)):
        value = values[i] + offset
        value = low if value < low else value
        value = high if value > high else value
        if whole:
            value = np.float32(0) if np.isnan(value) else np.rint(value)
        result[i] = value


@njit(cache=True, nogil=True, fastmath={"contract"})
def _shift_frames(
    frames: NDArray[Any], shifts: NDArray[np.float64], rule: Rule, out: NDArray[Any]
) -> None:
    """Fill ``out`` with frames that are moved back by one shift each.

    ``frames`` (frame, row, column) of any real dtype, ``shifts`` float64 (frame, 2) in
    pixels, ``out`` (frame, row, column) of the dtype that is stored.
    """
    n, rows, columns = frames.shape
    line = np.empty(columns, np.float32)
    for b in range(n):
        dy, dx = int(np.floor(shifts[b, 0])), int(np.floor(shifts[b, 1]))
        a0, a1, a2, a3 = _cubic_weights(np.float32(shifts[b, 0] - dy))
        c0, c1, c2, c3 = _cubic_weights(np.float32(shifts[b, 1] - dx))
        # a row after interpolation along rows; its ends are repeated as far as the
        # shift along columns reads
        pad = abs(dx) + 2
        row = np.empty(columns + 2 * pad, np.float32)
        for y in range(rows):
            r0 = frames[b, min(max(y + dy - 1, 0), rows - 1)]
            r1 = frames[b, min(max(y + dy, 0), rows - 1)]
            r2 = frames[b, min(max(y + dy + 1, 0), rows - 1)]
            r3 = frames[b, min(max(y + dy + 2, 0), rows - 1)]
            # slices: the compiler does not vectorize an index that may be negative
            middle = row[pad : pad + columns]
            for x in range(columns):
                middle[x] = (
                    a0 * np.float32(r0[x])
                    + a1 * np.float32(r1[x])
                    + a2 * np.float32(r2[x])
                    + a3 * np.float32(r3[x])
                )
            row[:pad] = row[pad]
            row[pad + columns :] = row[pad + columns - 1]
            taps = row[pad + dx - 1 : pad + dx + columns + 2]
            for x in range(columns):
                line[x] = (
                    c0 * taps[x]
                    + c1 * taps[x + 1]
                    + c2 * taps[x + 2]
                    + c3 * taps[x + 3]
                )
            _store_row(line, rule, out[b, y])


def shift_frames(
    frames: NDArray[Any],
    shifts: NDArray[np.float64],
    rule: Rule = AS_IT_IS,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return the frames moved back by ``shifts``: ``out[p] = frame[p + shift]``.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype. A NaN makes all pixels NaN that are
        interpolated from it (at most 4 x 4).
    shifts
        (frame, 2), pixels, row then column, finite.
    rule
        How values are stored, from `stored_as`.
    out
        Array that is filled, C-contiguous; None: a new float32 array of the shape of
        ``frames``.
    """
    out = np.empty(frames.shape, np.float32) if out is None else out
    _shift_frames(as_native(frames), np.asarray(shifts, np.float64), rule, out)
    return out


@njit(cache=True, nogil=True)
def _locate_nodes(nodes: NDArray[np.float64], n: int) -> tuple[NDArray[np.int64], Real]:
    """Return the node before each of ``n`` pixels, and the pixel's place after it.

    ``nodes`` float64 (node,), ascending. Returns int64 (n,), and float32 (n,): 0 at the
    node, 1 at the next one, limited to 0 and 1 outside the nodes.
    """
    index, share = np.zeros(n, np.int64), np.zeros(n, np.float32)
    k = 0
    for i in range(n):
        while k < len(nodes) - 2 and nodes[k + 1] < i:
            k += 1
        width = nodes[k + 1] - nodes[k]
        index[i] = k
        if width > 0:
            share[i] = min(max((i - nodes[k]) / width, 0.0), 1.0)
    return index, share


@njit(cache=True, nogil=True)
def _pad_frame(frame: NDArray[Any], top: int, left: int, out: Real) -> None:
    """Copy a frame into ``out`` and repeat its edge pixels around it.

    ``frame`` (row, column) of any real dtype, ``out`` float32 (row, column), larger;
    the frame starts at row ``top`` and column ``left`` of it.
    """
    rows, columns = frame.shape
    for y in range(out.shape[0]):
        source, row = frame[min(max(y - top, 0), rows - 1)], out[y]
        row[:left] = source[0]
        row[left + columns :] = source[columns - 1]
        for x in range(columns):
            row[left + x] = source[x]


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def _interpolate_run(
    flat: Real,
    top: int,
    stride: int,
    first: int,
    last: int,
    fy: Real,
    fx: Real,
    out: Real,
) -> None:
    """Fill columns ``first`` to ``last`` of one row with interpolated pixels.

    All arrays float32: ``flat`` (padded row x padded column,) the padded frame, ``fy``
    and ``fx`` (column,) the fractions of the shifts, ``out`` (column,). ``top``: index
    in ``flat`` of the first tap of column 0; ``stride``: length of a padded row.
    """
    # the pixels have the same whole-pixel shift: their taps are contiguous, so the
    # loop is vectorized
    n, place = last - first, top + first
    r0, r1 = flat[place : place + n + 3], flat[place + stride : place + stride + n + 3]
    r2, r3 = (
        flat[place + 2 * stride : place + 2 * stride + n + 3],
        flat[place + 3 * stride : place + 3 * stride + n + 3],
    )
    fy, fx, out = fy[first:last], fx[first:last], out[first:last]
    for x in range(n):
        a0, a1, a2, a3 = _cubic_weights(fy[x])
        c0, c1, c2, c3 = _cubic_weights(fx[x])
        t0 = c0 * r0[x] + c1 * r0[x + 1] + c2 * r0[x + 2] + c3 * r0[x + 3]
        t1 = c0 * r1[x] + c1 * r1[x + 1] + c2 * r1[x + 2] + c3 * r1[x + 3]
        t2 = c0 * r2[x] + c1 * r2[x + 1] + c2 * r2[x + 2] + c3 * r2[x + 3]
        t3 = c0 * r3[x] + c1 * r3[x + 1] + c2 * r3[x + 2] + c3 * r3[x + 3]
        out[x] = a0 * t0 + a1 * t1 + a2 * t2 + a3 * t3


@njit(cache=True, nogil=True)
def _interpolate_nodes(
    values: Real, cut: NDArray[np.int64], share: Real, depth: Any, out: Real
) -> None:
    """Fill ``out`` with ``depth`` plus values interpolated linearly between nodes.

    ``values`` float32 (node,); ``cut`` int64 (node,): first pixel of each interval and
    the end of the last; ``share`` float32 (pixel,), see `_locate_nodes`; ``depth``
    float32; ``out`` float32 (pixel,).
    """
    # one loop per interval: no lookup per pixel
    for j in range(len(values) - 1):
        base, step = depth + values[j], values[j + 1] - values[j]
        part, place = out[cut[j] : cut[j + 1]], share[cut[j] : cut[j + 1]]
        for x in range(len(part)):
            part[x] = base + step * place[x]


@njit(cache=True, nogil=True)
def _split_pixels(places: Real, whole: NDArray[np.int32]) -> None:
    """Split places, in place, into whole pixels (``whole``) and fractions.

    ``places`` float32 (column,), not negative; ``whole`` int32 (column,).
    """
    for x in range(len(places)):
        whole[x] = np.int32(places[x])  # positive: truncation is floor
        places[x] -= np.float32(whole[x])


@njit(cache=True, nogil=True)
def _find_intervals(index: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the first pixel of each interval between nodes, and the end of the last.

    ``index`` int64 (pixel,), see `_locate_nodes`; ``count``: number of nodes. Returns
    int64 (node,).
    """
    cut = np.zeros(count, np.int64)
    for x in range(len(index)):
        cut[index[x] + 1] = x + 1
    for j in range(1, count):
        cut[j] = max(cut[j], cut[j - 1])
    return cut


@njit(cache=True, nogil=True)
def _warp_frames(
    frames: NDArray[Any],
    nodes: Real,
    row_nodes: NDArray[np.float64],
    column_nodes: NDArray[np.float64],
    rule: Rule,
    out: NDArray[Any],
) -> None:
    """Fill ``out`` with frames that are moved back by one field of shifts each.

    ``frames`` (frame, row, column) of any real dtype; ``nodes`` float32 (frame, 2, row
    node, column node), shifts in pixels; ``row_nodes`` and ``column_nodes`` float64
    (node,), pixels; ``out`` (frame, row, column) of the dtype that is stored.
    """
    n, rows, columns = frames.shape
    moved = np.empty(columns, np.float32)
    iy, wy = _locate_nodes(row_nodes, rows)
    ix, wx = _locate_nodes(column_nodes, columns)
    cut = _find_intervals(ix, len(column_nodes))
    pad = int(np.abs(nodes).max()) + 4
    depth, stride = np.float32(pad), columns + 2 * pad
    padded = np.empty((rows + 2 * pad, stride), np.float32)
    flat = padded.ravel()
    sy, sx = np.empty(columns, np.float32), np.empty(columns, np.float32)
    ky, kx = np.empty(columns, np.int32), np.empty(columns, np.int32)
    for b in range(n):
        _pad_frame(frames[b], pad, pad, padded)
        for y in range(rows):
            line = (
                nodes[b, :, iy[y]]
                + (nodes[b, :, iy[y] + 1] - nodes[b, :, iy[y]]) * wy[y]
            )
            _interpolate_nodes(line[0], cut, wx, depth, sy)
            _interpolate_nodes(line[1], cut, wx, depth, sx)
            _split_pixels(sy, ky)
            _split_pixels(sx, kx)
            first = 0
            for x in range(1, columns + 1):
                if x == columns or ky[x] != ky[first] or kx[x] != kx[first]:
                    top = (y + ky[first] - 1) * stride + kx[first] - 1
                    _interpolate_run(flat, top, stride, first, x, sy, sx, moved)
                    first = x
            _store_row(moved, rule, out[b, y])


def warp_frames(
    frames: NDArray[Any],
    nodes: Real,
    row_nodes: NDArray[np.float64],
    column_nodes: NDArray[np.float64],
    rule: Rule = AS_IT_IS,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return frames moved back by a field of shifts.

    ``out[p] = frame[p + shift(p)]``.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype.
    nodes
        float32 (frame, 2, row node, column node), pixels: shifts at the nodes, bilinear
        between them, constant outside.
    row_nodes, column_nodes
        Places of the nodes, in pixels, ascending; at least two along each axis.
    rule
        How values are stored, from `stored_as`.
    out
        Array that is filled, C-contiguous; None: a new float32 array of the shape of
        ``frames``.
    """
    out = np.empty(frames.shape, np.float32) if out is None else out
    _warp_frames(
        as_native(frames),
        np.ascontiguousarray(nodes, np.float32),
        row_nodes,
        column_nodes,
        rule,
        out,
    )
    return out


def stored_as(dtype: DTypeLike, offset: float = 0.0, nonnegative: bool = False) -> Rule:
    """Return the rule by which float32 values are stored in ``dtype``.

    ``offset`` is added first; ``nonnegative`` raises negative values to zero. For an
    integer dtype, values are clipped to its range and rounded, and NaN becomes 0.
    """
    kind, low, high = np.dtype(dtype), -np.inf, np.inf
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        # the largest float32 that does not exceed the range of the dtype
        low, high = (
            float(limits.min),
            float(np.nextafter(np.float32(limits.max), np.float32(0))),
        )
        if float(np.float32(limits.max)) <= limits.max:
            high = float(limits.max)
    if nonnegative:
        low = max(low, 0.0)
    return np.float32(offset), np.float32(low), np.float32(high), kind.kind in "iu"
