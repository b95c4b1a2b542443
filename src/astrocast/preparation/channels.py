"""Steps of a conversion as lazy recordings: channels, background, size, dtype."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastWarning,
    DatasetNotFoundError,
    InvalidValueError,
    stack_level,
)
from astrocast.io.naming import last_part
from astrocast.io.recording import ALL, Metadata, Recording
from astrocast.io.views import (
    CountingRecording,
    MappedRecording,
    SlicedRecording,
)
from astrocast.kernels.frames.convert import can_clip, saturate
from astrocast.kernels.frames.resample import resample

logger = logging.getLogger(__name__)

#: bytes of the background channel in memory at a time, to reduce whole time courses
TIME_COURSE_BYTES = 64 << 20
REDUCTIONS = ("mean", "max", "min", "std")


class ConvertedRecording(CountingRecording):
    """A recording in another dtype; ``tally`` counts the values outside its range.

    Parameters
    ----------
    source
        The recording.
    dtype
        dtype of the result; values outside its range become its nearest value.
    """

    def __init__(self, source: Recording, dtype: Any) -> None:
        super().__init__(source, dtype=dtype)
        self._counts = can_clip(source.dtype, dtype)

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return converted frames, see `Recording.read`."""
        frames = self.source.read(start, stop, rows, columns)
        values, clipped = saturate(frames, self.dtype)
        if self._counts:
            self.add(clipped)
        return np.ascontiguousarray(values)


@dataclass(frozen=True)
class Conversion:
    """One channel of a conversion: dataset name and lazy recording."""

    name: str
    recording: Recording

    def report(self, logger: logging.Logger) -> None:
        """Warn when values were clipped."""
        if self.recording.tally:
            n = int(np.prod(self.recording.shape, dtype=np.int64))
            message = (
                f"{self.name}: {self.recording.tally} of {n} values were outside the"
                f" range of {self.recording.dtype} and were clipped to it; choose a"
                " wider or a signed dtype"
            )
            warnings.warn(message, AstrocastWarning, stacklevel=stack_level())


def interleave(
    source: Recording,
    channels: int | dict[int, str],
    loc_out: str,
    first: int,
    stop: int,
) -> list[Conversion]:
    """Return each channel of an interleaved recording.

    ``first`` and ``stop``: range of frames, counted in the file.
    """
    names = (
        [f"{loc_out}/ch{i}" for i in range(channels)]
        if isinstance(channels, int)
        else list(channels.values())
    )
    k = len(names)
    if not 0 <= first < stop <= len(source):
        raise InvalidValueError(
            f"z_slice is {(first, stop)}, the recording has {len(source)} frames; "
            "expected (first, last + 1) within them"
        )
    if (stop - first) % k:
        raise InvalidValueError(
            f"{stop - first} frames are not a multiple of {k} channels; check"
            f" `channels`, or leave out the incomplete last frame set with z_slice="
            f"({first}, {stop - (stop - first) % k})"
        )
    found = []
    for i, name in enumerate(names):
        recording: Recording = source
        if k > 1 or (first, stop) != (0, len(source)):
            recording = SlicedRecording(source, first + (i - first) % k, stop, k)
            recording.metadata = recording.metadata.of_channel(i, k)
        found.append(Conversion(name, recording))
    return found


def subtract_offset(
    channels: list[Conversion], offset: float | str | None
) -> list[Conversion]:
    """Return the channels minus the camera's offset, in signed floating point.

    Parameters
    ----------
    channels
        The channels.
    offset
        Offset in counts; "auto" estimates it for each channel, see `estimate_offset`.
    """
    if offset is None:
        return channels
    found = []
    for channel in channels:
        counts, error = offset, None
        if offset == "auto":
            counts, error, source = estimate_offset(channel.recording)
            logger.info(
                "%s: offset of %.4g counts (standard error %s), from %s",
                channel.name,
                counts,
                "unknown" if error is None else f"{error:.2g}",
                source,
            )
        shape = channel.recording.shape[1:]
        frame = np.full(shape, float(counts))
        recording = subtract_frame(channel.recording, frame)
        recording.metadata = replace(
            recording.metadata,
            subtracted_offset=float(counts),
            offset_error=error,
            dark_counts=(),
        )
        found.append(replace(channel, recording=recording))
    return found


def estimate_offset(recording: Recording) -> tuple[float, float | None, str]:
    """Return the camera's counts in the dark, their standard error and their source.

    Parameters
    ----------
    recording
        The raw recording, as the camera recorded it.

    Returns
    -------
    tuple
        (counts, standard error or None, source as text). The counts are those that the
        microscope measured in the dark, if the file states them; their error is then
        unknown (None). Otherwise they are the median over the dark frames: frames whose
        mean and spatial standard deviation are far below those of most frames.

    Raises
    ------
    InvalidValueError
        The recording has no dark frames; the message gives an upper limit of the
        offset.
    """
    stated = recording.metadata.dark_counts
    if len(stated) == 1 and np.isfinite(stated[0]):
        return float(stated[0]), None, "the microscope's dark measurement in the file"
    means, total = [], np.zeros(recording.shape[1:])
    for _, block in recording.blocks(64):
        values = block.astype(np.float64)
        means += [(float(f.mean()), float(f.std())) for f in values]
        total += values.sum(axis=0)
    table = np.array(means)
    usual = np.median(table, axis=0)
    # a closed shutter leaves neither light nor structure
    dark = (table[:, 1] < 0.3 * usual[1]) & (table[:, 0] < usual[0] - usual[1])
    if dark.any():
        levels = table[dark, 0]
        error = max(float(levels.std()), float(usual[1]) * 0.01) / np.sqrt(dark.sum())
        return float(np.median(levels)), float(error), f"{int(dark.sum())} dark frames"
    darkest = float(np.quantile(total / len(recording), 0.001))
    raise InvalidValueError(
        "offset is 'auto', but the file does not state the counts in the dark and has"
        " no dark frames (shutter closed). The offset is at most"
        f" {darkest:.4g} counts, the level of the darkest pixels. Give it as a number:"
        " take it from the camera's data sheet or from a recording with closed shutter"
    )


def subtract(
    channels: list[Conversion],
    background: str | float | NDArray[Any] | None,
    reduction: str | Callable[..., Any] | None,
) -> list[Conversion]:
    """Return the channels minus the background, without the background channel."""
    if background is None or reduction is None:  # None only without background
        return channels
    if isinstance(background, str):
        named = [c for c in channels if background in (c.name, last_part(c.name))]
        if len(named) != 1 or len(channels) == 1:
            raise DatasetNotFoundError(
                f"subtract_background is {background!r}; expected one of at least two"
                " channels: " + ", ".join(c.name for c in channels)
            )
        frame = reduce_frames(named[0].recording, reduction)
        channels = [c for c in channels if c is not named[0]]
    elif isinstance(background, (int, float, np.number)):
        frame = np.full(channels[0].recording.shape[1:], float(background))
    else:
        frame = background_frame(np.asarray(background), reduction)
    if frame.shape != channels[0].recording.shape[1:]:
        raise InvalidValueError(
            f"the background has shape {frame.shape}, but the frames of the recording"
            f" have shape {channels[0].recording.shape[1:]}; both must be the same"
        )
    return [replace(c, recording=subtract_frame(c.recording, frame)) for c in channels]


def background_frame(
    background: NDArray[Any], reduction: str | Callable[..., Any]
) -> NDArray[np.float64]:
    """Return a background array, reduced over time if needed, as one frame."""
    if background.ndim == 3:
        background = choose_reduction(reduction)(background, axis=0)
    if background.ndim != 2:
        raise InvalidValueError(
            f"the background array has shape {background.shape}; expected (row, column)"
            " or (frame, row, column)"
        )
    return background.astype(np.float64)


def subtract_frame(recording: Recording, background: NDArray[np.float64]) -> Recording:
    """Return the recording minus a frame, in signed floating point."""
    # float32 represents every 16-bit integer exactly
    kind = np.dtype(
        np.float32
        if recording.dtype.itemsize <= 2 or recording.dtype == np.float32
        else np.float64
    )
    frame = background.astype(kind)
    return MappedRecording(
        recording, lambda frames: frames.astype(kind) - frame, dtype=kind
    )


def choose_reduction(reduction: str | Callable[..., Any]) -> Any:
    """Return the function that a reduction names; a function is returned unchanged."""
    if callable(reduction):
        return reduction
    if reduction not in REDUCTIONS:
        raise InvalidValueError(
            f"subtract_func is {reduction!r}; choose one of {', '.join(REDUCTIONS)} or"
            " a function"
        )
    return {"mean": np.mean, "max": np.max, "min": np.min, "std": np.std}[reduction]


def reduce_frames(
    recording: Recording, reduction: str | Callable[..., Any]
) -> NDArray[np.float64]:
    """Return all frames of a recording reduced to one frame, float64 (row, column).

    Reads whole time courses of a few rows at a time.
    """
    function = choose_reduction(reduction)
    frames, rows, columns = recording.shape
    height = max(1, TIME_COURSE_BYTES // (frames * columns * 8))
    result = np.empty((rows, columns))
    for top in range(0, rows, height):
        strip = recording.read(0, frames, slice(top, min(top + height, rows)))
        reduced = np.asarray(function(strip.astype(np.float64), axis=0))
        if reduced.shape != strip.shape[1:]:
            raise InvalidValueError(
                f"subtract_func returned shape {reduced.shape} for frames of shape"
                f" {strip.shape} and axis=0; expected {strip.shape[1:]}"
            )
        result[top : top + height] = reduced
    return result


def transform(
    channel: Conversion, rescale: tuple[float, float] | None, dtype: Any
) -> Conversion:
    """Return the channel in its final size and dtype."""
    recording = channel.recording
    if rescale is not None:
        recording = resize(recording, target_size(recording.shape[1:], rescale))
    if recording.dtype == np.dtype(dtype):
        return replace(channel, recording=recording)
    return replace(channel, recording=ConvertedRecording(recording, dtype))


def target_size(
    shape: tuple[int, int], rescale: tuple[float, float]
) -> tuple[int, int]:
    """Return the final (rows, columns): integers are pixels, floats are factors."""
    if isinstance(rescale[0], int):
        return int(rescale[0]), int(rescale[1])
    return max(1, round(shape[0] * rescale[0])), max(1, round(shape[1] * rescale[1]))


def resize(recording: Recording, size: tuple[int, int]) -> Recording:
    """Return the recording resampled to ``size`` (rows, columns), with its pixel size.

    The recording itself if it has this size already.
    """
    metadata: Metadata = recording.metadata
    if metadata.pixel_size is not None:
        rows, columns = (
            p * n / s
            for p, n, s in zip(
                metadata.pixel_size, recording.shape[1:], size, strict=True
            )
        )
        metadata = replace(metadata, pixel_size=(rows, columns))
    if size == recording.shape[1:]:
        return recording
    return MappedRecording(
        recording,
        lambda frames: resample(frames, size),
        frame_shape=size,
        dtype=np.float32,
        metadata=metadata,
    )
