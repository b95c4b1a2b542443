"""The scene that the figures for denoising are stated on: bright cells, waves that rise
and decay, few photons.

It differs from `astrocast.simulation` in what matters to a number of decibels: the
brightest cell is several times as bright as the tissue, so the range of the truth is
large, and there are many overlapping events around few cells. Everything follows from
the seed; only NumPy is used, so the scene is the same wherever it is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]
Movie = NDArray[np.float32]

OFFSET = 100.0
#: an event's footprint ends where it has fallen to this share of its peak
_EDGE = 0.02
_RISE_FRAMES = 2.0


@dataclass(frozen=True)
class Scene:
    """What was recorded and what was there, (frame, row, column): counts, counts
    without noise, change dF/F.
    """

    movie: Movie
    truth: Movie
    change: Movie


def make_scene(
    seed: int,
    frames: int = 500,
    side: int = 256,
    *,
    photons: float = 10.0,
    read_noise: float = 2.0,
    cells: int = 12,
    events: int = 60,
) -> Scene:
    """Return a scene of ``side`` x ``side`` pixels with ``photons`` per pixel and frame
    on average.
    """
    rng = np.random.default_rng(seed)
    centres = rng.uniform(10, side - 10, (cells, 2))
    tissue = smooth(
        neuropil(rng, side) + sum(cell(rng, side, centre) for centre in centres), 1.0
    )
    change = np.zeros((frames, side, side), np.float32)
    for _ in range(events):
        add_event(rng, change, centres[rng.integers(cells)] + rng.normal(0, 18, 2))
    truth = (1 + change) * tissue.astype(np.float32)
    truth *= photons / truth.mean(dtype=np.float64)
    movie = np.empty_like(truth)
    for light, recorded in zip(truth, movie, strict=True):
        recorded[:] = rng.poisson(light) + rng.normal(OFFSET, read_noise, light.shape)
    return Scene(movie, truth + np.float32(OFFSET), change)


def smooth(image: Image, sigma: float) -> Image:
    """Blur by a Gaussian, periodic at the edges."""
    rows, columns = image.shape
    f2 = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns)[None] ** 2
    return np.fft.irfft2(
        np.fft.rfft2(image) * np.exp(-2 * (np.pi * sigma) ** 2 * f2), image.shape
    )


def neuropil(rng: np.random.Generator, side: int) -> Image:
    """Background: a slow and a fine texture of equal contrast on a constant."""
    found = np.full((side, side), 0.4)
    for sigma in (20.0, 2.0):
        texture = smooth(rng.standard_normal((side, side)), sigma)
        found += 0.4 * (texture - texture.min()) / np.ptp(texture)
    return found


def cell(rng: np.random.Generator, side: int, centre: NDArray[np.float64]) -> Image:
    """A round soma with seven processes that wander off and thin out."""
    y, x = np.ogrid[:side, :side]
    found = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * 4.0**2))
    for _ in range(7):
        length = int(rng.uniform(20, 45))
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.2, length))
        path = centre + np.cumsum(np.stack([np.sin(heading), np.cos(heading)], 1), 0)
        row, column = np.floor(path).astype(int).T
        seen = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        np.add.at(
            found,
            (row[seen], column[seen]),
            0.6 * np.exp(-np.arange(length)[seen] / 30),
        )
    return found


def add_event(
    rng: np.random.Generator, change: Movie, centre: NDArray[np.float64]
) -> None:
    """Add a wave that runs outwards from ``centre``: at each pixel a fast rise and a
    slow decay.
    """
    frames, side = change.shape[:2]
    onset, height, sigma = (
        rng.uniform(8, frames - 25),
        rng.uniform(0.25, 1.2),
        rng.uniform(3, 12),
    )
    speed, decay = rng.uniform(3, 10), 8.0 * rng.uniform(0.5, 2)
    reach = sigma * np.sqrt(-2 * np.log(_EDGE))
    box = tuple(
        slice(max(0, int(c - reach)), min(side, int(c + reach) + 2)) for c in centre
    )
    y, x = np.ogrid[box]
    distance = np.hypot(y - centre[0], x - centre[1])
    if not distance.size:
        return
    footprint = np.where(distance <= reach, np.exp(-0.5 * (distance / sigma) ** 2), 0)
    first, last = int(onset), min(frames, int(onset + reach / speed + 6 * decay) + 1)
    since = np.maximum(
        np.arange(first, last)[:, None, None] - onset - distance / speed, 0
    )
    change[(slice(first, last), *box)] += height * footprint * course(since, decay)


def course(since: NDArray[np.float64], decay: float) -> NDArray[np.float64]:
    """Rise and decay ``since`` frames after the onset, 1 at its peak."""
    peak = _RISE_FRAMES * np.log1p(decay / _RISE_FRAMES)

    def shape(t: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(
            (1 - np.exp(-np.asarray(t) / _RISE_FRAMES)) * np.exp(-np.asarray(t) / decay)
        )

    return shape(since) / shape(peak)
