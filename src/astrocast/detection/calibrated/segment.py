"""Detection in units of the recording's own noise: the glue between blocks of frames
and the kernels.

A recording is taken in stretches of some hundred frames. The first reading of a stretch
gives its noise and its background, the second the signal above it in blocks, of which
only the voxels that could belong to an event are kept, as runs with their signal. What
hangs together over all blocks is then divided into events.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.bad_frames import mended
from astrocast.detection.calibrated.stretch import (
    BLOCK_VOXELS,
    Stretch,
    blocks_of,
    signal_of,
    stretches,
)
from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.events.layers import (
    Part,
    number_events,
    parts_by_block,
    write_layers,
)
from astrocast.detection.events.segmentation import ACTIVE, Segmentation, join_blocks
from astrocast.errors import AstrocastWarning, stack_level
from astrocast.events.schema import Column
from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.candidates import heights_on_runs, stand_out
from astrocast.kernels.calibrated.extent import (
    event_extent,
    laplacian,
    peak_height,
    sharpened,
)
from astrocast.kernels.calibrated.overlap import (
    Layered,
    give_back,
    layer_events,
    shared_voxels,
)
from astrocast.kernels.calibrated.significance import confidence, height_for
from astrocast.kernels.masks.runs import find_runs, list_voxels, paint_runs
from astrocast.kernels.segmentation.labelling import label_runs
from astrocast.kernels.segmentation.merge_hills import join_hills
from astrocast.kernels.segmentation.watershed import find_hills
from astrocast.runtime.blocks import Block, read_blocks
from astrocast.settings.calibrated import CalibratedSettings

#: candidate voxels that are divided into events together
_BATCH_VOXELS = 4 << 20
_BLOCK_VOXELS = BLOCK_VOXELS
_EVENTS = "calibrated"
#: share of its peak from which a voxel is its basin's, whatever reaches it, so that
#: every event is seen in the map
_CORE = 0.75
#: slow fluctuations over the noise between frames from which the input is said to be
#: unfit
_MOST_ALIKE = 2.0
CONFIDENCE = Column(
    "confidence",
    "float64",
    "",
    "Probability that noise alone reaches the event's peak nowhere in the recording.",
    "detector",
)


def segment_calibrated(
    recording: Recording,
    settings: CalibratedSettings,
    checkpoint: Checkpoint,
    pool: Executor | None,
    advance: Callable[[int], None],
    border: tuple[int, int, int, int] = (0, 0, 0, 0),
    bad_frames: NDArray[np.bool_] | None = None,
) -> Segmentation:
    """Return the events of a recording with their confidence, going on with the blocks
    that are done.

    Parameters
    ----------
    recording
        Raw recording, or dF.
    settings, checkpoint, pool
        Of the run.
    advance
        Called with the number of frames after each block.
    border
        Pixels at the top, bottom, left and right in which there are no events.
    bad_frames
        Frames that hold no picture, (frames,): what happens in a few of them is taken
        from their neighbours.
    """
    recording, unknown = mended(recording, bad_frames)
    voxels = float(np.prod(recording.shape))
    threshold = height_for(
        settings.false_events * voxels / 20e6, voxels, settings.sigma
    )
    blocks: list[Block] = []
    alike = 0.0
    for start, stop in stretches(recording.shape[0], settings.stretch):
        own = blocks_of(recording, start, stop, settings.reach, _BLOCK_VOXELS)
        found = _find_candidates(
            recording,
            (start, stop),
            list(enumerate(own, len(blocks))),
            settings,
            checkpoint,
            pool,
            advance,
            border,
            unknown,
        )
        alike = max(alike, found)
        blocks += own
    if alike > _MOST_ALIKE:
        warnings.warn(
            f"what fluctuates slowly is {alike:.1f} times what steps between frames"
            " tell of the noise (1 where noise differs from frame to frame): the"
            " recording was denoised or smoothed before, has blank frames that motion"
            " correction has not flagged, or everything in it moves. What a denoiser"
            " leaves of events elsewhere is then far above the noise and comes out as"
            " events of its own; detect in the raw recording and take the traces from"
            " this one (signal_loc)",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
    candidates = join_blocks(
        checkpoint, recording.shape, [Block(b.start, b.stop, 0, 0) for b in blocks]
    )
    return _divide(candidates, settings, threshold)


def calibrated_labels(
    recording: Recording,
    settings: CalibratedSettings | None = None,
    pool: Executor | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the events of a recording that fits into memory, without writing an event
    store.

    Parameters
    ----------
    recording
        Raw recording, or dF.
    settings
        Parameters; the defaults where None.
    pool
        Threads to share the work with.

    Returns
    -------
    labels : numpy.ndarray
        Number of the event of each voxel, of several the strongest, 0 where there is
        none, int32 (frame, row, column).
    confidence : numpy.ndarray
        Of each event, (events,).
    """
    with tempfile.TemporaryDirectory(prefix="astrocast-") as folder:
        checkpoint = Checkpoint(Path(folder) / "events.roi", {})
        found = segment_calibrated(
            recording,
            settings or CalibratedSettings(),
            checkpoint,
            pool,
            lambda n: None,
        )
        volumes = [
            paint_runs(*found.load(index), pool) for index in range(len(found.blocks))
        ]
    return np.concatenate(volumes), found.measures["confidence"]


def calibrated_events(
    recording: Recording,
    settings: CalibratedSettings | None = None,
    pool: Executor | None = None,
) -> list[NDArray[np.int64]]:
    """Return the voxels of each event as flat indices of the recording; those of
    different events may overlap.

    Takes what `calibrated_labels` takes, which shows a voxel that several events share
    as the strongest's.
    """
    with tempfile.TemporaryDirectory(prefix="astrocast-") as folder:
        checkpoint = Checkpoint(Path(folder) / "events.roi", {})
        found = segment_calibrated(
            recording,
            settings or CalibratedSettings(),
            checkpoint,
            pool,
            lambda n: None,
        )
        layers = [found.load_events(index) for index in range(len(found.blocks))]
    size = recording.shape[1] * recording.shape[2]
    at = np.concatenate(
        [
            list_voxels(runs) + block.start * size
            for (runs, _), block in zip(layers, found.blocks, strict=True)
        ]
    )
    label = np.concatenate(
        [np.repeat(labels, runs.stop - runs.start) for runs, labels in layers]
    )
    order = np.argsort(label, kind="stable")
    cuts = np.searchsorted(label[order], np.arange(2, len(found.boxes.area) + 1))
    return np.split(at[order], cuts) if len(found.boxes.area) else []


def _find_candidates(
    recording: Recording,
    span: tuple[int, int],
    blocks: list[tuple[int, Block]],
    settings: CalibratedSettings,
    checkpoint: Checkpoint,
    pool: Executor | None,
    advance: Callable[[int], None],
    border: tuple[int, int, int, int],
    unknown: NDArray[np.bool_] | None,
) -> float:
    """Keep the candidate voxels of each block of a stretch; return by how much slow
    fluctuations exceed its noise.
    """
    todo = [
        (index, block) for index, block in blocks if not checkpoint.has(ACTIVE, index)
    ]
    advance(
        sum(block.stop - block.start for _, block in blocks)
        - sum(b.stop - b.start for _, b in todo)
    )
    if not todo:
        return 0.0
    stretch = Stretch.read(recording, *span, settings, pool)
    worth = stretch.classes, stretch.tables, stretch.measured.shift
    for (index, block), (_, frames) in zip(
        todo, read_blocks(recording, [b for _, b in todo]), strict=True
    ):
        _, smooth, invalid = signal_of(frames, block, stretch, settings, pool)
        noise, which = stretch.deviation(block, recording.shape[0], settings)
        mask = stand_out(smooth, noise, which, settings.candidate, border, pool)
        if invalid is not None:
            mask &= ~invalid[block.inner]
        if unknown is not None:
            mask[unknown[block.start : block.stop]] = False
        runs = find_runs(mask, pool)
        labels, n = label_runs(runs)
        value, spread = heights_on_runs(runs, smooth, noise, which, worth, pool)
        checkpoint.save(
            ACTIVE,
            index,
            start=runs.start,
            stop=runs.stop,
            first=runs.first,
            labels=labels,
            n=np.array(n),
            invalid=np.array(0 if invalid is None else invalid[block.inner].sum()),
            value=value,
            noise=spread,
        )
        advance(block.stop - block.start)
    return stretch.excess


@dataclass(frozen=True)
class _Voxels:
    """Candidate voxels: flat index in the recording, signal, noise."""

    at: NDArray[np.int64]
    value: NDArray[np.float32]
    noise: NDArray[np.float32]


def _divide(
    candidates: Segmentation, settings: CalibratedSettings, threshold: float
) -> Segmentation:
    """Return the events among connected candidates; blocks are written as soon as
    nothing more can come to them.
    """
    shape, n_voxels = candidates.shape, float(np.prod(candidates.shape))
    open_at: dict[int, list[Part]] = {}
    heights: list[float] = []
    written = 0

    def write(index: int) -> None:
        block = candidates.blocks[index]
        size = (block.stop - block.start, *shape[1:])
        write_layers(
            candidates.checkpoint, _EVENTS, index, size, open_at.pop(index, [])
        )

    for batch, following in _batches(candidates, threshold):
        for event, height in _events(batch, shape, settings, threshold):
            heights.append(height)
            for index, part in parts_by_block(event, candidates.blocks, shape):
                open_at.setdefault(index, []).append((part, len(heights)))
        while (
            written < len(candidates.blocks)
            and candidates.blocks[written].stop <= following
        ):
            write(written)
            written += 1
    for index in range(written, len(candidates.blocks)):
        write(index)
    sure = confidence(np.array(heights), n_voxels, settings.sigma)
    return number_events(candidates, _EVENTS, len(heights), {CONFIDENCE.name: sure})[0]


def _batches(
    candidates: Segmentation, threshold: float
) -> Iterator[tuple[_Voxels, int]]:
    """Yield the voxels of connected candidates that reach the threshold, and the first
    frame that is still to come.
    """
    boxes, n = candidates.boxes, len(candidates.boxes.area)
    highest = np.zeros(n + 1, np.float32)
    for index in range(len(candidates.blocks)):
        runs, labels = candidates.load(index)
        stored = candidates.checkpoint.load(ACTIVE, index)
        if len(runs):
            length = (runs.stop - runs.start).astype(np.int64)
            first = np.cumsum(length) - length
            np.maximum.at(
                highest,
                labels,
                np.maximum.reduceat(stored["value"] / stored["noise"], first),
            )
    kept = 1 + np.flatnonzero(highest[1:] >= threshold)
    kept = kept[np.argsort(boxes.low[kept - 1, 0], kind="stable")]
    sizes = np.cumsum(boxes.area[kept - 1]) // _BATCH_VOXELS
    starts = boxes.low[kept - 1, 0]
    cuts = [0, *(np.flatnonzero(np.diff(sizes)) + 1), len(kept)]
    for a, b in pairwise(cuts):
        if b > a:
            yield (
                _gather(candidates, kept[a:b]),
                (int(starts[b]) if b < len(kept) else candidates.shape[0]),
            )


def _gather(candidates: Segmentation, group: NDArray[np.int64]) -> _Voxels:
    boxes = candidates.boxes
    z0, z1 = boxes.low[group - 1, 0].min(), boxes.high[group - 1, 0].max()
    wanted = np.zeros(len(boxes.area) + 1, bool)
    wanted[group] = True
    rows, columns = candidates.shape[1:]
    parts = []
    for index, block in enumerate(candidates.blocks):
        if block.start >= z1 or block.stop <= z0:
            continue
        runs, labels = candidates.load(index)
        stored = candidates.checkpoint.load(ACTIVE, index)
        length = (runs.stop - runs.start).astype(np.int64)
        first = (
            (runs.frame() + block.start) * rows + runs.row()
        ) * columns + runs.start
        own = np.repeat(wanted[labels], length)
        at = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(
            len(own)
        )
        parts.append((at[own], stored["value"][own], stored["noise"][own]))
    return _Voxels(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _events(
    voxels: _Voxels,
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
    threshold: float,
) -> Iterator[tuple[Layered, float]]:
    """Yield the voxels (flat indices) and the height, in standard deviations, of each
    event.
    """
    hills = find_hills(
        voxels.at, voxels.value, voxels.noise, shape, settings.prominence, settings.foot
    )
    event = join_hills(
        hills,
        voxels.value,
        voxels.noise,
        (settings.dip, settings.dip_in_time),
        (settings.border_doubt, settings.pass_doubt),
    )[hills.hill]
    order = np.argsort(event, kind="stable")
    found, first = np.unique(event[order], return_index=True)
    own_of = dict(zip(found.tolist(), np.split(order, first[1:]), strict=True))
    heights = {
        number: float((voxels.value[own] / voxels.noise[own]).max())
        for number, own in own_of.items()
    }
    events = [
        number
        for number, height in heights.items()
        if number > 0 and height >= threshold
    ]
    touching = event[hills.links]
    meet = set(touching[np.isin(touching, events).all(axis=1)].ravel().tolist())
    bent = laplacian(voxels.at, voxels.value, shape)
    peaks: dict[int, float] = {}
    extents: dict[int, NDArray[np.int64]] = {}
    for number in events:
        own = own_of[number]
        signal, share = voxels.value[own], settings.extent
        # what events share is told from the smoothed signal as it is
        if number not in meet:
            signal, share = sharpened(signal, bent[own], heights[number], share)
        extent = event_extent(
            np.stack(np.unravel_index(voxels.at[own], shape), axis=1), signal, share
        )
        if len(extent) >= settings.min_size:
            peaks[number] = peak_height(voxels.value[own])
            extents[number] = np.ravel_multi_index(tuple(extent.T), shape)
    layered = _share(voxels, event, extents, peaks, touching, shape, settings)
    yield from ((layered[number], heights[number]) for number in extents)


def _share(
    voxels: _Voxels,
    event: NDArray[np.int32],
    extents: dict[int, NDArray[np.int64]],
    peaks: dict[int, float],
    touching: NDArray[np.int32],
    shape: tuple[int, int, int],
    settings: CalibratedSettings,
) -> dict[int, Layered]:
    """Return all voxels of each event, those below a neighbour included."""
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
        )
        if settings.overlap
        else {}
    )

    def strengths(of: dict[int, NDArray[np.int64]]) -> dict[int, NDArray[np.float64]]:
        out: dict[int, NDArray[np.float64]] = {}
        for number, extent in of.items():
            place = np.minimum(np.searchsorted(voxels.at, extent), len(voxels.at) - 1)
            own = (voxels.at[place] == extent) & (event[place] == number)
            out[number] = np.where(own, voxels.value[place], np.nan)
        return out

    cores = {number: _CORE * peak for number, peak in peaks.items()}
    kept = give_back(
        extents, strengths(extents), shared, levels, cores, settings.min_size, shape
    )
    return layer_events(kept, strengths(kept), shared, cores)
