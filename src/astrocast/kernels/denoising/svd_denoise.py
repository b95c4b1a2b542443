"""Denoise without training, by a singular value decomposition (SVD) of small patches.

The signal of a small patch has few spatial patterns (singular vectors), noise has as
many as there are pixels. Each patch is projected on the patterns whose variance exceeds
what noise alone can reach, weighted by the optimal shrinkage of singular values under
the Frobenius norm (Gavish and Donoho 2017, https://doi.org/10.1109/TIT.2017.2653801),
as in the patchwise low-rank denoising of Buchanan et al. (2018,
https://doi.org/10.1101/334706).

Differences: patterns are found in frames averaged over a few frames, where slow events
stand out more; pixels are scaled to equal noise first; the patterns are those of the
whole recording, so that denoising is one fixed linear map of each frame and does not
depend on how the recording is divided into blocks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import ssyrk

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.parallel import count_cores

Array = NDArray[np.float32]

#: maximum number of patterns of a patch (patches of astrocytes have 1-15)
MOST_PATTERNS = 24
_ROUNDS = 2


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


@dataclass(frozen=True)
class Patterns:
    """The linear map that denoises a frame.

    In each patch it is ``synthesis @ (analysis @ (frame - mean))``; the patches are
    added to the mean.

    Parameters
    ----------
    mean
        Mean frame, float32 (row, column).
    boxes
        int32 (patch, 4): top, bottom, left, right.
    first
        First pattern of each patch, int64 (patch + 1,).
    analysis, synthesis
        float32 (pattern, row, column), 0 where a patch extends beyond the frame.
    """

    mean: Array
    boxes: NDArray[np.int32]
    first: NDArray[np.int64]
    analysis: Array
    synthesis: Array


def noise_edge(pixels: int, bins: int) -> float:
    """Return the variance that a pattern of white noise exceeds in 1 % of patches.

    For noise of variance 1: the 99th percentile of the largest eigenvalue of its
    covariance (Johnstone 2001, https://doi.org/10.1214/aos/1009210544). In short
    recordings it is clearly above the asymptotic edge.
    """
    root = np.sqrt(bins - 1) + np.sqrt(pixels)
    width = root * (1 / np.sqrt(bins - 1) + 1 / np.sqrt(pixels)) ** (1 / 3)
    return float((root**2 + 2.02 * width) / bins)


def shrinkage(
    eigenvalues: NDArray[np.float64], ratio: float, edge: float
) -> NDArray[np.float64]:
    """Return the factor for each pattern, 0 up to the edge of noise.

    Parameters
    ----------
    eigenvalues
        Variance of the patterns divided by that of the noise, float64.
    ratio
        Number of pixels divided by number of bins.
    edge
        From `noise_edge`.
    """
    inside = np.maximum((eigenvalues - ratio - 1) ** 2 - 4 * ratio, 0)
    return np.where(
        eigenvalues > edge, np.sqrt(inside) / np.maximum(eigenvalues, 1e-30), 0.0
    )


def largest_eigenpairs(
    matrices: Array, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Array]:
    """Return the largest eigenvalues and their eigenvectors of symmetric matrices.

    By orthogonal iteration. The smallest of them are the least exact; shrinkage usually
    sets these to 0.

    Parameters
    ----------
    matrices
        float32 (matrix, n, n).
    count
        Number of eigenvalues.
    rng
        Random generator of the start vectors.

    Returns
    -------
    tuple
        Eigenvalues, float64 (matrix, count), in decreasing order, and eigenvectors,
        float32 (matrix, n, count).
    """
    n = matrices.shape[-1]
    count = min(count, n)
    if 2 * count >= n:
        values, vectors = np.linalg.eigh(matrices)
        return values[:, ::-1][:, :count].astype(np.float64), np.ascontiguousarray(
            vectors[:, :, ::-1][:, :, :count]
        )
    basis = rng.standard_normal((n, count)).astype(np.float32)
    for _ in range(_ROUNDS):
        # two products between orthogonalisations, so that a pattern far above the
        # others is not lost to rounding
        basis = np.linalg.qr(matrices @ (matrices @ basis))[0]
    basis = np.linalg.qr(matrices @ basis)[0]
    values, turn = np.linalg.eigh(basis.swapaxes(1, 2) @ (matrices @ basis))
    return values[:, ::-1].astype(np.float64), basis @ turn[:, :, ::-1]


def find_patterns(moments: Moments, windows: Array, seed: int = 0) -> Patterns:
    """Return the patterns of every patch that stand out of its noise.

    Parameters
    ----------
    moments
        Sums over the recording; at least two bins.
    windows
        Weights of the patches, from `patch_windows`.
    seed
        Seed of the start vectors of the iteration.

    Raises
    ------
    InvalidValueError
        If a value of the recording was not finite.
    """
    if not (np.isfinite(moments.total).all() and np.isfinite(moments.curvature).all()):
        raise InvalidValueError(
            "the recording has values that are not finite (NaN or infinite); replace"
            " them before denoising"
        )
    sigma, rng = moments.noise(), np.random.default_rng(seed)
    found: list[tuple[Array, Array]] = [(np.empty((0, 0), np.float32),) * 2] * len(
        moments.boxes
    )
    for indices in _group_by_size(moments.boxes):
        for chunk in np.array_split(indices, max(1, len(indices) // 64)):
            scaled = np.empty(
                (len(chunk), *moments.covariance[chunk[0]].shape), np.float32
            )
            for place, i in zip(scaled, chunk, strict=True):
                _scaled_covariance(moments, i, sigma, place)
            values, vectors = largest_eigenpairs(scaled, MOST_PATTERNS, rng)
            for i, matrix, value, vector in zip(
                chunk, scaled, values, vectors, strict=True
            ):
                gain = _gain(value, float(np.trace(matrix)), len(matrix), moments.bins)
                found[i] = (
                    vector[:, gain > 0].T,
                    (vector * gain.astype(np.float32))[:, gain > 0].T,
                )
    return _assemble(moments, found, sigma, windows)


def _group_by_size(boxes: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Return the indices of patches of equal size, a group for each size."""
    sizes = (boxes[:, 1] - boxes[:, 0]) * 65536 + boxes[:, 3] - boxes[:, 2]
    return [np.flatnonzero(sizes == s) for s in np.unique(sizes)]


def _scaled_covariance(moments: Moments, i: int, sigma: Array, out: Array) -> None:
    """Write the covariance of patch ``i`` in units of the noise into ``out``."""
    top, bottom, left, right = moments.boxes[i]
    inverse = (1 / sigma[top:bottom, left:right]).ravel()
    mean = (moments.binned_total[top:bottom, left:right] / moments.bins).ravel().astype(
        np.float32
    ) * inverse
    upper = moments.covariance[i]
    np.add(upper, upper.T, out=out)
    out.ravel()[:: len(out) + 1] *= np.float32(0.5)  # the diagonal is in both halves
    out *= inverse * np.float32(1 / moments.bins)
    out *= inverse[:, None]
    out -= mean[:, None] * mean


def _gain(
    values: NDArray[np.float64], trace: float, pixels: int, bins: int
) -> NDArray[np.float64]:
    """Return the shrinkage factor of each pattern of a patch.

    ``values``: largest eigenvalues of the covariance; ``trace``: sum of all.
    """
    # the noise is what the patterns above the edge leave; a lower noise lowers the
    # edge: repeat until the number of patterns is stable
    edge, noise, count = noise_edge(pixels, bins), trace / pixels, -1
    for _ in range(10):
        above = int((values > noise * edge).sum())
        if above == count:
            break
        count = above
        noise = max(trace - float(values[:count].sum()), 1e-12 * trace) / max(
            pixels - count, 1
        )
    return shrinkage(values / max(noise, 1e-30), pixels / bins, edge)


def _assemble(
    moments: Moments, found: list[tuple[Array, Array]], sigma: Array, windows: Array
) -> Patterns:
    """Put the patterns of all patches together, in grey values and with weights."""
    first = np.cumsum([0, *(len(a) for a, _ in found)])
    analysis = np.zeros((int(first[-1]), *windows.shape[1:]), np.float32)
    synthesis = np.zeros_like(analysis)
    for i, (box, (into, back)) in enumerate(zip(moments.boxes, found, strict=True)):
        if not len(into):
            continue
        scale = sigma[box[0] : box[1], box[2] : box[3]]
        rows, columns = scale.shape
        part = slice(first[i], first[i + 1])
        analysis[part, :rows, :columns] = into.reshape(-1, rows, columns) / scale
        synthesis[part, :rows, :columns] = back.reshape(-1, rows, columns) * (
            windows[i, :rows, :columns] * scale
        )
    return Patterns(
        moments.mean(), moments.boxes, first.astype(np.int64), analysis, synthesis
    )


def stack_bands(bands: list[tuple[int, Patterns]], shape: tuple[int, int]) -> Patterns:
    """Return the patterns of a frame from those of bands of rows.

    ``bands`` holds the first row and the patterns of each band.
    """
    mean = np.empty(shape, np.float32)
    boxes, first = [], [np.zeros(1, np.int64)]
    for top, part in bands:
        mean[top : top + len(part.mean)] = part.mean
        boxes.append(part.boxes + np.array([top, top, 0, 0], np.int32))
        first.append(part.first[1:] + first[-1][-1])
    return Patterns(
        mean,
        np.concatenate(boxes),
        np.concatenate(first),
        np.concatenate([part.analysis for _, part in bands]),
        np.concatenate([part.synthesis for _, part in bands]),
    )


def project(frames: Array, patterns: Patterns) -> Array:
    """Return the denoised frames, float32 (frame, row, column).

    Each frame is denoised independently of the others.
    """
    out = np.empty(frames.shape, np.float32)
    count = min(count_cores(), len(frames)) or 1
    parts = [
        slice(i * len(frames) // count, (i + 1) * len(frames) // count)
        for i in range(count)
    ]

    def work(part: slice) -> None:
        _project(
            frames[part],
            patterns.mean,
            patterns.boxes,
            patterns.first,
            patterns.analysis,
            patterns.synthesis,
            out[part],
        )

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, parts))
    return out


# reassociation lets sums run as vector instructions; NaN and infinity stay valid
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _project(
    frames: Array,
    mean: Array,
    boxes: NDArray[np.int32],
    first: NDArray[np.int64],
    analysis: Array,
    synthesis: Array,
    out: Array,
) -> None:
    """Write denoised frames into ``out``, float32 (frame, row, column).

    Other arguments as in `Patterns`, C-contiguous.
    """
    centred = np.empty_like(mean)
    for t in range(frames.shape[0]):
        out[t] = mean
        centred[:] = frames[t] - mean
        for i in range(boxes.shape[0]):
            top, bottom, left, right = (
                boxes[i, 0],
                boxes[i, 1],
                boxes[i, 2],
                boxes[i, 3],
            )
            for k in range(first[i], first[i + 1]):
                amount = np.float32(0)
                for y in range(bottom - top):
                    for x in range(right - left):
                        amount += analysis[k, y, x] * centred[top + y, left + x]
                for y in range(bottom - top):
                    for x in range(right - left):
                        out[t, top + y, left + x] += amount * synthesis[k, y, x]
