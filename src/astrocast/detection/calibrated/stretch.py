"""Background and noise of a stretch of a recording, for the calibrated detection."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import Recording
from astrocast.kernels.calibrated.background import (
    Background,
    estimate_background,
    step_edges,
)
from astrocast.kernels.calibrated.noise_model import SmoothedNoise, measure_noise
from astrocast.kernels.calibrated.noise_moments import (
    LagMoments,
    StepMoments,
    correlation_in_time,
    gain_of_gaussian,
)
from astrocast.kernels.calibrated.noise_tails import (
    as_normal,
    histogram_of_noise,
    normal_heights,
)
from astrocast.kernels.calibrated.noise_variance import fit_noise_line
from astrocast.kernels.calibrated.residual import residual
from astrocast.kernels.calibrated.residual_motion import Texture
from astrocast.kernels.calibrated.spikes import remove_spikes
from astrocast.kernels.frames.invalid import fill_or_keep_counts
from astrocast.kernels.frames.smoothing import (
    gaussian,
    gaussian_weights,
    smoothed_noise,
    temporal_gain_of,
)
from astrocast.runtime.blocks import Block, read_blocks
from astrocast.runtime.memory import scale_to_memory
from astrocast.settings.calibrated import CalibratedSettings

#: most voxels of a block
BLOCK_VOXELS = 16 << 20
#: most voxels of a block that is only read: its memory is used again for the next block
READ_VOXELS = 4 << 20
#: blocks of half this size are used if they have at least this many frames: they are
#: faster because their memory is reused, and the halo is small beside them
_WIDE_FRAMES = 64
#: the noise of a stretch is measured in this many voxels, in this many pieces, each of
#: at least this many frames
_SAMPLE_VOXELS, _SAMPLES, _SAMPLE_FRAMES = 3 << 20, 3, 8
#: number of brightness classes of pixels; each has its own distribution of noise
_CLASSES = 8


@dataclass(frozen=True)
class Stretch:
    """Background and noise of a stretch of the recording.

    Parameters
    ----------
    start, stop
        First frame, and the frame after the last, in the recording.
    background, texture
        Background without events, and texture of its mean (for residual motion).
    noise
        float32 (row, column): standard deviation of the spatially smoothed signal, from
        white noise and slow fluctuations.
    light, slope
        float32 (row, column): smoothed brightness and gradient of the background.
    classes, tables
        Brightness class of each pixel, and tables that map heights of its noise to
        z-scores, see `kernels.calibrated.noise_tails`.
    measured
        Measured noise of the smoothed signal.
    n_frames
        Frames of the whole recording.
    correlated
        Noise of the smoothed signal / noise of independent frames with the same
        frame-to-frame differences: the effect of correlation in time.
    """

    start: int
    stop: int
    background: Background
    texture: Texture
    noise: NDArray[np.float32]
    light: NDArray[np.float32]
    slope: NDArray[np.float32]
    classes: NDArray[np.uint8]
    tables: NDArray[np.float32]
    measured: SmoothedNoise
    n_frames: int
    correlated: float

    @classmethod
    def read(
        cls,
        recording: Recording,
        start: int,
        stop: int,
        settings: CalibratedSettings,
        pool: Executor | None,
        field_active: NDArray[np.bool_] | None = None,
    ) -> Stretch:
        """Read a stretch, then a sample of it; return its noise and background."""
        gathered = LagMoments(step_edges(stop - start), recording.shape[1:])
        for block, frames in read_blocks(
            recording,
            blocks_of(recording, start, stop, most=scale_to_memory(READ_VOXELS)),
        ):
            gathered.add(fill_or_keep_counts(frames)[0], block.start - start, pool)
        moments = gathered.finish()
        active = None if field_active is None else field_active[start:stop]
        known = cls.of_moments(
            moments, (start, stop), len(recording), settings, pool, active
        )
        return known.measure_noise_in(recording, settings, pool, field_active)

    @classmethod
    def of_moments(
        cls,
        moments: StepMoments,
        span: tuple[int, int],
        n_frames: int,
        settings: CalibratedSettings,
        pool: Executor | None,
        field_active: NDArray[np.bool_] | None = None,
    ) -> Stretch:
        """Return background and noise of a stretch from moments of its frames.

        Parameters
        ----------
        moments
            Moments of the frames of the stretch.
        span
            (first frame of the stretch, last frame + 1).
        n_frames
            Frames of the whole recording.
        settings, pool
            Settings and threads of the run.
        field_active
            bool (frame,): frames of the stretch with a whole-field event.
        """
        half = moments.half_squares
        correlation = correlation_in_time(half)
        line = fit_noise_line(moments.mean, half[0] / (1 - correlation[0]))
        background = estimate_background(
            moments.means, moments.edges, line, pool, correlation, field_active
        )
        texture = Texture.of(background.mean, background.variance)
        alike = gain_of_gaussian(correlation, settings.smooth_sigma, settings.reach)
        noise = (
            smoothed_noise(background.variance, settings.smooth_sigma, settings.reach)
            * background.excess
            * np.float32(alike)
        )
        mean, light = (
            _smooth_frame(v, settings)
            for v in (background.mean, line.light(background.mean))
        )
        rank = np.argsort(
            np.argsort(mean, axis=None, kind="stable"), kind="stable"
        ).reshape(noise.shape)
        classes = (rank * _CLASSES // rank.size).astype(np.uint8)
        slope = np.hypot(*np.gradient(mean)).astype(np.float32)
        unknown = np.empty((0, 0), np.float32)
        return cls(
            *span,
            background,
            texture,
            noise,
            light,
            slope,
            classes,
            unknown,
            SmoothedNoise(),
            n_frames,
            alike / float(np.sqrt(1 - correlation[0])),
        )

    @property
    def single(self) -> NDArray[np.float32]:
        """Standard deviation of the noise of a voxel, (row, column)."""
        return np.sqrt(self.background.variance)

    @property
    def excess(self) -> float:
        """Slow fluctuations / frame-to-frame noise, median over pixels."""
        slow = float(np.median(self.background.excess)) * self.measured.factor
        return slow * self.correlated

    def measure_noise_in(
        self,
        recording: Recording,
        settings: CalibratedSettings,
        pool: Executor | None,
        field_active: NDArray[np.bool_] | None,
        since: int | None = None,
    ) -> Stretch:
        """Return the stretch with its noise measured in a sample of frames.

        ``since``: first frame of the sample; None: the whole stretch is used.
        """
        counts: Any = 0
        own = float(gaussian_weights(settings.smooth_sigma, settings.reach)[0]) ** 3
        single = self.single
        heights, arrays = [], ReusedArrays()
        n = len(recording)
        # only a few frames at the ends have another gain than the median
        few = min(n, 1000)
        usual = np.median(self._gain(np.arange(few), few, settings))
        for block, frames in read_blocks(
            recording, self._plan_samples(recording, settings.reach + 1, since)
        ):
            above, smooth, _ = signal_of(frames, block, self, settings, pool, arrays)
            above, at = above[block.inner], np.arange(block.start, block.stop)
            if field_active is not None and field_active[at].any():
                counted = ~field_active[at]
                above, smooth, at = above[counted], smooth[counted], at[counted]
            counts = counts + histogram_of_noise(
                above, smooth, (single, self.noise), self.classes, own
            )
            gain = self._gain(at, n, settings)
            heights.append(smooth / self.noise / gain[:, None, None])
        tables = normal_heights(counts, settings.smooth_sigma, settings.reach)
        z = np.concatenate([as_normal(h, self.classes, tables) for h in heights])
        found = measure_noise(z, self.noise * np.float32(usual), self.light, self.slope)
        found = replace(found, flicker=max(found.flicker, settings.background_error))
        return replace(self, tables=tables, measured=found)

    def _plan_samples(
        self, recording: Recording, halo: int, since: int | None
    ) -> list[Block]:
        """Return the blocks of the sample; the whole stretch if it is short."""
        n, rows, columns = recording.shape
        start = self.start if since is None else since
        length = self.stop - start
        wanted = max(_SAMPLE_VOXELS // (rows * columns) // _SAMPLES, _SAMPLE_FRAMES)
        if (wanted + 2 * halo) * _SAMPLES >= length:
            return [
                Block(
                    start,
                    self.stop,
                    min(halo, start),
                    min(halo, n - self.stop),
                )
            ]
        starts = [
            start + (length - wanted) * i // (_SAMPLES - 1) for i in range(_SAMPLES)
        ]
        return [
            Block(a, a + wanted, min(halo, a), min(halo, n - a - wanted))
            for a in starts
        ]

    def _gain(
        self, frames: NDArray[np.int64], n_frames: int, settings: CalibratedSettings
    ) -> NDArray[np.float32]:
        """Return the noise after / before smoothing in time, float32 (frame,)."""
        gain = temporal_gain_of(frames, n_frames, settings.smooth_sigma, settings.reach)
        # the background is the mean of all frames of the stretch, with its own noise
        return np.sqrt(gain**2 + np.float32(1 / (self.stop - self.start)))

    def deviation(
        self, block: Block, settings: CalibratedSettings
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the noise of the smoothed signal, and the kind of each frame.

        The standard deviation is float32 (kind of frame, row, column). All frames of a
        block are of one kind, except those near the ends of the recording.
        """
        gains, which = np.unique(
            self._gain(np.arange(block.start, block.stop), self.n_frames, settings),
            return_inverse=True,
        )
        kinds = [
            self.measured.deviation(self.noise * g, self.light, self.slope)
            for g in gains
        ]
        return np.stack(kinds), which.astype(np.int64)


class ReusedArrays:
    """Arrays of float32 that are used again for each block.

    The system clears new memory before it is used, which takes as long as a simple
    kernel.
    """

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.float32]] = {}

    def get(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the array of a name, of any content, valid up to the next call."""
        size = int(np.prod(shape))
        held = self._held.get(name)
        if held is None or held.size < size:
            held = self._held[name] = np.empty(size, np.float32)
        return held[:size].reshape(shape)


def stretches(n_frames: int, length: int) -> list[tuple[int, int]]:
    """Return (first frame, last frame + 1) of stretches of about ``length`` frames.

    Examples
    --------
    >>> stretches(1300, 512)
    [(0, 433), (433, 866), (866, 1300)]
    """
    count = max(1, round(n_frames / length))
    edges = [n_frames * i // count for i in range(count + 1)]
    return list(pairwise(edges))


def blocks_of(
    recording: Recording,
    start: int,
    stop: int,
    halo: int = 0,
    most: int | None = None,
) -> list[Block]:
    """Return the blocks in which frames ``start`` to ``stop`` are processed.

    ``most``: largest number of voxels of a block; None: as the memory limit allows.
    """
    most = most or scale_to_memory(BLOCK_VOXELS)
    n, rows, columns = recording.shape
    voxels = min(most, max(most // 2, _WIDE_FRAMES * rows * columns))
    count = max(1, -(-(stop - start) * rows * columns // voxels))
    edges = [start + (stop - start) * i // count for i in range(count + 1)]
    return [
        Block(a, b, min(halo, a), min(halo, n - b)) for a, b in pairwise(edges) if b > a
    ]


def signal_of(
    frames: NDArray[np.generic],
    block: Block,
    stretch: Stretch,
    settings: CalibratedSettings,
    pool: Executor | None,
    arrays: ReusedArrays | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return signal above background, smoothed signal, and mask of NaN voxels or None.

    The signal has all frames that were read, the smoothed signal those of the block.
    NaN voxels have the signal 0. With ``arrays``, both signals are valid up to the next
    call.
    """
    values, invalid = fill_or_keep_counts(frames)
    shape = block.stop - block.start, *frames.shape[1:]
    signal, smooth = (
        (None, None)
        if arrays is None
        else (arrays.get("signal", frames.shape), arrays.get("smooth", shape))
    )
    above = residual(
        values,
        block.start - block.lead - stretch.start,
        stretch.background,
        stretch.texture,
        pool,
        signal,
    )
    if invalid is not None:
        above[invalid] = 0
    remove_spikes(above, stretch.single, pool)
    return (
        above,
        gaussian(
            above,
            settings.smooth_sigma,
            settings.reach,
            "nearest",
            block.inner,
            pool,
            smooth,
        ),
        invalid,
    )


def _smooth_frame(
    frame: NDArray[np.float32], settings: CalibratedSettings
) -> NDArray[np.float32]:
    volume = np.ascontiguousarray(frame[None], np.float32)
    return gaussian(volume, settings.smooth_sigma, settings.reach)[0]
