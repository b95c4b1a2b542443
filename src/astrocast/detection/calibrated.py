"""Detection in units of the recording's own noise: the glue between blocks of frames and the kernels.

A recording is taken in stretches of some hundred frames. The first reading of a stretch gives its noise and its
background, the second the signal above it in blocks, of which only the voxels that could belong to an event are kept,
as runs with their signal. What hangs together over all blocks is then divided into events.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.segmentation import ACTIVE, Segmentation, join_blocks
from astrocast.detection.stretch import BLOCK_VOXELS, Stretch, blocks_of, signal_of, stretches
from astrocast.errors import AstrocastWarning
from astrocast.events.schema import Column
from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.basins import find_hills
from astrocast.kernels.calibrated.candidates import heights_on_runs, stand_out
from astrocast.kernels.calibrated.extent import event_extent
from astrocast.kernels.calibrated.joining import join_hills
from astrocast.kernels.calibrated.significance import confidence, height_for
from astrocast.kernels.features import Boxes
from astrocast.kernels.labelling import label_runs
from astrocast.kernels.runs import find_runs, label_runs_of_volume, paint_runs
from astrocast.runtime.blocks import Block, read_blocks
from astrocast.settings.calibrated import CalibratedSettings

#: candidate voxels that are divided into events together
_BATCH_VOXELS = 4 << 20
_BLOCK_VOXELS = BLOCK_VOXELS
_EVENTS = "calibrated"
#: slow fluctuations over the noise between frames from which the input is said to be unfit
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
) -> Segmentation:
    """Return the events of a recording with their confidence, going on with the blocks that are done.

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
    """
    voxels = float(np.prod(recording.shape))
    threshold = height_for(settings.false_events * voxels / 20e6, voxels, settings.sigma)
    blocks: list[Block] = []
    alike = 0.0
    for start, stop in stretches(recording.shape[0], settings.stretch):
        own = blocks_of(recording, start, stop, settings.reach, _BLOCK_VOXELS)
        found = _find_candidates(
            recording, (start, stop), list(enumerate(own, len(blocks))), settings, checkpoint, pool, advance, border
        )
        alike = max(alike, found)
        blocks += own
    if alike > _MOST_ALIKE:
        warnings.warn(
            f"what fluctuates slowly is {alike:.1f} times what steps between frames tell of the noise (1 where noise "
            "differs from frame to frame): the recording was denoised or smoothed before, or everything in it is in "
            "motion. Traces of events that a denoiser leaves elsewhere are then far above the noise and come out as "
            "events of their own; detect in the raw recording and take the traces from this one (signal_loc)",
            AstrocastWarning,
            stacklevel=2,
        )
    candidates = join_blocks(checkpoint, recording.shape, [Block(b.start, b.stop, 0, 0) for b in blocks])
    return _divide(candidates, settings, threshold)


def calibrated_labels(
    recording: Recording, settings: CalibratedSettings | None = None, pool: Executor | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the events of a recording that fits into memory, without writing an event store.

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
        Number of the event of each voxel, 0 where there is none, int32 (frame, row, column).
    confidence : numpy.ndarray
        Of each event, (events,).
    """
    with tempfile.TemporaryDirectory(prefix="astrocast-") as folder:
        checkpoint = Checkpoint(Path(folder) / "events.roi", {})
        found = segment_calibrated(recording, settings or CalibratedSettings(), checkpoint, pool, lambda n: None)
        volumes = [paint_runs(*found.load(index), pool) for index in range(len(found.blocks))]
    return np.concatenate(volumes), found.measures["confidence"]


def _find_candidates(
    recording: Recording,
    span: tuple[int, int],
    blocks: list[tuple[int, Block]],
    settings: CalibratedSettings,
    checkpoint: Checkpoint,
    pool: Executor | None,
    advance: Callable[[int], None],
    border: tuple[int, int, int, int],
) -> float:
    """Keep the candidate voxels of each block of a stretch; return by how much slow fluctuations exceed its noise."""
    todo = [(index, block) for index, block in blocks if not checkpoint.has(ACTIVE, index)]
    advance(sum(block.stop - block.start for _, block in blocks) - sum(b.stop - b.start for _, b in todo))
    if not todo:
        return 0.0
    stretch = Stretch.read(recording, *span, settings, pool)
    worth = stretch.classes, stretch.tables, stretch.measured.shift
    for (index, block), (_, frames) in zip(todo, read_blocks(recording, [b for _, b in todo]), strict=True):
        _, smooth, invalid = signal_of(frames, block, stretch, settings, pool)
        noise, which = stretch.deviation(block, recording.shape[0], settings)
        mask = stand_out(smooth, noise, which, settings.candidate, border, pool)
        if invalid is not None:
            mask &= ~invalid[block.inner]
        runs = find_runs(mask, pool)
        labels, n = label_runs(runs)
        value, spread = heights_on_runs(runs, smooth, noise, which, worth, pool)
        checkpoint.save(
            ACTIVE, index, start=runs.start, stop=runs.stop, first=runs.first, labels=labels, n=np.array(n),
            invalid=np.array(0 if invalid is None else invalid[block.inner].sum()), value=value,
            noise=spread,
        )  # fmt: skip
        advance(block.stop - block.start)
    return stretch.excess


@dataclass(frozen=True)
class _Voxels:
    """Candidate voxels: flat index in the recording, signal, noise."""

    at: NDArray[np.int64]
    value: NDArray[np.float32]
    noise: NDArray[np.float32]


def _divide(candidates: Segmentation, settings: CalibratedSettings, threshold: float) -> Segmentation:
    """Return the events among connected candidates; blocks are written as soon as nothing more can come to them."""
    shape, n_voxels = candidates.shape, float(np.prod(candidates.shape))
    open_at: dict[int, list[tuple[NDArray[np.int64], int]]] = {}
    heights: list[float] = []
    written = 0
    for batch, following in _batches(candidates, threshold):
        for voxels, height in _events(batch, shape, settings, threshold):
            heights.append(height)
            for index, part in _by_block(voxels, candidates):
                open_at.setdefault(index, []).append((part, len(heights)))
        while written < len(candidates.blocks) and candidates.blocks[written].stop <= following:
            _write(candidates, written, open_at.pop(written, []))
            written += 1
    for index in range(written, len(candidates.blocks)):
        _write(candidates, index, open_at.pop(index, []))
    return _number(candidates, confidence(np.array(heights), n_voxels, settings.sigma))


def _batches(candidates: Segmentation, threshold: float) -> Iterator[tuple[_Voxels, int]]:
    """Yield the voxels of connected candidates that reach the threshold, and the first frame that is still to come."""
    boxes, n = candidates.boxes, len(candidates.boxes.area)
    highest = np.zeros(n + 1, np.float32)
    for index in range(len(candidates.blocks)):
        runs, labels = candidates.load(index)
        stored = candidates.checkpoint.load(ACTIVE, index)
        if len(runs):
            length = (runs.stop - runs.start).astype(np.int64)
            first = np.cumsum(length) - length
            np.maximum.at(highest, labels, np.maximum.reduceat(stored["value"] / stored["noise"], first))
    kept = 1 + np.flatnonzero(highest[1:] >= threshold)
    kept = kept[np.argsort(boxes.low[kept - 1, 0], kind="stable")]
    sizes = np.cumsum(boxes.area[kept - 1]) // _BATCH_VOXELS
    starts = boxes.low[kept - 1, 0]
    cuts = [0, *(np.flatnonzero(np.diff(sizes)) + 1), len(kept)]
    for a, b in pairwise(cuts):
        if b > a:
            yield _gather(candidates, kept[a:b]), int(starts[b]) if b < len(kept) else candidates.shape[0]


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
        first = ((runs.frame() + block.start) * rows + runs.row()) * columns + runs.start
        own = np.repeat(wanted[labels], length)
        at = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(len(own))
        parts.append((at[own], stored["value"][own], stored["noise"][own]))
    return _Voxels(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _events(
    voxels: _Voxels, shape: tuple[int, int, int], settings: CalibratedSettings, threshold: float
) -> Iterator[tuple[NDArray[np.int64], float]]:
    """Yield the voxels (flat indices) and the height, in standard deviations, of each event."""
    hills = find_hills(
        voxels.at, voxels.value, voxels.noise, shape, settings.prominence, settings.foot, settings.pass_doubt
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
    for number, own in zip(found, np.split(order, first[1:]), strict=True):
        height = float((voxels.value[own] / voxels.noise[own]).max())
        if number == 0 or height < threshold:
            continue
        t, y, x = np.unravel_index(voxels.at[own], shape)
        extent = event_extent(np.stack([t, y, x], axis=1), voxels.value[own], settings.extent)
        if len(extent) >= settings.min_size:
            yield np.ravel_multi_index(tuple(extent.T), shape), height


def _by_block(voxels: NDArray[np.int64], candidates: Segmentation) -> Iterator[tuple[int, NDArray[np.int64]]]:
    size = candidates.shape[1] * candidates.shape[2]
    edges = np.array([b.start * size for b in candidates.blocks] + [candidates.shape[0] * size])
    cuts = np.searchsorted(voxels, edges)
    for index in np.flatnonzero(np.diff(cuts)):
        yield int(index), voxels[cuts[index] : cuts[index + 1]] - edges[index]


def _write(candidates: Segmentation, index: int, parts: list[tuple[NDArray[np.int64], int]]) -> None:
    block = candidates.blocks[index]
    volume = np.zeros((block.stop - block.start, *candidates.shape[1:]), np.int32)
    flat = volume.reshape(-1)
    for voxels, number in parts:
        # a hole of one event may be another: who has a voxel keeps it
        flat[voxels[flat[voxels] == 0]] = number
    runs, labels = label_runs_of_volume(volume)
    candidates.checkpoint.save(_EVENTS, index, start=runs.start, stop=runs.stop, first=runs.first, labels=labels)


def _number(candidates: Segmentation, sure: NDArray[np.float64]) -> Segmentation:
    """Return the events in the order of their first voxels."""
    n = len(sure)
    first = np.full(n + 1, np.iinfo(np.int64).max)
    identity = np.arange(n + 1, dtype=np.int32)
    found = replace(candidates, step=_EVENTS, final=[identity] * len(candidates.blocks))
    for index, block in enumerate(found.blocks):
        runs, labels = found.load(index)
        at = ((runs.frame() + block.start) * runs.shape[1] + runs.row()) * runs.shape[2] + runs.start
        np.minimum.at(first, labels, at)
    order = np.argsort(first[1:], kind="stable")
    number = np.zeros(n + 1, np.int32)
    number[1 + order] = np.arange(1, n + 1)
    boxes = Boxes.empty(n)
    for index, block in enumerate(found.blocks):
        runs, labels = found.load(index)
        boxes.add(runs, number[labels], block.start)
    return replace(found, final=[number] * len(found.blocks), boxes=boxes, measures={"confidence": sure[order]})
