"""What every recording looks like to the stages, wherever it is stored."""

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


#: steps between frames that differ by more than this share of their median are uneven
UNEVEN_STEP = 0.01
#: times in one attribute of a file
TIMES_PER_ATTRIBUTE = 4000


@dataclass(frozen=True)
class Metadata:
    """Physical metadata of a recording; ``None`` where the file has none.

    Parameters
    ----------
    pixel_size
        Size of a pixel in micrometres, (row, column).
    frame_rate
        Frames per second of one channel, in Hz. Where the file has the time of each
        frame: 1 / median step.
    channel_names
        Name of each channel, in the order of the file.
    acquisition_time
        Start of the acquisition, ISO 8601.
    frame_times
        Time of each frame of one channel in seconds from the first frame, where the
        steps between frames are uneven; empty otherwise.
    subtracted_offset, offset_error
        Counts of the camera in the dark that a conversion subtracted, and their
        standard error where it is known.
    dark_counts
        Counts in the dark that the microscope measured and did not subtract, for each
        channel, in the order of the file; NaN for a channel that it did not measure.
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
        """Return the metadata as numbers, strings and lists: attributes of a file.

        Frame times are divided over ``frame_times``, ``frame_times.1`` and so on,
        because an attribute of HDF5 holds at most 64 KB.
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
        """Read back what `to_attributes` wrote; unknown keys are ignored."""
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
                    f"{name} in the file is {str(value)[:80]!r}, which makes no sense;"
                    " it is left out",
                    AstrocastWarning,
                    stacklevel=stack_level(),
                )
        return cls(**known)

    def with_times(self, seconds: Any) -> Self:
        """Return the metadata with the times of the frames of one channel.

        The frame rate becomes 1 / median step. The times themselves are kept where
        their steps are uneven. Times that do not increase are ignored.

        Parameters
        ----------
        seconds
            Time of each frame in seconds, (frames,); from any moment on.
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
        """Return a sentence about uneven steps between frames; None where even."""
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
            Frames of the recording (of all channels together).
        channels
            Channels whose frames alternate in the recording.
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
    #: where it is, if that is not on a path
    url: str | None = None
    #: frames that are cheapest to read together (the depth of a chunk); 1 where it
    #: does not matter
    chunk_frames: int = 1
    #: channels whose frames alternate, when the file itself names several
    channels: int = 1
    #: whether it can be sent to another process, which then opens it by itself
    portable: bool = False
    #: opens the same recording in another process; None where it is not in a file
    reopen: Callable[[], Recording] | None = None
    #: number of events that a computed recording counts while it is read (for example
    #: divisions by a background below the floor)
    tally: int = 0
    #: what there was to choose from in the file: "plane", "position" or "channel" ->
    #: a name for each
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    #: frames that the file lacks and that are read as 0
    missing: tuple[int, ...] = ()
    #: sentences for the user about how the file was read
    remarks: tuple[str, ...] = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return how another process opens the recording: anew, from its file."""
        if self.reopen is None:
            return super().__reduce_ex__(protocol)
        stated = ("metadata", "loc", "channels", "choices", "missing", "reopen")
        known = {name: getattr(self, name) for name in stated}
        # read-only mappings are not sent
        known["choices"] = dict(self.choices)
        return _reopen, (self.reopen, known)

    def add(self, count: int) -> None:
        """Add to the tally; if several threads read, the caller holds a lock."""
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

        Formats that need not read the other frames do not.
        """
        return np.ascontiguousarray(self.read(start, stop, rows, columns)[::step])

    def release(self) -> None:  # noqa: B027 - most recordings hold nothing open
        """Close files that the next read opens again."""

    def close(self) -> None:  # noqa: B027 - most recordings hold nothing open
        """Close the files that the recording holds open."""

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
        """Yield ``(start, block)`` of at most ``frames`` frames from first to last."""
        for start in range(0, self.shape[0], frames):
            yield start, self.read(start, min(start + frames, self.shape[0]))

    def to_array(self) -> NDArray[Any]:
        """Return the whole recording in memory."""
        return self.read(0, self.shape[0])


def _reopen(opener: Callable[[], Recording], known: dict[str, Any]) -> Recording:
    """Return a recording that was opened elsewhere, with what was stated of it."""
    recording = opener()
    vars(recording).update(known)
    recording.portable = True
    return recording


class RecordingWriter(ABC):
    """A recording that is being written; it takes its final name when it is complete.

    Used as a context manager: leaving it normally commits, leaving it by an error
    discards what was written. Blocks are written in order of frames; a writer buffers
    what does not fill a chunk.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    #: frames of a chunk of the output
    chunk_frames: int = 1
    #: frames, rows and columns of a chunk, where parts of frames can be written
    chunk_shape: tuple[int, int, int] | None = None
    #: frames, from the first on, that an interrupted process had written: the next
    #: block begins there
    resumed: int = 0

    def chunk_writer(self) -> Callable[..., None] | None:
        """Return ``f(first frame, frames)`` that writes whole chunks; None without one.

        The function may be called in any process. Where the writer has a
        ``chunk_shape``, a third argument is the first row and column of parts of
        frames.
        """
        return None

    def mark_written(self, frames: int) -> None:
        """Take note that ``frames`` frames were written by `chunk_writer`."""
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
            with suppress(OSError):  # the error that brought us here is the one to show
                self.discard()


Read = TypeVar("Read", bound=Callable[..., NDArray[Any]])


def named_errors(read: Read) -> Read:
    """Make a reader's method name its file in every error of a library.

    Libraries raise anything on damaged bytes, and their messages seldom say where.
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
                f" {describe_error(error)}. The file is damaged, or was changed"
                " meanwhile"
            ) from error

    return named  # type: ignore[return-value] # the same signature


def check_movie_shape(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """Return ``shape`` when it is that of a movie, otherwise raise an error."""
    if len(shape) != 3:
        raise InvalidValueError(
            f"{where} has {len(shape)} dimensions, shape {tuple(shape)}; a recording"
            " has three: (frame, row, column). Choose one channel or plane, or split"
            " interleaved channels with `channels`"
        )
    if 0 in shape:
        raise InvalidValueError(
            f"{where} is empty, shape {tuple(shape)}; at least one frame of one pixel"
            " is needed"
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def check_block(writer: RecordingWriter, start: int, block: NDArray[Any]) -> None:
    """Raise when ``block`` does not fit into what ``writer`` was created for."""
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
    """Return the NumPy dtype; refuse dtypes that are not real numbers.

    ``where`` names a file that holds it, for the message.
    """
    what = f"{where} holds" if where else "dtype"
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise InvalidValueError(
            f"{what} {dtype!r}, which is not known; use for example uint16 or float32"
        ) from error
    if found.kind not in "biuf" or found.shape:
        raise InvalidValueError(
            f"{what} {found}, which is not a real number; use for example uint16 or"
            " float32"
        )
    return found
