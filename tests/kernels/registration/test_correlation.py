"""Correlation maps against a full FFT, and the filter against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft, ndimage

from astrocast.kernels.registration.correlation import (
    build_correlator,
    correlation_maps,
    cross_spectrum,
    high_pass,
    peaks,
    phase_ramps,
    refined_peaks,
    taper_2d,
)


@pytest.mark.parametrize("shape", [(16, 16), (30, 24), (25, 27), (256, 200)])
def test_maps_equal_the_inverse_fft_at_the_lags(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    template, frames = (
        rng.random((1, *shape)),
        rng.random((3, *shape)).astype(np.float32),
    )
    mask = taper_2d(shape, 2, 4)
    correlator = build_correlator(template, mask, (4, 3))
    masked = (template[0] - (template[0] * mask).sum() / mask.sum()) * mask
    full = fft.irfft2(
        np.conj(fft.rfft2(masked)) * fft.rfft2(frames.astype(float)), s=shape
    ) * np.prod(shape)
    expected = full[:, np.arange(-4, 5)][:, :, np.arange(-3, 4)]
    maps = correlation_maps(cross_spectrum(frames, correlator), correlator)
    np.testing.assert_allclose(maps, expected, atol=2e-5 * np.abs(full).max())


def test_high_pass_is_image_minus_blur() -> None:
    image = np.random.default_rng(1).random((64, 48))
    expected = image - ndimage.gaussian_filter(image, (3, 5), mode="wrap", truncate=8)
    found = fft.irfft2(fft.rfft2(image) * high_pass(image.shape, (3, 5)), s=image.shape)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9))
def test_peak_of_a_quadratic_is_exact(oy: float, ox: float) -> None:
    y, x = np.mgrid[-4:5, -4:5].astype(float)
    surface = -((y - oy) ** 2) - 0.7 * (x - ox) ** 2 + 0.3 * (y - oy) * (x - ox)
    np.testing.assert_allclose(
        peaks(surface[None].astype(np.float32))[0], (oy, ox), atol=1e-4
    )


def test_flat_and_nan_maps_have_their_peak_in_the_middle() -> None:
    maps = np.stack([np.zeros((7, 7)), np.full((7, 7), np.nan)]).astype(np.float32)
    np.testing.assert_array_equal(peaks(maps), 0)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_refined_peak_and_ramp_agree_with_a_fourier_shift(dy: float, dx: float) -> None:
    shape = (64, 60)
    scene = ndimage.gaussian_filter(
        np.random.default_rng(2).standard_normal(shape), 1.5, mode="wrap"
    )
    wave = np.exp(-2j * np.pi * (fft.fftfreq(64)[:, None] * dy + fft.rfftfreq(60) * dx))
    frame = fft.irfft2(fft.rfft2(scene) * wave, s=shape).astype(np.float32)[None]
    correlator = build_correlator(scene[None], np.ones(shape, np.float32), (3, 3))
    spectrum = cross_spectrum(frame, correlator)
    first = peaks(correlation_maps(spectrum, correlator))
    np.testing.assert_allclose(
        refined_peaks(spectrum, correlator, first)[0], (dy, dx), atol=0.01
    )
    centred = spectrum * phase_ramps(shape, np.array([[dy, dx]]))
    np.testing.assert_allclose(
        peaks(correlation_maps(centred, correlator))[0], 0, atol=0.01
    )
