"""Cutting whole frames into chunks for storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.recording import RecordingWriter, check_block


class SlabBuffer:
    """Holds back frames until they fill a chunk, so that each chunk is written once.

    Parameters
    ----------
    writer
        The recording that is written; its shape and dtype are checked against every block.
    depth
        Frames of a chunk.
    """

    def __init__(self, writer: RecordingWriter, depth: int) -> None:
        self.writer, self.depth, self.received = writer, depth, 0
        self._pending: NDArray[Any] = np.empty((0, *writer.shape[1:]), writer.dtype)

    def add(self, start: int, block: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield ``(first frame, slab)`` of what is complete: whole chunks, or less at the end of the recording."""
        check_block(self.writer, start, block)
        if start != self.received:
            raise InvalidValueError(f"blocks are written in order: expected frame {self.received}, got {start}")
        first = start - len(self._pending)
        self.received += len(block)
        block = block.astype(self.writer.dtype, copy=False)
        if len(self._pending):
            # fill the chunk that is begun; the rest needs no copy
            missing = min(self.depth - len(self._pending), len(block))
            begun = np.concatenate([self._pending, block[:missing]])
            block = block[missing:]
            if len(begun) < self.depth and not self.complete:
                self._pending = begun
                return
            yield first, begun
            first += len(begun)
        whole = len(block) if self.complete else len(block) // self.depth * self.depth
        self._pending = block[whole:].copy()
        if whole:
            yield first, block[:whole]

    @property
    def complete(self) -> bool:
        """Whether all frames were received."""
        return self.received == self.writer.shape[0]

    def check_complete(self, where: str) -> None:
        """Raise when frames are missing."""
        if not self.complete:
            raise InvalidValueError(f"{self.received} of {self.writer.shape[0]} frames were written to {where}")


def chunks_of(
    first: int, slab: NDArray[Any], chunk: tuple[int, int, int]
) -> Iterator[tuple[tuple[int, int, int], NDArray[Any]]]:
    """Yield ``(chunk index, contiguous chunk)`` of a slab that begins at a chunk; the last ones are padded with 0."""
    frames, rows, columns = slab.shape
    for z in range(0, frames, chunk[0]):
        for x in range(0, rows, chunk[1]):
            for y in range(0, columns, chunk[2]):
                piece = slab[z : z + chunk[0], x : x + chunk[1], y : y + chunk[2]]
                index = ((first + z) // chunk[0], x // chunk[1], y // chunk[2])
                if piece.shape == chunk:
                    yield index, np.ascontiguousarray(piece)
                else:
                    padded = np.zeros(chunk, slab.dtype)
                    padded[: piece.shape[0], : piece.shape[1], : piece.shape[2]] = piece
                    yield index, padded
