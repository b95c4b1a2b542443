"""The noise that gives the calibrated detection its units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.calibrated.noise_variance import fit_noise_line
from astrocast.kernels.calibrated.significance import (
    confidence,
    false_maxima,
    height_for,
)
from astrocast.kernels.frames.moments import StepMoments
from astrocast.kernels.frames.smoothing import smoothed_noise, temporal_gain

SIGMA = 1.5, 1.5


def photons(
    seed: int, gain: float, offset: float, read: float, frames: int = 400
) -> np.ndarray:
    """A still scene of 5 to 60 photons per pixel, as a camera gives it."""
    rng = np.random.default_rng(seed)
    scene = rng.uniform(5, 60, (40, 50))
    counts = rng.poisson(scene, (frames, 40, 50)) + rng.normal(
        0, read, (frames, 40, 50)
    )
    return (offset + gain * counts).astype(np.float32)


@pytest.mark.parametrize(
    ("gain", "offset", "read"), [(1.0, 100.0, 1.0), (2.5, 300.0, 0.5), (0.2, 0.0, 2.0)]
)
def test_the_noise_line_of_a_camera_is_recovered(
    gain: float, offset: float, read: float
) -> None:
    movie = photons(0, gain, offset, read)
    moments = StepMoments(np.array([0, 200, 400]), movie.shape[1:])
    moments.add(movie, 0)
    line = fit_noise_line(moments.mean, moments.step_variance)
    assert line.slope == pytest.approx(gain, rel=0.1)
    brightness = offset + gain * 30
    assert line.variance(np.array(brightness)) == pytest.approx(
        gain**2 * (30 + read**2), rel=0.05
    )
    assert line.light(np.array(brightness)) == pytest.approx(
        gain * (30 + read**2), rel=0.15
    )


def test_noise_that_does_not_depend_on_brightness_has_a_flat_line() -> None:
    line = fit_noise_line(np.zeros((20, 20)), np.full((20, 20), 9.0))
    assert line.slope == 0
    assert line.variance(np.array(50.0)) == 9
    assert line.light(np.array(50.0)) == 0


@pytest.mark.parametrize("seed", range(30))
def test_a_slope_by_chance_makes_no_light(seed: int) -> None:
    """Read noise alone: half of the slopes are positive, and mean nothing."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(300, 500, (64, 64))
    variance = 144 * rng.chisquare(150, mean.shape) / 150
    line = fit_noise_line(mean, variance)
    assert line.light(mean).max() <= 1.001 * mean.max()


def test_moments_gathered_in_pieces_are_those_of_the_whole() -> None:
    movie = photons(1, 1.0, 100.0, 1.0, frames=50)
    edges = np.array([0, 8, 16, 24, 32, 40, 50])
    whole, pieces = (
        StepMoments(edges, movie.shape[1:]),
        StepMoments(edges, movie.shape[1:]),
    )
    whole.add(movie, 0)
    for a, b in ((0, 1), (1, 17), (17, 50)):
        pieces.add(movie[a:b], a)
    np.testing.assert_allclose(pieces.means, whole.means, rtol=1e-6)
    np.testing.assert_allclose(
        whole.means,
        np.add.reduceat(movie, edges[:-1]) / np.diff(edges)[:, None, None],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        pieces.step_variance, (np.diff(movie, axis=0) ** 2).mean(0) / 2, rtol=1e-5
    )


def test_noise_after_smoothing_is_what_is_said_at_the_edges_too() -> None:
    rng = np.random.default_rng(2)
    variance = rng.uniform(1, 4, (16, 18)).astype(np.float32)
    noise = rng.normal(size=(6000, 16, 18)) * np.sqrt(variance)
    smooth = ndimage.gaussian_filter(
        noise, (0, 1.5, 1.5), radius=(0, 4, 4), mode="nearest"
    )
    np.testing.assert_allclose(
        smooth.std(axis=0), smoothed_noise(variance, 1.5, 4), rtol=0.05
    )
    course = ndimage.gaussian_filter1d(
        rng.normal(size=(40, 20000)), 1.5, axis=0, radius=4, mode="nearest"
    )
    np.testing.assert_allclose(course.std(axis=1), temporal_gain(40, 1.5, 4), rtol=0.03)


def test_maxima_of_noise_are_as_many_as_expected() -> None:
    """Pure noise, 8 million voxels: the stated rate holds where there are enough maxima
    to count.
    """
    found = {3.5: 0, 4.0: 0, 4.5: 0}
    size = 0
    for seed in range(4):
        noise = (
            np.random.default_rng(seed)
            .standard_normal((200, 100, 100))
            .astype(np.float32)
        )
        smooth = ndimage.gaussian_filter(noise, 1.5, mode="wrap")
        smooth /= smooth.std()
        for height in found:
            found[height] += ndimage.label(smooth > height, np.ones((3, 3, 3)))[1]
        size += noise.size
    for height, count in found.items():
        expected = float(false_maxima(height, size, SIGMA))
        assert abs(count - expected) < 4 * np.sqrt(expected) + 0.1 * expected, (
            height,
            count,
            expected,
        )


def test_the_height_for_a_rate_gives_that_rate() -> None:
    height = height_for(0.1, 20e6, SIGMA)
    assert false_maxima(height, 20e6, SIGMA) == pytest.approx(0.1, rel=1e-3)
    sure = confidence([4.0, height, 8.0], 20e6, SIGMA)
    assert np.all(np.diff(sure) >= 0)
    assert sure[1] == pytest.approx(np.exp(-0.1), rel=1e-3)
    assert sure[0] < 1e-6
