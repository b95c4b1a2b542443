"""Detection in units of the noise of the recording: entry points.

The recording is read once for the activity of the whole field. Then it is read in
stretches of some hundred frames: first to measure noise and background, then to find
the voxels above them (`candidates`). Connected candidates are divided into events
(`batches`, `divide`).
"""

from __future__ import annotations

import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.bad_frames import interpolate_bad_frames
from astrocast.detection.calibrated.batches import Batch, attach_voxels, plan_batches
from astrocast.detection.calibrated.candidates import CandidateSearch
from astrocast.detection.calibrated.decoys import (
    Decoys,
    find_decoys,
    warn_of_false,
    write_decoys,
)
from astrocast.detection.calibrated.divide import DividedEvent, FindEvents
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
from astrocast.kernels.calibrated.significance import height_for
from astrocast.kernels.masks.runs import list_voxels, paint_runs
from astrocast.runtime.cluster import map_tasks
from astrocast.settings.calibrated import CalibratedSettings

_EVENTS = "calibrated"
#: slow fluctuations / frame-to-frame noise, above which a warning is given
_MOST_EXCESS = 2.5
#: during a whole-field event, a local event must reach this multiple of its activity;
#: weaker ones are places that follow the whole field less closely
_ABOVE_FIELD = 0.7
#: multiple for events with more than the fraction _WITHIN of their voxels in these
#: frames
_WITHIN, _ABOVE_FIELD_WITHIN = 0.7, 1.3
CONFIDENCE = Column(
    "confidence",
    "float64",
    "",
    "Probability that this is an event of the tissue: from its height and"
    " whether the recording cuts it, as in simulated recordings, and from what the same"
    " search finds in the inverted signal.",
    "detector",
)
HEIGHT = Column(
    "height",
    "float64",
    "sd",
    "Highest smoothed signal of the event, in standard deviations of noise and"
    " extrinsic fluctuations; NaN for whole-field events.",
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

    Blocks that an interrupted run finished are taken from the checkpoint.

    Parameters
    ----------
    recording
        Raw recording, or dF.
    settings, checkpoint, pool
        Settings, checkpoint and threads of the run.
    advance
        Called with the number of frames after each block.
    border
        Pixels at (top, bottom, left, right) in which nothing is detected.
    bad_frames
        bool (frame,): bad frames; they are replaced from good frames.
    judged
        Whether ``bad_frames`` is complete; otherwise black, saturated and flash frames
        are searched for here.
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
    decoys = find_decoys(
        checkpoint, candidates.blocks, candidates.shape, settings, threshold, pool
    )
    write_decoys(checkpoint.path, decoys, candidates.shape)
    found = Decoys.of(decoys, candidates.shape, settings)
    gaps = GapRemainders(unknown, int(np.prod(recording.shape[1:])))
    writer = _Writer(candidates, field, of_field, found, gaps)
    return writer.write(settings, threshold, pool)


class _Writer:
    """Write events block by block, as soon as a block has all its events."""

    def __init__(
        self,
        candidates: Segmentation,
        field: Field,
        of_field: FieldEvents,
        decoys: Decoys,
        gaps: GapRemainders,
    ) -> None:
        self.gaps = gaps
        self.candidates, self.field, self.of_field = candidates, field, of_field
        self.decoys = decoys
        self.open_at: dict[int, list[Part]] = {}
        self.heights: list[float] = []
        self.sizes: list[int] = []
        self.cut: list[bool] = []
        self.parts: list[NDArray[np.float64]] = []

    def write(
        self, settings: CalibratedSettings, threshold: float, pool: Executor | None
    ) -> Segmentation:
        """Divide the candidates, write all blocks, and return the events."""
        shape = self.candidates.shape
        n_field = len(self.of_field.mask)
        # the next batch is divided while blocks are written
        with ThreadPoolExecutor(1, thread_name_prefix="astrocast-write") as behind:
            self._write_blocks(settings, threshold, pool, behind)
        n = len(self.heights)
        of_local = self.decoys.probability(
            np.array(self.heights), np.array(self.sizes), np.array(self.cut, np.bool_)
        )
        asked = settings.false_events * float(np.prod(shape)) / 20e6
        warn_of_false(of_local, self.decoys, asked)
        of_field = 1 - 0.1 / self.of_field.ratio**2
        measures = {
            CONFIDENCE.name: np.concatenate([of_field, of_local]),
            KIND.name: np.array(["global"] * n_field + ["local"] * n),
            HEIGHT.name: np.concatenate([np.full(n_field, np.nan), self.heights]),
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
    ) -> None:
        """Divide the candidates and write the blocks.

        An error of writing is raised after the batch during which it occurred.
        """
        shape, blocks = self.candidates.shape, self.candidates.blocks
        n_field, edges = len(self.of_field.mask), block_edges(blocks, shape)
        waiting: deque[Future[None]] = deque()
        left = deque(range(len(blocks)))

        def write_until(frame: int) -> None:
            while left and blocks[left[0]].stop <= frame:
                index = left.popleft()
                parts = self.open_at.pop(index, [])
                waiting.append(behind.submit(self._write_block, index, parts))
            while waiting and (waiting[0].done() or not left):
                waiting.popleft().result()

        for events, following in self._divide_batches(settings, threshold, pool):
            for event in events:
                size = shape[1] * shape[2]
                activity = self.of_field.activity
                if follows_field(event.layers.voxels, event.peak, activity, size):
                    continue
                if self.gaps.is_remainder(event.layers.voxels, event.peak):
                    continue
                self.heights.append(event.height)
                at = event.layers.voxels
                self.sizes.append(len(at))
                self.cut.append(at[0] < size or at[-1] >= (shape[0] - 1) * size)
                self.parts.append(event.parts)
                for index, part in parts_by_block(event.layers, edges):
                    own = self.open_at.setdefault(index, [])
                    own.append((part, n_field + len(self.heights)))
            write_until(following)
        write_until(shape[0])

    def _divide_batches(
        self, settings: CalibratedSettings, threshold: float, pool: Executor | None
    ) -> Iterator[tuple[list[DividedEvent], int]]:
        """Yield the events of each batch, and the first frame of later batches."""
        candidates, shape = self.candidates, self.candidates.shape
        here = candidates.checkpoint
        there = here.for_workers()
        found = plan_batches(candidates, threshold)
        if isinstance(there, CarriedBlocks):
            found = (attach_voxels(batch, here, shape) for batch in found)
        task = FindEvents(there, shape, settings, threshold)
        yield from map_tasks(task, found, pool, describe=_describe_batch)

    def _write_block(self, index: int, parts: list[Part]) -> None:
        """Write a block, with whole-field events below all local events."""
        block = self.candidates.blocks[index]
        shape = (block.stop - block.start, *self.candidates.shape[1:])
        of_field = [
            (k, self.field.voxels(mask, block.start, block.stop))
            for k, mask in enumerate(self.of_field.mask)
        ]
        if any(len(voxels) for _, voxels in of_field):
            taken = np.zeros(int(np.prod(shape)), np.bool_)
            for part, _ in parts:
                taken[part.voxels[~part.hidden]] = True
        for k, voxels in of_field:
            # whole-field events have the first numbers: the number of local events is
            # not known yet
            if len(voxels):
                hidden = taken[voxels]
                taken[voxels] = True
                layer = LayeredEvent(voxels, hidden, np.zeros(len(voxels), np.bool_))
                parts.append((layer, k + 1))
        write_layers(self.candidates.checkpoint, _EVENTS, index, shape, parts)


def _describe_batch(batch: Batch) -> tuple[str, int]:
    """Return a text that describes a batch, and the memory that its task needs."""
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
        Voxels of the event, ascending flat indices.
    peak
        Peak of its smoothed signal.
    activity
        float32 (frame,): activity of the whole field, 0 outside whole-field events.
    size
        Number of pixels of a frame.
    """
    frames = slice(voxels[0] // size, voxels[-1] // size + 1)
    highest = float(activity[frames].max())
    if highest == 0:
        return False
    within = (activity[voxels // size] > 0).mean() > _WITHIN
    return peak < (_ABOVE_FIELD_WITHIN if within else _ABOVE_FIELD) * highest


@contextmanager
def _in_memory(
    recording: Recording, settings: CalibratedSettings | None, pool: Executor | None
) -> Iterator[Segmentation]:
    """Give the events of a recording, in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="astrocast-") as folder:
        checkpoint = Checkpoint(Path(folder) / "events.roi", {})
        yield segment_calibrated(
            recording,
            settings or CalibratedSettings(),
            checkpoint,
            pool,
            lambda n: None,
        )


def calibrated_heights(
    recording: Recording,
    settings: CalibratedSettings | None = None,
    pool: Executor | None = None,
) -> NDArray[np.float64]:
    """Return the height of each local event in standard deviations, (event,).

    Takes what `calibrated_labels` takes.
    """
    with _in_memory(recording, settings, pool) as found:
        heights: NDArray[np.float64] = found.measures[HEIGHT.name]
    return heights[np.isfinite(heights)]


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
        Parameters; None: the defaults.
    pool
        Threads that share the work.

    Returns
    -------
    labels : numpy.ndarray
        int32 (frame, row, column): number of the event of each voxel; 0 outside events;
        the strongest event where several share a voxel.
    confidence : numpy.ndarray
        Confidence of each event, (events,).
    """
    with _in_memory(recording, settings, pool) as found:
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

    Events may overlap, unlike in `calibrated_labels`. The parameters are the same.
    """
    with _in_memory(recording, settings, pool) as found:
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
