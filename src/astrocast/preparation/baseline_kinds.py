"""Backgrounds other than the rolling minimum: percentile, corrected, exponential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.io.recording import ALL, Recording, RecordingWriter
from astrocast.io.views import DerivedRecording
from astrocast.kernels.baseline.corrected_minimum import (
    NoiseEstimate,
    minimum_bias_over_time,
    moving_average,
)
from astrocast.kernels.baseline.exponential import Bleaching, fit_bleaching
from astrocast.kernels.baseline.percentile import running_percentile
from astrocast.kernels.baseline.rolling_minimum import signal_above, two_sided_minimum
from astrocast.preparation.baselines import (
    BaselineRecording,
    MinimumBaseline,
    check_finite,
    minimum_blocks,
)
from astrocast.runtime.blocks import (
    IMAGE_FRAMES,
    Block,
    frames_per_block,
    plan_blocks,
)
from astrocast.runtime.reduction import reduce_blocks
from astrocast.runtime.threads import shared_threads
from astrocast.settings.delta import DeltaSettings


class PercentileBaseline(BaselineRecording):
    """A running percentile; memory grows with the window, not with the recording."""

    def __init__(self, source: Recording, settings: DeltaSettings) -> None:
        super().__init__(source, settings)
        self.halo = (settings.window, settings.window)

    def compute(
        self, start: int, stop: int, rows: slice, columns: slice
    ) -> tuple[NDArray[np.float32], int]:
        """Return corrected frames and the number of divisors raised to the floor."""
        s = self.settings
        frames, inner = self.context(start, stop, rows, columns, s.window)
        background = running_percentile(
            frames, s.window, s.percentile, inner=inner, pool=shared_threads()
        )
        return signal_above(
            frames[inner], background, s.method, floor=s.floor, pool=shared_threads()
        )


class SmoothedRecording(DerivedRecording):
    """Moving average over time of a recording without NaN or infinity."""

    def __init__(self, source: Recording, width: int) -> None:
        super().__init__(source, dtype=np.float32)
        self.width = width

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return averaged frames, see `Recording.read`."""
        frames, inner = self.read_around(start, stop, rows, columns)
        return moving_average(frames, self.width, inner=inner, pool=shared_threads())

    def read_around(
        self, start: int, stop: int, rows: slice, columns: slice
    ) -> tuple[NDArray[Any], slice]:
        """Return frames with those around them, and where they are among these."""
        first = max(0, start - self.width // 2)
        last = min(stop + self.width // 2, self.shape[0])
        frames = self.source.read(first, last, rows, columns)
        return frames, slice(start - first, stop - first)


class SmoothedAndKept(SmoothedRecording):
    """The same; the frames that the latest averages were made of can be taken.

    Only for blocks that are read one after the other.
    """

    def __init__(self, source: Recording, width: int) -> None:
        super().__init__(source, width)
        self._kept: dict[int, NDArray[Any]] = {}

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return averaged frames, see `Recording.read`."""
        frames, inner = self.read_around(start, stop, rows, columns)
        self._kept[start] = frames[inner]
        return moving_average(frames, self.width, inner=inner, pool=shared_threads())

    def take_frames(self, start: int, stop: int) -> NDArray[Any]:
        """Return the frames themselves, and forget them and all before them."""
        frames = self._kept.get(start)
        for before in [s for s in self._kept if s <= start]:
            del self._kept[before]
        if frames is None or len(frames) != stop - start:
            return self.source.read(start, stop)
        return frames


class CorrectedMinimumBaseline(BaselineRecording):
    """Two-sided minimum of a moving average, corrected for noise.

    Noise lowers a minimum: the expected amount is added back for each pixel.
    """

    def __init__(self, source: Recording, settings: DeltaSettings) -> None:
        super().__init__(source, settings)
        self.halo = (settings.window, settings.window)
        self.smoothed = SmoothedRecording(source, settings.smooth)
        self.noise = _measure_noise(source)
        #: float (frame,): bias of the minimum, in standard deviations of the noise
        self.bias = minimum_bias_over_time(
            len(source), min(settings.window, len(source)), settings.smooth
        )

    def compute(
        self, start: int, stop: int, rows: slice, columns: slice
    ) -> tuple[NDArray[np.float32], int]:
        """Return corrected frames and the number of divisors raised to the floor."""
        s = self.settings
        first = max(0, start - s.window)
        smoothed = self.smoothed.read(
            first, min(stop + s.window, len(self)), rows, columns
        )
        inner = slice(start - first, stop - first)
        background, _ = two_sided_minimum(
            smoothed, s.window, inner=inner, pool=shared_threads()
        )
        return signal_above(
            self.source.read(start, stop, rows, columns),
            background,
            s.method,
            floor=s.floor,
            raised=(self.bias[start:stop], self.noise[rows, columns]),
            pool=shared_threads(),
        )

    def stream(self, writer: RecordingWriter, report: Callable[[int], None]) -> None:
        """Write all frames in order.

        Peak memory depends neither on the number of frames nor on the window.
        """
        if self.computes_blocks(writer):
            super().stream(writer, report)
            return
        self.write_ordered(self._blocks(), writer, report)

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32], int]]:
        s = self.settings
        own = SmoothedAndKept(self.source, s.smooth)
        for start, background, _ in minimum_blocks(
            self.smoothed, s.window, "background", s.floor, checked=True, own=own
        ):
            stop = start + len(background)
            yield (
                start,
                *signal_above(
                    own.take_frames(start, stop),
                    background,
                    s.method,
                    floor=s.floor,
                    raised=(self.bias[start:stop], self.noise),
                    pool=shared_threads(),
                ),
            )


def _measure_noise(source: Recording) -> NDArray[np.float32]:
    """Return the noise of each pixel (row, column); raise for NaN or infinity."""
    noise = NoiseEstimate(source.shape[1:])
    frames = max(frames_per_block(source), IMAGE_FRAMES)
    blocks = list(plan_blocks(len(source), frames, (1, 0)))
    done = 0
    for count, part in reduce_blocks(
        source, measure_noise, blocks, NoiseEstimate.merged, shared_threads()
    ):
        noise.merge(part)
        done += count
        if not noise.finite:
            for start, seen in source.blocks(frames):
                check_finite(seen, start)
                if start >= done:
                    break
    return noise.sigma()


def measure_noise(
    frames: NDArray[Any], block: Block, pool: Executor | None
) -> NoiseEstimate:
    """Return the noise of a block, including the step from the frame before it."""
    noise = NoiseEstimate((frames.shape[1], frames.shape[2]))
    if block.lead:
        noise.add(frames[: block.lead], pool)
    noise.add(frames[block.inner], pool)
    noise.forget()
    return noise


class ExponentialBaseline(BaselineRecording):
    """Exponential decay fitted to the mean trace and scaled to each pixel.

    The scale of a pixel is found by least squares.
    """

    def __init__(
        self, source: Recording, settings: DeltaSettings, terms: Literal[1, 2]
    ) -> None:
        super().__init__(source, settings)
        trace = np.empty(len(source))
        for start, frames in source.blocks(frames_per_block(source)):
            check_finite(frames, start)
            trace[start : start + len(frames)] = frames.mean(
                axis=(1, 2), dtype=np.float64
            )
        self.bleaching: Bleaching = fit_bleaching(trace, terms)
        self.decay = self.bleaching.at(np.arange(len(source)))
        product = np.zeros(source.shape[1:])
        for start, frames in source.blocks(frames_per_block(source)):
            product += np.tensordot(
                self.decay[start : start + len(frames)],
                frames.astype(np.float64),
                axes=1,
            )
        #: float64 (row, column): factor of the mean decay for each pixel
        self.scale = product / max(float(self.decay @ self.decay), 1e-12)

    def compute(
        self, start: int, stop: int, rows: slice, columns: slice
    ) -> tuple[NDArray[np.float32], int]:
        """Return corrected frames and the number of divisors raised to the floor."""
        s = self.settings
        frames = self.source.read(start, stop, rows, columns)
        background = (
            self.decay[start:stop, None, None] * self.scale[rows, columns]
        ).astype(np.float32)
        return signal_above(
            frames, background, s.method, floor=s.floor, pool=shared_threads()
        )


def baseline_recording(source: Recording, settings: DeltaSettings) -> BaselineRecording:
    """Return the recording corrected with the background that the settings choose."""
    if settings.baseline == "percentile":
        return PercentileBaseline(source, settings)
    if settings.baseline == "corrected_minimum":
        return CorrectedMinimumBaseline(source, settings)
    if settings.baseline == "exponential":
        return ExponentialBaseline(source, settings, 1)
    if settings.baseline == "double_exponential":
        return ExponentialBaseline(source, settings, 2)
    return MinimumBaseline(source, settings)
