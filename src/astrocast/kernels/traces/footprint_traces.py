"""Traces over fixed footprints, with the frames before and after each event.

The footprint of an event (all pixels that were part of it in any frame) stays the same
in every frame of the trace, so the trace is the time course of one piece of tissue. In
each frame the pixels that are then part of another event are left out.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads
from astrocast.kernels.traces.traces import Pixels, Windows

#: label of voxels that several events share
SHARED = -1
#: a frame needs this share of the footprint; with less, it is not a sample of it
LEAST_SHARE = 0.25


@dataclass(frozen=True)
class FootprintTraces:
    """Traces of all events over their fixed footprints, filled block by block.

    Parameters
    ----------
    windows
        Frames that each trace covers.
    mean
        Mean signal over the footprint, pixels of other events left out, float32,
        (frames of all windows,); NaN where other events cover more than three quarters
        of the footprint outside the event's own frames, and where no pixel is finite.
    fluorescence
        Sum over the event's own frames of the mean fluorescence of the footprint less
        its mean signal: F0 summed over frames, float64, (events,).
    fluorescence_frames
        Frames in that sum, int64, (events,).
    left_out
        Voxels of footprint x own frames that are part of another event, int64,
        (events,).
    """

    windows: Windows
    mean: NDArray[np.float32]
    fluorescence: NDArray[np.float64]
    fluorescence_frames: NDArray[np.int64]
    left_out: NDArray[np.int64]

    @classmethod
    def empty(cls, windows: Windows) -> FootprintTraces:
        """Return traces that no block was added to yet."""
        n = len(windows.starts)
        return cls(
            windows,
            np.full(int(windows.offsets[-1]), np.nan, np.float32),
            np.zeros(n),
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
        )

    @property
    def f0(self) -> NDArray[np.float64]:
        """Mean F0 of the footprint, (events,); NaN where it was not read."""
        known = self.fluorescence_frames > 0
        return np.where(
            known, self.fluorescence / np.maximum(self.fluorescence_frames, 1), np.nan
        )


@dataclass(frozen=True)
class MovieBlock:
    """Frames of a recording that traces are taken from.

    Parameters
    ----------
    start
        Frame that the block begins with.
    signal
        What is averaged (frame, row, column), any real dtype.
    labels
        Number of the event at each voxel, int32, 0 for none, `SHARED` for several.
    fluorescence
        Fluorescence of the same frames; None where it is not known.
    reference
        Image (row, column) that is subtracted from each frame of the signal: the
        signal then is fluorescence above that image; None for a signal that is dF.
    """

    start: int
    signal: NDArray[Any]
    labels: NDArray[np.int32]
    fluorescence: NDArray[Any] | None = None
    reference: NDArray[np.float32] | None = None


def add_footprint_traces(
    block: MovieBlock,
    pixels: Pixels,
    z0: NDArray[np.int64],
    z1: NDArray[np.int64],
    traces: FootprintTraces,
    pool: Executor | None = None,
) -> None:
    """Write the part of each trace that lies in a block to its place in ``traces``.

    Parameters
    ----------
    block
        The frames.
    pixels
        Footprint of each event; index 0 is event 1.
    z0, z1
        First frame of each event and the one after its last, int64, (events,).
    traces
        Filled in place. Events are independent, so the result does not depend on the
        threads, and every frame is written once, so it does not depend on the blocks.
    pool
        Threads to share the work with.
    """
    count = len(block.signal)
    flat = _by_pixel(block.signal)
    light = flat[:0] if block.fluorescence is None else _by_pixel(block.fluorescence)
    reference = (
        np.zeros(flat.shape[1], np.float32)
        if block.reference is None
        else np.ascontiguousarray(block.reference, np.float32).ravel()
    )
    labels = block.labels.reshape(count, -1)
    starts = traces.windows.starts
    stops = starts + np.diff(traces.windows.offsets)
    near = np.flatnonzero((starts < block.start + count) & (stops > block.start))
    run_in_threads(
        pool,
        len(near),
        _add,
        near,
        (flat, light, labels, reference),
        block.start,
        (pixels.flat, pixels.offsets),
        (starts, traces.windows.offsets, z0, z1),
        (traces.mean, traces.fluorescence, traces.fluorescence_frames, traces.left_out),
    )


def _by_pixel(frames: NDArray[Any]) -> NDArray[Any]:
    """Return frames as (frame, pixel), contiguous, in the machine's byte order."""
    native = np.ascontiguousarray(frames, frames.dtype.newbyteorder("="))
    return native.reshape(len(frames), -1)


@njit(cache=True, nogil=True)
def _add(
    lo: int,
    hi: int,
    near: Any,
    movie: Any,
    first: int,
    pixels: Any,
    spans: Any,
    out: Any,
) -> None:
    """Average events ``near[lo:hi]`` (int64) over the frames of a block from ``first``.

    ``movie``: signal and fluorescence (frames, pixels; the latter may be empty), labels
    int32 (frames, pixels), reference float32 (pixels,). ``pixels``: flat and offsets
    int64. ``spans``: window starts, window offsets, z0, z1, int64. ``out``: mean
    float32, sum of F0 float64, its frames int64, voxels left out int64; written to.
    """
    signal, light, labels, reference = movie
    index, place = pixels
    starts, offsets, z0, z1 = spans
    mean, fluorescence, light_frames, left_out = out
    for n in range(lo, hi):
        e = near[n]
        own = index[place[e] : place[e + 1]]
        stop = starts[e] + offsets[e + 1] - offsets[e]
        for t in range(max(first, starts[e]), min(first + len(signal), stop)):
            k = t - first
            inside = z0[e] <= t < z1[e]
            value, covered = _masked_mean(
                signal[k], labels[k], reference, own, e + 1, inside
            )
            mean[offsets[e] + t - starts[e]] = value
            if inside:
                left_out[e] += covered
                if len(light):
                    rest = _mean_difference(light[k], signal[k], reference, own)
                    if not np.isnan(rest):
                        # 24 bits: the sum in 53 is exact, whatever the blocks are
                        fluorescence[e] += np.float64(np.float32(rest))
                        light_frames[e] += 1


@njit(cache=True, nogil=True)
def _masked_mean(
    frame: Any, labels: Any, reference: Any, own: Any, number: int, inside: bool
) -> Any:
    """Return the mean of a frame minus a reference over pixels, and their number.

    ``own``: int64 indices of pixels; those of an event other than ``number`` are left
    out. Frame (pixels,), reference float32 (pixels,). NaN where too few are left,
    unless the frame is ``inside`` the event.
    """
    whole, kept, n_whole, n_kept, covered = 0.0, 0.0, 0, 0, 0
    for p in own:
        mine = labels[p] == 0 or labels[p] == number
        covered += not mine
        value = np.float64(frame[p]) - reference[p]
        if np.isfinite(value):
            whole += value
            n_whole += 1
            if mine:
                kept += value
                n_kept += 1
    if n_kept > 0 and n_kept >= LEAST_SHARE * len(own):
        return kept / n_kept, covered
    if inside and n_whole > 0:
        return whole / n_whole, covered
    return np.nan, covered


@njit(cache=True, nogil=True)
def _mean_difference(light: Any, signal: Any, reference: Any, own: Any) -> float:
    """Return the mean of fluorescence minus signal over pixels ``own``: F0.

    All (pixels,), ``own`` int64; NaN where no pixel is finite.
    """
    total, n = 0.0, 0
    for p in own:
        rest = np.float64(light[p]) - (np.float64(signal[p]) - reference[p])
        if np.isfinite(rest):
            total += rest
            n += 1
    return total / n if n else np.nan
