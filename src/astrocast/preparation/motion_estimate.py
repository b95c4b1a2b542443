"""Estimate motion: make a template from a sample, then the shift of each frame."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.recording import ALL, Recording
from astrocast.io.stores.frame_quality import frames_left_out
from astrocast.io.views import DerivedRecording
from astrocast.kernels.registration.engine import (
    Estimate,
    Model,
    OutputConversion,
    correct,
    halo_of,
)
from astrocast.kernels.registration.piecewise import (
    PiecewiseModel,
    plan_grid,
    spread_fields,
)
from astrocast.kernels.registration.preprocess import SMALLEST, plan_view, view_frames
from astrocast.kernels.registration.quality import (
    NormalRange,
    dark_border,
    estimate_noise_level,
    field_border,
    interpolate_bad_frames,
    mean_crispness,
    valid_border,
)
from astrocast.kernels.registration.template import (
    Sample,
    judge_sample,
    piecewise_template,
    rigid_template,
)
from astrocast.preparation.motion_judgement import (
    judge_motion,
    read_frames,
    repair_motion,
)
from astrocast.runtime.blocks import (
    IMAGE_FRAMES,
    Block,
    frames_per_block,
    map_blocks,
    plan_blocks,
)
from astrocast.runtime.checkpoint import BlockStore
from astrocast.runtime.fingerprint import fingerprint
from astrocast.runtime.frame_quality import frame_quality_before_motion
from astrocast.runtime.progress import track
from astrocast.settings.motion import MotionSettings

#: increase it when the shifts or the corrected movie of the same recording change
ALGORITHM_VERSION = 9
#: the template is made from at most this many frames and bytes
SAMPLE_FRAMES = 120
SAMPLE_BYTES = 96 << 20
#: frames with more pixels are compared at half the resolution: it is exact enough, and
#: images of full resolution would need gigabytes
FINEST_PIXELS = 1 << 22
#: length of a run of consecutive frames in the sample, if chunks have several frames
SAMPLE_RUN = 8

EstimateBlock = Callable[[NDArray[Any], Model, slice, Executor | None], Estimate]


@dataclass(frozen=True)
class Motion:
    """Estimated motion of a recording; see `MotionCorrection` for the fields."""

    model: Model
    shifts: NDArray[np.float64]
    fields: NDArray[np.float32]
    template: NDArray[np.float32]
    quality: dict[str, NDArray[Any]]
    border: tuple[int, int, int, int]
    crispness: tuple[float, float]
    offset: float
    #: table of bad frames: of the raw recording, and found by the motion correction
    frame_table: pd.DataFrame
    #: bool (frame,): frames whose first shift was replaced by a better one
    repaired: NDArray[np.bool_]
    #: folder that contains the finished blocks
    block_folder: Path | None = None


class SummedChannels(DerivedRecording):
    """Sum of the channels of a recording, each divided by its noise."""

    def __init__(self, channels: list[Recording]) -> None:
        shapes = {c.shape for c in channels}
        if len(shapes) > 1:
            raise InvalidValueError(
                "channels that moved together must have the same shape, found"
                f" {', '.join(str(s) for s in sorted(shapes))}"
            )
        super().__init__(channels[0], dtype=np.float32)
        self.members = channels
        self.chunk_frames = max(c.chunk_frames for c in channels)
        self.portable = all(c.portable for c in channels)
        self._scales = [
            estimate_noise_level(c.read(0, min(8, self.shape[0]))) or 1.0
            for c in channels
        ]

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return the sum of the channels, see `Recording.read`."""
        parts = (
            c.read(start, stop, rows, columns) / s
            for c, s in zip(self.members, self._scales, strict=True)
        )
        return np.asarray(np.sum(list(parts), axis=0), np.float32)


def estimate_motion(
    recording: Recording,
    settings: MotionSettings,
    pool: Executor,
    estimate: EstimateBlock,
    directory: Path | None = None,
) -> Motion:
    """Return the motion of a recording.

    Parameters
    ----------
    recording
        The recording. A sample is read first, then every block.
    settings
        Parameters of the motion correction.
    pool
        Threads that share the work.
    estimate
        Function that estimates the motion of a block (the engine).
    directory
        Folder for finished blocks, so that an interrupted run can continue; None stores
        nothing.
    """
    if min(recording.shape[1:]) < SMALLEST:
        raise InvalidValueError(
            f"frames of {recording.shape[1]} x {recording.shape[2]} pixels are too"
            f" small to be registered; at least {SMALLEST} x {SMALLEST} are needed"
        )
    splits, use = settings.splits_rig, settings.num_splits_to_process_rig
    if settings.has_field:
        splits, use = settings.splits_els, settings.num_splits_to_process_els or use
    table = frame_quality_before_motion(recording)
    left_out = frames_left_out(table, len(recording))
    if left_out.all():
        left_out[:] = False
    picked = sample_frames(recording, splits, use, left_out)
    frames = read_frames(recording, picked)
    model, normal, template = build_model(frames, settings, pool)
    store = EstimateStore(directory, settings, recording, frames)
    del frames
    found, lowest = estimate_blocks(
        recording, block_frames(recording, splits), model, pool, estimate, store
    )
    found, repaired = repair_motion(recording, found, model, left_out)
    judged = judge_motion(found, model, normal, table, repaired, left_out)
    motion = conclude(found, lowest, model, judged, template, settings)
    return replace(motion, block_folder=store.folder, repaired=repaired)


def build_model(
    frames: NDArray[Any], settings: MotionSettings, pool: Executor
) -> tuple[Model, NormalRange, NDArray[np.float32]]:
    """Return (model, normal range of the correlation, template at full resolution).

    The model contains the template prepared for the comparison.
    """
    shape = (frames.shape[1], frames.shape[2])
    view = plan_view(shape, dark_border(frames))
    sample = Sample(
        frames,
        view_frames(frames, view),
        view,
        settings.max_shifts,
        settings.gSig_filt,
        pool,
    )
    is_wide = shape[0] * shape[1] > FINEST_PIXELS
    rigid = rigid_template(
        sample, settings.niter_rig, not settings.has_field and not is_wide
    )
    model: Model = rigid
    if settings.has_field:
        strides, overlaps = settings.strides, settings.overlaps
        if settings.line_bands > 1:
            strides, overlaps = plan_bands(shape, settings.line_bands)
        grid = plan_grid(shape, view, strides, overlaps, settings.upsample_factor_grid)
        model = piecewise_template(sample, rigid, grid, settings.max_deviation_rigid)
        if settings.line_bands > 1:
            # motion within a frame differs from that of the neighbouring frames
            model = replace(model, halo=0)
    estimate, good, normal = judge_sample(sample, model)
    shifts, found = estimate.shifts, estimate.fields
    use = np.flatnonzero(good) if good.any() else np.arange(len(frames))
    total = np.zeros(shape, np.float64)
    for i in range(0, len(use), 16):
        part = use[i : i + 16]
        total += correct(
            frames[part], shifts[part], found[part], model, OutputConversion(), pool
        ).sum(0)
    return model, normal, (total / len(use)).astype(np.float32)


def plan_bands(
    shape: tuple[int, int], bands: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return strides and overlaps of bands of lines in pixels, as for patches.

    A band is twice as high as the stride, so that neighbouring bands share lines.
    """
    height = shape[0] // bands
    if height < SMALLEST:
        raise InvalidValueError(
            f"line_bands is {bands}, but frames of {shape[0]} lines have at most"
            f" {max(1, shape[0] // SMALLEST)} bands of {SMALLEST} lines"
        )
    return (height, shape[1]), (height, 0)


def estimate_blocks(
    recording: Recording,
    size: int,
    model: Model,
    pool: Executor,
    estimate: EstimateBlock,
    store: EstimateStore,
) -> tuple[Estimate, float]:
    """Return the estimate for all frames, and the lowest value (at most 0)."""
    halo = halo_of(model)
    blocks = list(plan_blocks(recording.shape[0], size, (halo, halo)))
    sums = ImageSums()
    done = {
        b.start: sums.take_from(*stored)
        for b in blocks
        if (stored := store.load(b)) is not None
    }
    with track("motion correction: shifts", recording.shape[0]) as advance:
        advance(sum(len(stored[0].shifts) for stored in done.values()))
        for block, found in map_blocks(
            recording,
            EstimateTask(model, estimate),
            [b for b in blocks if b.start not in done],
            pool=pool,
        ):
            store.save(block, *found)
            done[block.start] = sums.take_from(*found)
            advance(block.stop - block.start)
    parts = [done[b.start] for b in blocks]
    joined = replace(
        Estimate.join([p[0] for p in parts]),
        sum_before=sums.before,
        sum_after=sums.after,
    )
    return joined, min(p[1] for p in parts)


@dataclass(frozen=True)
class EstimateTask:
    """Estimate the motion of a block; an operation for `map_blocks`."""

    model: Model
    estimate: EstimateBlock

    def __call__(
        self, frames: NDArray[Any], block: Block, pool: Executor | None
    ) -> tuple[Estimate, float]:
        """Return the estimate of the block's frames, and their lowest value."""
        found = self.estimate(frames, self.model, block.inner, pool)
        return found, lowest_value(frames)


class ImageSums:
    """Sums of the images of all blocks, before and after the correction.

    A running sum, so that memory does not grow with the recording.
    """

    def __init__(self) -> None:
        self.before: Any = 0.0
        self.after: Any = 0.0

    def take_from(self, found: Estimate, lowest: float) -> tuple[Estimate, float]:
        """Add the image sums of a block; return its estimate without them."""
        self.before, self.after = (
            self.before + found.sum_before,
            self.after + found.sum_after,
        )
        nothing = np.zeros((0, 0))
        return replace(found, sum_before=nothing, sum_after=nothing), lowest


def conclude(
    found: Estimate,
    lowest: float,
    model: Model,
    table: pd.DataFrame,
    template: NDArray[np.float32],
    settings: MotionSettings,
) -> Motion:
    """Interpolate the shifts of bad frames, and return the motion."""
    n = len(found.shifts)
    bad = frames_left_out(table, n)
    shifts = interpolate_bad_frames(found.shifts, bad)
    fields_ = interpolate_bad_frames(found.fields, bad)
    border = valid_border(shifts[~bad])
    if isinstance(model, PiecewiseModel):
        border = field_border(spread_fields(fields_[~bad], model.grid))
    quality = {
        "correlation_before": found.correlation_before,
        "correlation_after": found.correlation_after,
        "residual": found.residual,
        "bad_frame": bad,
    }
    sharp = mean_crispness(found.sum_before / n), mean_crispness(found.sum_after / n)
    return Motion(
        model,
        shifts,
        fields_,
        template,
        quality,
        border,
        sharp,
        -lowest if settings.nonneg_movie else 0.0,
        table,
        np.zeros(n, bool),
    )


def sample_frames(
    recording: Recording,
    splits: int,
    use: int | None,
    left_out: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return the numbers of the frames of the sample, evenly spread.

    The sample is taken from the whole recording, or from ``use`` of its ``splits``
    parts. Frames marked in ``left_out`` (frame,) are not used.
    """
    n = recording.shape[0]
    allowed = np.arange(n)
    if use is not None and use < splits:
        edges = np.linspace(0, n, splits + 1).astype(int)
        chosen = np.unique(np.linspace(0, splits - 1, use).round().astype(int))
        picked = np.concatenate([np.arange(edges[i], edges[i + 1]) for i in chosen])
        allowed = picked if len(picked) else allowed
    if left_out is not None and not left_out[allowed].all():
        allowed = allowed[~left_out[allowed]]
    by_memory = max(16, SAMPLE_BYTES // max(1, recording.nbytes // n))
    count = min(len(allowed), SAMPLE_FRAMES, by_memory)
    run = SAMPLE_RUN if recording.chunk_frames > 1 else 1
    starts = (
        np.linspace(0, max(len(allowed) - run, 0), -(-count // run)).round().astype(int)
    )
    return np.unique(
        allowed[np.minimum(starts[:, None] + np.arange(run), len(allowed) - 1)]
    )


def block_frames(recording: Recording, splits: int) -> int:
    """Return the number of frames of a block: a split, or fewer if memory is small."""
    frames = max(16, -(-recording.shape[0] // splits))
    if frames > recording.chunk_frames:
        frames -= frames % recording.chunk_frames
    return min(frames, max(frames_per_block(recording), IMAGE_FRAMES))


def lowest_value(frames: NDArray[Any]) -> float:
    """Return the lowest finite value of the frames, or 0 if that is lower."""
    if frames.dtype.kind in "bu":
        return 0.0
    value = float(frames.min())
    if not np.isfinite(value):
        finite = frames[np.isfinite(frames)]
        value = float(finite.min()) if finite.size else 0.0
    return min(value, 0.0)


class EstimateStore:
    """Estimates of finished blocks on disk.

    Each input, set of parameters and version of the algorithm has its own folder.

    Parameters
    ----------
    directory
        The parent folder; None stores nothing.
    settings, recording
        Parameters of the motion correction, and its input.
    sample
        The frames (frame, row, column) that the template is made from. Their content
        identifies the recording.
    """

    def __init__(
        self,
        directory: Path | None,
        settings: MotionSettings,
        recording: Recording,
        sample: NDArray[Any],
    ) -> None:
        self.folder: Path | None = None
        if directory is not None:
            parameters = settings.model_dump(mode="json")
            same = fingerprint(
                ALGORITHM_VERSION,
                parameters,
                [list(recording.shape), str(recording.dtype)],
                sample,
            )
            self.folder = directory / f"motion-{same[:16]}"
        self._blocks = BlockStore(self.folder)

    def load(self, block: Block) -> tuple[Estimate, float] | None:
        """Return the estimate of a block if it is finished, else None."""
        stored = self._blocks.load(f"{block.start:08d}-{block.stop:08d}")
        if stored is None:
            return None
        estimate = Estimate(**{f.name: stored[f.name] for f in fields(Estimate)})
        return estimate, float(stored["lowest"])

    def save(self, block: Block, found: Estimate, lowest: float) -> None:
        """Store a finished block."""
        arrays = {f.name: np.asarray(getattr(found, f.name)) for f in fields(Estimate)}
        self._blocks.save(
            f"{block.start:08d}-{block.stop:08d}", lowest=np.asarray(lowest), **arrays
        )
