"""Denoising without training: small patches have few spatial patterns, noise has as
many as there are pixels.

Every patch of pixels is projected on the spatial patterns whose variance exceeds what
noise alone can reach, each weighted by the optimal shrinkage of singular values under
the Frobenius norm (Gavish and Donoho, doi:10.1109/TIT.2017.2653801), as in patchwise
low-rank denoising of calcium recordings (Buchanan et al., doi:10.1101/334706).

Different from those: the patterns are found in frames averaged over a few neighbours in
time, where slow events stand out more; the pixels are first scaled to equal noise; and
since the patterns of the whole recording are kept, the result is a fixed linear map of
each frame, so that any cut of the recording into blocks gives the same result.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import ssyrk

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit

Array = NDArray[np.float32]

#: patterns looked for in a patch; astrocyte patches have 1-15, and one that has more
#: keeps the strongest
MOST_PATTERNS = 24
_ROUNDS = 2


def patch_windows(
    shape: tuple[int, int], patch: int
) -> tuple[NDArray[np.int32], Array]:
    """Return the patches that cover a frame, and how each fades into the others.

    Two grids of squares, shifted by half a patch to one another in both directions, so
    that no border of a patch shows.

    Returns
    -------
    boxes
        (patch, (top, bottom, left, right)), sorted by ``top``.
    windows
        (patch, row, column), float32; they add up to 1 in every pixel. Zero beyond a
        patch that the border cuts.
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
    """Return (start, stop, how much of the patch lies before the border) along one
    axis.
    """
    starts = range(-shift, length, patch)
    return [
        (max(s, 0), min(s + patch, length), max(-s, 0)) for s in starts if s + patch > 0
    ]


@dataclass
class Moments:
    """What is summed over the recording to find the patterns; pixels are seen relative
    to ``reference``.

    Parameters
    ----------
    reference
        A frame near the mean, so that sums of squares keep their digits in float32.
    boxes
        From `patch_windows`.
    bin_frames
        Frames averaged before their covariance is taken.
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
        #: of which the upper half is summed, the other being the same
        self.covariance = [np.zeros((n, n), np.float32, order="F") for n in areas]
        self._tail = np.empty((0, *shape), np.float32)
        self._last = np.empty((0, *shape), np.float32)

    def add(self, frames: Array) -> None:
        """Add the next frames of the recording, float32, in order."""
        self.frames += len(frames)
        centred = frames - self.reference
        self.total += centred.sum(0, dtype=np.float64)
        # second differences go on across blocks
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
        """Return the mean frame."""
        return (self.reference + self.total / max(self.frames, 1)).astype(np.float32)

    def noise(self) -> Array:
        """Return the standard deviation of the noise of each pixel, from second
        differences in time.

        They cancel a signal that changes slowly (a slope altogether). A pixel that
        never changes gets 1.
        """
        sigma = np.sqrt(self.curvature / (6 * max(self.frames - 2, 1)))
        return np.where(sigma > 1e-6 * max(float(sigma.max()), 1e-30), sigma, 1).astype(
            np.float32
        )


@njit(cache=True, nogil=True)
def _curvature(frames: Array) -> NDArray[np.float64]:
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
    # divided by the root of the width, so that white noise keeps its variance
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
    """A linear map of frames: ``mean + synthesis @ (analysis @ (frame - mean))`` in
    each patch, patches added.

    Parameters
    ----------
    mean
        Mean frame (row, column).
    boxes
        (patch, (top, bottom, left, right)).
    first
        Patch ``i`` owns patterns ``first[i]`` to ``first[i + 1]``.
    analysis, synthesis
        (pattern, row, column), zero beyond a patch that is cut by the border.
    """

    mean: Array
    boxes: NDArray[np.int32]
    first: NDArray[np.int64]
    analysis: Array
    synthesis: Array


def noise_edge(pixels: int, bins: int) -> float:
    """Return the variance along a pattern that white noise of variance 1 exceeds in
    about one patch of a hundred.

    The 99th percentile of the largest eigenvalue of a covariance of noise (Johnstone,
    doi:10.1214/aos/1009210544), which in short recordings lies clearly above the edge
    of the bulk.
    """
    root = np.sqrt(bins - 1) + np.sqrt(pixels)
    spread = root * (1 / np.sqrt(bins - 1) + 1 / np.sqrt(pixels)) ** (1 / 3)
    return float((root**2 + 2.02 * spread) / bins)


def shrinkage(
    eigenvalues: NDArray[np.float64], ratio: float, edge: float
) -> NDArray[np.float64]:
    """Return the factor that each pattern is multiplied by, 0 up to the edge of noise.

    Parameters
    ----------
    eigenvalues
        Variance along the patterns divided by that of the noise.
    ratio
        Number of pixels divided by number of bins.
    edge
        From `noise_edge`.
    """
    inside = np.maximum((eigenvalues - ratio - 1) ** 2 - 4 * ratio, 0)
    return np.where(
        eigenvalues > edge, np.sqrt(inside) / np.maximum(eigenvalues, 1e-30), 0.0
    )


def strongest(
    matrices: Array, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Array]:
    """Return the ``count`` largest eigenvalues (matrix, i) and eigenvectors (matrix, n,
    i) of symmetric matrices.

    Orthogonal iteration; the weakest of them are the least exact, which shrinkage sets
    to zero anyway.
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
        Of the patches of ``moments``, from `patch_windows`.
    seed
        Of the start of the iteration.

    Raises
    ------
    InvalidValueError
        When a value of the recording was not finite.
    """
    if not (np.isfinite(moments.total).all() and np.isfinite(moments.curvature).all()):
        raise InvalidValueError(
            "the recording has values that are not finite (NaN or infinite); replace"
            " them first"
        )
    sigma, rng = moments.noise(), np.random.default_rng(seed)
    found: list[tuple[Array, Array]] = [(np.empty((0, 0), np.float32),) * 2] * len(
        moments.boxes
    )
    for indices in _same_size(moments.boxes):
        for chunk in np.array_split(indices, max(1, len(indices) // 64)):
            scaled = np.empty(
                (len(chunk), *moments.covariance[chunk[0]].shape), np.float32
            )
            for place, i in zip(scaled, chunk, strict=True):
                _scaled_covariance(moments, i, sigma, place)
            values, vectors = strongest(scaled, MOST_PATTERNS, rng)
            for i, matrix, value, vector in zip(
                chunk, scaled, values, vectors, strict=True
            ):
                gain = _gain(value, float(np.trace(matrix)), len(matrix), moments.bins)
                found[i] = (
                    vector[:, gain > 0].T,
                    (vector * gain.astype(np.float32))[:, gain > 0].T,
                )
    return _assemble(moments, found, sigma, windows)


def _same_size(boxes: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    sizes = (boxes[:, 1] - boxes[:, 0]) * 65536 + boxes[:, 3] - boxes[:, 2]
    return [np.flatnonzero(sizes == s) for s in np.unique(sizes)]


def _scaled_covariance(moments: Moments, i: int, sigma: Array, out: Array) -> None:
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
    # without the patterns above its edge less noise is left, which lowers the edge:
    # repeated until it rests
    edge, noise, kept = noise_edge(pixels, bins), trace / pixels, -1
    for _ in range(10):
        above = int((values > noise * edge).sum())
        if above == kept:
            break
        kept = above
        noise = max(trace - float(values[:kept].sum()), 1e-12 * trace) / max(
            pixels - kept, 1
        )
    return shrinkage(values / max(noise, 1e-30), pixels / bins, edge)


def _assemble(
    moments: Moments, found: list[tuple[Array, Array]], sigma: Array, windows: Array
) -> Patterns:
    first = np.cumsum([0, *(len(a) for a, _ in found)])
    analysis = np.zeros((int(first[-1]), *windows.shape[1:]), np.float32)
    synthesis = np.zeros_like(analysis)
    for i, (box, (into, back)) in enumerate(zip(moments.boxes, found, strict=True)):
        if not len(into):
            continue
        scale = sigma[box[0] : box[1], box[2] : box[3]]
        rows, columns = scale.shape
        own = slice(first[i], first[i + 1])
        analysis[own, :rows, :columns] = into.reshape(-1, rows, columns) / scale
        synthesis[own, :rows, :columns] = back.reshape(-1, rows, columns) * (
            windows[i, :rows, :columns] * scale
        )
    return Patterns(
        moments.mean(), moments.boxes, first.astype(np.int64), analysis, synthesis
    )


def stack_bands(bands: list[tuple[int, Patterns]], shape: tuple[int, int]) -> Patterns:
    """Return the patterns of a frame from those of bands of its rows, each with its
    first row.
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
    """Return the denoised frames (frame, row, column), float32. Frames are independent
    of one another.
    """
    out = np.empty(frames.shape, np.float32)
    count = min(os.cpu_count() or 1, len(frames)) or 1
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


# reassociation lets the sums run in vector registers; NaN and infinities keep their
# meaning
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
