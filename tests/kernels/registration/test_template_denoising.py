"""Denoising of a template in small blocks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, ndimage

from astrocast.kernels.registration import template_denoising
from astrocast.kernels.registration.template_denoising import denoise_template


def cells(rows: int, columns: int, seed: int) -> np.ndarray:
    """Return a field of 25 sharp cells of different brightness on a dark ground."""
    rng = np.random.default_rng(seed)
    field = np.zeros((rows, columns))
    places = rng.integers(0, (rows, columns), (25, 2))
    field[tuple(places.T)] = rng.uniform(20, 100, 25)
    return ndimage.gaussian_filter(field, 1.5)


@pytest.mark.parametrize("shape", [(64, 64), (61, 83)])
def test_slopes_come_nearer_to_the_truth(shape: tuple[int, int]) -> None:
    for seed in range(3):
        truth = cells(*shape, seed)
        noise = 0.5 * np.random.default_rng(seed).normal(size=shape)
        clean = denoise_template(truth + noise, np.full(shape, 0.25))
        for axis in (0, 1):
            own = np.gradient(truth, axis=axis)
            before = np.std(np.gradient(truth + noise, axis=axis) - own)
            after = np.std(np.gradient(clean, axis=axis) - own)
            assert after < 0.4 * before


def test_without_noise_nothing_changes() -> None:
    truth = cells(40, 48, 3)
    clean = denoise_template(truth, np.zeros_like(truth))
    np.testing.assert_allclose(clean, truth, atol=1e-4)


def test_blocks_of_noise_alone_become_flat() -> None:
    noise = np.random.default_rng(1).normal(size=(48, 48))
    clean = denoise_template(noise + 5, np.ones((48, 48)))
    assert np.std(clean) < 0.35 * np.std(noise)
    assert clean.mean() == pytest.approx(noise.mean() + 5, abs=0.02)


def test_the_input_stays_as_it_is_and_small_images_are_taken() -> None:
    image = np.random.default_rng(2).normal(size=(5, 12)).astype(np.float32)
    before = image.copy()
    assert denoise_template(image, np.ones((5, 12))).shape == (5, 12)
    np.testing.assert_array_equal(image, before)


def test_the_first_estimate_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(size=(16, 20)).astype(np.float32) * 3
    noise = rng.uniform(0.5, 1.5, image.shape).astype(np.float32)
    edge = np.sin(np.pi * (np.arange(8) + 0.5) / 8)
    window = np.outer(edge, edge)
    total, weight = np.zeros(image.shape), np.zeros(image.shape)
    for y in (0, 4, 8):
        for x in (0, 4, 8, 12):
            part = np.s_[y : y + 8, x : x + 8]
            found = fft.dctn(image[part], norm="ortho")
            keep = found**2 > 3.5**2 * noise[part].mean()
            keep[0, 0] = True
            total[part] += window * fft.idctn(found * keep, norm="ortho")
            weight[part] += window
    matrix = fft.dct(np.eye(8), axis=0, norm="ortho").astype(np.float32)
    first = template_denoising._shrink_blocks(
        image, image, noise, matrix, window.astype(np.float32), False
    )
    np.testing.assert_allclose(first, total / weight, atol=1e-4)
