"""Detection in units of the recording's own noise: entry points.

The recording is read once for the course of the whole field, then in stretches of some
hundred frames: for their noise and background, and again for the signal above it, of
which the voxels that stand out are kept (`candidates`). Connected candidates are then
divided into events (`divide`).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.bad_frames import interpolate_bad_frames
from astrocast.detection.calibrated.candidates import CandidateSearch
from astrocast.detection.calibrated.divide import (
    Batch,
    DividedEvent,
    FindEvents,
    batches,
    to_send,
)
from astrocast.detection.calibrated.field import Field
from astrocast.detection.calibrated.gaps import GapRemainders
from astrocast.detection.calibrated.parts import build_parts, write_parts
from astrocast.detection.calibrated.tiles import search_frames
from astrocast.detection.checkpoint import CarriedBlocks, Checkpoint
from astrocast.detection.events.layers import (
    Part,
    block_edges,
    number_events,
    parts_by_block,
    write_layers,
)
from astrocast.detection.events.segmentation import Segmentation
from astrocast.errors import AstrocastWarning, stack_level
from astrocast.events.measure_schema import KIND
from astrocast.events.schema import Column
from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.field_course import FieldEvents, whole_field_events
from astrocast.kernels.calibrated.overlap import LayeredEvent
from astrocast.kernels.calibrated.significance import confidence, height_for
from astrocast.kernels.masks.runs import list_voxels, paint_runs
from astrocast.runtime.cluster import map_tasks
from astrocast.settings.calibrated import CalibratedSettings

_EVENTS = "calibrated"
#: slow fluctuations over the noise between frames from which a warning is given
_MOST_EXCESS = 2.5
#: share of the activity of the whole field that a local event reaches at the same time;
#: lower ones are where the field follows the common course less closely
_ABOVE_FIELD = 0.7
#: the same for events of which more than this share of the voxels is in these frames
_WITHIN, _ABOVE_FIELD_WITHIN = 0.7, 1.3
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
    judged: bool = False,
) -> Segmentation:
    """Return the events of a recording with their kind and confidence.

    Goes on with the blocks that are done.

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
    judged
        Whether all frames were judged before; otherwise black, saturated and flash
        frames are looked for here.
    """
    field = Field.read(recording, pool, judge=not judged)
    bad = field.bad if bad_frames is None else field.bad | bad_frames
    recording, unknown = interpolate_bad_frames(recording, bad)
    of_field = whole_field_events(field.interpolate_bad_frames(bad), settings.extent)
    voxels = float(np.prod(recording.shape))
    threshold = height_for(
        settings.false_events * voxels / 20e6, voxels, settings.sigma
    )
    active = of_field.activity > 0
    search = CandidateSearch(
        settings, checkpoint, pool, advance, border, unknown, active, threshold
    )
    candidates, excess = search_frames(recording, search)
    if excess > _MOST_EXCESS:
        warnings.warn(
            f"Slow fluctuations are {excess:.1f} times the frame-to-frame noise"
            " (expected: 1.0). Likely causes: the recording was denoised or smoothed;"
            " blank frames; motion of the whole field. Detect in the raw recording and"
            " pass this one as signal_loc",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
    gaps = GapRemainders(unknown, int(np.prod(recording.shape[1:])))
    writer = _Writer(candidates, field, of_field, gaps)
    return writer.write(settings, threshold, pool)


class _Writer:
    """Writes events block by block, as soon as nothing more can come to a block."""

    def __init__(
        self,
        candidates: Segmentation,
        field: Field,
        of_field: FieldEvents,
        gaps: GapRemainders,
    ) -> None:
        self.gaps = gaps
        self.candidates, self.field, self.of_field = candidates, field, of_field
        self.open_at: dict[int, list[Part]] = {}
        self.heights: list[float] = []
        self.parts: list[NDArray[np.float64]] = []

    def write(
        self, settings: CalibratedSettings, threshold: float, pool: Executor | None
    ) -> Segmentation:
        """Divide the candidates, write all blocks, and return the events."""
        shape = self.candidates.shape
        n_field = len(self.of_field.mask)
        # the next batch is divided while blocks are written
        with ThreadPoolExecutor(1, thread_name_prefix="astrocast-write") as behind:
            written = self._write_blocks(settings, threshold, pool, behind)
            for block in written:
                block.result()
        n = len(self.heights)
        voxels = float(np.prod(shape))
        sure = confidence(np.array(self.heights), voxels, settings.sigma)
        sure_of_field = 1 - 0.1 / self.of_field.ratio**2
        measures = {
            CONFIDENCE.name: np.concatenate([sure_of_field, sure]),
            KIND.name: np.array(["global"] * n_field + ["local"] * n),
        }
        found, was = number_events(self.candidates, _EVENTS, n + n_field, measures)
        number = np.empty(n + n_field + 1, np.int64)
        number[was] = np.arange(1, n + n_field + 1)
        table = build_parts(self.parts, number[n_field + 1 :], shape)
        write_parts(self.candidates.checkpoint.path, table)
        return found

    def _write_blocks(
        self,
        settings: CalibratedSettings,
        threshold: float,
        pool: Executor | None,
        behind: Executor,
    ) -> list[Future[None]]:
        """Divide the candidates; return what writes the blocks in another thread."""
        shape, blocks = self.candidates.shape, self.candidates.blocks
        n_field, edges = len(self.of_field.mask), block_edges(blocks, shape)
        written: list[Future[None]] = []

        def write_until(frame: int) -> None:
            while len(written) < len(blocks) and blocks[len(written)].stop <= frame:
                index = len(written)
                parts = self.open_at.pop(index, [])
                written.append(behind.submit(self._write_block, index, parts))

        for events, following in self._found(settings, threshold, pool):
            for event in events:
                size = shape[1] * shape[2]
                activity = self.of_field.activity
                if follows_field(event.layers.voxels, event.peak, activity, size):
                    continue
                if self.gaps.is_remainder(event.layers.voxels, event.peak):
                    continue
                self.heights.append(event.height)
                self.parts.append(event.parts)
                for index, part in parts_by_block(event.layers, edges):
                    waiting = self.open_at.setdefault(index, [])
                    waiting.append((part, n_field + len(self.heights)))
            write_until(following)
        write_until(shape[0])
        return written

    def _found(
        self, settings: CalibratedSettings, threshold: float, pool: Executor | None
    ) -> Iterator[tuple[list[DividedEvent], int]]:
        """Yield the events of each batch, and the first frame of those to come."""
        candidates, shape = self.candidates, self.candidates.shape
        here = candidates.checkpoint
        there = here.for_workers()
        found = batches(candidates, threshold)
        if isinstance(there, CarriedBlocks):
            found = (to_send(batch, here, shape) for batch in found)
        task = FindEvents(there, shape, settings, threshold)
        yield from map_tasks(task, found, pool, describe=_describe_batch)

    def _write_block(self, index: int, parts: list[Part]) -> None:
        """Write a block, its part of whole-field events below all others."""
        block = self.candidates.blocks[index]
        shape = (block.stop - block.start, *self.candidates.shape[1:])
        of_field = [
            (k, self.field.voxels(mask, block.start, block.stop))
            for k, mask in enumerate(self.of_field.mask)
        ]
        if any(len(voxels) for _, voxels in of_field):
            shown = [part.voxels[~part.hidden] for part, _ in parts]
            taken = np.unique(np.concatenate([np.empty(0, np.int64), *shown]))
        for k, voxels in of_field:
            # numbered before all local events, whose number is not known yet
            if len(voxels):
                hidden = np.isin(voxels, taken, assume_unique=True)
                taken = np.union1d(taken, voxels)
                layer = LayeredEvent(voxels, hidden, np.zeros(len(voxels), np.bool_))
                parts.append((layer, k + 1))
        write_layers(self.candidates.checkpoint, _EVENTS, index, shape, parts)


def _describe_batch(batch: Batch) -> tuple[str, int]:
    """Return the name of a batch, and the bytes that dividing it needs."""
    blocks = [block for _, block, _ in batch.blocks]
    frames = f" in frames {blocks[0].start}:{blocks[-1].stop}" if blocks else ""
    return f"{len(batch.numbers)} candidates{frames}", 2 << 30


def follows_field(
    voxels: NDArray[np.int64], peak: float, activity: NDArray[np.float32], size: int
) -> bool:
    """Return whether a local event is the remainder of a whole-field event.

    Parameters
    ----------
    voxels
        Of the event, flat indices, ascending.
    peak
        Of its smoothed signal.
    activity
        Of the whole field in each frame, 0 where there is none, (frame,).
    size
        Pixels of a frame.
    """
    frames = slice(voxels[0] // size, voxels[-1] // size + 1)
    highest = float(activity[frames].max())
    if highest == 0:
        return False
    within = (activity[voxels // size] > 0).mean() > _WITHIN
    return peak < (_ABOVE_FIELD_WITHIN if within else _ABOVE_FIELD) * highest


def calibrated_labels(
    recording: Recording,
    settings: CalibratedSettings | None = None,
    pool: Executor | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the events of a recording in memory, without writing a store.

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
    """Return the voxels of each event as flat indices of the recording.

    Events may overlap.

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
