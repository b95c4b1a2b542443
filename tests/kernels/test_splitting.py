from __future__ import annotations

import numpy as np

from astrocast.kernels.splitting import divide


def blobs(*paths: tuple[float, float, float, range], shape: tuple[int, int, int] = (12, 24, 40)) -> np.ndarray:
    """Gaussian blobs (row, column, columns per frame, frames)."""
    y, x = np.mgrid[: shape[1], : shape[2]]
    out = np.zeros(shape, np.float32)
    for row, column, speed, frames in paths:
        for t in frames:
            out[t] += 100 * np.exp(-((y - row) ** 2 + (x - column - speed * t) ** 2) / (2 * 4**2))
    return out


def test_two_at_once_are_two_parts_with_a_border_between():
    movie = blobs((12, 10, 0, range(12)), (12, 28, 0, range(12)))
    parts = divide(movie, movie > 5)
    assert parts.max() == 2
    assert parts[6, 12, 10] != parts[6, 12, 28]
    assert (parts[6, 12, 20:] == parts[6, 12, 28])[: (movie[6, 12, 20:] > 5).sum()].all()
    np.testing.assert_array_equal(parts > 0, movie > 5)
    assert parts[parts > 0][0] == 1  # raster order


def test_one_that_travels_stays_one():
    movie = blobs((12, 8, 2, range(12)))
    mask = movie > 5
    np.testing.assert_array_equal(divide(movie, mask), mask.astype(np.int32))


def test_one_after_the_other_stays_one():
    movie = blobs((12, 12, 0, range(6)), (12, 26, 0, range(6, 12)))
    assert divide(movie, np.ones_like(movie, bool)).max() == 1


def test_a_single_noisy_maximum_does_not_divide():
    movie = blobs((12, 12, 0, range(12)))
    movie[5, 12, 30] += 3000
    assert divide(movie, np.ones_like(movie, bool)).max() == 1
    movie[5, 12, 30] = np.nan
    assert divide(movie, np.ones_like(movie, bool)).max() == 1
