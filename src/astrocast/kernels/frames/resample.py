"""Anti-aliased change of the size of frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def weights(n: int, size: int) -> NDArray[np.float64]:
    """Return the (size, n) matrix that resamples an axis of ``n`` pixels to ``size``.

    A triangle as wide as two output pixels (two input pixels when enlarging) is centred
    on each output pixel and normalised: linear interpolation that averages over the
    pixels it combines. Pillow's ``BILINEAR`` is the same filter.
    """
    scale = n / size
    centres = (np.arange(size) + 0.5) * scale
    distance = np.abs(np.arange(n) + 0.5 - centres[:, None]) / max(scale, 1.0)
    triangle = np.maximum(0.0, 1.0 - distance)
    return triangle / triangle.sum(axis=1, keepdims=True)


def resample(frames: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return frames resampled to ``size`` (rows, columns), float32.

    Frames are (frame, row, column).

    Each frame by itself, so the result does not depend on how a recording is cut into
    blocks.

    Examples
    --------
    >>> import numpy as np
    >>> resample(np.ones((2, 6, 8)), (3, 4)).shape
    (2, 3, 4)
    """
    rows = weights(frames.shape[1], size[0]).astype(np.float32)
    columns = weights(frames.shape[2], size[1]).astype(np.float32)
    return rows @ (frames.astype(np.float32) @ columns.T)
