"""Detection in units of the recording's own noise: the glue between blocks of frames and the kernels.

A recording is taken in stretches of some hundred frames. The first reading of a stretch gives its noise and its
background, the second the signal above it in blocks, of which only the voxels that could belong to an event are kept,
as runs with their signal. What hangs together over all blocks is then divided into events.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.layers import Part, number_events, parts_by_block, write_layers
from astrocast.detection.segmentation import ACTIVE, Segmentation, join_blocks
from astrocast.events.schema import Column
from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.background import Background, estimate_background, step_edges
from astrocast.kernels.calibrated.basins import find_hills
from astrocast.kernels.calibrated.extent import event_extent, peak_height
from astrocast.kernels.calibrated.joining import join_hills
from astrocast.kernels.calibrated.noise_line import fit_noise_line
from astrocast.kernels.calibrated.residual import residual, smoothed_noise, systematic_error, temporal_gain
from astrocast.kernels.calibrated.shake import Texture
from astrocast.kernels.calibrated.sharing import Layered, give_back, layer_events, shared_voxels
from astrocast.kernels.calibrated.significance import as_normal, confidence, height_for, smoothed_skewness
from astrocast.kernels.invalid import fill_invalid
from astrocast.kernels.labelling import label_runs
from astrocast.kernels.moments import StepMoments
from astrocast.kernels.runs import find_runs, list_voxels, paint_runs
from astrocast.kernels.smoothing import gaussian
from astrocast.runtime.blocks import Block, read_blocks
from astrocast.settings.calibrated import CalibratedSettings

#: voxels of a block of the second reading, and candidate voxels that are divided into events together
_BLOCK_VOXELS, _BATCH_VOXELS = 16 << 20, 4 << 20
_EVENTS = "calibrated"
#: share of its peak from which a voxel is its basin's, whatever reaches it, so that every event is seen in the map
_CORE = 0.75
CONFIDENCE = Column(
    "confidence",
    "float64",
    "",
    "Probability that noise alone reaches the event's peak nowhere in the recording.",
    "detector",
)


@dataclass(frozen=True)
class Stretch:
    """What is known of a stretch of the recording before its frames are judged."""

    start: int
    stop: int
    background: Background
    texture: Texture
    noise: NDArray[np.float32]

    @classmethod
    def read(
        cls, recording: Recording, start: int, stop: int, settings: CalibratedSettings, pool: Executor | None
    ) -> Stretch:
        """Read a stretch once and return what its noise and background are."""
        edges = step_edges(stop - start)
        moments = StepMoments(edges, recording.shape[1:])
        for block, frames in read_blocks(recording, _blocks(recording, start, stop)):
            moments.add(fill_invalid(frames)[0], block.start - start, pool)
        line = fit_noise_line(moments.mean, moments.step_variance)
        background = estimate_background(moments.means, edges, line, pool)
        texture = Texture.of(background.mean, background.variance)
        white = smoothed_noise(background.variance, settings.smooth_sigma, settings.reach)
        return cls(start, stop, background, texture, white * background.excess)

    def deviation(self, n_frames: int, settings: CalibratedSettings) -> Callable[[int], NDArray[np.float32]]:
        """Return what gives the standard deviation of the smoothed signal of a frame, (row, column)."""
        gain = temporal_gain(n_frames, settings.smooth_sigma, settings.reach)
        error = systematic_error(self.background, settings.background_error)
        # the level is itself a mean of as many frames, each with its noise
        known = 1 / (self.stop - self.start)

        def of_frame(frame: int) -> NDArray[np.float32]:
            return np.asarray(np.hypot(self.noise * np.sqrt(gain[frame] ** 2 + known), error), np.float32)

        return of_frame


def stretches(n_frames: int, length: int) -> list[tuple[int, int]]:
    """Return first frame and end of the stretches of a recording, about ``length`` frames each.

    Examples
    --------
    >>> stretches(1300, 512)
    [(0, 433), (433, 866), (866, 1300)]
    """
    count = max(1, round(n_frames / length))
    edges = [n_frames * i // count for i in range(count + 1)]
    return list(pairwise(edges))


def _blocks(recording: Recording, start: int, stop: int, halo: int = 0) -> list[Block]:
    n, rows, columns = recording.shape
    count = max(1, -(-(stop - start) * rows * columns // _BLOCK_VOXELS))
    edges = [start + (stop - start) * i // count for i in range(count + 1)]
    return [Block(a, b, min(halo, a), min(halo, n - b)) for a, b in pairwise(edges) if b > a]


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
    for start, stop in stretches(recording.shape[0], settings.stretch):
        own = _blocks(recording, start, stop, settings.reach)
        _find_candidates(
            recording, (start, stop), list(enumerate(own, len(blocks))), settings, checkpoint, pool, advance, border
        )
        blocks += own
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


def calibrated_events(
    recording: Recording, settings: CalibratedSettings | None = None, pool: Executor | None = None
) -> list[NDArray[np.int64]]:
    """Return the voxels of each event as flat indices of the recording; those of different events may overlap.

    Takes what `calibrated_labels` takes, which shows a voxel that several events share as the strongest's.
    """
    with tempfile.TemporaryDirectory(prefix="astrocast-") as folder:
        checkpoint = Checkpoint(Path(folder) / "events.roi", {})
        found = segment_calibrated(recording, settings or CalibratedSettings(), checkpoint, pool, lambda n: None)
        layers = [found.load_events(index) for index in range(len(found.blocks))]
    size = recording.shape[1] * recording.shape[2]
    at = np.concatenate(
        [list_voxels(runs) + block.start * size for (runs, _), block in zip(layers, found.blocks, strict=True)]
    )
    label = np.concatenate([np.repeat(labels, runs.stop - runs.start) for runs, labels in layers])
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
) -> None:
    """Keep the candidate voxels of each block of a stretch."""
    todo = [(index, block) for index, block in blocks if not checkpoint.has(ACTIVE, index)]
    advance(sum(block.stop - block.start for _, block in blocks) - sum(b.stop - b.start for _, b in todo))
    if not todo:
        return
    stretch = Stretch.read(recording, *span, settings, pool)
    deviation = stretch.deviation(recording.shape[0], settings)
    skewness = smoothed_skewness(stretch.background.line, stretch.background.mean, settings.sigma)
    for (index, block), (_, frames) in zip(todo, read_blocks(recording, [b for _, b in todo]), strict=True):
        smooth, invalid = smooth_signal(frames, block, stretch, settings, pool)
        noise = (
            np.stack([deviation(t) for t in range(block.start, block.stop)])
            if _at_end(block, recording, settings)
            else np.broadcast_to(deviation(block.start), smooth.shape)
        )
        mask = smooth > np.float32(settings.candidate) * noise
        if invalid is not None:
            mask &= ~invalid[block.inner]
        top, bottom, left, right = border
        mask[:, :top] = mask[:, mask.shape[1] - bottom :] = False
        mask[:, :, :left] = mask[:, :, mask.shape[2] - right :] = False
        value, skew = smooth[mask], np.broadcast_to(skewness, mask.shape)[mask]
        # noise that is skewed is called as much larger as makes a height as rare as it is
        spread = value / as_normal(value / noise[mask], skew)
        runs = find_runs(mask, pool)
        labels, n = label_runs(runs)
        checkpoint.save(
            ACTIVE, index, start=runs.start, stop=runs.stop, first=runs.first, labels=labels, n=np.array(n),
            invalid=np.array(0 if invalid is None else invalid[block.inner].sum()), value=value,
            noise=spread,
        )  # fmt: skip
        advance(block.stop - block.start)


def _at_end(block: Block, recording: Recording, settings: CalibratedSettings) -> bool:
    return block.start < settings.reach or block.stop > recording.shape[0] - settings.reach


def smooth_signal(
    frames: NDArray[np.generic], block: Block, stretch: Stretch, settings: CalibratedSettings, pool: Executor | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return the smoothed signal above the background of a block's own frames, and which voxels were no numbers."""
    values, invalid = fill_invalid(frames)
    above = residual(values, block.start - block.lead - stretch.start, stretch.background, stretch.texture, pool)
    if invalid is not None:
        above[invalid] = 0
    return gaussian(above, settings.smooth_sigma, settings.reach, "nearest", block.inner, pool), invalid


@dataclass(frozen=True)
class _Voxels:
    """Candidate voxels: flat index in the recording, signal, noise."""

    at: NDArray[np.int64]
    value: NDArray[np.float32]
    noise: NDArray[np.float32]


def _divide(candidates: Segmentation, settings: CalibratedSettings, threshold: float) -> Segmentation:
    """Return the events among connected candidates; blocks are written as soon as nothing more can come to them."""
    shape, n_voxels = candidates.shape, float(np.prod(candidates.shape))
    open_at: dict[int, list[Part]] = {}
    heights: list[float] = []
    written = 0

    def write(index: int) -> None:
        block = candidates.blocks[index]
        size = (block.stop - block.start, *shape[1:])
        write_layers(candidates.checkpoint, _EVENTS, index, size, open_at.pop(index, []))

    for batch, following in _batches(candidates, threshold):
        for event, height in _events(batch, shape, settings, threshold):
            heights.append(height)
            for index, voxels, hidden in parts_by_block(event, candidates.blocks, shape):
                open_at.setdefault(index, []).append((voxels, hidden, len(heights)))
        while written < len(candidates.blocks) and candidates.blocks[written].stop <= following:
            write(written)
            written += 1
    for index in range(written, len(candidates.blocks)):
        write(index)
    sure = confidence(np.array(heights), n_voxels, settings.sigma)
    return number_events(candidates, _EVENTS, len(heights), {CONFIDENCE.name: sure})[0]


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
) -> Iterator[tuple[Layered, float]]:
    """Yield the voxels (flat indices) and the height, in standard deviations, of each event."""
    hills = find_hills(voxels.at, voxels.value, voxels.noise, shape, settings.prominence, settings.foot)
    event = join_hills(
        hills,
        voxels.value,
        voxels.noise,
        (settings.dip, settings.dip_in_time),
        (settings.border_doubt, settings.pass_doubt),
    )[hills.hill]
    order = np.argsort(event, kind="stable")
    found, first = np.unique(event[order], return_index=True)
    heights: dict[int, float] = {}
    peaks: dict[int, float] = {}
    extents: dict[int, NDArray[np.int64]] = {}
    for number, own in zip(found.tolist(), np.split(order, first[1:]), strict=True):
        height = float((voxels.value[own] / voxels.noise[own]).max())
        if number == 0 or height < threshold:
            continue
        places = np.stack(np.unravel_index(voxels.at[own], shape), axis=1)
        extent = event_extent(places, voxels.value[own], settings.extent)
        if len(extent) >= settings.min_size:
            heights[number], peaks[number] = height, peak_height(voxels.value[own])
            extents[number] = np.ravel_multi_index(tuple(extent.T), shape)
    layered = _share(voxels, event, extents, peaks, event[hills.links], shape, settings)
    yield from ((layered[number], height) for number, height in heights.items())


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
        shared_voxels(voxels.at, voxels.value, voxels.noise, event, extents, levels, touching, shape)
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
    kept = give_back(extents, strengths(extents), shared, levels, cores, settings.min_size, shape)
    return layer_events(kept, strengths(kept), shared, cores)
