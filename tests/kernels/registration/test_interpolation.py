"""Weights of a windowed sinc, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.kernels.registration.interpolation import fill_sinc_weights


@given(
    fraction=st.floats(0, 1),
    half=st.integers(1, 8),
    more=st.sampled_from([0, 1]),
)
def test_weights_are_those_of_numpy(fraction: float, half: int, more: int) -> None:
    taps, width = 2 * half, 2 * half + more
    weights = np.empty(taps)
    fill_sinc_weights(fraction, width, weights)
    distance = np.arange(taps) - (half - 1) - fraction
    window = 0.5 + 0.5 * np.cos(2 * np.pi * distance / width)
    expected = np.sinc(distance) * window
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-9)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.9])
def test_a_slow_sine_moves_by_the_fraction(fraction: float) -> None:
    weights = np.empty(8, np.float32)
    fill_sinc_weights(fraction, 9, weights)
    at = np.arange(60)
    line = np.sin(2 * np.pi * at / 20)
    moved = np.array([weights @ line[t - 3 : t + 5] for t in at[8:-8]])
    expected = np.sin(2 * np.pi * (at[8:-8] + fraction) / 20)
    np.testing.assert_allclose(moved, expected, atol=3e-3)
