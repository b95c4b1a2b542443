"""Single voxels far above the same pixel before and after: cosmic rays, gain bursts."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import run_in_threads

#: least height of a spike in standard deviations, and largest share of it in the frames
#: before and after: calcium rises and falls over several frames
_HIGH, _ALONE = 8.0, 0.4


def remove_spikes(
    above: NDArray[np.float32],
    deviation: NDArray[np.float32],
    pool: Executor | None = None,
) -> None:
    """Replace spikes by the higher of the frames before and after, in place.

    Parameters
    ----------
    above
        Signal above the background, (frame, row, column), float32; changed.
    deviation
        Standard deviation of a voxel, (row, column), float32.
    pool
        Threads to share the work with.

    Notes
    -----
    The first and the last frame have one neighbour: pass one frame more on either side.
    """
    run_in_threads(pool, above.shape[1], _remove, above, deviation)


@njit(cache=True, nogil=True)
def _remove(lo: int, hi: int, above: Any, deviation: Any) -> None:
    """Remove spikes in rows ``lo`` to ``hi``; arguments as for `remove_spikes`."""
    n, _, columns = above.shape
    for y in range(lo, hi):
        # the unchanged values of the frame before
        before = np.zeros(columns, np.float32)
        for t in range(n):
            line, following = above[t, y], above[min(t + 1, n - 1), y]
            for x in range(columns):
                value = line[x]
                if value > np.float32(_HIGH) * deviation[y, x]:
                    beside = before[x]
                    if t < n - 1:
                        beside = max(beside, following[x])
                    if beside < np.float32(_ALONE) * value:
                        line[x] = max(beside, np.float32(0))
                before[x] = value
