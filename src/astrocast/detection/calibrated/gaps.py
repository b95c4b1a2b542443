"""What is left of an event behind a run of frames that are left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.bad_frames import bad_runs
from astrocast.kernels.segmentation.ordering import unique_values

#: an event that ended at most so many frames before the run may go on behind it
SHORTLY = 8
#: a remainder begins at most so many frames behind the run ...
BEHIND = 2
#: ... is at most this share as high as the event, and has at least that share of its
#: pixels where the event was
LOWER, COVERED = 0.5, 0.5


class GapRemainders:
    """Recognises the tail of an event that a run of left-out frames cuts off.

    An event ends where its signal falls below a share of its peak. What is left decays
    further. Beside the event it belongs to it and is cut off; behind a gap it is a
    candidate of its own.

    Parameters
    ----------
    unknown
        Frames in which nothing is detected, bool (frame,), or None.
    pixels
        Of a frame.

    Examples
    --------
    >>> gaps = GapRemainders(np.array([False, False, True, True, False]), 4)
    >>> gaps.is_remainder(np.array([0, 1, 4, 5]), 100.0)
    False
    >>> gaps.is_remainder(np.array([16, 17]), 10.0)
    True
    """

    def __init__(self, unknown: NDArray[np.bool_] | None, pixels: int) -> None:
        self.runs = bad_runs(np.zeros(1, bool) if unknown is None else unknown)
        self.pixels = pixels
        #: of each run, (pixels, peak) of the events that ended shortly before it
        self._before: dict[int, list[tuple[NDArray[np.int64], float]]] = {}

    def is_remainder(self, voxels: NDArray[np.int64], peak: float) -> bool:
        """Return whether an event is what is left of an earlier one.

        Events are given in the order of their frames.

        Parameters
        ----------
        voxels
            Of the event, flat indices, ascending.
        peak
            Of its smoothed signal.
        """
        if not len(self.runs):
            return False
        first, last = voxels[0] // self.pixels, voxels[-1] // self.pixels
        place = unique_values(voxels % self.pixels)
        for k in np.flatnonzero(
            (self.runs[:, 0] > last) & (self.runs[:, 0] <= last + 1 + SHORTLY)
        ):
            self._before.setdefault(int(k), []).append((place, peak))
        for k in np.flatnonzero(
            (self.runs[:, 1] <= first) & (self.runs[:, 1] + BEHIND >= first)
        ):
            for other, height in self._before.get(int(k), []):
                covered = np.isin(place, other, assume_unique=True).mean()
                if covered >= COVERED and peak <= LOWER * height:
                    return True
        return False
