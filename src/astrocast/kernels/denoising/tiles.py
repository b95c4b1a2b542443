"""Divide frames into tiles of equal size, with the halo that their result needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tiling:
    """Division of frames into tiles.

    Parameters
    ----------
    shape
        Size of a frame (row, column).
    tile
        Size of a tile without its halo, a multiple of the alignment of the network.
    halo
        Pixels around a tile, also a multiple of the alignment.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    halo: int

    @property
    def size(self) -> tuple[int, int]:
        """Size of a tile with its halo: the input of the network."""
        return self.tile[0] + 2 * self.halo, self.tile[1] + 2 * self.halo

    @property
    def counts(self) -> tuple[int, int]:
        """Number of tiles along rows and columns."""
        return -(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1])

    def corners(self) -> Iterator[tuple[int, int]]:
        """Yield the upper left pixel of each tile in the frame.

        In the extended frame the same pixel is the corner of the tile's halo.
        """
        for row in range(self.counts[0]):
            for column in range(self.counts[1]):
                yield row * self.tile[0], column * self.tile[1]

    def extend(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the frames extended to whole tiles with halo, mirrored at the border.

        Takes and returns (frame, row, column).
        """
        pads = [(0, 0)]
        for length, tile, count in zip(self.shape, self.tile, self.counts, strict=True):
            pads.append((self.halo, tile * count - length + self.halo))
        return np.pad(frames, pads, mode="reflect" if min(self.shape) > 1 else "edge")

    def place(
        self, out: NDArray[Any], corner: tuple[int, int], result: NDArray[Any]
    ) -> None:
        """Write a tile's result, without its halo, into ``out`` (row, column)."""
        rows = min(self.tile[0], self.shape[0] - corner[0])
        columns = min(self.tile[1], self.shape[1] - corner[1])
        inner = result[self.halo : self.halo + rows, self.halo : self.halo + columns]
        out[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns] = inner


def plan_tiles(
    shape: tuple[int, int], halo: int, align: int, largest: int = 256
) -> Tiling:
    """Return the division into the fewest equal tiles of at most ``largest`` pixels.

    Examples
    --------
    >>> plan_tiles((512, 300), halo=8, align=2).tile
    (256, 150)
    """

    def side(length: int) -> int:
        count = -(-length // max(largest // align * align, align))
        return -(-length // (count * align)) * align

    return Tiling(shape, (side(shape[0]), side(shape[1])), halo)
