"""Recordings that are computed from other recordings while they are read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.chunks import check_chunks
from astrocast.io.recording import ALL, Metadata, Recording

#: bytes of a chunk of a dask array: whole frames, few enough to show one quickly
CHUNK_BYTES = 8 << 20


class DerivedRecording(Recording):
    """A recording that is computed from another one.

    All attributes of the other recording are copied (metadata, path, dataset, chunk
    depth, choices, missing frames, portable), except those given here. A subclass
    defines `read`.

    Parameters
    ----------
    source
        The other recording.
    dtype, shape, metadata
        Attributes of the result; None: the same as in the source.
    """

    def __init__(
        self,
        source: Recording,
        *,
        dtype: DTypeLike | None = None,
        shape: tuple[int, int, int] | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        self.source = source
        self.shape = source.shape if shape is None else shape
        self.dtype = source.dtype if dtype is None else np.dtype(dtype)
        self.metadata = source.metadata if metadata is None else metadata
        self.path, self.loc, self.url = source.path, source.loc, source.url
        self.chunk_frames, self.portable = source.chunk_frames, source.portable
        self.choices, self.missing = source.choices, source.missing
        self.remarks = source.remarks

    def release(self) -> None:
        """Close the files; the next read opens them again."""
        self.source.release()

    def close(self) -> None:
        """Close the source."""
        self.source.close()


class CountingRecording(DerivedRecording):
    """A derived recording that counts while it is read; several threads may read.

    ``tally`` is the sum of what `add` was called with.
    """

    def __init__(
        self,
        source: Recording,
        *,
        dtype: DTypeLike | None = None,
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__(source, dtype=dtype, shape=shape)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the lock: the other process makes a new lock."""
        return {k: v for k, v in vars(self).items() if k != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state that another process sent."""
        vars(self).update(state)
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Add to the tally; several threads may call this."""
        with self._lock:
            self.tally += count


class SlicedRecording(DerivedRecording):
    """Frames ``start, start + step, ...`` below ``stop`` of another recording.

    Used for a `z_slice`, and for one of several channels whose frames alternate.
    """

    def __init__(self, source: Recording, start: int, stop: int, step: int = 1) -> None:
        n = len(range(start, stop, step))
        if n == 0 or start < 0 or stop > source.shape[0]:
            raise InvalidValueError(
                f"frames {start} to {stop} are not a part of the recording, which has"
                f" {source.shape[0]} frames; z_slice is (first, last + 1) and needs at"
                " least one frame"
            )
        chosen = range(start, stop, step)
        super().__init__(
            source,
            shape=(n, *source.shape[1:]),
            metadata=source.metadata.of_frames(chosen, source.channels),
        )
        self.start, self.step = start, step
        self.chunk_frames = max(1, source.chunk_frames // step)
        self.missing = tuple((t - start) // step for t in source.missing if t in chosen)

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


class MappedRecording(DerivedRecording):
    """The frames of another recording after a function was applied to them.

    Parameters
    ----------
    source
        The other recording.
    function
        Function of whole frames (frame, row, column) that treats each frame separately
        and returns the same number of frames of ``frame_shape`` and ``dtype``.
    frame_shape, dtype, metadata
        Attributes of the result; None: the same as in the source.
    """

    def __init__(
        self,
        source: Recording,
        function: Callable[[NDArray[Any]], NDArray[Any]],
        *,
        frame_shape: tuple[int, int] | None = None,
        dtype: DTypeLike | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        rows, columns = frame_shape or source.shape[1:]
        shape = (source.shape[0], rows, columns)
        super().__init__(source, dtype=dtype, shape=shape, metadata=metadata)
        self.function = function

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return the computed frames, see `Recording.read`."""
        frames = self.function(self.source.read(start, stop))
        return np.ascontiguousarray(frames[:, rows, columns])


class CroppedRecording(DerivedRecording):
    """A rectangle of another recording."""

    def __init__(self, source: Recording, rows: slice, columns: slice) -> None:
        size = (rows.stop - rows.start, columns.stop - columns.start)
        super().__init__(source, shape=(source.shape[0], *size))
        self.rows, self.columns = rows, columns

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block of the rectangle, see `Recording.read`."""
        inner = self.source.read(start, stop, self.rows, self.columns)
        return np.ascontiguousarray(inner[:, rows, columns])


class ConcatenatedRecording(DerivedRecording):
    """Several recordings with equal frames, one after the other.

    Parameters
    ----------
    parts
        The recordings in order, at least one; None is a blank part (0).
    blank_frames
        Number of frames of a blank part, all channels together.
    """

    def __init__(
        self, parts: Sequence[Recording | None], blank_frames: int = 1
    ) -> None:
        first = next(p for p in parts if p is not None)
        counts = [blank_frames if p is None else len(p) for p in parts]
        self.parts, self.starts = parts, np.concatenate([[0], np.cumsum(counts)])
        super().__init__(first, shape=(int(self.starts[-1]), *first.shape[1:]))
        self.channels = first.channels
        self.portable = all(p is None or p.portable for p in parts)
        self.missing = tuple(
            t
            for p, begin, n in zip(parts, self.starts, counts, strict=False)
            if p is None
            for t in range(int(begin), int(begin) + n)
        )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        return self.read_every(start, stop, 1, rows, columns)

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame, see `Recording.read_every`."""
        pieces = [self.source.read(0, 0, rows, columns)]
        first_part = max(0, int(np.searchsorted(self.starts, start, "right")) - 1)
        for part, begin, end in zip(
            self.parts[first_part:],
            self.starts[first_part:-1].tolist(),
            self.starts[first_part + 1 :].tolist(),
            strict=True,
        ):
            if begin >= stop:
                break
            first = start if start >= begin else begin + (start - begin) % step
            last = min(stop, end)
            if first < last and part is None:
                count = len(range(first, last, step))
                pieces.append(np.zeros((count, *pieces[0].shape[1:]), self.dtype))
            elif first < last and part is not None:
                pieces.append(
                    part.read_every(first - begin, last - begin, step, rows, columns)
                )
        if len(pieces) == 2:
            return pieces[1]
        return np.concatenate(pieces)

    def release(self) -> None:
        """Close all files until the next read."""
        for part in self.parts:
            if part is not None:
                part.release()

    def close(self) -> None:
        """Close all files."""
        for part in self.parts:
            if part is not None:
                part.close()


class InterleavedRecording(DerivedRecording):
    """Several recordings of one channel each; their frames alternate in the result.

    Parameters
    ----------
    members
        A recording for each channel, all of the same shape and dtype.
    names
        Name of each channel.
    """

    def __init__(self, members: Sequence[Recording], names: Sequence[str]) -> None:
        first, k = members[0], len(members)
        super().__init__(
            first,
            shape=(len(first) * k, *first.shape[1:]),
            metadata=replace(first.metadata, channel_names=tuple(names)),
        )
        self.members, self.channels = members, k
        self.portable = all(m.portable for m in members)
        self.missing = tuple(
            sorted(t * k + c for c, m in enumerate(members) for t in m.missing)
        )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        return self.read_every(start, stop, 1, rows, columns)

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame, see `Recording.read_every`."""
        k = len(self.members)
        frames = np.arange(start, stop, step)
        if not len(frames):
            return self.source.read(0, 0, rows, columns)
        if step % k == 0:  # one channel only
            first = start // k
            last = int(frames[-1]) // k + 1
            member = self.members[start % k]
            return member.read_every(first, last, max(1, step // k), rows, columns)
        first, last = int(frames[0]) // k, int(frames[-1]) // k + 1
        blocks = [m.read(first, last, rows, columns) for m in self.members]
        together = np.stack(blocks, axis=1).reshape(-1, *blocks[0].shape[1:])
        return np.ascontiguousarray(together[frames - first * k])

    def release(self) -> None:
        """Close all files until the next read."""
        for member in self.members:
            member.release()

    def close(self) -> None:
        """Close all files."""
        for member in self.members:
            member.close()


class ReopenedRecording(DerivedRecording):
    """A recording whose source is opened for each read and closed again.

    Parameters
    ----------
    opener
        Function that opens the source; called once per read, from any thread.
    """

    def __init__(self, opener: Callable[[], Recording]) -> None:
        self.opener = opener
        with opener() as source:
            super().__init__(source)
        self.portable = False
        del self.source  # it is closed

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Open, read and close, see `Recording.read`."""
        with self.opener() as source:
            return source.read(start, stop, rows, columns)

    def release(self) -> None:
        """Do nothing: no file is open between reads."""

    def close(self) -> None:
        """Do nothing: no file is open between reads."""


def as_dask(recording: Recording, chunks: tuple[int, int, int]) -> Any:
    """Return the recording as a lazy dask array (frame, row, column).

    Each chunk is one read.
    """
    import dask.array as da

    cut = check_chunks(chunks, recording.shape)

    def load(block_info: Any = None) -> NDArray[Any]:
        (z0, z1), (x0, x1), (y0, y1) = block_info[None]["array-location"]
        return recording.read(z0, z1, slice(x0, x1), slice(y0, y1))

    return da.map_blocks(
        load,
        chunks=da.core.normalize_chunks(cut, recording.shape),
        dtype=recording.dtype,
        meta=np.empty((0, 0, 0), recording.dtype),
    )


def lazy_array(opener: Callable[[], Recording]) -> Any:
    """Return a recording as a dask array (frame, row, column) without an open file.

    Parameters
    ----------
    opener
        Function that opens the recording; called once per read, from any thread.
    """
    recording = ReopenedRecording(opener)
    frame_bytes = int(np.prod(recording.shape[1:])) * recording.dtype.itemsize
    depth = max(1, CHUNK_BYTES // frame_bytes)
    depth = max(recording.chunk_frames, depth - depth % recording.chunk_frames)
    return as_dask(recording, (min(depth, recording.shape[0]), *recording.shape[1:]))
