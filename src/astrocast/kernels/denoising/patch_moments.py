"""Moments of patches of a recording, gathered frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import ssyrk

from astrocast.kernels.compiling import njit

Array = NDArray[np.float32]


def patch_windows(
    shape: tuple[int, int], patch: int
) -> tuple[NDArray[np.int32], Array]:
    """Return overlapping patches that cover a frame, and their weights.

    There are two grids of squares, shifted by half a patch in both directions, so that
    borders of patches are not visible in the result.

    Returns
    -------
    boxes
        int32 (patch, 4): top, bottom, left and right, sorted by top.
    windows
        Weights, float32 (patch, row, column), which add up to 1 in every pixel; 0 where
        a patch extends beyond the frame.
    """
    taper = np.sin(np.pi * (np.arange(patch) + 0.5) / patch) ** 2 + 1e-2
    boxes, windows = [], []
    for shift in (0, patch // 2) if patch > 1 else (0,):
        for top, bottom, from_row in _cuts(shape[0], patch, shift):
            for left, right, from_column in _cuts(shape[1], patch, shift):
                window = np.zeros((patch, patch))
                rows, columns = (
                    taper[from_row:][: bottom - top],
                    taper[from_column:][: right - left],
                )
                window[: bottom - top, : right - left] = np.outer(rows, columns)
                boxes.append((top, bottom, left, right))
                windows.append(window)
    total = np.zeros(shape)
    for (top, bottom, left, right), window in zip(boxes, windows, strict=True):
        total[top:bottom, left:right] += window[: bottom - top, : right - left]
    for (top, bottom, left, right), window in zip(boxes, windows, strict=True):
        window[: bottom - top, : right - left] /= total[top:bottom, left:right]
    order = sorted(range(len(boxes)), key=boxes.__getitem__)
    return np.array([boxes[i] for i in order], np.int32), np.array(
        [windows[i] for i in order], np.float32
    )


def _cuts(length: int, patch: int, shift: int) -> list[tuple[int, int, int]]:
    """Return start, stop and cut of each patch along one axis.

    ``cut`` is the number of its pixels before the border of the frame.
    """
    starts = range(-shift, length, patch)
    return [
        (max(s, 0), min(s + patch, length), max(-s, 0)) for s in starts if s + patch > 0
    ]


@dataclass
class Moments:
    """Sums over a recording that the patterns are computed from.

    Parameters
    ----------
    reference
        A frame near the mean, float32 (row, column), that is subtracted: sums of
        squares are then exact enough in float32.
    boxes
        From `patch_windows`.
    bin_frames
        Frames averaged before their covariance is computed.
    """

    reference: Array
    boxes: NDArray[np.int32]
    bin_frames: int
    frames: int = 0
    bins: int = 0
    total: NDArray[np.float64] = field(init=False)
    binned_total: NDArray[np.float64] = field(init=False)
    curvature: NDArray[np.float64] = field(init=False)
    covariance: list[Array] = field(init=False)
    _tail: Array = field(init=False)
    _last: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = self.reference.shape
        self.total, self.binned_total = np.zeros(shape), np.zeros(shape)
        self.curvature = np.zeros(shape)
        areas = (self.boxes[:, 1] - self.boxes[:, 0]) * (
            self.boxes[:, 3] - self.boxes[:, 2]
        )
        # only the upper half is summed: the matrices are symmetric
        self.covariance = [np.zeros((n, n), np.float32, order="F") for n in areas]
        self._tail = np.empty((0, *shape), np.float32)
        self._last = np.empty((0, *shape), np.float32)

    def add(self, frames: Array) -> None:
        """Add the next frames of the recording, float32 (frame, row, column)."""
        self.frames += len(frames)
        centred = frames - self.reference
        self.total += centred.sum(0, dtype=np.float64)
        # second differences across the border between two blocks
        joint = np.concatenate([self._last, centred[:2]])
        self.curvature += _curvature(joint)
        self.curvature += _curvature(centred)
        self._last = np.concatenate([self._last, centred[-2:]])[-2:]
        pending = np.concatenate([self._tail, centred]) if len(self._tail) else centred
        whole = len(pending) // self.bin_frames * self.bin_frames
        self._tail = pending[whole:].copy()
        if whole:
            self._add_bins(_bin(pending[:whole], self.bin_frames))

    def _add_bins(self, binned: Array) -> None:
        """Add averaged frames, float32 (bin, row, column), to the covariances."""
        self.bins += len(binned)
        self.binned_total += binned.sum(0, dtype=np.float64)
        for i, (top, bottom, left, right) in enumerate(self.boxes):
            patch = np.ascontiguousarray(binned[:, top:bottom, left:right]).reshape(
                len(binned), -1
            )
            self.covariance[i] = ssyrk(
                1.0, patch.T, beta=1.0, c=self.covariance[i], overwrite_c=True
            )

    def mean(self) -> Array:
        """Return the mean frame, float32 (row, column)."""
        return (self.reference + self.total / max(self.frames, 1)).astype(np.float32)

    def noise(self) -> Array:
        """Return the standard deviation of each pixel's noise, float32 (row, column).

        From second differences in time, in which a slow signal cancels. A pixel that
        never changes gets 1.
        """
        sigma = np.sqrt(self.curvature / (6 * max(self.frames - 2, 1)))
        return np.where(sigma > 1e-6 * max(float(sigma.max()), 1e-30), sigma, 1).astype(
            np.float32
        )


@njit(cache=True, nogil=True)
def _curvature(frames: Array) -> NDArray[np.float64]:
    """Return the sum of squared second differences, float64 (row, column).

    ``frames``: float32 (frame, row, column).
    """
    n, rows, columns = frames.shape
    out = np.zeros((rows, columns))
    for t in range(1, n - 1):
        for y in range(rows):
            for x in range(columns):
                d = (
                    frames[t - 1, y, x]
                    - np.float32(2) * frames[t, y, x]
                    + frames[t + 1, y, x]
                )
                out[y, x] += d * d
    return out


@njit(cache=True, nogil=True)
def _bin(frames: Array, width: int) -> Array:
    """Return sums of ``width`` frames / sqrt(width), float32 (bin, row, column).

    So white noise keeps its variance. ``frames``: float32 (frame, row, column).
    """
    n, rows, columns = frames.shape
    out = np.zeros((n // width, rows, columns), np.float32)
    scale = np.float32(1 / np.sqrt(width))
    for t in range(n // width * width):
        for y in range(rows):
            for x in range(columns):
                out[t // width, y, x] += frames[t, y, x] * scale
    return out
