"""Mean and standard deviation of a recording, and normalisation by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError


def running_moments(blocks: Iterable[NDArray[Any]]) -> tuple[float, float]:
    """Return mean and standard deviation of all values of all blocks.

    The moments of blocks are combined pairwise in float64 (Chan, Golub and LeVeque
    1983, https://doi.org/10.1080/00031305.1983.10483115), which is exact even with a
    large offset. A standard deviation of 0 is returned as 1, so that a constant
    recording stays finite.

    Raises
    ------
    InvalidValueError
        If there are no values, or one is not finite.
    """
    count, mean, squares = 0, 0.0, 0.0
    for block in blocks:
        values = np.asarray(block, np.float64)
        if not values.size:
            continue
        block_mean = float(values.mean())
        step = block_mean - mean
        total = count + values.size
        squares += (
            float(np.square(values - block_mean).sum())
            + step * step * count * values.size / total
        )
        mean += step * values.size / total
        count = total
    if not count:
        raise InvalidValueError(
            "there are no values to normalise: the recording is empty"
        )
    if not np.isfinite(squares):
        raise InvalidValueError(
            "the recording has values that are not finite (NaN or infinite); replace"
            " them before normalising"
        )
    std = (squares / count) ** 0.5
    return mean, std if std > 0 else 1.0


@dataclass(frozen=True)
class Scaling:
    """Normalisation of a recording: (frames - offset) / scale.

    Parameters
    ----------
    offset, scale
        One number each, or one per pixel, float32 (row, column).
    """

    offset: float | NDArray[np.float32] = 0.0
    scale: float | NDArray[np.float32] = 1.0

    def apply(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """Return the normalised frames, float32."""
        scaled = np.subtract(frames, np.float32(self.offset), dtype=np.float32)
        scaled /= np.float32(self.scale)
        return scaled

    def undo(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return normalised frames in the units of the recording, float32."""
        original = frames * np.float32(self.scale)
        original += np.float32(self.offset)
        return original
