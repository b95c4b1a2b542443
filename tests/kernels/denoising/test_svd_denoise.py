import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.errors import InvalidValueError
from astrocast.kernels.denoising.patch_moments import Moments, patch_windows
from astrocast.kernels.denoising.svd_denoise import (
    find_patterns,
    largest_eigenpairs,
    noise_edge,
    project,
    shrinkage,
    stack_bands,
)


def events(
    frames: int = 240, side: int = 40, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Three spots, each with its own slow time course, on a bright background: (truth,
    with noise of two levels).
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    truth = np.full((frames, side, side), 100.0)
    for centre in ((12, 12), (12, 28), (30, 20)):
        spot = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 18)
        course = np.convolve(rng.random(frames) < 0.02, np.exp(-np.arange(30) / 8))[
            :frames
        ]
        truth += 12 * course[:, None, None] * spot
    sigma = np.where(x < side // 2, 3.0, 6.0)
    return truth.astype(np.float32), (
        truth + sigma * rng.normal(size=truth.shape)
    ).astype(np.float32)


def patterns_of(movie: np.ndarray, patch: int = 16, bins: int = 4, cut: int = 1000):
    boxes, windows = patch_windows(movie.shape[1:], patch)
    moments = Moments(movie[:20].mean(0), boxes, bins)
    for start in range(0, len(movie), cut):
        moments.add(movie[start : start + cut])
    return moments, find_patterns(moments, windows)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(2, 20))
def test_windows_of_patches_add_up_to_one_everywhere(rows, columns, patch) -> None:
    boxes, windows = patch_windows((rows, columns), patch)
    total = np.zeros((rows, columns))
    for (top, bottom, left, right), window in zip(boxes, windows, strict=True):
        assert bottom > top
        assert right > left
        total[top:bottom, left:right] += window[: bottom - top, : right - left]
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_the_noise_of_each_pixel_is_found_and_slow_signals_are_not_noise() -> None:
    moments, _ = patterns_of(events()[1])
    assert moments.noise()[:, :20].mean() == pytest.approx(3, rel=0.05)
    assert moments.noise()[:, 20:].mean() == pytest.approx(6, rel=0.05)


def test_noise_goes_and_events_stay() -> None:
    truth, noisy = events()
    found = project(noisy, patterns_of(noisy)[1])
    before, after = np.square(noisy - truth).mean(), np.square(found - truth).mean()
    assert after < before / 25
    spot = truth - truth.min(0) > 4
    amplitude = (found - np.median(found, 0))[spot].mean() / (
        truth - np.median(truth, 0)
    )[spot].mean()
    assert 0.8 < amplitude < 1.02
    assert abs(np.mean(found - noisy)) < 0.01


def test_pure_noise_has_hardly_any_pattern() -> None:
    noise = np.random.default_rng(1).normal(100, 5, (200, 64, 64)).astype(np.float32)
    found = patterns_of(noise)[1]
    assert len(found.analysis) < 0.1 * len(found.boxes)


@pytest.mark.parametrize("cut", [1, 2, 7, 64])
def test_any_cut_of_the_recording_gives_the_same_result(cut: int) -> None:
    noisy = events(frames=130)[1]
    moments, whole = patterns_of(noisy)
    sums, parts = patterns_of(noisy, cut=cut)
    np.testing.assert_allclose(sums.noise(), moments.noise(), rtol=1e-5)
    expected = project(noisy, whole)
    found = np.concatenate(
        [project(noisy[i : i + cut], parts) for i in range(0, len(noisy), cut)]
    )
    # of a noise of 3: the sums differ in their last digits
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_projection_is_the_plain_linear_map() -> None:
    noisy = events(frames=60, side=24)[1]
    before = noisy.copy()
    p = patterns_of(noisy, patch=8)[1]
    expected = np.repeat(p.mean[None].astype(float), len(noisy), 0)
    for i, (top, bottom, left, right) in enumerate(p.boxes):
        for k in range(p.first[i], p.first[i + 1]):
            into, back = (
                m[k, : bottom - top, : right - left].ravel().astype(float)
                for m in (p.analysis, p.synthesis)
            )
            centred = (noisy - p.mean)[:, top:bottom, left:right].reshape(
                len(noisy), -1
            )
            expected[:, top:bottom, left:right] += np.outer(
                centred @ into, back
            ).reshape(len(noisy), bottom - top, -1)
    assert len(p.analysis)
    np.testing.assert_allclose(project(noisy, p), expected, rtol=1e-5)
    np.testing.assert_array_equal(noisy, before)


def test_bands_of_rows_are_put_together() -> None:
    noisy = events()[1]
    boxes, windows = patch_windows(noisy.shape[1:], 16)
    upper = boxes[:, 1] <= 24
    bands = []
    for own in (upper, ~upper):
        top, bottom = boxes[own, 0].min(), boxes[own, 1].max()
        moments = Moments(
            noisy[:20, top:bottom].mean(0), boxes[own] - [top, top, 0, 0], 4
        )
        moments.add(noisy[:, top:bottom])
        bands.append((int(top), find_patterns(moments, windows[own])))
    found = project(noisy, stack_bands(bands, noisy.shape[1:]))
    np.testing.assert_allclose(found, project(noisy, patterns_of(noisy)[1]), atol=0.05)


def test_the_largest_eigenpairs_eigenvectors_are_those_of_lapack() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(3, 300, 200)) * np.r_[30, 20, 15, 10, 5, np.ones(195)]
    matrices = (samples.swapaxes(1, 2) @ samples / 300).astype(np.float32)
    values, vectors = largest_eigenpairs(matrices, 24, rng)
    exact, exact_vectors = np.linalg.eigh(matrices.astype(float))
    np.testing.assert_allclose(values[:, :5], exact[:, ::-1][:, :5], rtol=1e-3)
    for i in range(3):
        overlap = np.abs((vectors[i, :, :5] * exact_vectors[i, :, ::-1][:, :5]).sum(0))
        np.testing.assert_allclose(overlap, 1, atol=1e-3)


def test_shrinkage_is_that_of_gavish_and_donoho_and_noise_stays_below_its_edge() -> (
    None
):
    ratio = 0.5
    y = np.array([1.0, 2.0, 3.0, 10.0])  # singular values divided by the noise
    expected = [0, *np.sqrt((y[1:] ** 2 - ratio - 1) ** 2 - 4 * ratio) / y[1:] ** 2]
    np.testing.assert_allclose(shrinkage(y**2, ratio, (1 + ratio**0.5) ** 2), expected)
    rng = np.random.default_rng(0)
    largest = [
        np.linalg.norm(rng.normal(size=(64, 100)), 2) ** 2 / 100 for _ in range(100)
    ]
    assert np.mean(np.array(largest) > noise_edge(64, 100)) < 0.05
    assert np.median(largest) == pytest.approx(noise_edge(64, 100), rel=0.2)


def test_values_that_are_not_finite_are_refused() -> None:
    movie = events(frames=40)[1]
    movie[3, 4, 5] = np.nan
    with pytest.raises(InvalidValueError, match="finite"):
        patterns_of(movie)
