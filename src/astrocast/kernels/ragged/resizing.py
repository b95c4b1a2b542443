"""Cut and pad traces that lie end to end."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.ragged.ragged import (
    Floats,
    Offsets,
    offsets_of,
    reduce_each,
)

PadMode = Literal[
    "constant",
    "edge",
    "linear_ramp",
    "maximum",
    "mean",
    "median",
    "minimum",
    "reflect",
    "symmetric",
    "wrap",
]
PAD_MODES: tuple[str, ...] = get_args(PadMode)


@njit(cache=True, nogil=True)
def _source(k: int, n: int, mode: int) -> int:
    """Return the index in a trace of ``n`` values whose value pads position ``k``.

    ``mode`` is an index into `PAD_MODES`.

    ``k`` and ``n`` int64.
    """
    if mode == 9:  # wrap
        return k % n
    if mode == 8:  # symmetric
        j = k % (2 * n)
        return j if j < n else 2 * n - 1 - j
    if mode == 7 and n > 1:  # reflect
        j = k % (2 * (n - 1))
        return j if j < n else 2 * (n - 1) - j
    return 0 if k < 0 else n - 1


@njit(cache=True, nogil=True)
def _resize(
    values: Floats,
    offsets: Offsets,
    out_offsets: Offsets,
    lead: NDArray[np.int64],
    mode: int,
    fill: NDArray[np.float64],
    out: Floats,
) -> None:
    """Write the traces of their new lengths into ``out``, see `resize`.

    ``fill``, float64 (traces,), is the value of constant padding.
    """
    for i in range(offsets.size - 1):
        begin, n = offsets[i], offsets[i + 1] - offsets[i]
        length = out_offsets[i + 1] - out_offsets[i]
        for k in range(length):
            s = k - lead[i]
            if 0 <= s < n:
                value = np.float64(values[begin + s])
            elif n == 0 or mode == 0 or 3 <= mode <= 6:
                value = fill[i]
            elif mode == 2:  # linear from the edge to the fill value at the end
                pad = lead[i] if s < 0 else length - lead[i] - n
                step = -s if s < 0 else s - n + 1
                edge = np.float64(values[begin if s < 0 else begin + n - 1])
                value = edge + (fill[i] - edge) * step / pad
            else:
                value = np.float64(values[begin + _source(s, n, mode)])
            out[out_offsets[i] + k] = value


def resize(
    values: Floats,
    offsets: Offsets,
    lengths: NDArray[np.int64],
    lead: NDArray[np.int64],
    pad_mode: str = "edge",
) -> tuple[Floats, Offsets]:
    """Cut or pad the traces to given lengths.

    Parameters
    ----------
    values, offsets
        The traces.
    lengths
        Length of each trace of the result.
    lead
        Frames padded before each trace; negative: frames cut from its start.
    pad_mode
        One of `PAD_MODES`, as in `numpy.pad` (constants and the end of a ramp are 0).

    >>> from astrocast.kernels.ragged.ragged import flatten
    >>> resize(*flatten([[1, 2]]), np.array([4]), np.array([1]))[0]
    array([1., 1., 2., 2.], dtype=float32)
    """
    out_offsets = offsets_of(lengths)
    statistics = {
        "maximum": "max",
        "mean": "mean",
        "median": "median",
        "minimum": "min",
    }
    fill = (
        reduce_each(values, offsets, statistics[pad_mode])
        if pad_mode in statistics
        else np.zeros(len(lengths))
    )
    out = np.empty(int(out_offsets[-1]), values.dtype)
    _resize(values, offsets, out_offsets, lead, PAD_MODES.index(pad_mode), fill, out)
    return out, out_offsets
