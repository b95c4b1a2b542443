"""Connected regions of a mask that grows frame by frame.

A region is finished as soon as a frame contains none of its voxels. For any division
into blocks, the result equals `scipy.ndimage.label` of the whole mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.segmentation.labelling import face_pairs, join_labels, label_runs


@dataclass(frozen=True)
class OpenRegions:
    """The regions that may still grow.

    Parameters
    ----------
    face
        Runs of the last frame, as a mask of one frame; None before the first frame.
    number
        Number of the region of each of these runs, int64, (runs,).
    following
        Number of the next new region.
    """

    face: Runs | None = None
    number: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    following: int = 1

    @property
    def open(self) -> NDArray[np.int64]:
        """Numbers of the regions that may still grow, ascending."""
        return np.unique(self.number)


@dataclass(frozen=True)
class Growth:
    """How a block of frames changed the regions.

    Parameters
    ----------
    number
        Number of the region of each run of the block, int64, (runs,).
    joined
        Regions that became part of another region: old number, new number, int64,
        (regions, 2).
    finished
        Numbers of regions that can no longer grow, int64, ascending.
    """

    number: NDArray[np.int64]
    joined: NDArray[np.int64]
    finished: NDArray[np.int64]


def add_frames(state: OpenRegions, runs: Runs) -> tuple[OpenRegions, Growth]:
    """Return the open regions after the next frames, and how they changed.

    Parameters
    ----------
    state
        The regions before these frames; a new `OpenRegions` at the start.
    runs
        Active pixels of the frames.

    Examples
    --------
    >>> from astrocast.kernels.masks.runs import find_runs
    >>> first = find_runs(np.array([[[True, False, True]]]))
    >>> state, growth = add_frames(OpenRegions(), first)
    >>> growth.number.tolist(), growth.finished.tolist()
    ([1, 2], [])
    >>> state, growth = add_frames(state, find_runs(np.array([[[True, True, True]]])))
    >>> growth.number.tolist(), growth.joined.tolist()
    ([1], [[2, 1]])
    """
    labels, n = label_runs(runs)
    before = state.open
    m = len(before)
    within = labels.astype(np.int64) + m
    pairs = np.empty((0, 2), np.int64)
    if state.face is not None and m:
        owner = np.searchsorted(before, state.number) + 1
        pairs = face_pairs(state.face, owner, *_frame_of(runs, within, 0))
    group, count = join_labels(m + n, pairs)
    # a group takes the lowest number of its open regions, or a new number
    names = np.zeros(count + 1, np.int64)
    names[group[1 : m + 1][::-1]] = before[::-1]
    new = np.flatnonzero(names[1:] == 0) + 1
    names[new] = state.following + np.arange(len(new))
    now = names[group[1 : m + 1]]
    number = names[group[within]]
    face, own = _frame_of(runs, number, runs.shape[0] - 1)
    after = OpenRegions(face, own, state.following + len(new))
    moved = now != before
    joined = np.stack([before[moved], now[moved]], axis=1)
    there = np.unique(np.concatenate([now, number]))
    return after, Growth(number, joined, np.setdiff1d(there, own))


def close_regions(state: OpenRegions, numbers: NDArray[np.int64]) -> OpenRegions:
    """End some regions; voxels that touch them in later frames start new regions.

    Parameters
    ----------
    state
        The regions.
    numbers
        Numbers of the regions that end with the last frame.
    """
    if state.face is None:
        return state
    left = ~np.isin(state.number, numbers)
    face, first = state.face, np.concatenate([[0], np.cumsum(left)])
    kept = Runs(face.start[left], face.stop[left], first[face.first], face.shape)
    return replace(state, face=kept, number=state.number[left])


def _frame_of(
    runs: Runs, labels: NDArray[np.int64], frame: int
) -> tuple[Runs, NDArray[np.int64]]:
    """Return the runs of one frame and their labels."""
    rows = runs.shape[1]
    first = runs.first[frame * rows : (frame + 1) * rows + 1]
    part = slice(first[0], first[-1])
    shape = (1, *runs.shape[1:])
    return (
        Runs(runs.start[part], runs.stop[part], first - first[0], shape),
        labels[part],
    )
