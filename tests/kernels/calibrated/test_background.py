"""The background under events, bleaching, drift and motion is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.calibrated.background import estimate_background, step_edges
from astrocast.kernels.calibrated.frame_course import tile_means_of_frames
from astrocast.kernels.calibrated.noise_moments import LagMoments
from astrocast.kernels.calibrated.noise_variance import fit_noise_line
from astrocast.kernels.calibrated.residual import residual
from astrocast.kernels.calibrated.residual_motion import Texture, without_shake
from astrocast.kernels.frames.invalid import fill_or_keep_counts
from astrocast.kernels.frames.moments import StepMoments

SHAPE = (320, 48, 56)
READ = 3.0


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Background with bleaching, an event over a third of the recording, and the movie
    of both with noise.
    """
    rng = np.random.default_rng(seed)
    still = 60 + 40 * ndimage.gaussian_filter(rng.normal(size=SHAPE[1:]), 2) / 0.15
    fading = 0.8 + 0.2 * np.exp(-np.arange(SHAPE[0]) / 100)
    background = (100 + np.maximum(still, 20) * fading[:, None, None]).astype(
        np.float32
    )
    event = np.zeros(SHAPE, np.float32)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    event[100:210] = 30 * np.exp(-((y - 24) ** 2 + (x - 28) ** 2) / 60)
    movie = background + event + rng.normal(0, READ, SHAPE)
    return background, event, movie.astype(np.float32)


def estimate(movie: np.ndarray, pool: ThreadPoolExecutor | None = None):
    edges = step_edges(len(movie))
    moments = StepMoments(edges, movie.shape[1:])
    moments.add(movie, 0, pool)
    return estimate_background(
        moments.means, edges, fit_noise_line(moments.mean, moments.step_variance), pool
    )


def test_the_background_under_a_long_event_and_bleaching_is_found() -> None:
    _background, event, movie = scene()
    found = estimate(movie)
    above = residual(movie, 0, found, Texture.of(found.mean, found.variance))
    smooth = ndimage.gaussian_filter(above - event, 1.5)
    # a fraction of the noise of a voxel, everywhere: under the event, at the ends of
    # the recording
    assert abs(float((above - event)[event > 10].mean())) < 0.15 * READ
    assert abs(float((above - event)[:10].mean())) < 0.15 * READ
    assert np.sqrt(np.mean(smooth**2)) < 0.2 * READ
    assert found.variance.mean() == pytest.approx(READ**2, rel=0.1)


def test_the_result_does_not_depend_on_threads_and_leaves_the_input() -> None:
    _, _, movie = scene(1)
    kept = movie.copy()
    alone = estimate(movie)
    with ThreadPoolExecutor(3) as pool:
        shared = estimate(movie, pool)
    np.testing.assert_array_equal(alone.levels, shared.levels)
    np.testing.assert_array_equal(alone.excess, shared.excess)
    np.testing.assert_array_equal(movie, kept)


def test_residual_motion_is_recovered_and_taken_out() -> None:
    rng = np.random.default_rng(3)
    still = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 2.5) * 600
    shifts = rng.uniform(-0.3, 0.3, (12, 2))
    moved = np.stack(
        [ndimage.shift(still, s, order=3, mode="nearest") for s in shifts]
    ).astype(np.float32)
    texture = Texture.of(still.astype(np.float32), np.full((64, 64), 25.0, np.float32))
    left, found = without_shake(moved - still.astype(np.float32), texture)
    np.testing.assert_allclose(found, shifts, atol=0.06)
    inside = np.s_[:, 4:-4, 4:-4]
    assert np.std(left[inside]) < 0.2 * np.std((moved - still)[inside])


def test_frames_taken_one_by_one_are_those_of_the_whole() -> None:
    _, _, movie = scene(2)
    found = estimate(movie)
    texture = Texture.of(found.mean, found.variance)
    whole = residual(movie, 0, found, texture)
    np.testing.assert_array_equal(
        residual(movie[100:107], 100, found, texture), whole[100:107]
    )


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_counts_are_treated_as_the_same_numbers_in_single_precision(dtype: str) -> None:
    rng = np.random.default_rng(5)
    counts = rng.poisson(90, (64, 40, 50)).astype(dtype)
    values, invalid = fill_or_keep_counts(counts)
    assert invalid is None
    assert values.dtype == counts.dtype.newbyteorder("=")
    floats = counts.astype(np.float32)
    np.testing.assert_array_equal(
        tile_means_of_frames(values, 8), tile_means_of_frames(floats, 8)
    )
    found = []
    for frames in (values, floats):
        moments = LagMoments(step_edges(64), (40, 50))
        for start in range(0, 64, 16):
            moments.add(frames[start : start + 16], start)
        found.append(moments.summary())
    np.testing.assert_array_equal(found[0].means, found[1].means)
    np.testing.assert_array_equal(found[0].half_squares, found[1].half_squares)
    known = estimate(floats)
    texture = Texture.of(known.mean, known.variance)
    np.testing.assert_array_equal(
        residual(values, 0, known, texture), residual(floats, 0, known, texture)
    )


@pytest.mark.parametrize("frames", [4, 9, 31, 33, 100])
def test_steps_cover_every_frame_once(frames: int) -> None:
    edges = step_edges(frames)
    assert edges[0] == 0
    assert edges[-1] == frames
    assert np.all(np.diff(edges) > 0)


@pytest.mark.parametrize("alike", [0.0, 0.6], ids=["white", "interpolated"])
def test_noise_alone_does_not_lower_the_background(alike: float) -> None:
    """Outliers that are left out do not bias the mean, also with correlated noise."""
    rng = np.random.default_rng(5)
    noise = ndimage.gaussian_filter(rng.normal(size=(320, 64, 64)), (0, alike, alike))
    movie = (100 + READ * noise / noise.std()).astype(np.float32)
    found = estimate(movie)
    smooth = ndimage.gaussian_filter(movie - found.levels.mean(axis=0), 1.5)
    assert abs(float((movie.mean(axis=0) - found.mean).mean())) < 0.2 * smooth.std()


@pytest.mark.parametrize("frames", [40, 60, 150])
def test_the_level_of_noise_alone_is_its_mean_however_few_frames(frames: int) -> None:
    """Frames that a noisy first level left out must be able to return."""
    rng = np.random.default_rng(6)
    movie = (100 + READ * rng.normal(size=(frames, 64, 64))).astype(np.float32)
    found = estimate(movie)
    off = (movie.mean(axis=0) - found.mean) / (READ / np.sqrt(frames))
    assert abs(float(off.mean())) < 0.1
    assert float(off.std()) < 0.6
    assert float(np.median(found.excess)) == 1
    assert float((found.excess > 1).mean()) < 0.1


def test_excess_is_found_where_noise_is_slow_and_at_no_edge() -> None:
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(512, 64, 64))
    slow = ndimage.gaussian_filter(
        rng.normal(size=(512, 64, 64)), (6, 2, 2), mode="wrap"
    )
    noise[:, :, 32:] += 0.6 * (slow / slow.std())[:, :, 32:]
    found = estimate((100 + READ * noise).astype(np.float32))
    assert float(np.median(found.excess[:, 40:])) > 2
    assert float((found.excess[:, :24] > 1.2).mean()) < 0.02
