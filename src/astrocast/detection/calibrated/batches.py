"""Batches of connected candidates that are read from disk and divided together."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.segmentation import ACTIVE, Segmentation
from astrocast.kernels.calibrated.independent import independent_groups
from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.segmentation.ordering import order_by_group
from astrocast.runtime.blocks import Block

#: number of candidate voxels in memory (a batch), and in the group that one thread
#: divides at a time
_BATCH_VOXELS, _GROUP_VOXELS = 4 << 20, 1 << 17


@dataclass(frozen=True)
class Voxels:
    """Candidate voxels: flat index, smoothed signal, noise and unsmoothed signal."""

    at: NDArray[np.int64]
    value: NDArray[np.float32]
    noise: NDArray[np.float32]
    single: NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Connected candidates that are in memory together.

    Parameters
    ----------
    numbers
        int64, ascending: numbers of the candidates.
    blocks
        Blocks that may contain them: (index, frames, candidate of each label).
    following
        First frame of the candidates of later batches.
    groups
        Group of each candidate, from 0; groups are independent of each other.
    voxels
        Voxels of each group if a worker cannot load them from the checkpoint, else
        None.
    """

    numbers: NDArray[np.int64]
    blocks: list[tuple[int, Block, NDArray[np.int32]]]
    following: int
    groups: NDArray[np.int64]
    voxels: list[Voxels] | None = None

    def load(
        self, checkpoint: Any, shape: tuple[int, int, int], pool: Executor | None = None
    ) -> list[Voxels]:
        """Return the voxels of each group, ascending.

        ``shape``: of the recording.
        """
        if self.voxels is not None:
            return self.voxels
        return _load_voxels(self, checkpoint, shape, pool)


def plan_batches(candidates: Segmentation, threshold: float) -> Iterator[Batch]:
    """Yield batches of the connected candidates that reach the threshold."""
    boxes = candidates.boxes
    highest = _measure_heights(candidates)
    kept = 1 + np.flatnonzero(highest[1:] >= threshold)
    kept = kept[np.argsort(boxes.low[kept - 1, 0], kind="stable")]
    sizes = np.cumsum(boxes.area[kept - 1]) // _BATCH_VOXELS
    starts = boxes.low[kept - 1, 0]
    cuts = [0, *(np.flatnonzero(np.diff(sizes)) + 1), len(kept)]
    for a, b in pairwise(cuts):
        if b > a:
            low, high, area = (
                v[kept[a:b] - 1] for v in (boxes.low, boxes.high, boxes.area)
            )
            groups = independent_groups(low, high, area, _GROUP_VOXELS)
            order = np.argsort(kept[a:b])
            z0, z1 = low[:, 0].min(), high[:, 0].max()
            near = [
                (index, block, candidates.final[index])
                for index, block in enumerate(candidates.blocks)
                if block.start < z1 and block.stop > z0
            ]
            following = int(starts[b]) if b < len(kept) else candidates.shape[0]
            yield Batch(kept[a:b][order], near, following, groups[order])


def attach_voxels(batch: Batch, checkpoint: Any, shape: tuple[int, int, int]) -> Batch:
    """Return a batch with its voxels, for workers that cannot read the checkpoint."""
    voxels = batch.load(checkpoint, shape)
    return Batch(batch.numbers, [], batch.following, batch.groups, voxels)


def _measure_heights(candidates: Segmentation) -> NDArray[np.float32]:
    """Return the height of each connected candidate (index 0 is unused)."""
    highest = np.zeros(len(candidates.boxes.area) + 1, np.float32)
    for index in range(len(candidates.blocks)):
        runs, labels = candidates.load(index)
        stored = candidates.checkpoint.load(ACTIVE, index, "value", "noise")
        if len(runs):
            length = (runs.stop - runs.start).astype(np.int64)
            first = np.cumsum(length) - length
            of_run = np.maximum.reduceat(stored["value"] / stored["noise"], first)
            np.maximum.at(highest, labels, of_run)
    return highest


def _load_voxels(
    batch: Batch, checkpoint: Any, shape: tuple[int, int, int], pool: Executor | None
) -> list[Voxels]:
    """Return the voxels of the candidates of a batch, ascending in each group."""
    of_block = partial(_load_block, batch=batch, checkpoint=checkpoint, shape=shape)
    in_turn = map if pool is None else pool.map
    parts = list(in_turn(of_block, batch.blocks))
    of_voxel, *values = zip(*parts, strict=True)
    group = np.concatenate(of_voxel)
    order, first = order_by_group(group, int(group.max(initial=-1)) + 1)

    def split(column: tuple[NDArray[Any], ...]) -> list[NDArray[Any]]:
        return np.split(np.concatenate(column)[order], first[1:-1])

    return [Voxels(*one) for one in zip(*in_turn(split, values), strict=True)]


def _load_block(
    place: tuple[int, Block, NDArray[np.int32]],
    batch: Batch,
    checkpoint: Any,
    shape: tuple[int, int, int],
) -> tuple[NDArray[Any], ...]:
    """Return group, flat index, signal, noise and unsmoothed signal of each voxel."""
    index, block, final = place
    stored = checkpoint.load(ACTIVE, index)
    rows, columns = shape[1:]
    runs = Runs(
        stored["start"],
        stored["stop"],
        stored["first"],
        (block.stop - block.start, rows, columns),
    )
    at = np.minimum(np.searchsorted(batch.numbers, final), len(batch.numbers) - 1)
    group = np.where(batch.numbers[at] == final, batch.groups[at], -1)
    length = (runs.stop - runs.start).astype(np.int64)
    first = ((runs.frame() + block.start) * rows + runs.row()) * columns + runs.start
    of_voxel = np.repeat(group[stored["labels"]].astype(np.int32), length)
    own = of_voxel >= 0
    at = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(len(own))
    names = ("value", "noise", "single")
    return of_voxel[own], at[own], *(stored[name][own] for name in names)
