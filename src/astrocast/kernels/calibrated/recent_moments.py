"""Means and differences of the last frames of a recording that goes on.

Frames are added in pieces. Of each piece its sums are kept, not its frames, until it is
older than the window. The result is that of `LagMoments` over the frames in the window,
without the pairs of frames of different pieces.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.calibrated.background import step_edges
from astrocast.kernels.calibrated.noise_moments import LAGS, LagMoments, StepMoments


@dataclass(frozen=True)
class Piece:
    """Sums over consecutive frames.

    Parameters
    ----------
    edges
        First frame of each step and the end of the last, int64, (step + 1,).
    means
        Mean of each step, float32, (step, row, column).
    half_squares
        Half of the mean squared difference at `LAGS`, float32, (lag, row, column).
    """

    edges: NDArray[np.int64]
    means: NDArray[np.float32]
    half_squares: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.edges[-1])


def add_piece(
    pieces: tuple[Piece, ...],
    frames: NDArray[np.float32],
    window: int,
    pool: Executor | None = None,
) -> tuple[Piece, ...]:
    """Return the pieces after some more frames, without those outside the window.

    Parameters
    ----------
    pieces
        In order of time; empty at the start.
    frames
        The next ones, (frame, row, column), float32, finite; at least 8.
    window
        Frames that are remembered: a piece is dropped when those after it are as many.
    pool
        Threads to share the work with.
    """
    gathered = LagMoments(step_edges(len(frames)), frames.shape[1:])
    gathered.add(frames, 0, pool)
    new = Piece(
        gathered.edges, gathered.means, gathered.half_squares.astype(np.float32)
    )
    kept = [*pieces, new]
    while sum(map(len, kept[1:])) >= window:
        kept.pop(0)
    return tuple(kept)


def recent_moments(pieces: tuple[Piece, ...]) -> StepMoments:
    """Return the moments of all frames in the pieces; frames count from the first.

    Examples
    --------
    >>> frames = np.arange(32, dtype=np.float32).reshape(32, 1, 1)
    >>> pieces = add_piece((), frames[:16], 32)
    >>> recent_moments(add_piece(pieces, frames[16:], 32)).means.ravel().tolist()
    [1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    """
    ends = np.cumsum([len(piece) for piece in pieces])
    starts = ends - [len(piece) for piece in pieces]
    edges = [p.edges[:-1] + a for p, a in zip(pieces, starts, strict=True)]
    steps = np.concatenate([*edges, ends[-1:]])
    means = np.concatenate([p.means for p in pieces])
    length = np.diff(steps)
    mean = np.zeros(means.shape[1:])
    for step, share in zip(means, length / ends[-1], strict=True):
        mean += step * share
    lags = np.array(LAGS)
    pairs = np.array([np.maximum(len(p) - lags, 1) for p in pieces], np.float64)
    squares = np.zeros((len(LAGS), *means.shape[1:]))
    for piece, share in zip(pieces, pairs / pairs.sum(axis=0), strict=True):
        squares += piece.half_squares * share[:, None, None]
    return StepMoments(steps, means, mean, squares)
