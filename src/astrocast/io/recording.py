"""What every recording looks like to the stages, wherever it is stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import InvalidValueError

ALL = slice(None)


@dataclass(frozen=True)
class Metadata:
    """Physical metadata of a recording; ``None`` where the file does not say.

    Parameters
    ----------
    pixel_size
        Size of a pixel in micrometres, (row, column).
    frame_rate
        Frames per second of one channel, in Hz.
    channel_names
        Name of each channel, in the order of the file.
    acquisition_time
        Start of the acquisition, ISO 8601.
    """

    pixel_size: tuple[float, float] | None = None
    frame_rate: float | None = None
    channel_names: tuple[str, ...] = ()
    acquisition_time: str | None = None

    def to_attributes(self) -> dict[str, Any]:
        """Return the known values as plain numbers, strings and lists, for attributes
        of a file.
        """
        return {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in asdict(self).items()
            if v not in (None, ())
        }

    @classmethod
    def from_attributes(cls, attributes: dict[str, Any]) -> Self:
        """Read back what `to_attributes` wrote; unknown keys are ignored."""
        known: dict[str, Any] = {}
        for f in fields(cls):
            value = attributes.get(f.name)
            if value is None:
                continue
            if f.name == "pixel_size":
                value = (float(value[0]), float(value[1]))
            elif f.name == "channel_names":
                value = tuple(str(v) for v in value)
            elif f.name == "frame_rate":
                value = float(value)
            else:
                value = str(value)
            known[f.name] = value
        return cls(**known)


class Recording(ABC):
    """A 3-D array (frame, row, column) that is read block by block.

    Reading never opens a file for writing. `read` may be called from several threads.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    metadata: Metadata = Metadata()
    path: Path | None = None
    loc: str | None = None
    #: frames that are cheapest to read together (the depth of a chunk); 1 where it does
    #: not matter
    chunk_frames: int = 1
    #: channels whose frames alternate, when the file itself says so
    channels: int = 1
    #: whether it can be sent to another process, which then opens it by itself
    portable: bool = False
    #: what a computed recording counts as it is read (for example divisions that were
    #: floored)
    tally: int = 0

    def add(self, count: int) -> None:
        """Add to the tally; a recording that is read by several threads does so under a
        lock.
        """
        self.tally += count

    @abstractmethod
    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return frames ``start`` to ``stop`` (half-open) as a new C-contiguous array
        (frame, row, column).
        """

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return frames ``start, start + step, ...`` below ``stop``; formats that can
        leave out the others do.
        """
        return np.ascontiguousarray(self.read(start, stop, rows, columns)[::step])

    def release(self) -> None:  # noqa: B027 - most recordings hold nothing open
        """Close files that the next read opens again."""

    def close(self) -> None:  # noqa: B027 - most recordings hold nothing open
        """Release what the recording holds open."""

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


class SlicedRecording(Recording):
    """Frames ``start, start + step, ...`` below ``stop`` of another recording (a
    `z_slice`, an interleaved channel).
    """

    def __init__(self, source: Recording, start: int, stop: int, step: int = 1) -> None:
        self.source, self.start, self.step = source, start, step
        n = len(range(start, stop, step))
        if n == 0 or start < 0 or stop > source.shape[0]:
            raise InvalidValueError(
                f"frames {start} to {stop} were asked for, the recording has frames 0"
                f" to {source.shape[0]}; a z_slice is (first, last + 1) with at least"
                " one frame"
            )
        self.shape = (n, *source.shape[1:])
        self.dtype, self.metadata, self.path, self.loc = (
            source.dtype,
            source.metadata,
            source.path,
            source.loc,
        )
        self.chunk_frames = max(1, source.chunk_frames // step)
        self.portable = source.portable

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return frames of the slice, see `Recording.read`."""
        if stop <= start:
            return self.source.read(0, 0, rows, columns)
        first = self.start + start * self.step
        last = self.start + (stop - 1) * self.step + 1
        if self.step > 1:
            return self.source.read_every(first, last, self.step, rows, columns)
        return self.source.read(first, last, rows, columns)

    def release(self) -> None:
        """Close files that the next read opens again."""
        self.source.release()

    def close(self) -> None:
        """Close the recording that is sliced."""
        self.source.close()


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
    #: frames, from the first on, that an interrupted process had written: the next
    #: block begins there
    resumed: int = 0

    def chunk_writer(self) -> Callable[[int, NDArray[Any]], None] | None:
        """Return a function that writes whole chunks from any process, ``f(first frame,
        frames)``; None without one.
        """
        return None

    def mark_written(self, frames: int) -> None:
        """Take note that ``frames`` frames were written by `chunk_writer`."""
        raise NotImplementedError

    @abstractmethod
    def write(self, start: int, block: NDArray[Any]) -> None:
        """Write ``block`` (frame, row, column), the first of its frames being frame
        ``start``.
        """

    @abstractmethod
    def commit(self) -> None:
        """Flush, close and give the result its final name."""

    @abstractmethod
    def discard(self) -> None:
        """Close and remove what was written."""

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


def check_movie_shape(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """Return ``shape`` when it is that of a movie, otherwise say what was found."""
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


def as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the NumPy dtype, refusing what is not a real number."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise InvalidValueError(
            f"dtype {dtype!r} is not known; use for example uint16 or float32"
        ) from error
    if found.kind not in "biuf":
        raise InvalidValueError(
            f"dtype {found} is not a real number; use for example uint16 or float32"
        )
    return found
