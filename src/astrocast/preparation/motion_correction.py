"""Motion correction: where every frame has moved, and the movie with that undone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import InvalidValueError, NotRunError
from astrocast.io import create_recording, open_recording
from astrocast.io.chunks import ChunkStrategy
from astrocast.io.recording import Recording, as_dtype
from astrocast.io.registration_store import Registration, registration_path, write_registration
from astrocast.kernels.registration.engine import CpuEngine, Estimate
from astrocast.kernels.registration.quality import (
    Normal,
    agreement,
    bridge,
    clipped_share,
    crispness,
    normal_range,
    valid_border,
)
from astrocast.kernels.registration.rigid import RigidModel
from astrocast.kernels.registration.template import rigid_template
from astrocast.kernels.registration.view import SMALLEST, plan_view, view_frames
from astrocast.kernels.registration.warp import shift_frames
from astrocast.runtime.blocks import Block, frames_per_block, plan_blocks, read_blocks, run_blocks
from astrocast.runtime.progress import track
from astrocast.settings.motion import MotionSettings

logger = logging.getLogger(__name__)

#: the template is built from at most this many frames, and this many bytes of them
SAMPLE_FRAMES = 200
SAMPLE_BYTES = 96 << 20
#: consecutive frames of the sample that are read together where the file is stored in deep chunks
SAMPLE_RUN = 8


class MotionCorrection:
    """Motion correction."""

    shifts: NDArray[np.float64]
    template: NDArray[np.float32]
    quality: dict[str, NDArray[Any]]
    border: tuple[int, int, int, int]
    crispness: tuple[float, float]

    def __init__(self, working_directory: str | Path | None = None, logging_level: int = 20) -> None:
        self.working_directory = Path(working_directory) if working_directory is not None else None
        logger.setLevel(logging_level)
        self._source: tuple[Any, str | None] | None = None

    def run(
        self,
        path: Any,
        loc: str = "",
        max_shifts: tuple[int, int] = (50, 50),
        niter_rig: int = 3,
        splits_rig: int = 14,
        num_splits_to_process_rig: int | None = None,
        strides: tuple[int, int] = (48, 48),
        overlaps: tuple[int, int] = (24, 24),
        pw_rigid: bool = False,
        splits_els: int = 14,
        num_splits_to_process_els: int | None = None,
        upsample_factor_grid: int = 4,
        max_deviation_rigid: int = 3,
        nonneg_movie: bool = True,
        gSig_filt: tuple[int, int] | None = (20, 20),  # noqa: N803 - the contract's name
        bigtiff: bool = True,
        *,
        engine: str = "auto",
    ) -> None:
        """Estimate the shifts."""
        given = {k: v for k, v in locals().items() if k not in ("self", "path", "loc")}
        self.settings: MotionSettings = MotionSettings.checked(**given)
        recording = open_recording(path, loc or None)
        try:
            check_size(recording)
            sample = read_sample(recording, self.settings)
            model, normal = self._build(recording, sample)
            self._estimate(recording, model, normal)
        finally:
            if recording is not path:
                recording.close()
        self._source = (path, loc or None)

    def _build(self, recording: Recording, sample: NDArray[Any]) -> tuple[RigidModel, Normal]:
        settings = self.settings
        view = plan_view(recording.shape[1:])
        seen = view_frames(sample, view)
        model, shifts = rigid_template(seen, view, settings.max_shifts, settings.gSig_filt, settings.niter_rig)
        correlation, _ = agreement(shift_frames(seen, shifts / view.factor), model.template, model.window)
        normal = normal_range(correlation, clipped_share(seen))
        self.template = mean_aligned(sample, shifts, correlation >= normal.correlation)
        return model, normal

    def _estimate(self, recording: Recording, model: RigidModel, normal: Normal) -> None:
        engine = CpuEngine(model)
        parts: list[Estimate] = []
        low = 0.0
        try:
            with track("motion correction: shifts", recording.shape[0]) as advance:
                frames = block_frames(recording, self.settings.splits_rig)
                for block, data in read_blocks(recording, list(plan_blocks(recording.shape[0], frames))):
                    parts.append(engine.estimate(data))
                    low = min(low, lowest(data))
                    advance(block.stop - block.start)
        finally:
            engine.close()
        found = Estimate.joined(parts)
        bad = untrusted(found, normal, model)
        self.shifts = bridge(found.shifts, bad)
        self.offset = -low if self.settings.nonneg_movie else 0.0
        self.quality = {
            "correlation_before": found.correlation_before,
            "correlation_after": found.correlation_after,
            "residual": found.residual,
            "bad_frame": bad,
        }
        self.border = valid_border(self.shifts[~bad])
        n = recording.shape[0]
        self.crispness = crispness(found.sum_before[0] / n), crispness(found.sum_after[0] / n)
        self._model = model

    @property
    def bad_frames(self) -> NDArray[np.bool_]:
        """Frames whose shift cannot be trusted, (frame,)."""
        return self.quality["bad_frame"]

    def save(
        self,
        output: str | Path | None = None,
        loc: str = "mc/ch0",
        chunk_strategy: ChunkStrategy = "balanced",
        chunks: tuple[int, int, int] | None = None,
        compression: str | None = None,
        remove_intermediate: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        source: Any = None,
        source_loc: str | None = None,
        overwrite: bool = False,
    ) -> NDArray[Any] | None:
        """Write the corrected movie."""
        if self._source is None:
            raise NotRunError("there is nothing to save yet: call run() first")
        where, dataset = self._source if source is None else (source, source_loc)
        recording = open_recording(where, dataset)
        try:
            if recording.shape[0] != len(self.shifts):
                raise InvalidValueError(
                    f"{recording.shape[0]} frames are to be corrected, shifts are known of {len(self.shifts)}; "
                    "channels of one recording have the same number of frames"
                )
            return self._write(recording, output, loc, as_dtype(dtype), chunk_strategy, chunks, compression, overwrite)
        finally:
            if recording is not where:
                recording.close()

    def _write(
        self, recording: Recording, output: str | Path | None, loc: str, dtype: np.dtype[Any],
        chunk_strategy: ChunkStrategy, chunks: tuple[int, int, int] | None, compression: str | None, overwrite: bool,
    ) -> NDArray[Any] | None:  # fmt: skip
        writer = create_recording(
            output, loc, recording.shape, dtype, chunk_strategy=chunk_strategy, chunks=chunks, compression=compression,
            metadata=recording.metadata, attributes={"border": list(self.border)}, overwrite=overwrite,
        )  # fmt: skip
        operation = _MoveBack(CpuEngine(self._model), self.shifts, dtype, self.offset, self.settings.nonneg_movie)
        try:
            with writer, track("motion correction: movie", recording.shape[0]) as advance:
                run_blocks(recording, writer, operation, advance=advance)
                if output is not None:
                    write_registration(registration_path(Path(output), loc), self.registration)
        finally:
            operation.engine.close()
        return writer.array if output is None else None  # type: ignore[attr-defined]  # an ArrayWriter has it

    @property
    def registration(self) -> Registration:
        """Everything that is stored beside the corrected movie."""
        return Registration(
            self.shifts.astype(np.float32),
            self.template,
            self.quality,
            self.border,
            None,
            {
                "crispness_before": self.crispness[0],
                "crispness_after": self.crispness[1],
                "offset": self.offset,
                "parameters": self.settings.model_dump(mode="json"),
            },
        )


class _MoveBack:
    """The correction as an operation on blocks."""

    halo = (0, 0)

    def __init__(
        self, engine: CpuEngine, shifts: NDArray[np.float64], dtype: np.dtype[Any], offset: float, nonnegative: bool
    ) -> None:
        self.engine, self.shifts, self.dtype = engine, shifts, dtype
        self.offset, self.nonnegative = offset, nonnegative

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return the frames of the block, moved back."""
        own = self.shifts[block.start : block.stop]
        return self.engine.apply(frames[block.inner], own, self.dtype, self.offset, self.nonnegative)


def check_size(recording: Recording) -> None:
    """Refuse frames that are too small to hold structure."""
    if min(recording.shape[1:]) < SMALLEST:
        raise InvalidValueError(
            f"frames of {recording.shape[1]} x {recording.shape[2]} pixels are too small to be registered; "
            f"at least {SMALLEST} x {SMALLEST} are needed"
        )


def block_frames(recording: Recording, splits: int) -> int:
    """Return the frames of a block: those of a split, as far as memory allows."""
    frames = max(16, -(-recording.shape[0] // splits))
    if frames > recording.chunk_frames:
        frames -= frames % recording.chunk_frames
    return min(frames, frames_per_block(recording))


def read_sample(recording: Recording, settings: MotionSettings) -> NDArray[Any]:
    """Return frames spread evenly over the recording, or over some of its splits."""
    n = recording.shape[0]
    frame_bytes = recording.nbytes // n
    count = int(min(n, max(16, min(SAMPLE_FRAMES, SAMPLE_BYTES // frame_bytes))))
    splits, use = settings.splits_rig, settings.num_splits_to_process_rig
    allowed = np.arange(n)
    if use is not None and use < splits:
        edges = np.linspace(0, n, splits + 1).astype(int)
        chosen = np.unique(np.linspace(0, splits - 1, use).round().astype(int))
        allowed = np.concatenate([np.arange(edges[i], edges[i + 1]) for i in chosen])
        allowed = allowed if len(allowed) else np.arange(n)
        count = min(count, len(allowed))
    run = SAMPLE_RUN if recording.chunk_frames > 1 else 1
    starts = np.linspace(0, max(len(allowed) - run, 0), -(-count // run)).round().astype(int)
    picked = np.unique(allowed[np.minimum(starts[:, None] + np.arange(run), len(allowed) - 1)])
    groups = np.split(picked, np.flatnonzero(np.diff(picked) > 1) + 1)
    return np.concatenate([recording.read(int(g[0]), int(g[-1]) + 1) for g in groups])


def mean_aligned(sample: NDArray[Any], shifts: NDArray[np.float64], use: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the mean of the sample's frames, moved back, at full resolution."""
    picked = np.flatnonzero(use) if use.any() else np.arange(len(sample))
    total = np.zeros(sample.shape[1:], np.float64)
    for i in range(0, len(picked), 8):
        part = picked[i : i + 8]
        total += shift_frames(sample[part], shifts[part]).sum(0, dtype=np.float64)
    return (total / len(picked)).astype(np.float32)


def lowest(frames: NDArray[Any]) -> float:
    """Return the lowest finite value of the frames, 0 at most."""
    if frames.dtype.kind in "bu":
        return 0.0
    value = float(frames.min())
    if not np.isfinite(value):
        finite = frames[np.isfinite(frames)]
        value = float(finite.min()) if finite.size else 0.0
    return min(value, 0.0)


def untrusted(found: Estimate, normal: Normal, model: RigidModel) -> NDArray[np.bool_]:
    """Return which frames look too little like the template, are clipped, or moved to the limit of what is allowed."""
    at_limit = (np.abs(found.shifts) >= np.array(model.limit) - 1e-6).any(1) & (np.array(model.limit) > 0).any()
    low = (found.correlation_after < normal.correlation) | (found.correlation_after <= 0)
    return low | (found.clipped > normal.clipped) | at_limit
