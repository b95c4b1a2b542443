"""Encode labels as PackBits, the run-length code of TIFF, directly from their runs."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.parallel import run_in_threads

#: bytes that one packet can hold
_PACKET = 128


def pack_labels(
    runs: Runs, labels: NDArray[np.int32], pool: Executor | None = None
) -> list[bytes]:
    """Return each frame of a label volume as PackBits of little-endian int32.

    A frame without labels takes 1/64 of its size; no label volume is needed.

    Parameters
    ----------
    runs
        Runs of the labels.
    labels
        Label of each run, int32 (runs,).
    pool
        Threads that share the work.

    Returns
    -------
    list of bytes
        One strip per frame, see TIFF 6.0, section 9:
        https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf

    Examples
    --------
    >>> from astrocast.kernels.masks.runs import find_runs
    >>> pack_labels(find_runs(np.array([[[False, True]]])), np.array([258], np.int32))[
    ...     0
    ... ].hex(" ")
    'fd 00 03 02 01 00 00'
    """
    frames, rows, columns = runs.shape
    sizes = np.zeros(frames + 1, np.int64)
    run_in_threads(pool, frames, _sizes, runs.arrays, (rows, columns), sizes)
    np.cumsum(sizes, out=sizes)
    out = np.empty(sizes[-1], np.uint8)
    values = np.ascontiguousarray(labels, "<i4").view(np.uint8).reshape(-1, 4)
    run_in_threads(
        pool,
        frames,
        _pack,
        runs.arrays,
        (rows, columns),
        values,
        sizes,
        out,
    )
    return [
        out[a:b].tobytes()
        for a, b in zip(sizes[:-1].tolist(), sizes[1:].tolist(), strict=True)
    ]


@njit(cache=True, nogil=True)
def _sizes(lo: int, hi: int, runs: Any, extent: Any, sizes: Any) -> None:
    """Write the bytes of frames ``lo`` to ``hi - 1`` into ``sizes[1:]``, int64.

    ``runs``: see `RunArrays`; ``extent``: rows and columns of a frame.
    """
    start, stop, first = runs
    rows, columns = extent
    for t in range(lo, hi):
        n = 0
        for line in range(t * rows, (t + 1) * rows):
            at = 0
            for run in range(first[line], first[line + 1]):
                gap, run_bytes = 4 * (start[run] - at), 4 * (stop[run] - start[run])
                n += (
                    2 * ((gap + _PACKET - 1) // _PACKET)
                    + run_bytes
                    + (run_bytes + _PACKET - 1) // _PACKET
                )
                at = stop[run]
            n += 2 * ((4 * (columns - at) + _PACKET - 1) // _PACKET)
        sizes[t + 1] = n


@njit(cache=True, nogil=True)
def _pack(
    lo: int,
    hi: int,
    runs: Any,
    extent: Any,
    values: Any,
    sizes: Any,
    out: Any,
) -> None:
    """Write the packets of frames ``lo`` to ``hi - 1`` into ``out``, uint8 (bytes,).

    ``runs``: see `RunArrays`; ``extent``: rows and columns of a frame; ``values``:
    uint8 (runs, 4), the bytes of the labels; ``sizes``: int64 (frames + 1,), first byte
    of each frame.
    """
    start, stop, first = runs
    rows, columns = extent
    for t in range(lo, hi):
        at = sizes[t]
        for line in range(t * rows, (t + 1) * rows):
            x = 0
            for run in range(first[line], first[line + 1]):
                at = _zeros(4 * (start[run] - x), out, at)
                at = _repeat(values[run], stop[run] - start[run], out, at)
                x = stop[run]
            at = _zeros(4 * (columns - x), out, at)


@njit(cache=True, nogil=True)
def _zeros(n: int, out: Any, at: int) -> int:
    """Write ``n`` zero bytes as packets from ``out[at]``, uint8; return the end."""
    while n > 0:
        k = min(n, _PACKET)
        out[at], out[at + 1] = (257 - k) & 255, 0
        at += 2
        n -= k
    return at


@njit(cache=True, nogil=True)
def _repeat(value: Any, n: int, out: Any, at: int) -> int:
    """Write the 4 bytes ``value`` ``n`` times as packets from ``out[at]``.

    Returns the index after the last byte.

    ``value`` uint8 (bytes of one,), ``out`` uint8, filled from ``at`` on.
    """
    while n > 0:
        k = min(n, _PACKET // 4)
        out[at] = 4 * k - 1
        at += 1
        for _ in range(k):
            for byte in range(4):
                out[at + byte] = value[byte]
            at += 4
        n -= k
    return at
