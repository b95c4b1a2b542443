"""Medians that are found by bisection, beside numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.kernels.registration.median import (
    median_of_positive,
    median_over_frames,
)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 60), st.sampled_from(["normal", "ties", "zero"]), st.integers(0, 99)
)
def test_the_median_of_positive_values(n: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = {
        "normal": np.abs(rng.normal(size=n)),
        "ties": rng.integers(0, 3, n),
        "zero": np.zeros(n),
    }[kind].astype(np.float32)
    assert median_of_positive(values) == np.median(values.astype(np.float64))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("kind", ["normal", "ties", "zero of either sign"])
def test_the_median_over_frames(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    frames = {
        "normal": rng.normal(0, 1e3, (n, 5, 7)),
        "ties": rng.integers(-2, 3, (n, 5, 7)),
        "zero of either sign": np.copysign(0.0, rng.normal(size=(n, 5, 7))),
    }[kind].astype(np.float32)
    kept = frames.copy()
    np.testing.assert_array_equal(median_over_frames(frames), np.median(frames, axis=0))
    np.testing.assert_array_equal(frames, kept)
