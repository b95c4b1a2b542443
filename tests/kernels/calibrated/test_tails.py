"""Tail probabilities of smoothed noise, for several distributions of the noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import norm

from astrocast.kernels.calibrated.noise_tails import (
    BINS,
    FIRST,
    HEIGHTS,
    LOWEST,
    STEP,
    WIDTH,
    as_normal,
    histogram_of_noise,
    normal_heights,
)

GRID = FIRST + STEP * np.arange(HEIGHTS)
EDGES = LOWEST + WIDTH * np.arange(BINS + 1)
Make = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISE: dict[str, Make] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "one photon": lambda rng, shape: rng.poisson(1.0, shape).astype(float),
    "unequal photons": lambda rng, shape: rng.gamma(0.6, size=shape),
    "heavy tails": lambda rng, shape: rng.standard_t(4, shape),
}


@pytest.mark.parametrize("name", NOISE)
def test_heights_are_exceeded_as_often_as_said(name: str) -> None:
    """Count 4 million voxels of smoothed noise: z-scores are exceeded as often as
    those of normal noise.
    """
    rng = np.random.default_rng(0)
    counts = np.zeros((1, BINS), np.int64)
    heights = np.array([-2.0, -1.0, 1.0, 2.0, 3.0, 3.5])
    above, size = np.zeros(len(heights)), 0
    for _ in range(4):
        noise = NOISE[name](rng, (100, 100, 100))
        noise = ((noise - noise.mean()) / noise.std()).astype(np.float32)
        counts += np.histogram(np.clip(noise, EDGES[0], EDGES[-1] - 0.01), EDGES)[0]
        smooth = ndimage.gaussian_filter(noise, 1.5, radius=4, mode="wrap")
        smooth /= smooth.std()
        above += [(smooth > h).sum() for h in heights]
        size += smooth.size
    worth = np.interp(heights, GRID, normal_heights(counts, 1.5, 4)[0])
    np.testing.assert_allclose(worth, norm.isf(above / size), atol=0.06)


def test_heights_of_normal_noise_are_worth_themselves_however_high() -> None:
    z = (EDGES[:-1] + EDGES[1:]) / 2
    counts = np.round(1e12 * norm.pdf(z)).astype(np.int64)[None]
    np.testing.assert_allclose(normal_heights(counts, 1.5, 4)[0], GRID, atol=0.01)


def test_a_class_without_voxels_and_one_without_noise_change_nothing() -> None:
    counts = np.zeros((2, BINS), np.int64)
    np.testing.assert_allclose(
        normal_heights(counts, 1.5, 4), np.tile(GRID, (2, 1)), rtol=1e-6
    )
    counts[1, 60] = 1000
    assert np.isfinite(normal_heights(counts, 1.5, 4)).all()


def test_what_is_rare_in_one_class_counts_in_the_others() -> None:
    z = (EDGES[:-1] + EDGES[1:]) / 2
    counts = np.tile(np.round(1e6 * norm.pdf(z)).astype(np.int64), (2, 1))
    counts[0, int((40 - LOWEST) / WIDTH)] += 30
    worth = normal_heights(counts, 1.5, 4)[:, int((7 - FIRST) / STEP)]
    assert worth[0] < worth[1] < 5


def test_the_histogram_is_that_of_a_plain_loop_and_judges_a_voxel_by_neighbours() -> (
    None
):
    rng = np.random.default_rng(1)
    above = rng.normal(size=(6, 12, 14)).astype(np.float32)
    above[3, 6, 6] = 25.0  # makes its smoothed value high by itself
    above[0, 0, 0] = 0  # no number
    own = 0.019
    single = rng.uniform(0.9, 1.1, (12, 14)).astype(np.float32)
    noise = np.full((12, 14), 0.08, np.float32)
    smooth = (own * above + rng.normal(0, 0.08, above.shape)).astype(np.float32)
    smooth[3, 6, 6] = own * 25
    classes = rng.integers(0, 2, (12, 14)).astype(np.uint8)
    expected = np.zeros((2, BINS), np.int64)
    for t, y, x in np.ndindex(above.shape):
        value = above[t, y, x]
        if (
            value != 0
            and abs(smooth[t, y, x] - np.float32(own) * value) <= 2 * noise[y, x]
        ):
            expected[classes[y, x], int((value / single[y, x] - LOWEST) / WIDTH)] += 1
    found = histogram_of_noise(above, smooth, (single, noise), classes, own)
    np.testing.assert_array_equal(found, expected)
    assert found[:, int((25 / single[6, 6] - LOWEST) / WIDTH)].sum() == 1


def test_a_table_is_read_as_a_line_between_its_heights() -> None:
    rng = np.random.default_rng(2)
    tables = np.cumsum(rng.uniform(0, 0.5, (3, HEIGHTS)), axis=1).astype(np.float32)
    heights = rng.uniform(GRID[0], GRID[-1], (2, 8, 9)).astype(np.float32)
    classes = rng.integers(0, 3, (8, 9)).astype(np.uint8)
    expected = np.empty_like(heights)
    for t, y, x in np.ndindex(heights.shape):
        expected[t, y, x] = np.interp(heights[t, y, x], GRID, tables[classes[y, x]])
    np.testing.assert_allclose(
        as_normal(heights, classes, tables), expected, rtol=1e-4, atol=1e-4
    )
