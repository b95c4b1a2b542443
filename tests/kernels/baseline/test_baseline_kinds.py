"""Percentile, corrected minimum and decays against scipy and known truths."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import percentile_filter, uniform_filter1d

from astrocast.errors import InvalidValueError
from astrocast.kernels.baseline.corrected_minimum import (
    NoiseEstimate,
    minimum_bias,
    minimum_bias_over_time,
    moving_average,
)
from astrocast.kernels.baseline.exponential import fit_bleaching
from astrocast.kernels.baseline.percentile import running_percentile
from astrocast.kernels.baseline.rolling_minimum import (
    frame_minimum,
    signal_above,
    two_sided_minimum,
)


@given(
    n=st.integers(1, 40),
    window=st.integers(1, 25),
    percentile=st.sampled_from([0, 10, 33.3, 50, 100]),
)
def test_percentile_equals_scipy(n: int, window: int, percentile: float) -> None:
    # few different values: ties are where a sorted window goes wrong
    movie = (
        np.random.default_rng(n * 100 + window)
        .integers(0, 9, (n, 2, 3))
        .astype(np.float32)
    )
    expected = percentile_filter(
        movie, percentile, size=(2 * window + 1, 1, 1), mode="nearest"
    )
    np.testing.assert_array_equal(
        running_percentile(movie, window, percentile), expected
    )
    start = n // 3
    part = running_percentile(movie, window, percentile, inner=slice(start, n))
    np.testing.assert_array_equal(part, expected[start:])


@given(n=st.integers(1, 30), half=st.integers(0, 6))
def test_moving_average_equals_scipy(n: int, half: int) -> None:
    movie = np.random.default_rng(n).normal(size=(n, 2, 3)).astype(np.float32)
    expected = uniform_filter1d(
        movie.astype(np.float64), 2 * half + 1, axis=0, mode="nearest"
    )
    np.testing.assert_allclose(moving_average(movie, 2 * half + 1), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["u2", "f2", "f4", "i4", "f8", ">u2"])
def test_average_and_noise_are_the_same_bits_as_sums_of_whole_frames(
    dtype: str,
) -> None:
    """Of 33 x 80 pixels: more than one strip of a thread."""
    movie = np.random.default_rng(4).normal(900, 60, (23, 33, 80)).astype(dtype)
    total = np.zeros((23, 33, 80), np.float32)
    for shift in range(-3, 4):
        total += movie[np.clip(np.arange(23) + shift, 0, 22)]
    total /= 7
    noise = NoiseEstimate(movie.shape[1:])
    with ThreadPoolExecutor(2) as pool:
        np.testing.assert_array_equal(moving_average(movie, 7, pool=pool), total)
        for part in (movie[:1], movie[1:9], movie[9:]):
            noise.add(part, pool)
    steps = np.abs(np.diff(movie.astype(np.float32), axis=0)).astype(np.float64)
    parts = steps[0], steps[1:8].sum(axis=0) + steps[0], steps[8]
    expected = (parts[1] + parts[2] + steps[9:].sum(axis=0)) / 22
    np.testing.assert_allclose(noise.sigma(), expected * np.sqrt(np.pi) / 2, rtol=1e-6)


def test_signal_above_a_raised_background_equals_numpy() -> None:
    rng = np.random.default_rng(8)
    movie = rng.integers(0, 4000, (9, 31, 37)).astype(np.uint16)
    background = rng.normal(900, 200, movie.shape).astype(np.float32)
    lost = rng.random(9, np.float32)
    noise = rng.random((31, 37), np.float32) * 30
    level = background + lost[:, None, None] * noise
    above = movie.astype(np.float32) - level
    with ThreadPoolExecutor(2) as pool:
        minimum = frame_minimum(movie.reshape(9, -1), pool)
        np.testing.assert_array_equal(minimum, movie.reshape(9, -1).min(axis=0))
        for method, expected in (
            ("background", level),
            ("dF", above),
            ("dFF", above / np.maximum(level, np.float32(700))),
        ):
            found, floored = signal_above(
                movie,
                background,
                method,  # type: ignore[arg-type] # one of the three
                floor=700,
                raised=(lost, noise),
                pool=pool,
            )
            np.testing.assert_array_equal(found, expected)
            assert floored == (int((level < 700).sum()) if method == "dFF" else 0)


def test_bias_is_what_the_minimum_of_noise_loses() -> None:
    # the larger of two independent minima of 51 values of white noise: between one
    # minimum of 51 and one of 26
    one_side = np.random.default_rng(0).standard_normal((4000, 51)).min(axis=1).mean()
    assert minimum_bias(50, 1) < -one_side
    assert minimum_bias(50, 1) == minimum_bias(50, 1)
    assert minimum_bias(200, 1) > minimum_bias(50, 1) > minimum_bias(50, 9)


def test_noise_estimate_recovers_sigma_whatever_the_blocks() -> None:
    movie = np.random.default_rng(5).normal(100, [[2.0, 5.0, 9.0]], (4000, 1, 3))
    movie += np.linspace(0, 300, 4000)[:, None, None]
    whole, pieces = NoiseEstimate((1, 3)), NoiseEstimate((1, 3))
    whole.add(movie)
    for start in range(0, 4000, 37):
        pieces.add(movie[start : start + 37])
    np.testing.assert_allclose(whole.sigma(), [[2.0, 5.0, 9.0]], rtol=0.05)
    np.testing.assert_allclose(pieces.sigma(), whole.sigma(), rtol=1e-4)


def test_decays_are_recovered_in_spite_of_events() -> None:
    t = np.arange(800)
    trace = (
        100
        + 60 * np.exp(-t / 30)
        + 80 * np.exp(-t / 400)
        + np.random.default_rng(2).normal(0, 0.5, 800)
    )
    trace[200:230] += 40
    trace[500:540] += 30
    found = fit_bleaching(trace, 2)
    expected = 100 + 60 * np.exp(-t / 30) + 80 * np.exp(-t / 400)
    assert np.abs(found.at(t) - expected).max() < 4.0
    assert found.taus[0] < found.taus[1]
    single = fit_bleaching(50 + 20 * np.exp(-t / 100), 1)
    assert single.taus[0] == pytest.approx(100, rel=0.01)


def test_flat_and_rising_traces_fit_without_complaint() -> None:
    np.testing.assert_allclose(
        fit_bleaching(np.full(50, 7.0), 2).at(range(50)), 7.0, rtol=0.01
    )
    assert np.isfinite(fit_bleaching(np.linspace(1, 5, 60), 1).at(range(60))).all()


def test_refusals() -> None:
    with pytest.raises(InvalidValueError, match="0 to 100"):
        running_percentile(np.zeros((3, 1, 1)), 1, 101)
    with pytest.raises(InvalidValueError, match="odd"):
        moving_average(np.zeros((3, 1, 1)), 2)
    with pytest.raises(InvalidValueError, match="NaN"):
        fit_bleaching([1.0, np.nan, 2.0, 3.0, 4.0, 5.0])
    with pytest.raises(InvalidValueError, match="at least 4 frames"):
        fit_bleaching([1.0, 2.0])


@pytest.mark.parametrize(
    ("frames", "window", "width"),
    [(400, 40, 1), (400, 40, 9), (60, 40, 5), (31, 100, 1)],
)
def test_the_corrected_minimum_of_noise_is_its_mean_up_to_both_ends(
    frames: int, window: int, width: int
) -> None:
    noise = np.random.default_rng(17).standard_normal(
        (frames, 1, 4000), dtype=np.float32
    )
    background, _ = two_sided_minimum(moving_average(noise, width), min(window, frames))
    corrected = background[:, 0].mean(axis=1) + minimum_bias_over_time(
        frames, window, width
    )
    # four standard errors of the 256 traces that the bias is measured on
    assert np.abs(corrected).max() < 0.12
