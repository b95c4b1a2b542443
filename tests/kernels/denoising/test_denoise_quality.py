import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.denoising.denoise_quality import (
    amplitude_retention,
    assess,
    blind_gaussian,
    hold_out,
    white_noise_sd,
)


def scene(noise: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A bright spot that rises and falls slowly, with and without white noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :48]
    course = np.exp(-((np.arange(120) - 60) ** 2) / 800)
    truth = 100 + 20 * course[:, None, None] * np.exp(
        -((y - 24) ** 2 + (x - 24) ** 2) / 72
    )
    return truth.astype(np.float32), (truth + rng.normal(0, noise, truth.shape)).astype(
        np.float32
    )


def judge(denoise):
    truth, raw = scene()
    given, held = hold_out(raw)
    return assess(raw, denoise(raw, truth), given, denoise(given, truth), held)


def test_noise_is_measured_under_a_slow_signal() -> None:
    assert white_noise_sd(scene()[1]) == pytest.approx(3, rel=0.02)


def test_the_truth_itself_is_perfect() -> None:
    quality = judge(lambda raw, truth: truth)
    assert quality.held_out_error == pytest.approx(1, abs=0.03)
    assert quality.neighbour_error == pytest.approx(1.5, abs=0.05)
    assert quality.amplitude == pytest.approx(1, abs=0.02)
    assert abs(quality.bias) < 0.01
    assert abs(quality.residual_temporal) < 0.03
    assert quality.remarks() == []


def test_a_filter_that_eats_events_is_found_out() -> None:
    quality = judge(lambda raw, truth: np.repeat(raw.mean(0)[None], len(raw), 0))
    assert quality.amplitude is not None
    assert quality.amplitude < 0.6
    assert quality.residual_temporal > 0.1
    assert len(quality.remarks()) == 3


def test_a_bias_and_a_denoiser_that_does_nothing_are_found_out() -> None:
    assert judge(lambda raw, truth: truth + 0.6).bias == pytest.approx(0.2, abs=0.01)
    nothing = judge(lambda raw, truth: raw)
    assert nothing.held_out_error == pytest.approx(nothing.neighbour_error)
    assert any("no better" in remark for remark in nothing.remarks())


def test_amplitude_says_nothing_where_nothing_happens() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (60, 32, 32)).astype(np.float32)
    assert amplitude_retention(noise, noise, 1.0) is None


def test_held_out_frames_are_means_of_their_neighbours_and_the_input_is_kept() -> None:
    raw = scene()[1]
    before = raw.copy()
    given, held = hold_out(raw)
    np.testing.assert_allclose(given[held], (raw[held - 1] + raw[held + 1]) / 2)
    np.testing.assert_array_equal(np.delete(given, held, 0), np.delete(raw, held, 0))
    np.testing.assert_array_equal(raw, before)


def test_the_blind_gaussian_does_not_look_at_its_frame() -> None:
    raw = scene()[1]
    changed = raw.copy()
    changed[30] = 1e6
    np.testing.assert_array_equal(
        blind_gaussian(raw, np.array([30])), blind_gaussian(changed, np.array([30]))
    )
    still = np.repeat(raw[:1], 20, 0)
    np.testing.assert_allclose(
        blind_gaussian(still, np.array([9]))[0],
        ndimage.gaussian_filter(raw[0], 1),
        rtol=1e-5,
    )
