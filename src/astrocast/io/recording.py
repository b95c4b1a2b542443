"""The interface of recordings and writers, independent of the file format."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import wraps
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import (
    AstrocastError,
    AstrocastWarning,
    FormatError,
    InvalidValueError,
    describe_error,
    stack_level,
)

ALL = slice(None)


#: intervals between frames are uneven if they differ from their median by more than
#: this fraction
UNEVEN_STEP = 0.01
#: number of frame times in one attribute of a file
TIMES_PER_ATTRIBUTE = 4000


@dataclass(frozen=True)
class Metadata:
    """Physical metadata of a recording; ``None`` if the file does not contain it.

    Parameters
    ----------
    pixel_size
        Size of a pixel in micrometres, (row, column).
    frame_rate
        Frames per second of one channel, in Hz. If the file contains frame times: 1 /
        median interval.
    channel_names
        Name of each channel, in the order of the file.
    acquisition_time
        Start of the acquisition, ISO 8601.
    frame_times
        Time of each frame of one channel in seconds from the first frame, if the
        intervals are uneven; otherwise empty.
    subtracted_offset, offset_error
        Counts without light that a conversion subtracted, and their standard error if
        it is known.
    dark_counts
        Counts without light that the microscope measured but did not subtract, for each
        channel, in the order of the file; NaN for a channel that was not measured.
    """

    pixel_size: tuple[float, float] | None = None
    frame_rate: float | None = None
    channel_names: tuple[str, ...] = ()
    acquisition_time: str | None = None
    frame_times: tuple[float, ...] = field(default=(), repr=False)
    subtracted_offset: float | None = None
    offset_error: float | None = None
    dark_counts: tuple[float, ...] = ()

    def of_channel(self, number: int, channels: int) -> Self:
        """Return the metadata of one of several channels, counted from 0."""
        one = slice(number, number + 1)
        names, dark = self.channel_names, self.dark_counts
        names = names[one] if len(names) == channels else ()
        dark = dark[one] if len(dark) == channels else ()
        return replace(self, channel_names=names, dark_counts=dark)

    def to_attributes(self) -> dict[str, Any]:
        """Return the metadata as numbers, texts and lists, for attributes of a file.

        Frame times are divided into ``frame_times``, ``frame_times.1`` and so on,
        because an attribute of HDF5 is limited to 64 KB.
        """
        known = {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in asdict(self).items()
            if v not in (None, ())
        }
        if not np.isfinite(self.dark_counts).all():
            del known["dark_counts"]  # JSON has no NaN
        times = known.pop("frame_times", [])
        for part, first in enumerate(range(0, len(times), TIMES_PER_ATTRIBUTE)):
            name = f"frame_times.{part}" if part else "frame_times"
            known[name] = times[first : first + TIMES_PER_ATTRIBUTE]
        return known

    @classmethod
    def from_attributes(cls, attributes: dict[str, Any]) -> Self:
        """Return metadata from the values of `to_attributes`; ignore unknown keys."""
        read: dict[str, Callable[[Any], Any]] = {
            "pixel_size": lambda v: (_positive(v[0]), _positive(v[1])),
            "frame_rate": _positive,
            "channel_names": lambda v: tuple(str(n) for n in v),
            "acquisition_time": str,
            "frame_times": lambda v: tuple(_finite(t) for t in v),
            "subtracted_offset": _finite,
            "offset_error": _finite,
            "dark_counts": lambda v: tuple(float(counts) for counts in v),
        }
        known: dict[str, Any] = {}
        parts = [attributes.get("frame_times", ())]
        while (name := f"frame_times.{len(parts)}") in attributes:
            parts.append(attributes[name])
        times = [t for part in parts for t in np.ravel(part)]
        attributes = {**attributes, "frame_times": times or None}
        for name, convert in read.items():
            value = attributes.get(name)
            if value is None:
                continue
            try:
                known[name] = convert(value)
            except (TypeError, ValueError, IndexError, KeyError, OverflowError):
                warnings.warn(
                    f"{name} in the file is {str(value)[:80]!r}, which is not valid; it"
                    " is ignored",
                    AstrocastWarning,
                    stacklevel=stack_level(),
                )
        return cls(**known)

    def with_times(self, seconds: Any) -> Self:
        """Return the metadata with the times of the frames of one channel.

        The frame rate becomes 1 / median interval. The times are stored only if the
        intervals are uneven. Times that do not increase are ignored.

        Parameters
        ----------
        seconds
            Time of each frame in seconds, (frames,), with any origin.
        """
        times = np.asarray(seconds, np.float64)
        steps = np.diff(times)
        if len(steps) == 0 or not np.all(np.isfinite(steps)) or steps.min() < 0:
            return self
        median = float(np.median(steps))
        if median <= 0:
            return self
        uneven = float(np.ptp(steps)) > 2 * UNEVEN_STEP * median
        kept = tuple((times - times[0]).tolist()) if uneven else ()
        return replace(self, frame_rate=1.0 / median, frame_times=kept)

    def describe_steps(self) -> str | None:
        """Return a sentence about uneven frame intervals; None if they are even."""
        if not self.frame_times:
            return None
        steps = np.diff(self.frame_times)
        return (
            f"uneven steps between frames: {steps.min():.4g} to {steps.max():.4g} s,"
            f" median {np.median(steps):.4g} s"
        )

    def of_frames(self, chosen: range, channels: int) -> Self:
        """Return the metadata of some frames of a recording.

        Parameters
        ----------
        chosen
            Numbers of frames, counted over all channels.
        channels
            Number of channels whose frames alternate in the recording.
        """
        if not self.frame_times:
            return self
        last = len(self.frame_times) - 1
        times = [self.frame_times[min(t // channels, last)] for t in chosen]
        if len(times) < 2:
            return replace(self, frame_times=())
        if chosen.step == 1 and channels > 1:  # still several channels
            return self
        return replace(self.with_times(times), frame_rate=self.frame_rate)


def _finite(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{number} is not finite")
    return number


def _positive(value: Any) -> float:
    number = _finite(value)
    if number <= 0:
        raise ValueError(f"{number} is not above 0")
    return number


class Recording(ABC):
    """A 3-D array (frame, row, column) that is read block by block.

    Reading never opens a file for writing. `read` may be called from several threads.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    metadata: Metadata = Metadata()
    path: Path | None = None
    loc: str | None = None
    #: URL of the recording, if it is not in a local file
    url: str | None = None
    #: number of frames that are best read together (depth of a chunk); 1 if it does
    #: not matter
    chunk_frames: int = 1
    #: number of channels whose frames alternate, if the file has several channels
    channels: int = 1
    #: whether the recording can be sent to another process, which opens it there
    portable: bool = False
    #: function that opens the same recording in another process; None if not in a file
    reopen: Callable[[], Recording] | None = None
    #: counter of a computed recording, increased while it is read (for example for
    #: divisions by a background below the floor)
    tally: int = 0
    #: names of all planes, positions and channels of the file, by "plane", "position"
    #: and "channel"
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    #: frames that are missing in the file and are read as 0
    missing: tuple[int, ...] = ()
    #: remarks for the user about how the file was read
    remarks: tuple[str, ...] = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return the arguments with which another process opens the file again."""
        if self.reopen is None:
            return super().__reduce_ex__(protocol)
        stated = ("metadata", "loc", "channels", "choices", "missing", "reopen")
        known = {name: getattr(self, name) for name in stated}
        # a read-only mapping cannot be pickled
        known["choices"] = dict(self.choices)
        return _reopen, (self.reopen, known)

    def add(self, count: int) -> None:
        """Add to the tally; if several threads read, the caller needs a lock."""
        self.tally += count

    @abstractmethod
    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return frames ``start`` to ``stop`` (half-open), (frame, row, column).

        The array is new and C-contiguous.
        """

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return frames ``start, start + step, ...`` below ``stop``.

        Some formats skip the other frames, others read and drop them.
        """
        return np.ascontiguousarray(self.read(start, stop, rows, columns)[::step])

    def release(self) -> None:  # noqa: B027 - most recordings hold nothing open
        """Close the files; the next read opens them again."""

    def close(self) -> None:  # noqa: B027 - most recordings hold nothing open
        """Close the files."""

    def __len__(self) -> int:
        return self.shape[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def nbytes(self) -> int:
        """Size of the uncompressed recording in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def blocks(self, frames: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield all frames in order as ``(start, block)`` of at most ``frames``."""
        for start in range(0, self.shape[0], frames):
            yield start, self.read(start, min(start + frames, self.shape[0]))

    def to_array(self) -> NDArray[Any]:
        """Return the whole recording in memory."""
        return self.read(0, self.shape[0])


def _reopen(opener: Callable[[], Recording], known: dict[str, Any]) -> Recording:
    """Open a recording again and set the attributes that it had before."""
    recording = opener()
    vars(recording).update(known)
    recording.portable = True
    return recording


class RecordingWriter(ABC):
    """Write a recording, which gets its final name when it is complete.

    As a context manager, a writer commits at the end; after an error it discards the
    output. Blocks are written in the order of frames; frames that do not fill a chunk
    are buffered.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    #: frames of a chunk of the output
    chunk_frames: int = 1
    #: frames, rows and columns of a chunk, if parts of frames can be written
    chunk_shape: tuple[int, int, int] | None = None
    #: number of frames that an interrupted process has written; writing continues after
    #: them
    resumed: int = 0

    def chunk_writer(self) -> Callable[..., None] | None:
        """Return a function ``f(first frame, frames)`` to write whole chunks, or None.

        The function can be called in any process. If the writer has a ``chunk_shape``,
        a third argument is the first row and column, for parts of frames.
        """
        return None

    def mark_written(self, frames: int) -> None:
        """Record that `chunk_writer` has written ``frames`` further frames."""
        raise NotImplementedError

    @abstractmethod
    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write ``block`` (frame, row, column) from frame ``start`` on."""

    @abstractmethod
    def commit(self) -> None:
        """Flush, close and give the result its final name."""

    @abstractmethod
    def discard(self) -> None:
        """Close and remove the unfinished output."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            with suppress(OSError):  # show the first error
                self.discard()


Read = TypeVar("Read", bound=Callable[..., NDArray[Any]])


def named_errors(read: Read) -> Read:
    """Decorate a method that reads, so that errors of libraries name the file.

    Libraries raise many kinds of errors for damaged files, and rarely name the file.
    """

    @wraps(read)
    def named(self: Recording, start: int, stop: int, *rest: Any) -> NDArray[Any]:
        try:
            return read(self, start, stop, *rest)
        except AstrocastError:
            raise
        except Exception as error:
            where = f"{self.path}:{self.loc}" if self.loc else str(self.path)
            raise FormatError(
                f"frames {start} to {stop} of {where} cannot be read:"
                f" {describe_error(error)}. The file is damaged, or was changed while"
                " it was open"
            ) from error

    return named  # type: ignore[return-value] # the same signature


def check_movie_shape(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """Return ``shape`` if it is (frame, row, column) without 0; else raise an error."""
    if len(shape) != 3:
        raise InvalidValueError(
            f"{where} has {len(shape)} dimensions, shape {tuple(shape)}; a recording"
            " has three: (frame, row, column). Choose one channel or plane, or split"
            " interleaved channels with `channels`"
        )
    if 0 in shape:
        raise InvalidValueError(
            f"{where} is empty, shape {tuple(shape)}; at least one frame with one pixel"
            " is needed"
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def check_block(writer: RecordingWriter, start: int, block: NDArray[Any]) -> None:
    """Raise an error if ``block`` does not fit into the recording of ``writer``."""
    stop = start + block.shape[0]
    if (
        block.ndim != 3
        or block.shape[1:] != writer.shape[1:]
        or start < 0
        or stop > writer.shape[0]
    ):
        raise InvalidValueError(
            f"a block of shape {block.shape} at frame {start} does not fit into a"
            f" recording of shape {writer.shape}"
        )


def as_dtype(dtype: DTypeLike, where: str | None = None) -> np.dtype[Any]:
    """Return the NumPy dtype; raise an error if it is not a real number.

    ``where``: name of a file with this dtype, for the message.
    """
    what = f"{where} has the dtype" if where else "dtype is"
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise InvalidValueError(
            f"{what} {dtype!r}, which is unknown; use for example uint16 or float32"
        ) from error
    if found.kind not in "biuf" or found.shape:
        raise InvalidValueError(
            f"{what} {found}, which is not a real number; use for example uint16 or"
            " float32"
        )
    return found
