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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.denoising.patch_moments import Array, Moments
from astrocast.kernels.parallel import count_cores

#: maximum number of patterns of a patch (patches of astrocytes have 1-15)
MOST_PATTERNS = 24
_ROUNDS = 2


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
