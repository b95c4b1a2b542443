"""Choose the training items of an epoch, and read each of their frames once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidConditionError
from astrocast.io import Recording
from astrocast.settings.denoising import GeneratorSettings, both


@dataclass(frozen=True)
class Window:
    """The frames around a target: context on both sides, with a gap next to it.

    Parameters
    ----------
    context
        Context frames before and after the target.
    gap
        Frames left out between context and target, before and after.
    """

    context: tuple[int, int]
    gap: tuple[int, int]

    @classmethod
    def of(cls, settings: Any) -> Window:
        """Return the window of `GeneratorSettings` or `DenoiserSettings`."""
        return cls(
            both(settings.pre_post_frame), both(getattr(settings, "gap_frames", 0))
        )

    @property
    def halo(self) -> tuple[int, int]:
        """Frames to read before and after the target."""
        return self.context[0] + self.gap[0], self.context[1] + self.gap[1]

    @property
    def length(self) -> int:
        """Number of frames from the first to the last context frame."""
        return sum(self.halo) + 1

    @property
    def channels(self) -> int:
        """Number of context frames."""
        return sum(self.context)

    def check_model(self, found: int | None) -> None:
        """Raise an error if a model has another number of context frames.

        ``found``: context frames of the model; None if it accepts any number.

        Raises
        ------
        InvalidConditionError
            The numbers differ.
        """
        if found is not None and found != self.channels:
            raise InvalidConditionError(
                f"the model needs {found} context frames, but pre_post_frame gives"
                f" {self.channels} ({self.context[0]} before and {self.context[1]}"
                " after); set pre_post_frame to match the model"
            )

    @property
    def offsets(self) -> NDArray[np.intp]:
        """Index of each context frame in the window; the target is at ``halo[0]``."""
        before, after = self.halo
        return np.r_[
            0 : self.context[0], before + 1 + self.gap[1] : before + 1 + after
        ].astype(np.intp)


@dataclass(frozen=True)
class Item:
    """One training item: a patch around a target frame."""

    file: int
    frame: int
    row: int
    column: int


def target_frames(
    n_frames: int, window: Window, settings: GeneratorSettings, rng: np.random.Generator
) -> NDArray[Any]:
    """Return the target frames of a file in this epoch, in increasing order."""
    valid = np.arange(window.halo[0], n_frames - window.halo[1])
    chosen = settings.z_select
    if isinstance(chosen, tuple):
        return valid[(valid >= chosen[0]) & (valid < chosen[1])]
    if chosen is not None:
        return np.intersect1d(valid, np.atleast_1d(chosen))
    step = max(1, round(1 / settings.z_steps))
    return valid[rng.integers(min(step, len(valid))) :: step]


def patch_starts(
    length: int, patch: int, settings: GeneratorSettings, rng: np.random.Generator
) -> range:
    """Return the first pixel of each patch along one axis of a frame."""
    first = (
        int(rng.integers(min(patch, length - patch + 1)))
        if settings.random_offset and length > patch
        else 0
    )
    step = patch - settings.overlap
    if settings.padding is None:
        return range(first, length - patch + 1, step)
    return range(first, max(length - settings.overlap, 1), step)


def plan_epoch(
    shapes: Sequence[tuple[int, int, int]],
    window: Window,
    settings: GeneratorSettings,
    rng: np.random.Generator,
) -> list[Item]:
    """Return the items of an epoch, in the order of training."""
    items: list[Item] = []
    for file, (n_frames, rows, columns) in enumerate(shapes):
        frames = target_frames(n_frames, window, settings, rng)
        tops = patch_starts(rows, settings.input_size[0], settings, rng)
        lefts = patch_starts(columns, settings.input_size[1], settings, rng)
        of_file = [
            Item(file, int(z), y, x) for z in frames for y in tops for x in lefts
        ]
        limit = settings.max_per_file
        if limit is not None and len(of_file) > limit:
            if settings.shuffle:
                chosen = rng.choice(len(of_file), limit, replace=False)
                of_file = [of_file[i] for i in sorted(chosen)]
            else:
                of_file = of_file[:limit]
        items += of_file
    if settings.shuffle:
        items = [items[i] for i in rng.permutation(len(items))]
    return items


def read_patches(
    recordings: Sequence[Recording],
    items: Sequence[Item],
    window: Window,
    settings: GeneratorSettings,
) -> list[NDArray[Any]]:
    """Return the window of each item, (frame, row, column); each frame is read once."""
    patches: dict[int, NDArray[Any]] = {}
    before, after = window.halo
    for file in sorted({item.file for item in items}):
        order = sorted(
            (i for i in range(len(items)) if items[i].file == file),
            key=lambda i: items[i].frame,
        )
        for run in _group_overlapping(order, items, window.length):
            stop = items[run[-1]].frame + after + 1
            start = items[run[0]].frame - before
            corner, block = _read_box(
                recordings[file], [items[i] for i in run], start, stop, settings
            )
            for i in run:
                first = items[i].frame - before - start
                patches[i] = _cut(
                    block[first : first + window.length],
                    items[i],
                    corner,
                    recordings[file].shape,
                    settings,
                )
    return [patches[i] for i in range(len(items))]


def _group_overlapping(
    order: list[int], items: Sequence[Item], length: int
) -> list[list[int]]:
    """Group items whose windows of ``length`` frames overlap, to read them together."""
    runs: list[list[int]] = []
    for i in order:
        if runs and items[i].frame - items[runs[-1][-1]].frame < length:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _read_box(
    recording: Recording,
    items: list[Item],
    start: int,
    stop: int,
    settings: GeneratorSettings,
) -> tuple[tuple[int, int], NDArray[Any]]:
    """Read the smallest box that contains the patches of all items.

    Returns its first row and column, and the frames (frame, row, column).
    """
    rows = np.concatenate(
        [
            _pixels(i.row, settings.input_size[0], recording.shape[1], settings)
            for i in items
        ]
    )
    columns = np.concatenate(
        [
            _pixels(i.column, settings.input_size[1], recording.shape[2], settings)
            for i in items
        ]
    )
    top, left = int(rows.min()), int(columns.min())
    box = slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1)
    return (top, left), recording.read(start, stop, *box)


def _pixels(
    start: int, size: int, length: int, settings: GeneratorSettings
) -> NDArray[np.intp]:
    """Return the pixels of a patch along one axis, extended at the border."""
    if start + size <= length or settings.padding is None:
        return np.arange(start, start + size)
    return np.pad(np.arange(length), (0, start + size - length), mode=settings.padding)[
        start:
    ]


def _cut(
    block: NDArray[Any],
    item: Item,
    corner: tuple[int, int],
    shape: tuple[int, int, int],
    settings: GeneratorSettings,
) -> NDArray[Any]:
    """Return the patch of an item from a box that begins at pixel ``corner``."""
    rows = _pixels(item.row, settings.input_size[0], shape[1], settings) - corner[0]
    columns = (
        _pixels(item.column, settings.input_size[1], shape[2], settings) - corner[1]
    )
    return block[:, rows[:, None], columns]
