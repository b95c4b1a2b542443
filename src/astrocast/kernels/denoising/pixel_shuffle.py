"""Convolve a map after 2 x 2 upsampling, computed before the upsampling.

Upsampling by repetition turns each pixel into four equal ones, so a 3 x 3 convolution
of the large map sees only 2 x 2 different values. Its results at the four positions
(phases) of a pixel are four small convolutions of the small map: exact, with 4/9 of the
products, and without the large map in memory. The rearrangement is that of sub-pixel
convolution (Shi et al. 2016, https://doi.org/10.1109/CVPR.2016.207).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: rows of the small map that each row of the kernel reads, for the upper and the lower
#: phase: (phase, row of the small map, row of the kernel)
_ROWS = np.array(
    [
        [[1, 0, 0], [0, 1, 1], [0, 0, 0]],
        [[0, 0, 0], [1, 1, 0], [0, 0, 1]],
    ],
    np.float32,
)


def phase_kernel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the kernel that gives all four phases of a convolution after upsampling.

    Parameters
    ----------
    kernel
        float32 (3, 3, input, output), for the upsampled map with zeros around it.

    Returns
    -------
    numpy.ndarray
        float32 (3, 3, input, 4 * output), for the small map; output ``4 * o + 2 * row
        phase + column phase``. `shuffle_pixels` puts its result in place.
    """
    phases = np.einsum("pri,qsj,ijco->rscopq", _ROWS, _ROWS, kernel, dtype=np.float64)
    return np.ascontiguousarray(phases.reshape(3, 3, kernel.shape[2], -1), np.float32)


def shuffle_pixels(maps: NDArray[Any]) -> NDArray[Any]:
    """Arrange the four phases as one map of twice the size.

    Takes (item, 4 * output, row, column), returns (item, output, 2 * row, 2 * column).

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
