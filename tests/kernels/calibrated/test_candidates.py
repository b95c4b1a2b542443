"""What stands out of a smoothed signal, beside plain array operations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from astrocast.kernels.calibrated.candidates import (
    NoiseOfPixels,
    noise_on_runs,
    stand_out,
    values_on_runs,
)
from astrocast.kernels.calibrated.noise_tails import FIRST, HEIGHTS, STEP
from astrocast.kernels.masks.runs import find_runs


@pytest.fixture
def block() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal of seven frames, two kinds of noise, and the kind of each frame."""
    rng = np.random.default_rng(0)
    smooth = rng.normal(0, 2, (7, 20, 24)).astype(np.float32)
    return (
        smooth,
        rng.uniform(0.5, 1.5, (2, 20, 24)).astype(np.float32),
        np.array([0, 0, 1, 1, 1, 0, 1]),
    )


@pytest.mark.parametrize("border", [(0, 0, 0, 0), (1, 2, 3, 4), (20, 0, 0, 0)])
def test_voxels_stand_out_of_their_own_noise(
    block, border: tuple[int, int, int, int]
) -> None:
    smooth, noise, which = block
    expected = smooth > np.float32(1.5) * noise[which]
    top, bottom, left, right = border
    expected[:, :top] = expected[:, 20 - bottom :] = False
    expected[:, :, :left] = expected[:, :, 24 - right :] = False
    with ThreadPoolExecutor(3) as pool:
        for threads in (None, pool):
            np.testing.assert_array_equal(
                stand_out(smooth, noise, which, 1.5, border, threads), expected
            )


def test_heights_are_gathered_run_after_run(block) -> None:
    smooth, noise, which = block
    rng = np.random.default_rng(1)
    mask = stand_out(smooth, noise, which, 1.5)
    tables = np.sort(rng.uniform(1, 9, (3, HEIGHTS)), axis=1).astype(np.float32)
    classes = rng.integers(0, 3, smooth.shape[1:]).astype(np.uint8)
    ratio = rng.uniform(1, 2, smooth.shape[1:]).astype(np.float32)
    shift = 0.2
    runs = find_runs(mask)
    grid = FIRST + STEP * np.arange(HEIGHTS)
    height = smooth / (noise[which] * ratio) - shift
    worth = np.stack([np.interp(height, grid, table) for table in tables])
    expected = np.take_along_axis(
        worth, np.broadcast_to(classes, height.shape)[None].astype(int), 0
    )[0][mask]
    known = NoiseOfPixels(noise, which, ratio, classes, tables, shift)
    with ThreadPoolExecutor(3) as pool:
        for threads in (None, pool):
            value = values_on_runs(runs, smooth, threads)
            plain, normal = noise_on_runs(runs, value, known, threads)
            np.testing.assert_array_equal(value, smooth[mask])
            np.testing.assert_allclose(plain, (noise[which] * ratio)[mask], rtol=1e-6)
            np.testing.assert_allclose(value / normal, expected, rtol=1e-3)
