"""Traces over fixed footprints, with frames before and after each event.

The footprint of an event (all pixels that belong to it in any frame) is the same in
every frame of the trace, so the trace is the time course of one piece of tissue. In
each frame, pixels that then belong to another event are left out.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads
from astrocast.kernels.traces.traces import Pixels, Windows, flatten_frames

#: label of voxels that belong to several events
SHARED = -1
#: a mean needs at least this fraction of the footprint
LEAST_SHARE = 0.25


@dataclass(frozen=True)
class FootprintTraces:
    """Traces of all events over their fixed footprints, filled block by block.

    Parameters
    ----------
    windows
        Frames that each trace covers.
    mean
        Mean signal over the footprint without pixels of other events, float32, (frames
        of all windows,). NaN if no pixel is finite or, before and after the event, if
        less than a quarter of the footprint remains.
    fluorescence
        Mean fluorescence minus mean signal of the footprint, which is F0, summed over
        the frames of the event, float64, (events,).
    fluorescence_frames
        Number of frames in this sum, int64, (events,).
    left_out
        Voxels of the footprint that belong to another event, counted over the frames of
        the event, int64, (events,).
    """

    windows: Windows
    mean: NDArray[np.float32]
    fluorescence: NDArray[np.float64]
    fluorescence_frames: NDArray[np.int64]
    left_out: NDArray[np.int64]

    @classmethod
    def empty(cls, windows: Windows) -> FootprintTraces:
        """Return traces before any block is added: NaN, and sums of 0."""
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
        """Mean F0 of the footprint, (events,); NaN if the fluorescence is not known."""
        known = self.fluorescence_frames > 0
        return np.where(
            known, self.fluorescence / np.maximum(self.fluorescence_frames, 1), np.nan
        )


@dataclass(frozen=True)
class MovieBlock:
    """Consecutive frames of a recording, from which traces are extracted.

    Parameters
    ----------
    start
        Number of the first frame of the block.
    signal
        Values to average, (frame, row, column), any real dtype.
    labels
        Number of the event at each voxel, int32; 0 for none, `SHARED` for several.
    fluorescence
        Fluorescence of the same frames; None if it is not known.
    reference
        Image (row, column) that is subtracted from each frame of ``signal``, if the
        signal is fluorescence; None if it is dF.
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
    """Add the frames of a block to the traces of all events.

    Parameters
    ----------
    block
        The frames.
    pixels
        Footprint of each event; index 0 is event 1.
    z0, z1
        First frame of each event, and the frame after its last, int64, (events,).
    traces
        Changed in place. The result depends neither on the number of threads (events
        are independent) nor on the blocks (each frame is written once).
    pool
        Threads that share the work; None: the calling thread.
    """
    count = len(block.signal)
    flat = flatten_frames(block.signal)
    light = (
        flat[:0] if block.fluorescence is None else flatten_frames(block.fluorescence)
    )
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
        (pixels.flat, pixels.offsets),
        (
            starts - block.start,
            traces.windows.offsets,
            z0 - block.start,
            z1 - block.start,
        ),
        (traces.mean, traces.fluorescence, traces.fluorescence_frames, traces.left_out),
    )


@njit(cache=True, nogil=True)
def _add(
    lo: int,
    hi: int,
    near: Any,
    movie: Any,
    pixels: Any,
    spans: Any,
    out: Any,
) -> None:
    """Add a block of frames to some traces.

    ``near`` int64: indices of events, of which ``near[lo:hi]`` are treated. ``movie``:
    signal and fluorescence (frame, pixel) of any real dtype, the latter may be empty;
    labels int32 (frame, pixel); reference float32 (pixel,). ``pixels``: flat indices
    int64 (pixel of all events,), offsets int64 (event + 1,). ``spans``: window starts,
    window offsets, z0, z1, all int64; frames are counted from the first of the block.
    ``out``, changed in place: the arrays of `FootprintTraces` (mean, fluorescence,
    fluorescence_frames, left_out).
    """
    signal, light, labels, reference = movie
    index, place = pixels
    starts, offsets, z0, z1 = spans
    mean, fluorescence, light_frames, left_out = out
    for n in range(lo, hi):
        e = near[n]
        own = index[place[e] : place[e + 1]]
        stop = starts[e] + offsets[e + 1] - offsets[e]
        for k in range(max(0, starts[e]), min(len(signal), stop)):
            inside = z0[e] <= k < z1[e]
            value, covered = _masked_mean(
                signal[k], labels[k], reference, own, e + 1, inside
            )
            mean[offsets[e] + k - starts[e]] = value
            if inside:
                left_out[e] += covered
                if len(light):
                    rest = _mean_difference(light[k], signal[k], reference, own)
                    if not np.isnan(rest):
                        # a sum of float32 values (24 bits) in float64 (53 bits) is
                        # exact, so it does not depend on the blocks
                        fluorescence[e] += np.float64(np.float32(rest))
                        light_frames[e] += 1


@njit(cache=True, nogil=True)
def _masked_mean(
    frame: Any, labels: Any, reference: Any, own: Any, number: int, inside: bool
) -> Any:
    """Return the mean of frame minus reference, and the number of pixels left out.

    ``frame`` any real dtype, ``labels`` int32 and ``reference`` float32 (pixel of the
    frame,); ``own`` int64: indices of the footprint's pixels, of which those with the
    label of an event other than ``number`` are left out. If too few are left, the mean
    is NaN, or that of all pixels if the frame is ``inside`` the event. Returns float64
    and int64.
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
    """Return the mean of fluorescence minus signal (F0) over the footprint, float64.

    ``light`` and ``signal`` any real dtype and ``reference`` float32 (pixel of the
    frame,); ``own`` int64: indices of the footprint's pixels. NaN if no pixel is
    finite.
    """
    total, n = 0.0, 0
    for p in own:
        rest = np.float64(light[p]) - (np.float64(signal[p]) - reference[p])
        if np.isfinite(rest):
            total += rest
            n += 1
    return total / n if n else np.nan
