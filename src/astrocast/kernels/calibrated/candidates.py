"""Voxels that stand out in a smoothed signal; the rest of a block is dropped."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.noise_tails import translate_height
from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.parallel import run_in_threads

#: least height of a voxel that stands out, in standard deviations
_LEAST_HEIGHT = 0.5


def stand_out(
    smooth: NDArray[np.float32],
    noise: NDArray[np.float32],
    which: NDArray[np.int64],
    height: float,
    border: tuple[int, int, int, int] = (0, 0, 0, 0),
    pool: Executor | None = None,
) -> NDArray[np.bool_]:
    """Return the voxels of a signal above some standard deviations of its noise.

    Parameters
    ----------
    smooth
        Smoothed signal above the background, (frame, row, column), float32.
    noise
        Its standard deviation, (kind of frame, row, column), float32: frames at the
        ends of a recording are smoothed over fewer others.
    which
        Kind of each frame, int64.
    height
        In standard deviations.
    border
        Pixels at the top, bottom, left and right in which nothing stands out.
    pool
        Threads to share the work with.

    Examples
    --------
    >>> stand_out(
    ...     np.array([[[1, 5]]], np.float32),
    ...     np.ones((1, 1, 2), np.float32),
    ...     np.zeros(1, np.int64),
    ...     2.5,
    ... )
    array([[[False,  True]]])
    """
    out = np.empty(smooth.shape, np.bool_)
    run_in_threads(
        pool, len(smooth), _mark, smooth, noise, which, np.float32(height), border, out
    )
    return out


@njit(cache=True, nogil=True)
def _mark(
    lo: int,
    hi: int,
    smooth: Any,
    noise: Any,
    which: Any,
    height: Any,
    border: Any,
    out: Any,
) -> None:
    """Mark frames ``lo`` to ``hi`` in ``out``, bool; arguments as for `stand_out`."""
    _, rows, columns = smooth.shape
    top, bottom, left, right = border
    for t in range(lo, hi):
        out[t, :top] = False
        out[t, rows - bottom :] = False
        for y in range(top, rows - bottom):
            line, limit, into = smooth[t, y], noise[which[t], y], out[t, y]
            # whole rows: a loop from 0 becomes vector instructions
            for x in range(columns):
                into[x] = line[x] > height * limit[x]
            into[:left] = False
            into[columns - right :] = False


def values_on_runs(
    runs: Runs, volume: NDArray[np.float32], pool: Executor | None = None
) -> NDArray[np.float32]:
    """Return the values of a volume (frame, row, column) on runs, run after run."""
    first = np.concatenate([[0], np.cumsum(runs.stop - runs.start, dtype=np.int64)])
    out = np.empty(first[-1], np.float32)
    run_in_threads(
        pool,
        runs.shape[0] * runs.shape[1],
        _gather,
        (runs.start, runs.stop, runs.first),
        first,
        volume,
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _gather(lo: int, hi: int, runs: Any, first: Any, volume: Any, out: Any) -> None:
    """Copy the values on the runs of lines ``lo`` to ``hi`` into ``out``, float32.

    ``runs`` are start, stop (int32) and the first run of each line (int64); ``first``
    is the place of each run in ``out``, int64.
    """
    rows = volume.shape[1]
    start, stop, of_row = runs
    for row in range(lo, hi):
        line = volume[row // rows, row % rows]
        for run in range(of_row[row], of_row[row + 1]):
            k = first[run] - start[run]
            for x in range(start[run], stop[run]):
                out[k + x] = line[x]


@dataclass(frozen=True)
class NoiseOfPixels:
    """Standard deviation of the smoothed signal, and how heights are translated.

    Parameters
    ----------
    deviation
        (kind of frame, row, column), float32.
    which
        Kind of each frame of a block, int64.
    ratio
        Factor by which extrinsic fluctuations exceed it, (row, column), float32.
    classes, tables
        Brightness class of each pixel, uint8, and the table of each class, see
        `normal_heights`.
    shift
        Height of the background itself, in standard deviations.
    """

    deviation: NDArray[np.float32]
    which: NDArray[np.int64]
    ratio: NDArray[np.float32]
    classes: NDArray[np.uint8]
    tables: NDArray[np.float32]
    shift: float


def noise_on_runs(
    runs: Runs,
    values: NDArray[np.float32],
    noise: NoiseOfPixels,
    pool: Executor | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two noise levels of the voxels on runs, run after run.

    Parameters
    ----------
    runs, values
        Voxels that stand out and the smoothed signal there, float32.
    noise
        Of the block.
    pool
        Threads to share the work with.

    Returns
    -------
    plain : numpy.ndarray
        Standard deviation of the smoothed signal, extrinsic fluctuations included.
    normal : numpy.ndarray
        The same, inflated where noise is not normal so that signal over noise keeps
        its true tail probability. Both float32, (voxel,).
    """
    first = np.concatenate([[0], np.cumsum(runs.stop - runs.start, dtype=np.int64)])
    plain, normal = np.empty(first[-1], np.float32), np.empty(first[-1], np.float32)
    run_in_threads(
        pool,
        runs.shape[0] * runs.shape[1],
        _judge,
        (runs.start, runs.stop, runs.first, first),
        values,
        (noise.deviation, noise.which, noise.ratio),
        (noise.classes, noise.tables, np.float32(noise.shift)),
        plain,
        normal,
    )
    return plain, normal


@njit(cache=True, nogil=True)
def _judge(
    lo: int,
    hi: int,
    runs: Any,
    values: Any,
    noise: Any,
    worth: Any,
    plain: Any,
    normal: Any,
) -> None:
    """Fill ``plain`` and ``normal`` for lines ``lo`` to ``hi``; see `noise_on_runs`."""
    start, stop, of_row, first = runs
    deviation, which, ratio = noise
    classes, tables, shift = worth
    rows = deviation.shape[1]
    for row in range(lo, hi):
        t, y = row // rows, row % rows
        for run in range(of_row[row], of_row[row + 1]):
            k = first[run]
            for x in range(start[run], stop[run]):
                signal = values[k]
                own = deviation[which[t], y, x] * ratio[y, x]
                plain[k] = own
                height = translate_height(signal / own - shift, tables[classes[y, x]])
                normal[k] = signal / max(height, np.float32(_LEAST_HEIGHT))
                k += 1


def regions_to_keep(
    runs: Runs,
    labels: NDArray[np.int32],
    count: int,
    height: NDArray[np.floating],
    threshold: float,
) -> NDArray[np.bool_]:
    """Return which connected regions of a block may be part of an event.

    A region that reaches the threshold nowhere is noise, unless it goes on in the block
    before or after this one. Most regions are such noise: without them little is stored
    and joined across blocks.

    Parameters
    ----------
    runs, labels
        Runs of a block (frame, row, column), and the region (from 1) of each.
    count
        Number of regions.
    height
        Height of each voxel in standard deviations of the noise, in the order of the
        runs, (voxels,).
    threshold
        Height that an event reaches.

    Returns
    -------
    numpy.ndarray
        bool (count + 1,); the first is background and False.

    Examples
    --------
    >>> from astrocast.kernels.masks.runs import find_runs
    >>> volume = np.zeros((3, 1, 6), bool)
    >>> volume[1, 0, :2] = volume[1, 0, 3] = volume[2, 0, 5] = True
    >>> runs = find_runs(volume)
    >>> labels = np.array([1, 2, 3], np.int32)
    >>> height = np.array([1, 9, 2, 2], np.float32)
    >>> regions_to_keep(runs, labels, 3, height, 5.0).tolist()
    [False, True, False, True]
    """
    kept = np.zeros(count + 1, np.bool_)
    if not len(runs):
        return kept
    length = (runs.stop - runs.start).astype(np.int64)
    highest = np.zeros(count + 1, np.float32)
    of_run = np.maximum.reduceat(height, np.cumsum(length) - length)
    np.maximum.at(highest, labels, of_run)
    kept[:] = highest >= threshold
    frame = runs.frame()
    kept[labels[(frame == 0) | (frame == runs.shape[0] - 1)]] = True
    kept[0] = False
    return kept
