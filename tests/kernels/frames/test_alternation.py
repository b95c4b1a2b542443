"""Two alternating channels differ from one channel with noise, events and drift."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.frames.alternation import ALTERNATING, measure_alternation


def movie_of(seed: int, frames: int = 24, noise: float = 8.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tissue = 100 + 60 * rng.random((1, 32, 32)).repeat(frames, 0)
    event = np.exp(-np.maximum(np.arange(frames) - 6, 0) / 4)
    tissue[6:, 8:20, 8:20] += 80 * event[6:, None, None]
    bleaching = np.linspace(1, 0.8, frames)[:, None, None]
    return tissue * bleaching + rng.normal(0, noise, tissue.shape)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("noise", [0.0, 8.0, 60.0])
def test_one_channel(seed: int, noise: float) -> None:
    assert measure_alternation(movie_of(seed, noise=noise)) < 0.75 * ALTERNATING


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_two_channels(seed: int, offset: float) -> None:
    movie = movie_of(seed)
    movie[1::2] = movie_of(seed + 100)[1::2, ::-1] + offset
    movie[1::2, 16:] *= 1.8  # another structure, even where the light is the same
    assert measure_alternation(movie) > ALTERNATING


def test_edges() -> None:
    assert measure_alternation(np.zeros((20, 8, 8))) == 0.0
    assert measure_alternation(movie_of(0)[:5]) == 0.0
    equal = np.zeros((10, 8, 8), np.uint8)
    equal[1::2] = 7
    assert measure_alternation(equal) == np.inf
    assert measure_alternation(np.ones((10, 1, 3))) == 0.0
    endless = movie_of(0)
    endless[:, 2] = np.inf
    assert measure_alternation(endless) < ALTERNATING
