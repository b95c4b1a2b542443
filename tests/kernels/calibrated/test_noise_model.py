"""The noise of a smoothed signal is recovered from what is below the background."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.calibrated.noise_model import SmoothedNoise, measure_noise

SHAPE = (90, 120, 120)


def scene(
    seed: int = 0,
) -> tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray]:
    """Return noise, light and slope of a background, all different from pixel to
    pixel."""
    rng = np.random.default_rng(seed)
    light = rng.gamma(2.0, 50, SHAPE[1:]).astype(np.float32)
    slope = rng.gamma(1.0, 5, SHAPE[1:]).astype(np.float32)
    return rng, np.sqrt(0.1 * light + 1).astype(np.float32), light, slope


@pytest.mark.parametrize(
    "truth",
    [
        SmoothedNoise(1.0, 0.0, 0.0),
        SmoothedNoise(2.0, 0.0, 0.0),
        SmoothedNoise(1.0, 0.05, 0.0),
        SmoothedNoise(1.0, 0.0, 0.4),
    ],
    ids=["as expected", "twice", "flicker", "jitter"],
)
def test_each_part_of_the_noise_is_recovered(truth: SmoothedNoise) -> None:
    rng, noise, light, slope = scene()
    deviation = truth.deviation(noise, light, slope)
    found = measure_noise(
        (rng.normal(size=SHAPE) * deviation / noise).astype(np.float32),
        noise,
        light,
        slope,
    )
    # the few pixels of the steepest slopes count for little in what is measured
    ratio = found.deviation(noise, light, slope) / deviation
    np.testing.assert_allclose(
        np.quantile(ratio, [0.01, 0.1, 0.5, 0.9, 0.99]), 1, atol=0.1
    )
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert found.flicker == pytest.approx(truth.flicker, abs=0.02)
    assert found.jitter == pytest.approx(truth.jitter, abs=0.1)


def test_events_do_not_make_noise() -> None:
    """A tenth of the pixels are far above the background for a third of the time."""
    rng, noise, light, slope = scene(1)
    heights = rng.normal(size=SHAPE)
    heights[30:60, :, :12] += 12
    found = measure_noise(heights.astype(np.float32), noise, light, slope)
    ratio = found.deviation(noise, light, slope) / noise
    np.testing.assert_allclose(
        np.quantile(ratio, [0.01, 0.1, 0.5, 0.9, 0.99]), 1, atol=0.1
    )
    assert abs(found.shift) < 0.05


def test_a_background_that_is_too_low_is_noticed() -> None:
    rng, noise, light, slope = scene(2)
    found = measure_noise(
        (rng.normal(size=SHAPE) + 0.2).astype(np.float32), noise, light, slope
    )
    assert found.shift == pytest.approx(0.2, abs=0.05)
    assert found.factor == pytest.approx(1, abs=0.06)


def test_the_noise_between_frames_is_never_explained_away() -> None:
    """Where fluctuations are below the frame-to-frame noise, the latter is the
    floor.
    """
    rng, _, light, slope = scene(3)
    noise = light / 100
    found = measure_noise(
        (rng.normal(size=SHAPE) * 0.3).astype(np.float32), noise, light, slope
    )
    assert found.factor == pytest.approx(0.95)


def test_without_values_below_the_background_nothing_is_measured() -> None:
    _, noise, light, slope = scene()
    assert (
        measure_noise(np.full((9, *SHAPE[1:]), 5, np.float32), noise, light, slope)
        == SmoothedNoise()
    )
