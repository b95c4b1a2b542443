"""Divide candidate voxels into events: read blocks from disk, call the kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.segmentation import ACTIVE, Segmentation
from astrocast.kernels.calibrated.arrival import join_by_arrival
from astrocast.kernels.calibrated.extent import (
    Extents,
    event_extents,
    laplacian_of,
    sharpness_of,
)
from astrocast.kernels.calibrated.fine_extent import fine_extents
from astrocast.kernels.calibrated.hot_pixels import single_pixel_hills
from astrocast.kernels.calibrated.independent import independent_groups
from astrocast.kernels.calibrated.join_rule import JoinRule
from astrocast.kernels.calibrated.noise_moments import gaussian_square
from astrocast.kernels.calibrated.overlap import (
    LayeredEvent,
    give_back,
    layer_events,
    shared_voxels,
)
from astrocast.kernels.masks.runs import Runs
from astrocast.kernels.segmentation.ordering import order_by_group
from astrocast.kernels.segmentation.watershed import Hills, find_hills
from astrocast.runtime.blocks import Block
from astrocast.settings.calibrated import CalibratedSettings

#: number of candidate voxels in memory (a batch), and in the group that one thread
#: divides at a time
_BATCH_VOXELS, _GROUP_VOXELS = 4 << 20, 1 << 17
#: a voxel above this fraction of the peak always belongs to the event of its basin, so
#: that every event is visible in the map
_CORE = 0.75
#: extent as a fraction of the unsmoothed peak / as a fraction of the smoothed peak:
#: smoothing lowers the peak
_OF_UNSMOOTHED = 0.83


@dataclass(frozen=True)
class Voxels:
    """Candidate voxels: flat index, smoothed signal, noise and unsmoothed signal."""

    at: NDArray[np.int64]
    value: NDArray[np.float32]
    noise: NDArray[np.float32]
    single: NDArray[np.float32]


@dataclass(frozen=True)
class DividedEvent:
    """An event with its peak, confidence and voxels.

    Parameters
    ----------
    layers
        Voxels of the event, flat indices in the recording.
    height
        Height of the peak, in standard deviations of the smoothed noise.
    peak
        Peak of the smoothed signal, in units of the recording.
    parts
        float64 (part, 3): flat index of the highest voxel, height in standard
        deviations, and number of voxels of each part; the highest part first.
    rank
        [-signal, flat index] of the highest voxel: sort key of the events of a batch.
    """

    layers: LayeredEvent
    height: float
    peak: float
    parts: NDArray[np.float64]
    rank: list[Any]


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
    parts = list((map if pool is None else pool.map)(of_block, batch.blocks))
    of_voxel, *values = (np.concatenate(c) for c in zip(*parts, strict=True))
    order, first = order_by_group(of_voxel, int(of_voxel.max(initial=-1)) + 1)
    split = [np.split(column[order], first[1:-1]) for column in values]
    return [Voxels(*one) for one in zip(*split, strict=True)]


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


class FindEvents:
    """Divide a batch into events; a task for `map_tasks`.

    Parameters
    ----------
    checkpoint
        Store of the candidates.
    shape, settings, threshold
        See `find_events`.
    """

    def __init__(
        self,
        checkpoint: Any,
        shape: tuple[int, int, int],
        settings: CalibratedSettings,
        threshold: float,
    ) -> None:
        self.checkpoint, self.shape = checkpoint, shape
        self.settings, self.threshold = settings, threshold

    def __call__(
        self, batch: Batch, pool: Executor | None
    ) -> tuple[list[DividedEvent], int]:
        """Return the events of a batch, and the first frame of later batches."""
        voxels = batch.load(self.checkpoint, self.shape, pool)
        found = find_events(voxels, self.shape, self.settings, self.threshold, pool)
        return list(found), batch.following


def attach_voxels(batch: Batch, checkpoint: Any, shape: tuple[int, int, int]) -> Batch:
    """Return a batch with its voxels, for workers that cannot read the checkpoint."""
    voxels = batch.load(checkpoint, shape)
    return Batch(batch.numbers, [], batch.following, batch.groups, voxels)


def find_events(
    groups: Sequence[Voxels],
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
    threshold: float,
    pool: Executor | None,
) -> Iterator[DividedEvent]:
    """Yield the events of independent groups of candidate voxels, the highest first.

    Threads share the groups; if there is only one group, they share its events.
    """
    divide = partial(_divide_group, shape=shape, settings=settings, threshold=threshold)
    if pool is None or len(groups) < 2:
        found = [divide(group, pool=pool) for group in groups]
    else:
        found = list(pool.map(divide, groups))
    yield from sorted(chain.from_iterable(found), key=lambda event: event.rank)


def _divide_group(
    voxels: Voxels,
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
    threshold: float,
    pool: Executor | None = None,
) -> list[DividedEvent]:
    """Return the events among the candidate voxels of one group."""
    hills = find_hills(
        voxels.at, voxels.value, voxels.noise, shape, settings.prominence, settings.foot
    )
    hills = _remove_hot_pixels(hills, voxels, settings)
    part_of, event_of = join_by_arrival(
        hills, voxels.at, voxels.value, voxels.noise, shape, _make_join_rule(settings)
    )
    event = event_of[hills.hill]
    order, first = order_by_group(event, len(event_of))
    height = np.zeros(len(event_of), np.float32)
    there = np.flatnonzero(np.diff(first))
    height[there] = np.maximum.reduceat(
        (voxels.value / voxels.noise)[order], first[:-1][there]
    )
    numbers = 1 + np.flatnonzero(height[1:] >= threshold)
    if not len(numbers):
        return []
    touching = event[hills.links]
    extents = _find_extents(
        voxels,
        hills,
        (order, first),
        numbers,
        (height, touching),
        shape,
        settings,
        pool,
    )
    large = np.diff(extents.first) >= settings.min_size
    of = {int(n): extents.of(i) for i, n in enumerate(numbers) if large[i]}
    peaks = {int(n): float(extents.peak[i]) for i, n in enumerate(numbers) if large[i]}
    layered = _share_voxels(voxels, event, of, peaks, touching, shape, settings, pool)
    parts = _list_parts(voxels, hills, part_of, event_of, threshold)
    summit = hills.summit[np.array(list(of), np.int64) - 1]
    ranks = (-voxels.value[summit]).tolist(), voxels.at[summit].tolist()
    return [
        DividedEvent(layered[n], float(height[n]), peaks[n], parts[n], rank)
        for n, *rank in zip(of, *ranks, strict=True)
    ]


def _make_join_rule(settings: CalibratedSettings) -> JoinRule:
    return JoinRule(
        (settings.dip, settings.dip_in_time),
        (settings.border_doubt, settings.pass_doubt),
    )


def _remove_hot_pixels(
    hills: Hills, voxels: Voxels, settings: CalibratedSettings
) -> Hills:
    """Return the hills without those that a single bright pixel causes."""
    gain = gaussian_square(settings.smooth_sigma, settings.reach) ** 1.5
    hot = single_pixel_hills(
        hills.summit,
        hills.neighbours,
        voxels.value,
        voxels.single,
        voxels.noise / np.float32(gain),
    )
    gone = np.concatenate([[False], hot])
    hill = np.where(gone[hills.hill], 0, hills.hill)
    left = ~gone[hills.basin[hills.links]].any(axis=1)
    return replace(
        hills, hill=hill, links=hills.links[left], in_time=hills.in_time[left]
    )


def _find_extents(
    voxels: Voxels,
    hills: Hills,
    members: tuple[NDArray[np.int64], NDArray[np.int64]],
    numbers: NDArray[np.int64],
    known: tuple[NDArray[np.float32], NDArray[np.int32]],
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
    pool: Executor | None,
) -> Extents:
    """Return the extents of the events ``numbers``, in this order.

    ``members``: voxels ordered by event, and the first of each event; ``known``: height
    of each event, and pairs of events that touch.
    """
    order, first = members
    height, touching = known
    # for events that touch another event, use the smoothed signal without sharpening:
    # shared voxels are estimated from it
    sharpness = sharpness_of(height[numbers])
    both = np.isin(touching, numbers).all(axis=1)
    meet = np.zeros(len(height), bool)
    meet[touching[both].ravel()] = True
    sharpness[meet[numbers]] = 0
    length = first[numbers + 1] - first[numbers]
    begins = np.concatenate([[0], np.cumsum(length)])
    own = np.repeat(first[numbers] - begins[:-1], length) + np.arange(begins[-1])
    mine = order[own], begins
    found = event_extents(
        voxels.at,
        (voxels.value, laplacian_of(hills.neighbours, voxels.value)),
        mine,
        sharpness,
        settings.extent,
        shape,
        pool,
    )
    gain = gaussian_square(settings.smooth_sigma, settings.reach) ** 1.5
    return fine_extents(
        voxels.at,
        (voxels.single, voxels.noise / np.float32(gain)),
        mine,
        found,
        ~meet[numbers],
        _OF_UNSMOOTHED * settings.extent,
        shape,
        pool,
    )


def _list_parts(
    voxels: Voxels,
    hills: Hills,
    part_of: NDArray[np.int32],
    event_of: NDArray[np.int32],
    threshold: float,
) -> dict[int, NDArray[np.float64]]:
    """Return event -> its parts above the threshold, see `DividedEvent`."""
    size = np.bincount(part_of[hills.hill], minlength=len(part_of))
    z = voxels.value[hills.summit] / voxels.noise[hills.summit]
    # the number of a part is that of its highest hill; of an event, its highest part
    names = 1 + np.flatnonzero(part_of[1:] == np.arange(1, len(part_of)))
    names = names[(z[names - 1] >= threshold) | (event_of[names] == names)]
    order = np.lexsort((names, event_of[names]))
    names = names[order]
    rows = np.stack(
        [voxels.at[hills.summit[names - 1]], z[names - 1], size[names]], axis=1
    ).astype(np.float64)
    owner = event_of[names]
    cuts = np.flatnonzero(np.diff(owner)) + 1
    begins = np.concatenate([[0], cuts]) if len(owner) else np.empty(0, np.int64)
    pieces = np.split(rows, cuts)
    return {int(owner[b]): piece for b, piece in zip(begins, pieces, strict=True)}


def _share_voxels(
    voxels: Voxels,
    event: NDArray[np.int32],
    extents: dict[int, NDArray[np.int64]],
    peaks: dict[int, float],
    touching: NDArray[np.int32],
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
    pool: Executor | None,
) -> dict[int, LayeredEvent]:
    """Return event -> all its voxels, including those that a stronger event hides."""
    levels = {number: settings.extent * peak for number, peak in peaks.items()}
    shared = (
        shared_voxels(
            voxels.at,
            voxels.value,
            voxels.noise,
            event,
            extents,
            levels,
            touching,
            shape,
            pool,
        )
        if settings.overlap
        else {}
    )

    def strengths(of: dict[int, NDArray[np.int64]]) -> dict[int, NDArray[np.float64]]:
        if not of:
            return {}
        at = np.concatenate(list(of.values()))
        length = [len(extent) for extent in of.values()]
        number = np.repeat(np.array(list(of)), length)
        place = np.minimum(np.searchsorted(voxels.at, at), len(voxels.at) - 1)
        own = (voxels.at[place] == at) & (event[place] == number)
        value = np.where(own, voxels.value[place], np.nan).astype(np.float64)
        return dict(zip(of, np.split(value, np.cumsum(length)[:-1]), strict=True))

    cores = {number: _CORE * peak for number, peak in peaks.items()}
    kept = give_back(
        extents, strengths(extents), shared, levels, cores, settings.min_size, shape
    )
    return layer_events(kept, strengths(kept), shared, cores)
