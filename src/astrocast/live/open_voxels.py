"""Candidate voxels of regions that may still grow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.batches import Voxels
from astrocast.kernels.masks.runs import Runs, first_voxels
from astrocast.kernels.segmentation.open_regions import (
    OpenRegions,
    add_frames,
    close_regions,
)


@dataclass
class OpenVoxels:
    """Candidate voxels in the order of frames, with the region of each voxel.

    Parameters
    ----------
    pixels
        Number of pixels in a frame.
    """

    pixels: int
    state: OpenRegions = field(default_factory=OpenRegions)
    at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    region: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((3, 0), np.float32)
    )
    #: number of a region that may still grow -> voxels of its reported events
    reported: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict)

    def add(
        self, runs: Runs, values: NDArray[np.float32], frame: int
    ) -> NDArray[np.int64]:
        """Add the candidates of the next frames; return the regions that ended.

        Parameters
        ----------
        runs
            Runs of candidate voxels.
        values
            float32 (3, voxel): signal, noise and unsmoothed signal of each voxel, run
            after run.
        frame
            Number of the first of these frames.
        """
        self.state, growth = add_frames(self.state, runs)
        for old, new in growth.joined.tolist():
            self.region[self.region == old] = new
            if old in self.reported:
                self.reported.setdefault(new, []).extend(self.reported.pop(old))
        length = (runs.stop - runs.start).astype(np.int64)
        begins = first_voxels(runs) + frame * self.pixels
        at = np.repeat(begins - (np.cumsum(length) - length), length)
        at += np.arange(len(at))
        self.at = np.concatenate([self.at, at])
        self.region = np.concatenate([self.region, np.repeat(growth.number, length)])
        self.values = np.concatenate([self.values, values], axis=1)
        return growth.finished

    def close(self, regions: NDArray[np.int64]) -> None:
        """End regions, even if voxels that touch them follow."""
        self.state = close_regions(self.state, regions)

    def high(self, threshold: float) -> NDArray[np.int64]:
        """Return the regions that reach ``threshold`` times the noise, ascending."""
        reached = self.values[0] >= np.float32(threshold) * self.values[1]
        return np.unique(self.region[reached])

    def older(self, frame: int) -> NDArray[np.int64]:
        """Return the regions that began before a frame, ascending."""
        # voxels are in the order of frames
        n = int(np.searchsorted(self.at, frame * self.pixels))
        return np.unique(self.region[:n])

    def voxels(self, regions: NDArray[np.int64]) -> tuple[Voxels, NDArray[np.int64]]:
        """Return the voxels of regions, ascending, and the region of each voxel."""
        own = np.isin(self.region, regions)
        value, noise, single = self.values[:, own]
        return Voxels(self.at[own], value, noise, single), self.region[own]

    def drop(self, regions: NDArray[np.int64]) -> None:
        """Remove the voxels of regions."""
        left = ~np.isin(self.region, regions)
        self.at, self.region = self.at[left], self.region[left]
        self.values = np.ascontiguousarray(self.values[:, left])
        for number in regions.tolist():
            self.reported.pop(number, None)
