"""Find regions of active voxels block by block, then join them across blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.checkpoint import CarriedBlocks, Checkpoint
from astrocast.detection.threshold.activity import ActivityStream, Tap
from astrocast.io.recording import Recording
from astrocast.kernels.event_features.features import Boxes
from astrocast.kernels.masks.runs import Runs, find_runs, merge_runs
from astrocast.kernels.segmentation.labelling import face_pairs, join_labels, label_runs
from astrocast.runtime.blocks import Block, describe_block, plan_blocks, read_blocks
from astrocast.runtime.cluster import connected_client, map_tasks, sees_folder
from astrocast.settings.detection import DetectionSettings

#: name of the step under which the active voxels of a block are stored
ACTIVE = "active"


@dataclass(frozen=True)
class Segmentation:
    """The events of a recording as labelled runs, block by block on disk.

    Parameters
    ----------
    blocks
        Frames of each block.
    final
        For each block, the event (from 1) of each label in the block.
    boxes
        Bounding box and size of each event, in frames of the processed recording.
    invalid_voxels
        Number of NaN and infinite voxels of the recording.
    step
        Name of the step under which the blocks are stored.
    undivided, part
        After a division, (events,): number of the event before it, and the part (0: was
        not divided).
    measures
        Further columns that the method of detection provides: name -> (events,).
    layered
        Whether events may share voxels; `load` assigns each shared voxel to one event.
    """

    checkpoint: Checkpoint
    shape: tuple[int, int, int]
    blocks: list[Block]
    final: list[NDArray[np.int32]]
    boxes: Boxes
    invalid_voxels: int
    step: str = ACTIVE
    undivided: NDArray[np.int64] | None = None
    part: NDArray[np.int64] | None = None
    measures: dict[str, NDArray[Any]] = field(default_factory=dict)
    layered: bool = False

    def names(self, a: int, b: int) -> list[str]:
        """Return the names of events ``a + 1`` to ``b``.

        A name is the number; for a divided event ``<number>_<part>``.
        """
        if self.undivided is None or self.part is None:
            return [str(i) for i in range(a + 1, b + 1)]
        pairs = zip(self.undivided[a:b].tolist(), self.part[a:b].tolist(), strict=True)
        return [f"{number}_{part}" if part else str(number) for number, part in pairs]

    @property
    def part_of(self) -> NDArray[np.int64]:
        """Number of the event that each event is a part of; 0 if not divided."""
        if self.undivided is None or self.part is None:
            return np.zeros(len(self.boxes.area), np.int64)
        return np.where(self.part > 0, self.undivided, 0)

    def load(self, index: int) -> tuple[Runs, NDArray[np.int32]]:
        """Return the visible runs of a block, and the event of each run."""
        runs, labels = load_runs(
            self.checkpoint, index, self.blocks[index], self.shape, self.step
        )
        return runs, self.final[index][labels]

    def load_hidden(self, index: int) -> tuple[Runs, NDArray[np.int32]]:
        """Return the hidden runs of a block, and the event of each run.

        In hidden runs, the event map shows a stronger event.
        """
        block = self.blocks[index]
        shape = (block.stop - block.start, *self.shape[1:])
        if not self.layered:
            none = np.empty(0, np.int32)
            return (
                Runs(none, none, np.zeros(shape[0] * shape[1] + 1, np.int64), shape),
                none,
            )
        names = ("below_start", "below_stop", "below_first", "below_labels")
        stored = self.checkpoint.load(self.step, index, *names)
        runs = Runs(
            stored["below_start"], stored["below_stop"], stored["below_first"], shape
        )
        return runs, self.final[index][stored["below_labels"]]

    def load_events(self, index: int) -> tuple[Runs, NDArray[np.int32]]:
        """Return all runs of a block, visible and hidden, and the event of each run."""
        shown = self.load(index)
        return merge_runs(*shown, *self.load_hidden(index)) if self.layered else shown


#: on a cluster, a span of blocks is this many times as long as the lead-in of its
#: stream, which is computed twice
SPAN_LEADS = 4


@dataclass(frozen=True)
class StreamOpener:
    """Open a stream of active voxels at any frame, here or on a worker.

    Parameters
    ----------
    settings, n_frames, level, border, peaks, tap
        See `ActivityStream`.
    """

    settings: DetectionSettings
    n_frames: int
    level: float | None
    border: tuple[int, int, int, int]
    peaks: Callable[[int, int], NDArray[np.bool_]] | None = None
    tap: Tap | None = None

    def open(self, first: int, pool: Executor | None) -> ActivityStream:
        """Return the stream that reads from frame ``first`` on."""
        return ActivityStream(
            self.settings,
            self.n_frames,
            first=first,
            level=self.level,
            border=self.border,
            pool=pool,
            peaks=self.peaks,
            tap=self.tap,
        )


def segment(
    recording: Recording,
    opener: StreamOpener,
    lead: int,
    checkpoint: Checkpoint,
    block_frames: int,
    pool: Executor | None,
    advance: Callable[[int], None],
) -> Segmentation:
    """Return the regions of active voxels in the recording.

    Blocks that an interrupted run finished are taken from the checkpoint. On a cluster,
    each span of blocks is a task with its own stream.

    Parameters
    ----------
    recording
        The recording.
    opener
        Opens the stream that finds active voxels.
    lead
        Number of frames before a frame that the stream needs.
    checkpoint
        Store of finished blocks.
    block_frames
        Frames per block.
    pool
        Threads that share the work.
    advance
        Called after each block with its number of frames.
    """
    n_frames = recording.shape[0]
    blocks = list(plan_blocks(n_frames, block_frames))
    todo = next(
        (i for i in range(len(blocks)) if not checkpoint.has(ACTIVE, i)), len(blocks)
    )
    advance(blocks[todo].start if todo < len(blocks) else n_frames)
    if todo < len(blocks):
        task = SegmentSpan(recording, opener, lead, checkpoint, blocks, advance)
        apart = connected_client() is not None and opener.tap is None
        # workers read the marks of peaks from the folder of the run
        if apart and (opener.peaks is None or sees_folder(checkpoint.blocks)):
            count = max(1, -(-SPAN_LEADS * lead // block_frames))
            spans = [
                (i, min(i + count, len(blocks)))
                for i in range(todo, len(blocks), count)
            ]
            found = map_tasks(
                task,
                spans,
                pool,
                recordings=(recording,),
                describe=lambda span: describe_block(recording, blocks[span[0]]),
            )
            for span, carried in zip(spans, found, strict=True):
                checkpoint.take(carried)
                advance(blocks[span[1] - 1].stop - blocks[span[0]].start)
        else:
            task((todo, len(blocks)), pool)
    return join_blocks(checkpoint, recording.shape, blocks)


class SegmentSpan:
    """Find the regions of consecutive blocks; a task for `map_tasks`.

    Parameters
    ----------
    recording, opener, lead, checkpoint, advance
        See `segment`.
    blocks
        All blocks of the recording.
    """

    def __init__(
        self,
        recording: Recording,
        opener: StreamOpener,
        lead: int,
        checkpoint: Checkpoint | CarriedBlocks,
        blocks: list[Block],
        advance: Callable[[int], None],
    ) -> None:
        self.recording, self.opener, self.lead = recording, opener, lead
        self.checkpoint, self.blocks, self.advance = checkpoint, blocks, advance

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a worker, which shows no progress."""
        there = {"checkpoint": self.checkpoint.for_workers(), "advance": None}
        return vars(self) | there

    def __call__(
        self, span: tuple[int, int], pool: Executor | None
    ) -> CarriedBlocks | None:
        """Return the blocks of a span if they could not be stored, else None."""
        store = self.checkpoint
        if isinstance(store, CarriedBlocks):  # a new one for each task
            store = CarriedBlocks()
        first, last = span
        stream = self.opener.open(max(0, self.blocks[first].start - self.lead), pool)
        for index, mask, invalid in _mask_blocks(
            self.recording, stream, self.blocks[:last], first
        ):
            runs = find_runs(mask, pool)
            labels, n = label_runs(runs)
            store.save(
                ACTIVE,
                index,
                start=runs.start,
                stop=runs.stop,
                first=runs.first,
                labels=labels,
                n=np.array(n),
                invalid=np.array(invalid),
            )
            if self.advance is not None:
                self.advance(len(mask))
        if self.advance is None:
            self.recording.release()
        return store if isinstance(store, CarriedBlocks) else None


def _mask_blocks(
    recording: Recording, stream: ActivityStream, blocks: list[Block], todo: int
) -> Iterator[tuple[int, NDArray[np.bool_], int]]:
    """Yield (index, mask, number of invalid voxels) of the blocks from ``todo`` on."""
    step = blocks[0].stop - blocks[0].start
    first = stream.begin
    reads = [
        Block(s, min(s + step, recording.shape[0]), 0, 0)
        for s in range(first, recording.shape[0], step)
    ]
    pieces: list[NDArray[np.bool_]] = []
    begin, index = stream.first, todo
    reader = read_blocks(recording, reads)
    for _, frames in reader:
        mask = stream.push(frames)
        if not len(mask):
            continue
        pieces.append(mask)
        have = begin + sum(map(len, pieces))
        while index < len(blocks) and have >= blocks[index].stop:
            whole = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
            block = blocks[index]
            invalid = stream.count_invalid(block.start, block.stop)
            yield index, whole[block.start - begin : block.stop - begin], invalid
            pieces, begin = [whole[block.stop - begin :]], block.stop
            index += 1
        if index == len(blocks):  # the end of a span, not of the recording
            reader.close()
            return


def load_runs(
    checkpoint: Checkpoint,
    index: int,
    block: Block,
    shape: tuple[int, int, int],
    step: str = ACTIVE,
) -> tuple[Runs, NDArray[np.int32]]:
    """Return the runs of a block, and their labels in the block."""
    stored = checkpoint.load(step, index, "start", "stop", "first", "labels")
    runs = Runs(
        stored["start"],
        stored["stop"],
        stored["first"],
        (block.stop - block.start, *shape[1:]),
    )
    return runs, stored["labels"]


def _frame_of(
    runs: Runs, labels: NDArray[Any], frame: int
) -> tuple[Runs, NDArray[Any]]:
    """Return the runs of one frame, and their labels."""
    rows = runs.shape[1]
    first = runs.first[frame * rows : (frame + 1) * rows + 1]
    part = slice(first[0], first[-1])
    return (
        Runs(runs.start[part], runs.stop[part], first - first[0], (1, *runs.shape[1:])),
        labels[part],
    )


def join_blocks(
    checkpoint: Checkpoint, shape: tuple[int, int, int], blocks: list[Block]
) -> Segmentation:
    """Return the regions of all blocks; regions that touch across blocks are joined."""
    offsets, pairs, invalid = [0], [], 0
    last: tuple[Runs, NDArray[Any]] | None = None
    for index, block in enumerate(blocks):
        names = ("start", "stop", "first", "labels", "n", "invalid")
        stored = checkpoint.load(ACTIVE, index, *names)
        runs = Runs(
            stored["start"],
            stored["stop"],
            stored["first"],
            (block.stop - block.start, *shape[1:]),
        )
        labels = stored["labels"].astype(np.int64) + offsets[-1]
        if last is not None:
            pairs.append(face_pairs(*last, *_frame_of(runs, labels, 0)))
        last = _frame_of(runs, labels, runs.shape[0] - 1)
        offsets.append(offsets[-1] + int(stored["n"]))
        invalid += int(stored["invalid"])
    joined, n = join_labels(
        offsets[-1], np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
    )
    final: list[NDArray[np.int32]] = []
    boxes = Boxes.empty(n)
    for index, block in enumerate(blocks):
        own = np.concatenate(
            [np.zeros(1, np.int32), joined[offsets[index] + 1 : offsets[index + 1] + 1]]
        )
        runs, within = load_runs(checkpoint, index, block, shape)
        boxes.add(runs, own[within], block.start)
        final.append(own)
    return Segmentation(checkpoint, shape, blocks, final, boxes, invalid)
