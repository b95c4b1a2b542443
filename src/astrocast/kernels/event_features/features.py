"""Measure boxes, areas and signals of all events in one pass over their voxels."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.parallel import run_in_threads

_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Boxes:
    """Bounding box and size of each event; index 0 is event 1.

    Parameters
    ----------
    low, high
        First frame, row and column of each event and the ones after the last, int64,
        (events, 3).
    area
        Voxels of each event, int64, (events,).
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    area: NDArray[np.int64]

    @classmethod
    def empty(cls, n: int) -> Boxes:
        """Return boxes of ``n`` events that have no voxels yet."""
        return cls(np.full((n, 3), _FAR), np.full((n, 3), -1), np.zeros(n, np.int64))

    def add(self, runs: Runs, labels: NDArray[np.int32], frame: int) -> None:
        """Add the runs of a block that begins at ``frame``.

        ``labels`` are the numbers of the events, from 1.
        """
        boxes = self.low, self.high, self.area
        _grow(runs.arrays, runs.shape[1], labels, frame, boxes)


@dataclass(frozen=True)
class Signals:
    """Sums over events in the frames of a block.

    One entry per event and frame in which it is active.

    Parameters
    ----------
    event, frame
        Number of the event (from 1) and frame within the block, (entries,), ordered by
        frame, then event.
    own_sum, own_count
        Sum and number of the event's finite voxels in that frame.
    box_sum, box_count
        The same over all finite voxels of its bounding box in that frame.
    invalid
        The event's voxels in that frame that are NaN or infinite.
    """

    event: NDArray[np.int64]
    frame: NDArray[np.int64]
    own_sum: NDArray[np.float64]
    own_count: NDArray[np.int64]
    box_sum: NDArray[np.float64]
    box_count: NDArray[np.int64]
    invalid: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean over the event's voxels; NaN where none is finite."""
        with np.errstate(invalid="ignore"):
            return (self.own_sum / self.own_count).astype(np.float32)

    @property
    def noise(self) -> NDArray[np.float32]:
        """Mean over the voxels of the box outside the event; 0 where there are none."""
        rest = self.box_count - self.own_count
        return (
            (self.box_sum - self.own_sum) / np.maximum(rest, 1) * (rest > 0)
        ).astype(np.float32)


def measure_signals(
    frames: NDArray[Any],
    runs: Runs,
    labels: NDArray[np.int32],
    boxes: Boxes,
    pool: Executor | None = None,
) -> Signals:
    """Sum a block of a recording over each event and its bounding box, per frame.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype; NaN and infinite values are left out and
        counted.
    runs
        Runs of the events in these frames.
    labels
        Number of the event (from 1) that each run belongs to.
    boxes
        Bounding boxes of all events of the recording.
    pool
        Threads to share the work with.
    """
    keys = runs.frame() * (len(boxes.area) + 1) + labels
    unique, entry = np.unique(keys, return_inverse=True)
    frame, event = np.divmod(unique, len(boxes.area) + 1)
    own, count, invalid = (
        np.zeros(len(unique)),
        np.zeros(len(unique), np.int64),
        np.zeros(len(unique), np.int64),
    )
    box, box_count = np.zeros(len(unique)), np.zeros(len(unique), np.int64)
    data = np.ascontiguousarray(frames, frames.dtype.newbyteorder("="))
    _add_values(data, runs.arrays, entry, own, count, invalid)
    corners = boxes.low[event - 1], boxes.high[event - 1]
    run_in_threads(pool, len(unique), _in_box, data, frame, corners, box, box_count)
    return Signals(event, frame, own, count, box, box_count, invalid)


@njit(cache=True, nogil=True)
def _grow(runs: Any, rows: int, labels: Any, frame: int, boxes: Any) -> None:
    """Enlarge the boxes of events by the runs of a block, in place.

    ``runs``: see `RunArrays`, with ``rows`` per frame; ``labels`` int32 (runs,);
    ``frame``: number of the first frame; ``boxes``: low and high int64 (events, 3),
    area int64 (events,).
    """
    start, stop, first = runs
    low, high, area = boxes
    for line in range(len(first) - 1):
        t, y = frame + line // rows, line % rows
        for run in range(first[line], first[line + 1]):
            e = labels[run] - 1
            area[e] += stop[run] - start[run]
            low[e, 0], high[e, 0] = min(low[e, 0], t), max(high[e, 0], t + 1)
            low[e, 1], high[e, 1] = min(low[e, 1], y), max(high[e, 1], y + 1)
            low[e, 2], high[e, 2] = (
                min(low[e, 2], start[run]),
                max(high[e, 2], stop[run]),
            )


@njit(cache=True, nogil=True)
def _add_values(
    frames: Any, runs: Any, entry: Any, total: Any, count: Any, invalid: Any
) -> None:
    """Add the voxels of runs to the sums of their entries, in place.

    ``frames`` of any real dtype (frame, row, column); ``runs``: see `RunArrays`;
    ``entry`` int64 (runs,); ``total`` float64, ``count`` and ``invalid`` int64
    (entries,).
    """
    start, stop, first = runs
    rows = frames.shape[1]
    for line in range(len(first) - 1):
        t, y = line // rows, line % rows
        for run in range(first[line], first[line + 1]):
            e = entry[run]
            for x in range(start[run], stop[run]):
                v = np.float64(frames[t, y, x])
                if np.isfinite(v):
                    total[e] += v
                    count[e] += 1
                else:
                    invalid[e] += 1


@njit(cache=True, nogil=True)
def _in_box(
    lo: int,
    hi: int,
    frames: Any,
    frame: Any,
    boxes: Any,
    total: Any,
    count: Any,
) -> None:
    """Add the finite voxels in the boxes of entries ``lo`` to ``hi``, in place.

    ``frames`` of any real dtype (frame, row, column); ``frame`` int64 (entries,);
    ``boxes``: low and high, int64 (entries, 3); ``total`` float64 and ``count`` int64
    (entries,).
    """
    low, high = boxes
    for e in range(lo, hi):
        for y in range(low[e, 1], high[e, 1]):
            for x in range(low[e, 2], high[e, 2]):
                v = np.float64(frames[frame[e], y, x])
                if np.isfinite(v):
                    total[e] += v
                    count[e] += 1


def trace_properties(
    trace: NDArray[np.float32], noise: NDArray[np.float32], offsets: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return what the event table says of traces and noise traces.

    Parameters
    ----------
    trace, noise
        Values of all events one after the other, (frames of all events,); NaN is left
        out.
    offsets
        Where each event's begin, (events + 1,); each event has at least one frame.

    Returns
    -------
    dict
        Column name -> one value per event; NaN where it is not defined.
    """
    begins, lengths = offsets[:-1], np.diff(offsets)
    if not len(begins):
        return {name: np.empty(0) for name in SIGNAL_COLUMNS}
    values, rest = trace.astype(np.float64), noise.astype(np.float64)
    height = np.fmax.reduceat(values, begins) - np.fmin.reduceat(values, begins)
    step = np.full(len(values), -np.inf)
    step[1:] = np.diff(values)
    step[begins] = np.nan  # the step from the event before is none of this one's
    gradient = np.fmax.reduceat(step, begins)
    mean = np.add.reduceat(rest, begins) / lengths
    std = np.sqrt(
        np.add.reduceat((rest - np.repeat(mean, lengths)) ** 2, begins) / lengths
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(mean == 0, np.nan, np.abs(height / mean))
        fold = np.where(std == 0, np.nan, (height - mean) / std)
    return dict(
        zip(SIGNAL_COLUMNS, (height, gradient, mean, std, ratio, fold), strict=True)
    )


SIGNAL_COLUMNS = (
    "v_max_height",
    "v_max_gradient",
    "v_noise_mask_mean",
    "v_noise_mask_std",
    "v_signal_to_noise_ratio",
    "v_signal_to_noise_ratio_fold",
)
