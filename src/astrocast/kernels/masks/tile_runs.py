"""Runs of a mask from the runs of its tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.masks.runs import Runs


def join_tile_runs(
    tiles: Sequence[tuple[Runs, int, int]], shape: tuple[int, int, int]
) -> tuple[Runs, NDArray[np.int64]]:
    """Return the runs of a mask that was cut into tiles; runs that meet are joined.

    Parameters
    ----------
    tiles
        Runs of each tile, and the first row and column of the tile in the mask. No
        voxel is part of two tiles.
    shape
        Shape of the mask, (frame, row, column).

    Returns
    -------
    runs : Runs
        The same as those of the whole mask, see `find_runs`.
    voxels : numpy.ndarray
        For each voxel on these runs, its place among the voxels of all tiles, one tile
        after the other, int64.

    Examples
    --------
    >>> from astrocast.kernels.masks.runs import find_runs
    >>> left = find_runs(np.array([[[True, True]], [[False, True]]]))
    >>> right = find_runs(np.array([[[True, False]], [[True, True]]]))
    >>> runs, voxels = join_tile_runs([(left, 0, 0), (right, 0, 2)], (2, 1, 4))
    >>> runs.start.tolist(), runs.stop.tolist(), voxels.tolist()
    ([0, 1], [3, 4], [0, 1, 3, 2, 4, 5])
    """
    rows = shape[1]
    line = np.concatenate(
        [r.frame() * rows + r.row() + top for r, top, _ in tiles]
    ).astype(np.int64)
    start = np.concatenate([r.start + left for r, _, left in tiles])
    stop = np.concatenate([r.stop + left for r, _, left in tiles])
    length = (stop - start).astype(np.int64)
    place = np.cumsum(length) - length
    order = np.lexsort((start, line))
    line, start, stop = line[order], start[order], stop[order]
    length, place = length[order], place[order]
    voxels = np.repeat(place - (np.cumsum(length) - length), length) + np.arange(
        length.sum()
    )
    begins = np.ones(len(line), np.bool_)
    begins[1:] = (np.diff(line) != 0) | (start[1:] != stop[:-1])
    ends = np.append(begins[1:], True)[: len(begins)]
    first = np.searchsorted(line[begins], np.arange(shape[0] * rows + 1))
    runs = Runs(
        start[begins].astype(np.int32),
        stop[ends].astype(np.int32),
        first.astype(np.int64),
        shape,
    )
    return runs, voxels


def cut_frames(runs: Runs, start: int, stop: int) -> tuple[Runs, slice]:
    """Return the runs of some frames of a mask, and which runs these are."""
    rows = runs.shape[1]
    first = runs.first[start * rows : stop * rows + 1]
    part = slice(int(first[0]), int(first[-1]))
    return (
        Runs(
            runs.start[part],
            runs.stop[part],
            first - first[0],
            (stop - start, *runs.shape[1:]),
        ),
        part,
    )
