"""The offset between odd and even lines."""

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.registration.bidirectional import (
    find_line_offset,
    move_odd_lines,
)
from astrocast.simulation import SimulationSettings, Simulator


def simulated(offset: float, seed: int, **options: float) -> np.ndarray:
    """Means of 8 runs of 8 frames that move."""
    plan = Simulator(
        SimulationSettings(
            frames=64,
            rows=96,
            columns=96,
            bidirectional=offset,
            motion=3.0,
            events=6,
            seed=seed,
            **options,
        )
    )
    movie = plan.movie(0, 64).astype(np.float32)
    return movie.reshape(8, 8, *movie.shape[1:]).mean(1)


@pytest.mark.parametrize(
    ("offset", "options", "within"),
    [(0.7, {}, 0.05), (-0.4, {"photons": 5.0}, 0.1), (2.3, {"line_motion": 0.8}, 0.05)],
)
def test_the_offset_of_the_simulator_is_found(offset, options, within) -> None:
    found = find_line_offset(simulated(offset, 11, **options))
    assert found.is_significant
    assert abs(found.pixels - offset) < within


@pytest.mark.parametrize("seed", [1, 2])
def test_no_offset_is_not_significant(seed) -> None:
    found = find_line_offset(simulated(0.0, seed))
    assert not found.is_significant
    assert abs(found.pixels) < 0.08


def test_slanted_structure_is_no_offset() -> None:
    rows, columns = np.mgrid[:64, :96]
    waves = np.sin((columns + 0.9 * rows) / 3) + np.sin((columns + 0.7 * rows) / 5)
    noise = np.random.default_rng(0).normal(0, 0.05, waves.shape)
    assert not find_line_offset((waves + noise)[None]).is_significant


def test_nothing_is_said_where_there_is_nothing() -> None:
    for images in (np.zeros((2, 32, 32)), np.ones((1, 4, 100))):
        found = find_line_offset(images)
        assert found.pixels == 0
        assert not found.is_significant
    noise = np.random.default_rng(0).normal(size=(4, 64, 64))
    assert not find_line_offset(noise).is_significant


def test_lost_lines_are_left_out() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((64, 64)), 2)
    image[1::2] = np.roll(image[1::2], 3, axis=1)
    image[[20, 21]] = np.nan
    found = find_line_offset(image[None])
    assert found.pixels == pytest.approx(3, abs=0.1)
    assert found.is_significant


@pytest.mark.parametrize("first_row", [0, 1, 5])
@pytest.mark.parametrize("pixels", [2.0, -0.5, 1.3])
def test_odd_lines_are_moved_as_a_spline_moves_them(pixels, first_row) -> None:
    rng = np.random.default_rng(4)
    frames = ndimage.gaussian_filter(rng.random((2, 12, 40)), (0, 0, 1.5))
    given = frames.copy()
    moved = move_odd_lines(frames, pixels, first_row)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(frames, given)
    odd = (np.arange(12) + first_row) % 2 == 1
    np.testing.assert_array_equal(moved[:, ~odd], frames[:, ~odd].astype(np.float32))
    oracle = ndimage.shift(frames, (0, 0, -pixels), order=5, mode="nearest")
    np.testing.assert_allclose(moved[:, odd, 8:-8], oracle[:, odd, 8:-8], atol=2e-3)
