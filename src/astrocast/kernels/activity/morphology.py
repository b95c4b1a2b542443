"""Remove small objects and fill small holes, in windows of a few frames."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.runs import find_runs
from astrocast.kernels.parallel import run_in_threads

_UNSEEN, _SEEN, _LARGE, _SMALL = 0, 1, 2, 3
#: neighbouring rows of a row: frames away, rows away, number of axes that differ
_LINES = (
    (-1, -1, 2),
    (-1, 0, 1),
    (-1, 1, 2),
    (0, -1, 1),
    (0, 1, 1),
    (1, -1, 2),
    (1, 0, 1),
    (1, 1, 2),
)


def remove_small_objects(
    mask: NDArray[np.bool_],
    min_size: int,
    depth: int = 1,
    connectivity: int = 1,
    inner: slice = slice(None),
    pool: Executor | None = None,
) -> NDArray[np.bool_]:
    """Remove active regions of fewer than ``min_size`` voxels.

    For each frame t, regions are the connected voxels of the window from t - depth to
    t + depth; the middle frame of the result is kept. At the ends of the recording the
    end frame is repeated, and counts each time.

    Parameters
    ----------
    mask
        Block of a mask, (frame, row, column), bool.
    min_size
        Regions of fewer voxels are removed; 0 or 1 removes none.
    depth
        Frames on either side; 0 treats each frame alone.
    connectivity
        Voxels are connected if they share 1: a face, 2: an edge, 3: a corner.
    inner
        Frames to return; with ``depth`` further frames on either side the result equals
        that of the whole recording.
    pool
        Threads that share the work.

    Returns
    -------
    numpy.ndarray
        bool, frames of ``inner``. Equal to `skimage.morphology.remove_small_objects`
        applied to each window.

    Examples
    --------
    >>> mask = np.zeros((1, 4, 4), bool)
    >>> mask[0, 0, 0] = mask[0, 2:, 2:] = True
    >>> int(remove_small_objects(mask, 3, depth=0).sum())
    4
    """
    return _flip_small(mask, min_size, (depth, connectivity), inner, pool, active=True)


def fill_small_holes(
    mask: NDArray[np.bool_],
    area_threshold: int,
    depth: int = 1,
    connectivity: int = 1,
    inner: slice = slice(None),
    pool: Executor | None = None,
) -> NDArray[np.bool_]:
    """Fill inactive regions of fewer than ``area_threshold`` voxels.

    Parameters and result as in `remove_small_objects`.

    Examples
    --------
    >>> mask = np.ones((1, 5, 5), bool)
    >>> mask[0, 2, 2] = False
    >>> bool(fill_small_holes(mask, 2, depth=0).all())
    True
    """
    return _flip_small(
        mask, area_threshold, (depth, connectivity), inner, pool, active=False
    )


def _flip_small(
    mask: NDArray[np.bool_],
    size: int,
    window: tuple[int, int],
    inner: slice,
    pool: Executor | None,
    active: bool,
) -> NDArray[np.bool_]:
    """Return the mask with small regions of value ``active`` set to the other value."""
    depth, connectivity = window
    if connectivity not in (1, 2, 3):
        raise InvalidValueError(
            f"connectivity is {connectivity!r}; choose 1 (faces), 2 (edges) or 3"
            " (corners)"
        )
    if depth < 0:
        raise InvalidValueError(
            f"depth is {depth!r}; expected a number of frames, 0 or more"
        )
    start, stop, _ = inner.indices(len(mask))
    out = np.array(mask[start:stop], np.bool_, order="C")
    if size <= 1 or not len(out):
        return out
    runs = find_runs(mask if active else ~mask, pool)
    window_settings = (int(size), int(depth), int(connectivity), start)
    run_in_threads(
        pool,
        len(out),
        _flip_in_frames,
        runs.start,
        runs.stop,
        runs.first,
        len(mask),
        window_settings,
        not active,
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _flip_in_frames(
    lo: int,
    hi: int,
    start: Any,
    stop: Any,
    first: Any,
    frames: int,
    window_settings: Any,
    value: bool,
    out: Any,
) -> None:
    """Set small regions of frames ``lo`` to ``hi - 1`` of ``out`` to ``value``.

    ``start``, ``stop``: int32 (run,), ``first``: int64 (frame * row + 1,), the runs of
    the mask as in `Runs`; ``window_settings``: size, depth, connectivity, first frame
    of ``out``; ``out``: bool (frame, row, column).
    """
    size, depth, _, begin = window_settings
    rows = (len(first) - 1) // frames
    slots = 2 * depth + 1
    # where the runs of each frame of the window begin in `state`
    base = np.zeros(slots + 1, np.int64)
    origin = np.zeros(slots, np.int64)
    state = np.zeros(0, np.uint8)
    # (slot * rows + row, run) of each run that the flood has reached
    seen = np.empty((size + 1, 2), np.int64)
    for i in range(lo, hi):
        for s in range(slots):
            t = min(max(begin + i + s - depth, 0), frames - 1)
            origin[s] = t * rows
            base[s + 1] = base[s] + first[(t + 1) * rows] - first[t * rows]
        if len(state) < base[slots]:
            state = np.zeros(2 * base[slots], np.uint8)
        state[: base[slots]] = _UNSEEN
        for y in range(rows):
            line = origin[depth] + y
            for run in range(first[line], first[line + 1]):
                at = base[depth] + run - first[origin[depth]]
                if state[at] == _UNSEEN:
                    _flood(
                        (depth * rows + y, run),
                        start,
                        stop,
                        first,
                        (rows, slots),
                        window_settings,
                        base,
                        origin,
                        state,
                        seen,
                    )
                if state[at] == _SMALL:
                    for x in range(start[run], stop[run]):
                        out[i, y, x] = value


@njit(cache=True, nogil=True)
def _flood(
    seed: Any,
    start: Any,
    stop: Any,
    first: Any,
    extent: Any,
    window_settings: Any,
    base: Any,
    origin: Any,
    state: Any,
    seen: Any,
) -> None:
    """Flood a region from run ``seed`` until it is large enough or ends.

    ``state``, uint8 (run in the window,), becomes large or small for all runs reached;
    ``seen``, int64 (size + 1, 2), is work space. Other arguments as in
    `_flip_in_frames`. Arrays are separate arguments: as tuples they cost a tenth more.
    """
    size, _, connectivity, _ = window_settings
    rows, slots = extent
    n, reached, large = 1, stop[seed[1]] - start[seed[1]], False
    seen[0, 0], seen[0, 1] = seed
    state[base[seed[0] // rows] + seed[1] - first[origin[seed[0] // rows]]] = _SEEN
    at = 0
    while at < n and reached < size and not large:
        slot, y = seen[at, 0] // rows, seen[at, 0] % rows
        a, b = start[seen[at, 1]], stop[seen[at, 1]]
        at += 1
        for ds, dy, steps in _LINES:
            s, r = slot + ds, y + dy
            if steps > connectivity or s < 0 or s >= slots or r < 0 or r >= rows:
                continue
            wider = 1 if steps < connectivity else 0
            for run in range(first[origin[s] + r], first[origin[s] + r + 1]):
                if start[run] >= b + wider or large or reached >= size:
                    break
                k = base[s] + run - first[origin[s]]
                if stop[run] > a - wider and state[k] == _LARGE:
                    large = True
                elif stop[run] > a - wider and state[k] == _UNSEEN:
                    state[k] = _SEEN
                    seen[n, 0], seen[n, 1] = s * rows + r, run
                    n += 1
                    reached += stop[run] - start[run]
    verdict = _LARGE if large or reached >= size else _SMALL
    for j in range(n):
        s = seen[j, 0] // rows
        state[base[s] + seen[j, 1] - first[origin[s]]] = verdict
