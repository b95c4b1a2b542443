from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.segmentation.splitting import (
    DISTANCE,
    PERSISTENCE,
    RELATIVE_HEIGHT,
    _join_weak,
    divide,
)
from astrocast.kernels.segmentation.watershed import find_hills


def blobs(
    *paths: tuple[float, float, float, range],
    shape: tuple[int, int, int] = (12, 24, 40),
) -> np.ndarray:
    """Gaussian blobs (row, column, columns per frame, frames)."""
    y, x = np.mgrid[: shape[1], : shape[2]]
    out = np.zeros(shape, np.float32)
    for row, column, speed, frames in paths:
        for t in frames:
            out[t] += 100 * np.exp(
                -((y - row) ** 2 + (x - column - speed * t) ** 2) / (2 * 4**2)
            )
    return out


def test_two_at_once_are_two_parts_with_a_border_between():
    movie = blobs((12, 10, 0, range(12)), (12, 28, 0, range(12)))
    parts = divide(movie, movie > 5)
    assert parts.max() == 2
    assert parts[6, 12, 10] != parts[6, 12, 28]
    assert (parts[6, 12, 20:] == parts[6, 12, 28])[
        : (movie[6, 12, 20:] > 5).sum()
    ].all()
    np.testing.assert_array_equal(parts > 0, movie > 5)
    assert parts[parts > 0][0] == 1  # raster order


def test_one_that_travels_stays_one():
    movie = blobs((12, 8, 2, range(12)))
    mask = movie > 5
    np.testing.assert_array_equal(divide(movie, mask), mask.astype(np.int32))


def test_one_after_the_other_elsewhere_are_two():
    movie = blobs((12, 12, 0, range(6)), (12, 26, 0, range(6, 12)))
    parts = divide(movie, movie > 5)
    assert parts.max() == 2
    assert (parts[2, 12, 12], parts[9, 12, 26]) == (1, 2)


def test_one_after_the_other_in_the_same_place_are_two_where_the_signal_sinks_between():
    course = 100 * np.exp(-((np.arange(40)[:, None] - [10, 24]) ** 2) / 50)
    noise = np.random.default_rng(0).normal(0, 5, (40, 24, 40))
    movie = (
        blobs((12, 20, 0, range(40)), shape=(40, 24, 40))
        / 100
        * course.sum(axis=1)[:, None, None]
        + noise
    )
    mask = ndimage.binary_opening(ndimage.gaussian_filter(movie, 1) > 15)
    parts = divide(movie, mask)
    assert parts.max() == 2
    assert (parts[10, 12, 20], parts[24, 12, 20]) == (1, 2)
    once = (
        blobs((12, 20, 0, range(40)), shape=(40, 24, 40))
        / 100
        * course.max(axis=1)[:, None, None].cumsum(axis=0)
    )
    assert divide(once + noise, mask).max() == 1


def test_neither_the_unit_nor_a_pedestal_matters():
    rng = np.random.default_rng(3)
    movie = blobs((12, 10, 0, range(12)), (12, 28, 0, range(12))) + rng.normal(
        0, 8, (12, 24, 40)
    )
    mask = blobs((12, 10, 0, range(12)), (12, 28, 0, range(12))) > 5
    parts = divide(movie, mask)
    assert parts.max() == 2
    np.testing.assert_array_equal(divide(movie * 1e-3 + 7, mask), parts)


@pytest.mark.parametrize("seed", range(4))
def test_noise_does_not_divide(seed: int):
    noise = np.random.default_rng(seed).normal(0, 60, (24, 24, 60))
    movie = blobs((12, 14, 1.2, range(24)), shape=(24, 24, 60))
    mask = movie > 30
    assert divide(movie + noise, mask).max() == 1
    loose = mask.copy()
    loose[0, 0, 50] = True  # touches the event nowhere
    assert divide(movie + noise, loose).max() == 1


def test_short_events_and_single_frames_are_no_error():
    movie = blobs((12, 10, 0, range(1)), (12, 28, 0, range(1)), shape=(1, 24, 40))
    assert divide(movie, movie > 5).max() == 1  # one frame says too little of its noise
    assert divide(np.zeros((1, 1, 1)), np.ones((1, 1, 1), bool)).max() == 1
    assert divide(np.full((2, 3, 3), np.nan), np.ones((2, 3, 3), bool)).max() == 1


def test_a_single_noisy_maximum_does_not_divide():
    movie = blobs((12, 12, 0, range(12)))
    movie[5, 12, 30] += 3000
    assert divide(movie, np.ones_like(movie, bool)).max() == 1
    movie[5, 12, 30] = np.nan
    assert divide(movie, np.ones_like(movie, bool)).max() == 1


def plain_join_weak(
    part: np.ndarray, links: np.ndarray, values: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """`_join_weak` on the voxels, all of them looked at again after each pair."""
    part, frame = part.copy(), places[:, 0]
    height = values[links].min(axis=1)
    while True:
        tops = {
            n: np.flatnonzero(part == n)[values[part == n].argmax()]
            for n in np.unique(part)
        }
        for n in sorted(tops, key=lambda n: values[tops[n]]):
            sides = part[links]
            border = (sides == n).any(axis=1) & (sides[:, 0] != sides[:, 1])
            if not border.any():
                continue
            other = next(m for m in sides[border][height[border].argmax()] if m != n)
            near = np.linalg.norm(places[tops[n]] - places[tops[other]]) < DISTANCE
            short = len(np.unique(frame[part == n])) < PERSISTENCE
            if (
                near
                or short
                or values[tops[n]]
                < RELATIVE_HEIGHT * values[frame == frame[tops[n]]].max()
            ):
                part[part == n] = other
                break
        else:
            return part


@pytest.mark.parametrize("seed", range(4))
def test_weak_parts_are_joined_as_by_a_plain_loop(seed: int):
    shape = (9, 16, 18)
    volume = (
        ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, shape), 1.5)
        + 1
    )
    values, voxels = volume.ravel().astype(np.float32), np.arange(volume.size)
    hills = find_hills(
        voxels, values, np.full(len(values), 0.01, np.float32), shape, 1.0, 0.0
    )
    places = np.argwhere(np.ones(shape, bool))
    found = _join_weak(hills.hill, hills, values, places)
    expected = plain_join_weak(hills.hill, hills.links, values, places)
    pairs = np.unique(np.stack([found, expected]), axis=1)
    assert (
        1
        < len(np.unique(found))
        == len(np.unique(expected))
        == pairs.shape[1]
        < len(hills.summit)
    )
