"""Candidate voxels: voxels of the smoothed signal above the noise.

Each stretch is read twice: once for its noise and background, once for the signal above
it, in blocks. What stands out of the noise of each block is kept on disk together with
what lies below the background. When a stretch is done, its extrinsic fluctuations are
known, and what does not stand out of these is left out again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.stretch import (
    BLOCK_VOXELS,
    ReusedArrays,
    Stretch,
    blocks_of,
    signal_of,
    stretches,
)
from astrocast.detection.checkpoint import CarriedBlocks, Checkpoint
from astrocast.detection.events.segmentation import ACTIVE, Segmentation, join_blocks
from astrocast.io.recording import ALL, Recording
from astrocast.kernels.calibrated.candidates import (
    NoiseOfPixels,
    noise_on_runs,
    regions_to_keep,
    stand_out,
    values_on_runs,
)
from astrocast.kernels.calibrated.extrinsic import add_low_squares, extrinsic_ratio
from astrocast.kernels.masks.runs import Runs, find_runs, select_in_runs
from astrocast.kernels.segmentation.labelling import label_runs
from astrocast.runtime.blocks import Block, describe_block, read_blocks
from astrocast.runtime.cluster import map_tasks
from astrocast.runtime.memory import scale_to_memory
from astrocast.settings.calibrated import CalibratedSettings

_BLOCK_VOXELS = BLOCK_VOXELS


@dataclass(frozen=True)
class CandidateSearch:
    """What a search for candidates works with.

    Parameters
    ----------
    settings, checkpoint, pool
        Of the run.
    advance
        Called with the number of frames after each block.
    border
        Pixels at the top, bottom, left and right in which there are no events.
    unknown
        Frames in which nothing is detected, bool, (frame,), or None.
    field_active
        Frames in which the whole field is active, bool, (frame,): what the common
        course leaves there is not noise.
    threshold
        Height that an event reaches, in standard deviations of the noise.
    step
        Name of the step under which the candidates of a block are stored.
    own
        Rows and columns whose invalid voxels are counted.
    whole
        Whether whole frames are searched; of a tile all regions are stored, as they may
        go on in the tiles around it.
    """

    settings: CalibratedSettings
    checkpoint: Checkpoint | CarriedBlocks
    pool: Executor | None
    advance: Callable[[int], None]
    border: tuple[int, int, int, int]
    unknown: NDArray[np.bool_] | None
    field_active: NDArray[np.bool_]
    threshold: float = 0.0
    step: str = ACTIVE
    own: tuple[slice, slice] = (ALL, ALL)
    whole: bool = True

    @property
    def looked(self) -> str:
        """Name of the step in which what stands out of the noise alone is kept."""
        return "looked" if self.whole else f"looked-{self.step}"


def find_candidates(
    recording: Recording, search: CandidateSearch
) -> tuple[Segmentation, float]:
    """Return connected candidate voxels, and the excess of slow fluctuations."""
    blocks: list[Block] = []
    excess = 0.0
    settings = search.settings
    items = []
    checkpoint = search.checkpoint
    assert isinstance(checkpoint, Checkpoint)
    # an interrupted detection goes on with its own blocks, whatever the limit is now
    most = checkpoint.block_voxels(lambda: scale_to_memory(_BLOCK_VOXELS))
    for start, stop in stretches(recording.shape[0], settings.stretch):
        own = blocks_of(recording, start, stop, settings.reach + 1, most)
        items.append(((start, stop), list(enumerate(own, len(blocks)))))
        blocks += own
    found = map_tasks(
        SearchStretch(recording, search),
        items,
        search.pool,
        recordings=(recording,),
        describe=lambda item: describe_block(recording, item[1][0][1]),
    )
    for (span, _), (slow, carried) in zip(items, found, strict=True):
        excess = max(excess, slow)
        if isinstance(carried, CarriedBlocks):
            checkpoint.take(carried)
        if carried is not None:  # computed by a worker, which shows no progress
            search.advance(span[1] - span[0])
    plain = [Block(b.start, b.stop, 0, 0) for b in blocks]
    return join_blocks(checkpoint, recording.shape, plain), excess


@dataclass(frozen=True)
class Heights:
    """Signal and noise of voxels on runs, run after run, float32 (voxel,).

    Parameters
    ----------
    value, single
        The smoothed signal, and that of the voxel alone.
    noise
        Noise of the smoothed signal.
    """

    value: NDArray[np.float32]
    single: NDArray[np.float32]
    noise: NDArray[np.float32]

    def of_runs(self, runs: Runs, chosen: NDArray[np.bool_]) -> Heights:
        """Return what belongs to chosen runs, bool (run,)."""
        voxels = np.repeat(chosen, runs.stop - runs.start)
        return self.take(voxels)

    def take(self, voxels: NDArray[Any] | slice) -> Heights:
        """Return what belongs to voxels, by index, mask or slice."""
        return Heights(self.value[voxels], self.single[voxels], self.noise[voxels])

    def regions_to_keep(
        self, runs: Runs, labels: NDArray[np.int32], count: int, threshold: float
    ) -> NDArray[np.bool_]:
        """Return which regions may be part of an event, see the kernel."""
        return regions_to_keep(runs, labels, count, self.value / self.noise, threshold)


class SearchStretch:
    """Search one stretch: what `map_tasks` calls.

    A stretch is the task of a cluster, as its noise is measured in all of its frames;
    it is read in blocks, so that a worker holds a few of them.
    """

    def __init__(self, recording: Recording, search: CandidateSearch) -> None:
        self.recording, self.search = recording, search
        self.away = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs: it has threads, and shows no progress."""
        search = replace(
            self.search,
            checkpoint=self.search.checkpoint.for_workers(),
            pool=None,
            advance=_say_nothing,
        )
        return {"recording": self.recording, "search": search, "away": True}

    def __call__(
        self, item: tuple[tuple[int, int], list[tuple[int, Block]]], pool: Any
    ) -> tuple[float, CarriedBlocks | bool | None]:
        """Return the noise excess of a stretch, and its blocks if they travel back.

        True instead of blocks where a worker stored them; None where it was done here.
        """
        span, blocks = item
        search = replace(self.search, pool=pool)
        if isinstance(search.checkpoint, CarriedBlocks):  # each task its own
            search = replace(search, checkpoint=CarriedBlocks())
        excess = search_stretch(self.recording, span, blocks, search)
        if self.away:
            self.recording.release()
        if isinstance(search.checkpoint, CarriedBlocks):
            return excess, search.checkpoint
        return excess, self.away or None


def _say_nothing(frames: int) -> None:
    """Take note of progress nowhere."""


def search_stretch(
    recording: Recording,
    span: tuple[int, int],
    blocks: list[tuple[int, Block]],
    search: CandidateSearch,
) -> float:
    """Keep the candidates of each block of a stretch; return its noise excess."""
    done = search.checkpoint.has
    if all(done(search.step, index) for index, _ in blocks):
        search.advance(span[1] - span[0])
        return 0.0
    stretch = Stretch.read(
        recording, *span, search.settings, search.pool, search.field_active
    )
    todo = [(i, b) for i, b in blocks if not done(search.looked, i)]
    search.advance(span[1] - span[0] - sum(b.stop - b.start for _, b in todo))
    reader = read_blocks(recording, [b for _, b in todo])
    arrays = ReusedArrays()
    for (index, block), (_, frames) in zip(todo, reader, strict=True):
        _look(index, block, frames, stretch, search, arrays)
        search.advance(block.stop - block.start)
    sums = sum(
        search.checkpoint.load(search.looked, index, "low")["low"]
        for index, _ in blocks
    )
    n = int((~search.field_active[span[0] : span[1]]).sum())
    independent = n / (2 * np.sqrt(np.pi) * search.settings.smooth_sigma)
    ratio = extrinsic_ratio(np.asarray(sums), n, independent)
    # a block in each thread: little of this is in kernels that threads could share
    alone = replace(search, pool=None)

    def keep(item: tuple[int, Block]) -> None:
        _keep(*item, stretch, ratio, recording.shape[0], alone)

    in_turn = map if search.pool is None else search.pool.map
    list(in_turn(keep, blocks))
    return stretch.excess


def _look(
    index: int,
    block: Block,
    frames: NDArray[np.generic],
    stretch: Stretch,
    search: CandidateSearch,
    arrays: ReusedArrays,
) -> None:
    """Keep what stands out of the noise in a block, and sums of what is below zero."""
    settings, pool = search.settings, search.pool
    above, smooth, invalid = signal_of(frames, block, stretch, settings, pool, arrays)
    noise, which = stretch.deviation(block, settings)
    low = np.zeros(smooth.shape[1:], np.int64)
    counted = ~search.field_active[block.start : block.stop]
    below = smooth if counted.all() else smooth[counted]
    add_low_squares(below, noise, which[counted], stretch.measured.shift, low, pool)
    mask = stand_out(smooth, noise, which, settings.candidate, search.border, pool)
    if invalid is not None:
        mask &= ~invalid[block.inner]
    if search.unknown is not None:
        mask[search.unknown[block.start : block.stop]] = False
    runs = find_runs(mask, pool)
    search.checkpoint.save(
        search.looked,
        index,
        start=runs.start,
        stop=runs.stop,
        first=runs.first,
        invalid=np.array(
            0 if invalid is None else invalid[(block.inner, *search.own)].sum()
        ),
        value=values_on_runs(runs, smooth, pool),
        single=values_on_runs(runs, above[block.inner], pool),
        low=low,
    )


def _keep(
    index: int,
    block: Block,
    stretch: Stretch,
    ratio: NDArray[np.float32],
    n_frames: int,
    search: CandidateSearch,
) -> None:
    """Keep the candidates of a block that also stand out of extrinsic fluctuations."""
    stored = search.checkpoint.load(search.looked, index)
    shape = (block.stop - block.start, *ratio.shape)
    runs = Runs(stored["start"], stored["stop"], stored["first"], shape)
    deviation, which = stretch.deviation(block, search.settings)
    noise = NoiseOfPixels(
        deviation,
        which,
        ratio,
        stretch.classes,
        stretch.tables,
        stretch.measured.shift,
    )
    value = stored["value"]
    plain, normal = noise_on_runs(runs, value, noise, search.pool)
    high = value > np.float32(search.settings.candidate) * plain
    if not high.all():
        runs = select_in_runs(runs, high, search.pool)
    heights = Heights(value[high], stored["single"][high], normal[high])
    if not search.whole:
        search.checkpoint.save(
            search.step,
            index,
            start=runs.start,
            stop=runs.stop,
            first=runs.first,
            invalid=stored["invalid"],
            **vars(heights),
        )
        return
    labels, n = label_runs(runs)
    kept = heights.regions_to_keep(runs, labels, n, search.threshold)
    own = kept[labels]
    search.checkpoint.save(
        ACTIVE,
        index,
        start=runs.start[own],
        stop=runs.stop[own],
        first=np.concatenate([[0], np.cumsum(own)])[runs.first],
        labels=np.cumsum(kept)[labels[own]].astype(np.int32),
        n=np.array(kept.sum()),
        invalid=stored["invalid"],
        **vars(heights.of_runs(runs, own)),
    )
