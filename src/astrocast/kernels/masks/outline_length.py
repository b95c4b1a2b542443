"""The length of the line through the border pixels of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit


def _lengths_by_code() -> NDArray[np.float64]:
    """Return the length of outline per border pixel, by the code of its neighbours."""
    lengths = np.zeros(50)
    lengths[[5, 7, 15, 17, 25, 27]] = 1
    lengths[[21, 33]] = np.sqrt(2)
    lengths[[13, 23]] = (1 + np.sqrt(2)) / 2
    return lengths


_LENGTHS = _lengths_by_code()


@njit(cache=True, nogil=True)
def outline_length(border: NDArray[np.uint8], rows: int, columns: int) -> float:
    """Return the length of a border in pixels.

    ``border`` is uint8, at least (rows, columns), 1 at border pixels; its first and
    last row and column are 0. The neighbours of a pixel decide its length: Benkrid &
    Crookes, Design and FPGA Implementation of a Perimeter Estimator, 2000; as
    `skimage.measure.perimeter`.
    """
    total = 0.0
    for y in range(1, rows - 1):
        for x in range(1, columns - 1):
            if border[y, x]:
                straight = (
                    border[y - 1, x]
                    + border[y + 1, x]
                    + border[y, x - 1]
                    + border[y, x + 1]
                )
                oblique = (
                    border[y - 1, x - 1]
                    + border[y - 1, x + 1]
                    + border[y + 1, x - 1]
                    + border[y + 1, x + 1]
                )
                total += _LENGTHS[1 + 2 * straight + 10 * oblique]
    return total
