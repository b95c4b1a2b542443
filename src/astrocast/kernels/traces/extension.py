"""Extend traces before and after their event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.ragged.ragged import Floats, Offsets, offsets_of
from astrocast.kernels.traces.traces import Windows


def extend_windows(
    z0: NDArray[np.int64],
    z1: NDArray[np.int64],
    before: int | NDArray[np.int64] | None,
    after: int | NDArray[np.int64] | None,
    frames: tuple[int, int],
) -> Windows:
    """Return the window of each event, extended by ``before`` and ``after`` frames.

    Windows are cut at the ends of the recording.

    Parameters
    ----------
    z0, z1
        First frame of each event, and the frame after its last.
    before, after
        Frames to add on either side, one number or one per event; None: all frames up
        to the end of the recording.
    frames
        First frame of the recording, and the frame after its last.

    >>> extend_windows(np.array([3]), np.array([5]), 2, None, (0, 10))
    Windows(starts=array([1]), offsets=array([0, 9]))
    """
    starts = (
        np.full_like(z0, frames[0])
        if before is None
        else np.maximum(z0 - before, frames[0])
    )
    stops = (
        np.full_like(z1, frames[1])
        if after is None
        else np.minimum(z1 + after, frames[1])
    )
    starts, stops = np.minimum(starts, z0), np.maximum(stops, z1)
    return Windows(starts, offsets_of(stops - starts))


def split_windows(
    windows: Windows, z0: NDArray[np.int64], z1: NDArray[np.int64]
) -> tuple[Windows, Windows]:
    """Return the part of each window before its event and the part after it."""
    stops = windows.starts + np.diff(windows.offsets)
    return Windows(windows.starts, offsets_of(z0 - windows.starts)), Windows(
        z1, offsets_of(stops - z1)
    )


@njit(cache=True, nogil=True)
def _place_traces(
    values: Floats,
    offsets: Offsets,
    starts: NDArray[np.int64],
    window_starts: NDArray[np.int64],
    window_offsets: Offsets,
    out: Floats,
) -> None:
    """Copy each trace into its window; frames outside the window are left out.

    ``values`` and ``out`` float (frame of all traces,), (frame of all windows,);
    ``offsets`` and ``window_offsets`` int64 (trace + 1,); ``starts`` and
    ``window_starts`` int64 (trace,): first frame of each trace and of its window.
    """
    for i in range(starts.size):
        to = window_offsets[i] + starts[i] - window_starts[i]
        for k in range(offsets[i + 1] - offsets[i]):
            if window_offsets[i] <= to + k < window_offsets[i + 1]:
                out[to + k] = values[offsets[i] + k]


def place_traces(values: Floats, part: Windows, windows: Windows, out: Floats) -> None:
    """Copy traces of the windows ``part`` into ``out``, the traces of ``windows``."""
    _place_traces(
        values, part.offsets, part.starts, windows.starts, windows.offsets, out
    )
