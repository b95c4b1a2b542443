"""The two-sided rolling minimum against scipy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import minimum_filter1d

from astrocast.errors import InvalidValueError
from astrocast.kernels.baseline import rolling_minimum as baseline
from astrocast.kernels.baseline.rolling_minimum import two_sided_minimum


def oracle(movie: np.ndarray, window: int) -> np.ndarray:
    """One centred scipy filter over the movie padded with its ends, looked at from both
    sides.
    """
    n = len(movie)
    padded = np.pad(movie, ((window, window), (0, 0), (0, 0)), mode="edge")
    size = window + 1
    centred = minimum_filter1d(padded, size, axis=0, mode="nearest")
    back = centred[size // 2 : size // 2 + n]  # the centre of [t - window, t]
    front = centred[window + size // 2 : window + size // 2 + n]
    return np.maximum(back, front)


@given(
    st.integers(1, 40),
    st.integers(1, 50),
    st.sampled_from(["uint16", "float32"]),
    st.integers(0, 2**31),
)
def test_equals_scipy(n: int, window: int, dtype: str, seed: int) -> None:
    movie = np.random.default_rng(seed).normal(100, 30, (n, 2, 3)).astype(dtype)
    kept = movie.copy()
    found, floored = two_sided_minimum(movie, window)
    np.testing.assert_array_equal(found, oracle(movie, window).astype(np.float32))
    np.testing.assert_array_equal(movie, kept)
    assert found.dtype == np.float32
    assert floored == 0


def test_threads_and_context_do_not_change_the_result() -> None:
    movie = np.random.default_rng(3).integers(0, 999, (40, 30, 50), dtype=np.uint16)
    assert movie[0].size > 2 * baseline.STRIP
    whole, _ = two_sided_minimum(movie, 7, "dF")
    with ThreadPoolExecutor(3) as pool:
        threaded, _ = two_sided_minimum(movie, 7, "dF", pool=pool)
    np.testing.assert_array_equal(threaded, whole)
    part, _ = two_sided_minimum(movie[3:27], 7, "dF", inner=slice(7, 17))
    np.testing.assert_array_equal(part, whole[10:20])


def test_refuses_what_is_no_window_or_method() -> None:
    movie = np.zeros((4, 2, 2), np.uint16)
    for window in (0, -1, 2.5):
        with pytest.raises(InvalidValueError, match="whole number of frames"):
            two_sided_minimum(movie, window)  # type: ignore[arg-type] # the point of the test
    with pytest.raises(InvalidValueError, match="background, dF, dFF"):
        two_sided_minimum(movie, 2, "df/f")  # type: ignore[arg-type] # the point of the test
