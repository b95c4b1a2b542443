"""The two-sided rolling minimum against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import minimum_filter1d

from astrocast.errors import InvalidValueError
from astrocast.kernels.baseline import two_sided_minimum


def oracle(movie: np.ndarray, window: int) -> np.ndarray:
    n = len(movie)
    padded = np.pad(movie, ((window, window), (0, 0), (0, 0)), mode="edge")
    size = window + 1
    # origin shifts the window so that it ends (or begins) at the frame
    minimum = minimum_filter1d(
        padded, size, axis=0, mode="nearest", origin=(size - 1) // 2 if size % 2 else size // 2 - 1
    )
    centre = np.stack([padded[t : t + size].min(axis=0) for t in range(n + window)])  # plain definition
    assert minimum.shape == padded.shape
    return np.maximum(centre[:n], centre[window:])


@given(
    st.integers(1, 40),
    st.integers(1, 50),
    st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
    st.integers(0, 2**31),
)
def test_equals_the_plain_definition(n: int, window: int, dtype: str, seed: int) -> None:
    movie = (np.random.default_rng(seed).normal(100, 30, (n, 2, 3))).astype(dtype)
    kept = movie.copy()
    found, floored = two_sided_minimum(movie, window)
    np.testing.assert_array_equal(found, oracle(movie, window).astype(np.float32))
    np.testing.assert_array_equal(movie, kept)
    assert found.dtype == np.float32
    assert floored == 0
