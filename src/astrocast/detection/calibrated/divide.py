"""Divide candidate voxels into events: call the kernels on batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.batches import Batch, Voxels
from astrocast.kernels.calibrated.arrival import join_by_arrival
from astrocast.kernels.calibrated.extent import (
    Extents,
    event_extents,
    laplacian_of,
    sharpness_of,
)
from astrocast.kernels.calibrated.fine_extent import fine_extents
from astrocast.kernels.calibrated.hot_pixels import single_pixel_hills
from astrocast.kernels.calibrated.join_rule import JoinRule
from astrocast.kernels.calibrated.noise_moments import gaussian_square
from astrocast.kernels.calibrated.overlap import (
    LayeredEvent,
    give_back,
    layer_events,
    shared_voxels,
)
from astrocast.kernels.segmentation.ordering import order_by_group
from astrocast.kernels.segmentation.watershed import Hills, find_hills
from astrocast.settings.calibrated import CalibratedSettings

#: a voxel above this fraction of the peak always belongs to the event of its basin, so
#: that every event is visible in the map
_CORE = 0.75
#: extent as a fraction of the unsmoothed peak / as a fraction of the smoothed peak:
#: smoothing lowers the peak
_OF_UNSMOOTHED = 0.83


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
    signal = strengths(extents)
    kept = give_back(extents, signal, shared, levels, cores, settings.min_size, shape)
    signal |= strengths({n: v for n, v in kept.items() if v is not extents[n]})
    return layer_events(kept, signal, shared, cores)
