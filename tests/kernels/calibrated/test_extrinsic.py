"""Fluctuations beyond noise: light shared by frames, spikes, hot pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.calibrated.extrinsic import add_low_squares, extrinsic_ratio
from astrocast.kernels.calibrated.field_course import (
    flash_frames,
    whole_field_events,
)
from astrocast.kernels.calibrated.frame_course import fit_frame, tile_means_of_frames
from astrocast.kernels.calibrated.hot_pixels import single_pixel_hills
from astrocast.kernels.calibrated.noise_moments import LagMoments, correlation_in_time
from astrocast.kernels.calibrated.spikes import remove_spikes
from astrocast.kernels.masks.scattered import connected_to, largest_region
from astrocast.kernels.segmentation.watershed import face_neighbours, find_hills


def ratio_of(smooth: np.ndarray, blocks: int = 1) -> np.ndarray:
    noise = np.ones((1, *smooth.shape[1:]), np.float32)
    sums = np.zeros(smooth.shape[1:], np.int64)
    with ThreadPoolExecutor(2) as pool:
        for part in np.array_split(smooth, blocks):
            which = np.zeros(len(part), np.int64)
            add_low_squares(part, noise, which, 0.0, sums, pool)
    return extrinsic_ratio(sums, len(smooth), len(smooth) / 5)


def test_what_falls_and_rises_is_extrinsic_and_what_only_rises_is_not() -> None:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(400, 40, 60)), 1.5)
    smooth = (smooth / smooth.std()).astype(np.float32)
    wave = 4 * np.sin(np.arange(400) / 8)[:, None, None]
    moving, active = smooth.copy(), smooth.copy()
    moving[:, 10:30, 10:20] += wave
    active[:, 10:30, 10:20] += np.maximum(wave, 0)
    # at the edges a mirrored Gaussian leaves more noise
    inner = (slice(5, -5), slice(5, -5))
    assert ratio_of(smooth)[inner].max() < 1.2
    expected = np.sqrt(1 + 16 / 2)
    np.testing.assert_allclose(ratio_of(moving)[15:25, 13:17], expected, rtol=0.15)
    assert ratio_of(active)[15:25, 13:17].max() < 1.2
    # sums are whole numbers: blocks and threads do not change them
    np.testing.assert_array_equal(ratio_of(moving), ratio_of(moving, 7))


def test_a_frame_is_fitted_by_offset_and_gain_whatever_a_part_of_it_does() -> None:
    rng = np.random.default_rng(1)
    light = rng.uniform(-10, 10, 200).astype(np.float32)
    means = (3 + 0.05 * light + rng.normal(0, 0.1, 200)).astype(np.float32)
    means[:50] += 8
    offset, gain = fit_frame(means, light, np.full(200, 0.1, np.float32))
    assert abs(offset - 3) < 0.05
    assert abs(gain - 0.05) < 0.01


def test_tiles_are_means() -> None:
    frames = np.random.default_rng(2).normal(size=(3, 20, 33)).astype(np.float32)
    found = tile_means_of_frames(frames, 8).reshape(3, 3, 5)
    expected = [
        [frames[:, y : y + 8, x : x + 8].mean((1, 2)) for x in range(0, 33, 8)]
        for y in range(0, 20, 8)
    ]
    np.testing.assert_allclose(found, np.transpose(expected, (2, 0, 1)), atol=1e-6)


def test_noise_of_averaged_frames_is_known() -> None:
    rng = np.random.default_rng(3)
    frames = rng.normal(size=(301, 20, 20)).astype(np.float32)
    averaged = (frames[1:] + frames[:-1]) / 2
    found = []
    for blocks in (1, 6):
        moments = LagMoments(np.array([0, 300]), (20, 20))
        start = 0
        for part in np.array_split(averaged, blocks):
            moments.add(np.ascontiguousarray(part), start)
            start += len(part)
        found.append(moments.half_squares)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    for lag, half in zip((1, 2, 4), found[0], strict=True):
        step = averaged[lag:] - averaged[:-lag]
        np.testing.assert_allclose(half, (step**2).mean(0) / 2, rtol=1e-4)
    one, two = correlation_in_time(found[0])
    assert abs(one - 0.5) < 0.05
    assert two == 0


def test_a_spike_is_removed_and_an_onset_is_not() -> None:
    above = np.zeros((9, 1, 3), np.float32)
    above[4, 0, 0] = 50
    above[4:7, 0, 1] = (50, 40, 20)
    remove_spikes(above, np.ones((1, 3), np.float32))
    assert above[:, 0, 0].max() == 0
    assert above[4:7, 0, 1].tolist() == [50, 40, 20]


def hot(sharp: bool) -> bool:
    rng = np.random.default_rng(5)
    movie = rng.normal(size=(40, 21, 21)).astype(np.float32)
    light = np.zeros((21, 21))
    light[10, 10] = 12.0
    if not sharp:
        light = ndimage.gaussian_filter(light, 1.2) * 8
    movie[15:25] += light.astype(np.float32)
    smooth = ndimage.gaussian_filter(movie, 1.5)
    voxels = np.flatnonzero(smooth > 0.25)
    values = smooth.ravel()[voxels]
    noise = np.full(len(values), 0.08, np.float32)
    hills = find_hills(voxels, values, noise, movie.shape, 2.0, 0.1)
    single = movie.ravel()[voxels]
    found = single_pixel_hills(
        hills.summit, hills.neighbours, values, single, np.ones_like(noise)
    )
    return bool(found[0])


def test_light_of_one_pixel_is_the_cameras() -> None:
    assert hot(sharp=True)
    assert not hot(sharp=False)


def test_an_event_of_the_whole_field_is_found_and_a_flash_is_not() -> None:
    rng = np.random.default_rng(6)
    t = np.arange(300)
    course = np.where(t < 100, 0, np.exp(-np.maximum(t - 104, 0) / 10))
    course[100:104] = (0.25, 0.5, 0.75, 1)
    height = rng.uniform(8, 12, 64)
    bleach = 100 * np.exp(-t / 400)[:, None]
    tiles = bleach + course[:, None] * height + rng.normal(0, 0.3, (300, 64))
    tiles = tiles.astype(np.float32)
    found = whole_field_events(tiles, 0.3)
    assert len(found.mask) == 1
    first, mask = found.mask[0]
    assert 88 <= first <= 102
    assert 10 < mask.any(axis=1).sum() < 40
    assert not flash_frames(tiles).any()
    flashed = np.repeat(tiles[:1], 300, axis=0) + rng.normal(0, 0.3, (300, 64))
    flashed[150:152] += 30
    assert np.flatnonzero(flash_frames(flashed.astype(np.float32))).tolist() == [
        150,
        151,
    ]


@pytest.mark.parametrize("flicker", [0.05, 1.0])
@pytest.mark.parametrize(("decay", "gap"), [(2.0, 30), (7.0, 14)])
def test_an_event_in_the_tail_of_another_is_found_at_its_own_time(
    flicker: float, decay: float, gap: float
) -> None:
    rng = np.random.default_rng(8)
    t = np.arange(300)
    truth = []
    tiles = 100 + rng.normal(0, 0.3, (300, 64)) + rng.normal(0, flicker, (300, 1))
    for start in (100, 100 + gap):
        course = np.where(t < start, 0, np.exp(-np.maximum(t - start - 1, 0) / decay))
        of_event = course[:, None] * rng.uniform(12, 20, 64)
        tiles += of_event
        truth.append(of_event >= 0.3 * of_event.max())
    found = whole_field_events(tiles.astype(np.float32), 0.3)
    assert len(found.mask) == 2
    for (first, mask), true in zip(found.mask, truth, strict=True):
        whole = np.zeros((300, 64), np.bool_)
        whole[first : first + len(mask)] = mask
        assert (whole & true).sum() > 0.6 * (whole | true).sum()


def test_regions_are_those_of_scipy() -> None:
    rng = np.random.default_rng(7)
    for _ in range(10):
        volume = rng.random((6, 8, 9)) < 0.15
        regions, count = ndimage.label(volume, np.ones((3, 3, 3)))
        if not count:
            continue
        sizes = np.bincount(regions.ravel())[1:]
        at = np.flatnonzero(volume)
        box, low = largest_region(at, 8, 9)
        z, y, x = (v - 1 + c for v, c in zip(np.nonzero(box), low, strict=True))
        found = (z * 8 + y) * 9 + x
        np.testing.assert_array_equal(
            found, np.flatnonzero(regions == 1 + sizes.argmax())
        )
        core, more = at[:1], at[1:]
        expected = regions.ravel()[more] == regions.ravel()[core[0]]
        np.testing.assert_array_equal(connected_to(core, more, 8, 9), expected)


def test_neighbours_of_the_list_are_used_for_pixels_around() -> None:
    near = face_neighbours(np.arange(27), 3, 3)
    assert near[13].tolist() == [14, 12, 16, 10, 22, 4]
