"""Masks as runs: consecutive active pixels in a row of a frame.

Active voxels are few, so runs need about a thousandth of the memory of the recording,
and the cost of an operation on runs grows with the activity, not with the recording.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads


class RunArrays(NamedTuple):
    """Start, stop and first of `Runs`, for compiled functions."""

    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    first: NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """Runs of active pixels in raster order.

    Parameters
    ----------
    start, stop
        First column of each run and the column after its last, int32 (runs,).
    first
        First run of each row, int64 (frames * rows + 1,): the runs of row ``y`` of
        frame ``t`` are ``first[t * rows + y]`` up to, but not including, ``first[t *
        rows + y + 1]``.
    shape
        Shape of the mask, (frames, rows, columns).
    """

    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    first: NDArray[np.int64]
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def arrays(self) -> RunArrays:
        """The arrays without the shape, for compiled functions."""
        return RunArrays(self.start, self.stop, self.first)

    def frame(self) -> NDArray[np.int64]:
        """Return the frame of each run, int64 (runs,)."""
        return np.repeat(
            np.arange(self.shape[0]), np.diff(self.first[:: self.shape[1]])
        )

    def row(self) -> NDArray[np.int64]:
        """Return the row of each run, int64 (runs,)."""
        return (
            np.repeat(np.arange(self.shape[0] * self.shape[1]), np.diff(self.first))
            % self.shape[1]
        )


def list_voxels(runs: Runs) -> NDArray[np.int64]:
    """Return the voxels of runs, in order, as flat indices of the mask, int64.

    Examples
    --------
    >>> list_voxels(find_runs(np.array([[[True, True, False, True]]])))
    array([0, 1, 3])
    """
    length = (runs.stop - runs.start).astype(np.int64)
    first = first_voxels(runs) - (np.cumsum(length) - length)
    return np.repeat(first, length) + np.arange(length.sum())


def first_voxels(runs: Runs) -> NDArray[np.int64]:
    """Return the first voxel of each run as a flat index of the mask, int64 (runs,)."""
    return (runs.frame() * runs.shape[1] + runs.row()) * runs.shape[2] + runs.start


def find_runs(mask: NDArray[np.bool_], pool: Executor | None = None) -> Runs:
    """Return the runs of a mask, bool (frame, row, column).

    Examples
    --------
    >>> runs = find_runs(np.array([[[True, True, False, True]]]))
    >>> runs.start.tolist(), runs.stop.tolist()
    ([0, 3], [2, 4])
    """
    frames, rows, columns = mask.shape
    lines = np.ascontiguousarray(mask).reshape(frames * rows, columns).view(np.uint8)
    first = np.zeros(frames * rows + 1, np.int64)
    run_in_threads(pool, len(lines), _count_runs, lines, first)
    np.cumsum(first, out=first)
    start, stop = np.empty(first[-1], np.int32), np.empty(first[-1], np.int32)
    run_in_threads(pool, len(lines), _fill_runs, lines, first, start, stop)
    return Runs(start, stop, first, (frames, rows, columns))


def paint_runs(
    runs: Runs, values: NDArray[np.int32], pool: Executor | None = None
) -> NDArray[np.int32]:
    """Return a volume with ``values[i]`` in run i and 0 elsewhere.

    ``values``: int32 (runs,); returns int32 (frame, row, column).
    """
    frames, rows, columns = runs.shape
    out = np.zeros((frames * rows, columns), np.int32)
    run_in_threads(
        pool,
        len(out),
        _paint,
        runs.start,
        runs.stop,
        runs.first,
        np.ascontiguousarray(values, np.int32),
        out,
    )
    return out.reshape(runs.shape)


def paint_over(
    runs: Runs, value: int, out: NDArray[np.int32], pool: Executor | None = None
) -> None:
    """Write ``value`` in all runs of a volume, int32 (frame, row, column), in place."""
    lines = out.reshape(-1, out.shape[2])
    values = np.full(len(runs), value, np.int32)
    run_in_threads(
        pool, len(lines), _paint, runs.start, runs.stop, runs.first, values, lines
    )


def select_in_runs(
    runs: Runs, wanted: NDArray[np.bool_], pool: Executor | None = None
) -> Runs:
    """Return the runs of the wanted voxels of runs.

    ``wanted``: bool (voxel,), run after run. Runs do not overlap or touch.

    Examples
    --------
    >>> runs = find_runs(np.array([[[True, True, True, False, True]]]))
    >>> found = select_in_runs(runs, np.array([True, False, True, True]))
    >>> found.start.tolist(), found.stop.tolist()
    ([0, 2, 4], [1, 3, 5])
    """
    length = (runs.stop - runs.start).astype(np.int64)
    place = np.cumsum(length) - length
    given = runs.start, runs.stop, runs.first, place
    first = np.zeros(len(runs.first), np.int64)
    flags, n = wanted.view(np.uint8), len(first) - 1
    run_in_threads(pool, n, _count_parts, given, flags, first)
    np.cumsum(first, out=first)
    start, stop = np.empty(first[-1], np.int32), np.empty(first[-1], np.int32)
    run_in_threads(pool, n, _fill_parts, given, flags, first, start, stop)
    return Runs(start, stop, first, runs.shape)


@njit(cache=True, nogil=True)
def _count_parts(lo: int, hi: int, runs: Any, wanted: Any, first: Any) -> None:
    """Write the number of parts of the runs of line i into ``first[i + 1]``, int64.

    ``runs``: start, stop (int32), first run of each line and first voxel of each run
    (int64); ``wanted`` uint8 (voxel,).
    """
    start, stop, of_line, place = runs
    for i in range(lo, hi):
        n = np.int64(0)
        for run in range(of_line[i], of_line[i + 1]):
            before = np.uint8(0)
            for k in range(place[run], place[run] + stop[run] - start[run]):
                n += np.int64((wanted[k] != 0) & (before == 0))
                before = wanted[k]
        first[i + 1] = n


@njit(cache=True, nogil=True)
def _fill_parts(
    lo: int, hi: int, runs: Any, wanted: Any, first: Any, begin: Any, end: Any
) -> None:
    """Write begin and end, int32, of the parts of runs; see `_count_parts`."""
    start, stop, of_line, place = runs
    for i in range(lo, hi):
        part = first[i] - 1
        for run in range(of_line[i], of_line[i + 1]):
            before = np.uint8(0)
            for x in range(start[run], stop[run]):
                now = wanted[place[run] + x - start[run]]
                if now != 0 and before == 0:
                    part += 1
                    begin[part] = x
                if now != 0:
                    end[part] = x + 1
                before = now


@njit(cache=True, nogil=True)
def _count_runs(lo: int, hi: int, lines: Any, first: Any) -> None:
    """Write the number of runs of row i of ``lines`` into ``first[i + 1]``, int64.

    ``lines``: uint8 (frame * row, column), for rows ``lo`` to ``hi - 1``.
    """
    for i in range(lo, hi):
        line = lines[i]
        n = np.int64(line[0] != 0)
        for x in range(1, len(line)):
            n += np.int64((line[x] != 0) & (line[x - 1] == 0))
        first[i + 1] = n


@njit(cache=True, nogil=True)
def _fill_runs(lo: int, hi: int, lines: Any, first: Any, start: Any, stop: Any) -> None:
    """Write ``start`` and ``stop``, int32 (runs,), of the runs of rows ``lo:hi``."""
    columns = lines.shape[1]
    for i in range(lo, hi):
        line = lines[i]
        x = 0
        for run in range(first[i], first[i + 1]):
            while line[x] == 0:
                x += 1
            start[run] = x
            while x < columns and line[x] != 0:
                x += 1
            stop[run] = x


@njit(cache=True, nogil=True)
def _paint(
    lo: int, hi: int, start: Any, stop: Any, first: Any, values: Any, out: Any
) -> None:
    """Paint rows ``lo:hi`` of ``out``, int32 (line, column), see `paint_runs`."""
    for i in range(lo, hi):
        for run in range(first[i], first[i + 1]):
            for x in range(start[run], stop[run]):
                out[i, x] = values[run]


def label_runs_of_volume(
    labels: NDArray[np.int32], pool: Executor | None = None
) -> tuple[Runs, NDArray[np.int32]]:
    """Return the runs of a label volume and the label of each run.

    ``labels``: int32 (frame, row, column). A run ends where the label changes.

    Examples
    --------
    >>> runs, labels = label_runs_of_volume(np.array([[[1, 1, 2, 0]]], np.int32))
    >>> runs.stop.tolist(), labels.tolist()
    ([2, 3], [1, 2])
    """
    frames, rows, columns = labels.shape
    lines = np.ascontiguousarray(labels, np.int32).reshape(frames * rows, columns)
    first = np.zeros(frames * rows + 1, np.int64)
    run_in_threads(pool, len(lines), _count_label_runs, lines, first)
    np.cumsum(first, out=first)
    start, stop, label = (np.empty(first[-1], np.int32) for _ in range(3))
    run_in_threads(pool, len(lines), _fill_label_runs, lines, first, start, stop, label)
    return Runs(start, stop, first, (frames, rows, columns)), label


@njit(cache=True, nogil=True)
def _count_label_runs(lo: int, hi: int, lines: Any, first: Any) -> None:
    """Write the number of runs of row i into ``first[i + 1]``, int64, for ``lo:hi``.

    ``lines``: int32 labels (frame * row, column).
    """
    for i in range(lo, hi):
        line = lines[i]
        n = np.int64(line[0] != 0)
        for x in range(1, len(line)):
            n += np.int64((line[x] != 0) & (line[x] != line[x - 1]))
        first[i + 1] = n


@njit(cache=True, nogil=True)
def _fill_label_runs(
    lo: int, hi: int, lines: Any, first: Any, start: Any, stop: Any, label: Any
) -> None:
    """Write start, stop and label, int32 (runs,), of the runs of rows ``lo:hi``."""
    columns = lines.shape[1]
    for i in range(lo, hi):
        line = lines[i]
        x = 0
        for run in range(first[i], first[i + 1]):
            while line[x] == 0:
                x += 1
            start[run], label[run] = x, line[x]
            while x < columns and line[x] == label[run]:
                x += 1
            stop[run] = x


def list_runs(
    voxels: NDArray[np.int64], labels: NDArray[np.int32], shape: tuple[int, int, int]
) -> tuple[Runs, NDArray[np.int32]]:
    """Return the runs of labelled voxels, in the order of first voxels, and labels.

    A voxel may have several labels; it is then part of several runs.

    Parameters
    ----------
    voxels
        Flat indices into a volume of ``shape``, int64, each once per label.
    labels
        Label of each voxel, int32.
    shape
        (frame, row, column).

    Examples
    --------
    >>> runs, labels = list_runs(
    ...     np.array([1, 2, 2, 5]), np.array([7, 7, 9, 7], np.int32), (1, 2, 4)
    ... )
    >>> runs.start.tolist(), runs.stop.tolist(), labels.tolist()
    ([1, 2, 1], [3, 3, 2], [7, 9, 7])
    """
    order = np.lexsort((voxels, labels))
    at, owner = voxels[order], labels[order]
    line, column = np.divmod(at, shape[2])
    begins = np.ones(len(at), bool)
    begins[1:] = (np.diff(at) != 1) | (np.diff(owner) != 0) | (np.diff(line) != 0)
    first = np.flatnonzero(begins)
    length = np.diff(np.append(first, len(at)))
    order = np.lexsort((owner[first], at[first]))
    first, length = first[order], length[order]
    start = column[first].astype(np.int32)
    lines = np.searchsorted(line[first], np.arange(shape[0] * shape[1] + 1))
    return Runs(start, (start + length).astype(np.int32), lines, shape), owner[
        first
    ].astype(np.int32)


def merge_runs(
    a: Runs, labels_a: NDArray[np.int32], b: Runs, labels_b: NDArray[np.int32]
) -> tuple[Runs, NDArray[np.int32]]:
    """Return the runs of two masks of one shape together, and their labels.

    They are in the order of their first voxels, and may overlap.

    Examples
    --------
    >>> one = find_runs(np.array([[[True, True, False, False]]]))
    >>> two = find_runs(np.array([[[False, True, True, False]]]))
    >>> runs, labels = merge_runs(
    ...     one, np.array([1], np.int32), two, np.array([2], np.int32)
    ... )
    >>> runs.start.tolist(), labels.tolist()
    ([0, 1], [1, 2])
    """
    lines = [np.repeat(np.arange(len(r.first) - 1), np.diff(r.first)) for r in (a, b)]
    line, start = np.concatenate(lines), np.concatenate([a.start, b.start])
    order = np.lexsort((start, line))
    stop, labels = (
        np.concatenate([a.stop, b.stop]),
        np.concatenate([labels_a, labels_b]),
    )
    return Runs(start[order], stop[order], a.first + b.first, a.shape), labels[order]
