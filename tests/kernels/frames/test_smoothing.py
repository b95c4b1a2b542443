from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from astrocast.errors import InvalidValueError
from astrocast.kernels.frames.smoothing import gaussian, gaussian_weights


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 9), st.integers(1, 20)),
    sigma=st.sampled_from([0.5, 1.0, 2.0, 3.7]),
    radius=st.sampled_from([0, 1, 2, 5, None]),
    mode=st.sampled_from(["nearest", "reflect"]),
    seed=st.integers(0, 1000),
)
def test_equals_scipy_to_the_last_bit(shape, sigma, radius, mode, seed):
    frames = (np.random.default_rng(seed).normal(size=shape) * 50).astype(np.float32)
    before = frames.copy()
    expected = gaussian_filter(frames, sigma, radius=radius, mode=mode)
    np.testing.assert_array_equal(gaussian(frames, sigma, radius, mode), expected)
    np.testing.assert_array_equal(frames, before)


@given(size=st.integers(1, 7), radius=st.integers(0, 3), n=st.integers(1, 20))
def test_blocks_with_a_halo_give_the_whole(size, radius, n):
    frames = np.random.default_rng(n).normal(size=(n, 5, 6)).astype(np.float32)
    whole = gaussian(frames, 1.5, radius)
    for start in range(0, n, size):
        stop = min(start + size, n)
        a, b = max(0, start - radius), min(n, stop + radius)
        part = gaussian(frames[a:b], 1.5, radius, inner=slice(start - a, stop - a))
        np.testing.assert_array_equal(part, whole[start:stop])


def test_does_not_depend_on_threads():
    frames = np.random.default_rng(0).normal(size=(11, 30, 17)).astype(np.float32)
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal(
            gaussian(frames, 2, 2, pool=pool), gaussian(frames, 2, 2)
        )


def test_no_sigma_changes_nothing_and_other_types_are_refused():
    frames = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(gaussian(frames, 0, 2), frames)
    assert gaussian_weights(2, 2)[0] + 2 * gaussian_weights(2, 2)[
        1:
    ].sum() == pytest.approx(1)
    with pytest.raises(InvalidValueError, match="float32"):
        gaussian(frames.astype(np.float64), 1)
