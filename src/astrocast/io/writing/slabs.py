"""Cut whole frames into chunks for storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.recording import RecordingWriter, check_block
from astrocast.kernels.parallel import count_cores

#: number of threads; more of them would only wait for the disk
THREADS = min(4, count_cores())


class SlabBuffer:
    """Collect frames until they fill a chunk, so that each chunk is written once.

    Parameters
    ----------
    writer
        Writer of the recording; each block has to fit its shape.
    depth
        Frames of a chunk.
    """

    def __init__(self, writer: RecordingWriter, depth: int) -> None:
        self.writer, self.depth, self.received = writer, min(depth, writer.shape[0]), 0
        self._slab: NDArray[Any] | None = None
        self._filled = 0

    def add(
        self, start: int, block: NDArray[Any]
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Add a block; yield ``(first frame, slab)`` of whole chunks.

        At the end of the recording the last chunk may have fewer frames.
        """
        check_block(self.writer, start, block)
        if start != self.received:
            raise InvalidValueError(
                f"blocks have to be written in order: expected frame {self.received},"
                f" found {start}"
            )
        self.received += len(block)
        block = block.astype(self.writer.dtype, copy=False)
        while len(block):
            first = self.received - len(block) - self._filled
            whole = (
                len(block) if self.complete else len(block) // self.depth * self.depth
            )
            if self._filled == 0 and whole:  # whole chunks need no copy
                yield first, block[:whole]
                block = block[whole:]
                continue
            if self._slab is None:
                self._slab = np.empty(
                    (self.depth, *self.writer.shape[1:]), self.writer.dtype
                )
            taken = min(self.depth - self._filled, len(block))
            self._slab[self._filled : self._filled + taken] = block[:taken]
            self._filled, block = self._filled + taken, block[taken:]
            if self._filled == self.depth or (self.complete and not len(block)):
                yield first, self._slab[: self._filled]
                self._filled = 0

    @property
    def complete(self) -> bool:
        """Whether all frames were received."""
        return self.received == self.writer.shape[0]

    def check_complete(self, where: str) -> None:
        """Raise an error if frames are missing."""
        if not self.complete:
            raise InvalidValueError(
                f"{self.received} of {self.writer.shape[0]} frames were written to"
                f" {where}"
            )


def store_chunks(
    first: int,
    slab: NDArray[Any],
    chunk: tuple[int, int, int],
    store: Callable[[tuple[int, int, int], NDArray[Any]], None],
    threads: int = THREADS,
    corner: tuple[int, int] = (0, 0),
) -> None:
    """Call ``store(index, contiguous chunk)`` for each chunk of a slab, in threads.

    ``first``: number of the first frame, ``corner``: first row and column of the slab,
    all at the start of a chunk. Incomplete chunks are padded with 0. A chunk is valid
    only during the call: each thread reuses one buffer for all its chunks, because a
    new buffer takes as long as the copy.
    """
    places = list(
        product(*(range(0, n, c) for n, c in zip(slab.shape, chunk, strict=True)))
    )

    def store_some(own: list[tuple[int, ...]]) -> None:
        buffer: NDArray[Any] | None = None
        for z, x, y in own:
            piece = slab[z : z + chunk[0], x : x + chunk[1], y : y + chunk[2]]
            index = (
                (first + z) // chunk[0],
                (corner[0] + x) // chunk[1],
                (corner[1] + y) // chunk[2],
            )
            if piece.shape == chunk and piece.flags.c_contiguous:
                store(index, piece)
                continue
            if buffer is None:
                buffer = np.empty(chunk, slab.dtype)
            if piece.shape != chunk:
                buffer[:] = 0
            buffer[tuple(slice(n) for n in piece.shape)] = piece
            store(index, buffer)

    # neighbouring chunks are in different threads, so that a file grows in order
    shares = [places[i::threads] for i in range(min(threads, len(places)))]
    with ThreadPoolExecutor(threads, thread_name_prefix="astrocast-chunks") as pool:
        for _ in pool.map(store_some, shares):
            pass
