from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import threshold_triangle

from astrocast.kernels.activity.triangle import (
    active_thresholds,
    frame_ranges,
    triangle_thresholds,
)


def movie(
    seed: int, shape: tuple[int, int, int], scale: float, whole: bool
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=shape) * scale + rng.normal() * 10
    frames[rng.random(shape) < 0.05] += 8 * scale
    return np.round(frames).astype(np.float32) if whole else frames.astype(np.float32)


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 24), st.integers(1, 24)),
    depth=st.integers(0, 3),
    scale=st.sampled_from([0.01, 1.0, 30.0, 4000.0]),
    whole=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_equals_scikit_image_exactly(shape, depth, scale, whole, seed):
    frames = movie(seed, shape, scale, whole)
    found = triangle_thresholds(frames, depth)
    for t in range(len(frames)):
        window = frames[
            np.clip(np.arange(t - depth, t + depth + 1), 0, len(frames) - 1)
        ]
        assert found[t] == threshold_triangle(window)


@given(size=st.integers(1, 5), depth=st.integers(0, 2))
def test_blocks_with_a_halo_give_the_whole(size, depth):
    frames = movie(3, (13, 8, 9), 5, False)
    whole = triangle_thresholds(frames, depth)
    for start in range(0, 13, size):
        stop = min(start + size, 13)
        a, b = max(0, start - depth), min(13, stop + depth)
        np.testing.assert_array_equal(
            triangle_thresholds(frames[a:b], depth, slice(start - a, stop - a)),
            whole[start:stop],
        )


def test_constant_frames_have_a_threshold_that_nothing_exceeds():
    frames = np.full((3, 4, 5), 7, np.float32)
    assert (triangle_thresholds(frames) == 7).all()
    # too close for 256 bins: scikit-image raises here
    frames[1] = np.float32(7.0000005)
    assert np.isfinite(triangle_thresholds(frames)).all()
    frames[1, 0, 0] = np.finfo(np.float32).max
    frames[2, 0, 0] = np.finfo(np.float32).min
    triangle_thresholds(frames)  # a range beyond float32 is no crash


def test_ranges_and_threads():
    frames = movie(1, (9, 13, 70), 5, False)
    with ThreadPoolExecutor(3) as pool:
        ranges = frame_ranges(frames, pool)
        np.testing.assert_array_equal(
            triangle_thresholds(frames, 1, pool=pool), triangle_thresholds(frames, 1)
        )
    np.testing.assert_array_equal(
        ranges, np.stack([frames.min((1, 2)), frames.max((1, 2))], 1)
    )


@given(
    seed=st.integers(0, 1000),
    ratio=st.sampled_from([0.0, 0.9, 1.0, 1.5, 4.0]),
    level=st.sampled_from([-9, 0, 6, 99]),
)
def test_a_frame_stands_out_by_the_ratio_of_its_means(seed, ratio, level):
    frames = movie(seed, (1, 10, 10), 3, False)
    inside, outside = frames[frames > level], frames[frames <= level]
    expected = (
        len(inside)
        and len(outside)
        and inside.mean(dtype=float) > ratio * abs(outside.mean(dtype=float))
    )
    found = active_thresholds(frames, np.array([level], np.float32), ratio)
    assert found[0] == (level if expected else np.inf)
