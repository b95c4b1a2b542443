"""Compute what needs the whole recording first: noise level, border, global peaks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.checkpoint import Checkpoint
from astrocast.detection.threshold.activity import peak_criteria, smoothing_radius
from astrocast.errors import AstrocastWarning, InvalidValueError, stack_level
from astrocast.io.recording import Recording
from astrocast.io.stores.beside import place_of
from astrocast.io.stores.registration_store import Registration, read_registration
from astrocast.kernels.activity.peaks import peak_mask
from astrocast.kernels.frames.invalid import fill_invalid, frame_means
from astrocast.kernels.frames.noise import estimate_noise_map
from astrocast.kernels.frames.smoothing import gaussian
from astrocast.runtime.blocks import (
    Block,
    frames_per_block,
    map_blocks,
    plan_blocks,
)
from astrocast.runtime.cluster import map_tasks
from astrocast.settings.detection import DetectionSettings

#: bytes of time courses (float32) that are in memory at a time
_TILE_BYTES = 128 << 20
#: frames that a stream of peaks with a window would hold, up to this many bytes; peaks
#: of wider frames are found in ranges of rows as well
STREAM_BYTES = 2 << 30
_PEAKS = "peaks"

#: smoothing spreads filled pixels this far into the frame: twice its usual sigma of 1.5
BORDER_REACH = 3
#: a border is widened if more than this fraction of frames has the largest shift
BORDER_SHARE = 0.05


def row_tiles(recording: Recording) -> Iterator[slice]:
    """Yield ranges of rows whose whole time courses fit into memory."""
    n, rows, columns = recording.shape
    step = max(1, _TILE_BYTES // (4 * n * columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def absolute_level(
    recording: Recording, settings: DetectionSettings, pool: Executor | None
) -> float | None:
    """Return the absolute threshold, or None if the settings have none.

    With ``adjust_for_noise`` it is multiplied by the square root of the noise level.
    """
    if settings.threshold is None:
        return None
    if not settings.adjust_for_noise:
        return float(settings.threshold)
    if recording.shape[0] < 2:
        raise InvalidValueError(
            "adjust_for_noise needs at least two frames; this recording has one"
        )
    tiles = list(
        map_tasks(
            NoiseOfRows(recording),
            row_tiles(recording),
            pool,
            recordings=(recording,),
            describe=_describe_rows,
        )
    )
    return float(settings.threshold) * float(
        np.sqrt(np.nanmedian(np.concatenate(tiles)))
    )


def _describe_rows(rows: slice) -> tuple[str, int]:
    """Return a text that describes a range of rows, and the memory of its task."""
    return f"rows {rows.start}:{rows.stop} of all frames", 4 * _TILE_BYTES


@dataclass(frozen=True)
class NoiseOfRows:
    """Estimate the noise of a range of rows; a task for `map_tasks`."""

    recording: Recording

    def __call__(self, rows: slice, pool: Executor | None) -> NDArray[np.float64]:
        """Return the noise of each pixel of the rows, (row, column)."""
        frames = self.recording.read(0, self.recording.shape[0], rows=rows)
        self.recording.release()
        return estimate_noise_map(frames.astype(np.float32, copy=False), pool)


@dataclass(frozen=True)
class PeaksOfRows:
    """Find the peaks of whole time courses in a range of rows; a task for `map_tasks`.

    Parameters
    ----------
    recording, settings
        See `whole_course_peaks`.
    fills
        float64 (frame,): mean of each frame, which replaces NaN.
    """

    recording: Recording
    settings: DetectionSettings
    fills: NDArray[np.float64]

    def __call__(self, tile: slice, pool: Executor | None) -> NDArray[np.uint8]:
        """Return the marks of the rows, one bit per voxel, uint8."""
        n, rows, _ = self.recording.shape
        sigma, radius, mode = self.settings.smoothing
        reach = smoothing_radius(self.settings)
        around = slice(max(0, tile.start - reach), min(rows, tile.stop + reach))
        read = self.recording.read(0, n, rows=around)
        self.recording.release()
        frames, _ = fill_invalid(read, self.fills)
        smooth = (
            frames if sigma == 0 else gaussian(frames, sigma, radius, mode, pool=pool)
        )
        inner = np.ascontiguousarray(
            smooth[:, tile.start - around.start : tile.stop - around.start]
        )
        found = peak_mask(inner, peak_criteria(self.settings), pool=pool)
        return np.packbits(found, axis=2)


@dataclass(frozen=True)
class StoredPeaks:
    """Marks of peaks in a file, one bit per voxel.

    Parameters
    ----------
    path
        The file.
    shape
        Shape of the recording.
    """

    path: Path
    shape: tuple[int, int, int]

    def bits(self, mode: Literal["r", "r+"] = "r") -> np.memmap[Any, Any]:
        """Return the memory-mapped bits: uint8 (frame, row, group of eight columns)."""
        n, rows, columns = self.shape
        size = (n, rows, -(-columns // 8))
        return np.memmap(self.path, np.uint8, mode, shape=size)

    def __call__(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return the marks of frames, bool (frame, row, column)."""
        bits = self.bits()[start:stop]
        return np.unpackbits(bits, axis=2, count=self.shape[2]).view(np.bool_)


def frame_means_of_block(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> NDArray[np.float64]:
    """Return the mean of the finite values of each frame of a block."""
    return frame_means(frames)


def whole_course_peaks(
    recording: Recording,
    settings: DetectionSettings,
    checkpoint: Checkpoint,
    pool: Executor | None,
    advance: Callable[[int], None] = lambda n: None,
) -> Callable[[int, int], NDArray[np.bool_]] | None:
    """Find peaks in whole time courses, where a stream cannot find them.

    That is: the prominence has no window (``temporal_wlen``), or the frames of a window
    are too large for memory (`STREAM_BYTES`). The recording is read in ranges of rows,
    plus the rows that smoothing needs. The marks are stored on disk, one bit per voxel;
    they do not depend on the ranges.

    Returns
    -------
    callable or None
        (start, stop) -> marks, bool (frame, row, column); None if a stream can find
        them, or if the settings do not use the temporal criterion.
    """
    criteria = peak_criteria(settings)
    if settings.threshold is not None or not settings.use_temporal:
        return None
    if criteria.reach is not None and not _is_wide(recording, criteria.reach):
        return None
    path: Path = checkpoint.blocks.absolute() / "peaks.bits"
    stored = StoredPeaks(path, recording.shape)
    if not path.exists():
        path.touch()
    bits = stored.bits("r+")
    blocks = list(plan_blocks(len(recording), frames_per_block(recording)))
    means = map_blocks(recording, frame_means_of_block, blocks)
    fills = np.concatenate([part for _, part in means])
    tiles = list(enumerate(row_tiles(recording)))
    todo = [(i, tile) for i, tile in tiles if not checkpoint.has(_PEAKS, i)]
    advance(recording.shape[1] - sum(tile.stop - tile.start for _, tile in todo))
    found = map_tasks(
        PeaksOfRows(recording, settings, fills),
        [tile for _, tile in todo],
        pool,
        recordings=(recording,),
        describe=_describe_rows,
    )
    for (index, tile), marks in zip(todo, found, strict=True):
        bits[:, tile] = marks
        bits.flush()
        checkpoint.save(_PEAKS, index)
        advance(tile.stop - tile.start)
    return stored


def _is_wide(recording: Recording, reach: int) -> bool:
    """Return whether a stream would hold more than `STREAM_BYTES` of frames."""
    _, rows, columns = recording.shape
    # a stream holds smoothed frames (float32) and their marks (1 byte)
    return 5 * (4 * reach + 1) * rows * columns > STREAM_BYTES


def known_registration(recording: Recording) -> Registration | None:
    """Return the motion correction stored beside a recording.

    None if it is missing or has another number of frames.
    """
    place = place_of(recording)
    if place is None:
        return None
    found = read_registration(place, recording.loc)
    return (
        found if found is not None and len(found.shifts) == recording.shape[0] else None
    )


def widen_border(registration: Registration) -> tuple[int, int, int, int]:
    """Return the border that registration filled, widened where many frames reach it.

    A side is widened by `BORDER_REACH` if many frames have the largest shift.
    """
    rows, columns = registration.shifts.T
    top, bottom, left, right = (
        width + BORDER_REACH * bool(np.mean(need > max(width, 2) - 1) > BORDER_SHARE)
        for width, need in zip(
            registration.border, (-rows, rows, -columns, columns), strict=True
        )
    )
    return top, bottom, left, right


def border_widths(
    shape: tuple[int, int, int],
    settings: DetectionSettings,
    registration: Registration | None,
) -> tuple[int, int, int, int]:
    """Return the pixels at (top, bottom, left, right) in which nothing is detected.

    "auto" leaves out the pixels that registration filled, see `widen_border`.
    """
    if settings.exclude_border == "auto":
        border = widen_border(registration) if registration else (0, 0, 0, 0)
        if border[0] + border[1] >= shape[1] or border[2] + border[3] >= shape[2]:
            warnings.warn(
                "the shifts of the registration are as large as the frame, so that no"
                " pixel is valid in all frames; no border is left out. Check the"
                " shifts, or switch off the motion correction",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
            border = (0, 0, 0, 0)
    else:
        border = (settings.exclude_border,) * 4
    if border[0] + border[1] >= shape[1] or border[2] + border[3] >= shape[2]:
        raise InvalidValueError(
            f"exclude_border is {border} pixels (top, bottom, left, right), which is"
            f" the whole frame of {shape[1]} x {shape[2]} pixels; use a smaller border"
        )
    return border
