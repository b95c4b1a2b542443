"""Sums of images over a recording, added on the workers before they travel.

A block's part of such a sum is an image, as large as many frames. Groups of consecutive
blocks are added where they are computed, and the sums of groups are added here: a tree
of two levels. Its shape depends on the blocks alone, so that the last bits of the sum
are the same with threads and with any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

from astrocast.io.recording import Recording
from astrocast.runtime.blocks import (
    Block,
    counting_copy,
    describe_block,
    read_blocks,
)
from astrocast.runtime.cluster import map_tasks

#: consecutive blocks that are added together
GROUP = 8

Part = TypeVar("Part")


def reduce_blocks(
    recording: Recording,
    task: Callable[..., Part],
    blocks: Sequence[Block],
    merge: Callable[[Part, Part], Part],
    pool: Executor | None = None,
) -> Iterator[tuple[int, Part]]:
    """Yield the frames of each group of blocks, and the sum of their parts, in order.

    Parameters
    ----------
    recording
        What is read.
    task
        Pure function of the frames of a block, the block and threads (or None).
    blocks
        The blocks, see `plan_blocks`.
    merge
        Adds the parts of two consecutive runs of frames; may change the first.
    pool
        Threads for what is computed here.
    """
    groups = [list(blocks[i : i + GROUP]) for i in range(0, len(blocks), GROUP)]
    found = map_tasks(
        ReduceGroup(recording, task, merge),
        groups,
        pool,
        recordings=(recording,),
        describe=lambda group: describe_block(recording, group[0]),
    )
    for group, (part, tally) in zip(groups, found, strict=True):
        recording.add(tally)
        yield group[-1].stop - group[0].start, part


@dataclass(frozen=True)
class ReduceGroup:
    """Add the parts of consecutive blocks: what `map_tasks` calls.

    Parameters
    ----------
    recording, task, merge
        See `reduce_blocks`.
    away
        Whether it was sent to a worker, which closes the recording after each task.
    """

    recording: Recording
    task: Callable[..., Any]
    merge: Callable[[Any, Any], Any]
    away: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs."""
        return vars(self) | {"away": True}

    def __call__(self, group: list[Block], pool: Executor | None) -> tuple[Any, int]:
        """Return the sum of a group, and what reading it counted."""
        recording = counting_copy(self.recording)
        parts = (
            self.task(frames, block, pool)
            for block, frames in read_blocks(recording, group)
        )
        total = reduce(self.merge, parts)
        if self.away:
            recording.release()
        return total, recording.tally
