"""Moments of the latest frames: compared with those of all frames in the window."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.calibrated.background import Background, step_edges
from astrocast.kernels.calibrated.noise_moments import LAGS
from astrocast.kernels.calibrated.noise_variance import NoiseLine
from astrocast.kernels.calibrated.recent_moments import add_piece, recent_moments
from astrocast.kernels.calibrated.residual import background_of_frames
from astrocast.kernels.calibrated.shared_patterns import Patterns


@pytest.fixture
def frames():
    return np.random.default_rng(5).normal(100, 10, (320, 6, 7)).astype(np.float32)


def test_moments_are_those_of_the_frames_in_the_window(frames):
    pieces = ()
    for a in range(0, 320, 64):
        pieces = add_piece(pieces, frames[a : a + 64], 192)
    found, window = recent_moments(pieces), frames[128:]
    np.testing.assert_array_equal(found.edges, step_edges(192))
    steps = window.reshape(24, 8, 6, 7).mean(axis=1)
    np.testing.assert_allclose(found.means, steps, rtol=1e-5)
    np.testing.assert_allclose(found.mean, window.mean(axis=0), rtol=1e-6)
    for lag, half in zip(LAGS, found.half_squares, strict=True):
        # pairs of frames of different pieces are left out
        squares = [(p[lag:] - p[:-lag]) ** 2 for p in window.reshape(3, 64, 6, 7)]
        expected = np.concatenate(squares).mean(axis=0) / 2
        np.testing.assert_allclose(half, expected, rtol=1e-4)


def test_pieces_outside_the_window_are_dropped(frames):
    pieces = ()
    for a in range(0, 320, 64):
        pieces = add_piece(pieces, frames[a : a + 64], 100)
    assert [len(p) for p in pieces] == [64, 64]


def test_background_is_interpolated_between_steps():
    levels = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2))
    nothing = np.ones((2, 2), np.float32)
    background = Background(
        levels.astype(np.float32),
        np.array([0, 8, 16, 24, 32]),
        nothing,
        nothing,
        NoiseLine(0.0, 1.0, 1.0),
        Patterns.none(4, (2, 2)),
    )
    found = background_of_frames(0, 40, background)[:, 0, 0]
    inside = np.interp(np.arange(4, 28), [3.5, 11.5, 19.5, 27.5], np.arange(4))
    np.testing.assert_allclose(found[4:28], inside, rtol=1e-6)
    # beyond the stretch the background of its end stands
    np.testing.assert_allclose(found[32:], found[31])
