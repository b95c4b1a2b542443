"""Candidate voxels: voxels of the smoothed signal above the noise.

Each stretch is read twice: first to measure noise and background, then block by block
for the signal above the background. For each block, the voxels above the noise and sums
of the values below the background are stored on disk. From the sums of the whole
stretch follow its extrinsic fluctuations; voxels that do not exceed these are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.decoys import (
    DECOY_STEP,
    find_low_voxels,
    keep_decoys,
    searched_frames,
)
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
    """Parameters of a search for candidates.

    Parameters
    ----------
    settings, checkpoint, pool
        Settings, checkpoint and threads of the run.
    advance
        Called with the number of frames after each block.
    border
        Pixels at (top, bottom, left, right) in which nothing is detected.
    unknown
        bool (frame,): frames in which nothing is detected, or None.
    field_active
        bool (frame,): frames with a whole-field event; they are left out when the noise
        is measured.
    threshold
        Smallest height of an event, in standard deviations of the noise.
    step
        Name of the step under which the candidates of a block are stored.
    own
        Rows and columns whose invalid voxels are counted.
    whole
        Whether whole frames are searched. For a tile, all regions are stored, because
        they may continue in neighbouring tiles.
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
    """Return connected candidates, and slow fluctuations / frame-to-frame noise."""
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
    """Search one stretch for candidates; a task for `map_tasks`.

    A stretch is one task because its noise is measured in all of its frames. It is read
    block by block, so that a worker needs memory for a few blocks only.
    """

    def __init__(self, recording: Recording, search: CandidateSearch) -> None:
        self.recording, self.search = recording, search
        self.on_worker = False

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a worker, which has its own threads and no progress."""
        search = replace(
            self.search,
            checkpoint=self.search.checkpoint.for_workers(),
            pool=None,
            advance=_ignore_progress,
        )
        return {"recording": self.recording, "search": search, "on_worker": True}

    def __call__(
        self, item: tuple[tuple[int, int], list[tuple[int, Block]]], pool: Any
    ) -> tuple[float, CarriedBlocks | bool | None]:
        """Return the noise excess of a stretch, and its blocks.

        The blocks are returned only if the worker cannot store them: True if a worker
        stored them, None if this process did.
        """
        span, blocks = item
        search = replace(self.search, pool=pool)
        if isinstance(search.checkpoint, CarriedBlocks):  # a new one for each task
            search = replace(search, checkpoint=CarriedBlocks())
        excess = search_stretch(self.recording, span, blocks, search)
        if self.on_worker:
            self.recording.release()
        if isinstance(search.checkpoint, CarriedBlocks):
            return excess, search.checkpoint
        return excess, self.on_worker or None


def _ignore_progress(frames: int) -> None:
    """Do nothing: a worker shows no progress."""


def search_stretch(
    recording: Recording,
    span: tuple[int, int],
    blocks: list[tuple[int, Block]],
    search: CandidateSearch,
) -> float:
    """Store the candidates of each block of a stretch; return its noise excess."""
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
        _store_voxels_above_noise(index, block, frames, stretch, search, arrays)
        search.advance(block.stop - block.start)
    sums = sum(
        search.checkpoint.load(search.looked, index, "low")["low"]
        for index, _ in blocks
    )
    n = int((~search.field_active[span[0] : span[1]]).sum())
    independent = n / (2 * np.sqrt(np.pi) * search.settings.smooth_sigma)
    ratio = extrinsic_ratio(np.asarray(sums), n, independent)
    # each thread takes a block: kernels are a small part of the work
    alone = replace(search, pool=None)

    def store(item: tuple[int, Block]) -> None:
        _store_candidates(*item, stretch, ratio, alone)

    in_turn = map if search.pool is None else search.pool.map
    list(in_turn(store, blocks))
    return stretch.excess


def _store_voxels_above_noise(
    index: int,
    block: Block,
    frames: NDArray[np.generic],
    stretch: Stretch,
    search: CandidateSearch,
    arrays: ReusedArrays,
) -> None:
    """Store the voxels of a block above the noise, and sums of values below zero."""
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
    silent = ~counted
    if search.unknown is not None:
        unknown = search.unknown[block.start : block.stop]
        mask[unknown] = False
        silent = silent | unknown
    runs = find_runs(mask, pool)
    inner = above[block.inner]
    low_voxels = {}
    if search.whole:
        low_voxels = find_low_voxels(
            (smooth, inner),
            (noise, which),
            (silent, None if invalid is None else invalid[block.inner]),
            _decoy_frames(block, stretch, settings),
            settings,
            search.border,
            pool,
        )
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
        single=values_on_runs(runs, inner, pool),
        low=low,
        **low_voxels,
    )


def _store_candidates(
    index: int,
    block: Block,
    stretch: Stretch,
    ratio: NDArray[np.float32],
    search: CandidateSearch,
) -> None:
    """Store the candidates of a block that also exceed extrinsic fluctuations.

    ``ratio``: extrinsic fluctuations / noise, float32 (row, column).
    """
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
    _keep_decoys(index, block, stretch, noise, stored, search)
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


def _keep_decoys(
    index: int,
    block: Block,
    stretch: Stretch,
    noise: NoiseOfPixels,
    stored: dict[str, NDArray[Any]],
    search: CandidateSearch,
) -> None:
    """Keep what may be a decoy in a block, before the block counts as finished."""
    part = _decoy_frames(block, stretch, search.settings)
    shape = (part.stop - part.start, *noise.ratio.shape)
    of_inverted = replace(noise, which=noise.which[part], shift=-noise.shift)
    first = block.start + part.start
    decoys = keep_decoys(
        stored, of_inverted, first, shape, search.settings, search.threshold
    )
    search.checkpoint.save(DECOY_STEP, index, **decoys)


def _decoy_frames(
    block: Block, stretch: Stretch, settings: CalibratedSettings
) -> slice:
    """Return the frames of a block in which decoys are looked for."""
    shape = (stretch.n_frames, *stretch.noise.shape)
    first, end = searched_frames((stretch.start, stretch.stop), shape, settings.stretch)
    a, b = (min(max(t, block.start), block.stop) - block.start for t in (first, end))
    return slice(a, max(a, b))
