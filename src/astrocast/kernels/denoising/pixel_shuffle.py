"""A convolution of an upsampled map, evaluated before the upsampling.

Four pixels of a map that was doubled by repetition are one pixel of the small map. A 3
x 3 convolution therefore sees only 2 x 2 different values, and its result at the four
positions (phases) of a doubled pixel are four small convolutions of the small map:
exact, with 4/9 of the products and without ever writing the large map. The
rearrangement is that of sub-pixel convolution (doi:10.1109/CVPR.2016.207).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: which rows of the small map a row of the kernel reads, for the upper and the lower
#: phase: (phase, small row, kernel row)
_ROWS = np.array(
    [
        [[1, 0, 0], [0, 1, 1], [0, 0, 0]],
        [[0, 0, 0], [1, 1, 0], [0, 0, 1]],
    ],
    np.float32,
)


def phase_kernel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the kernel that gives all four phases of a convolution after doubling.

    Parameters
    ----------
    kernel
        (3, 3, input, output), to be applied to the doubled map with zeros around it.

    Returns
    -------
    numpy.ndarray
        (3, 3, input, 4 * output), to be applied to the small map; output ``4 * o + 2 *
        row phase + column phase``. `shuffle_pixels` puts its result in place.
    """
    phases = np.einsum("pri,qsj,ijco->rscopq", _ROWS, _ROWS, kernel, dtype=np.float64)
    return np.ascontiguousarray(phases.reshape(3, 3, kernel.shape[2], -1), np.float32)


def shuffle_pixels(maps: NDArray[Any]) -> NDArray[Any]:
    """Return (item, output, 2 * row, 2 * column) from the four phases (item, 4 *
    output, row, column).

    Examples
    --------
    >>> shuffle_pixels(np.arange(4).reshape(1, 4, 1, 1))[0, 0].tolist()
    [[0, 1], [2, 3]]
    """
    items, phases, rows, columns = maps.shape
    split = maps.reshape(items, phases // 4, 2, 2, rows, columns)
    return split.transpose(0, 1, 4, 2, 5, 3).reshape(
        items, phases // 4, 2 * rows, 2 * columns
    )
