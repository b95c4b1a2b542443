"""Splines, blurs and paths of the simulator agree with scipy."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from astrocast.kernels.rendering.spline import blur_image, spline_coefficients
from astrocast.kernels.rendering.strokes import CORNER, SIDE, path_distance


def random_image(shape, seed=0):
    return np.random.default_rng(seed).gamma(2, 50, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(16, 16), (31, 47), (64, 20)])
def test_spline_coefficients_are_those_of_scipy(shape):
    image = random_image(shape)
    before = image.copy()
    expected = ndimage.spline_filter(image.astype(float), order=3, mode="mirror")
    np.testing.assert_allclose(
        spline_coefficients(image), expected, atol=1e-5 * np.abs(expected).max()
    )
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("sigma", [0.5, 1.3, 3.0])
def test_blur_is_that_of_scipy(sigma):
    image = random_image((23, 31), 1)
    expected = ndimage.gaussian_filter(
        image.astype(float), sigma, mode="nearest", truncate=3
    )
    np.testing.assert_allclose(blur_image(image, sigma), expected, rtol=1e-5)


def shortest_paths(cost, start):
    """Return the distances of scipy's Dijkstra on the grid of eight neighbours."""
    number = np.arange(cost.size).reshape(cost.shape)
    flat = cost.ravel().astype(float)
    edges = []
    for a, b, step in (
        (number[:, :-1], number[:, 1:], SIDE),
        (number[:-1], number[1:], SIDE),
        (number[:-1, :-1], number[1:, 1:], CORNER),
        (number[:-1, 1:], number[1:, :-1], CORNER),
    ):
        i, j = a.ravel(), b.ravel()
        length = step * (flat[i] + flat[j]) / 2
        open_way = np.isfinite(length)
        edges.append(np.stack([i[open_way], j[open_way], length[open_way]]))
    i, j, length = np.concatenate(edges, axis=1)
    graph = coo_array((length, (i.astype(int), j.astype(int))), shape=(cost.size,) * 2)
    found = dijkstra(graph.tocsr(), directed=False, indices=number[tuple(start)])
    return found.reshape(cost.shape)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_path_distance_is_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0.5, 5, (24, 30)).astype(np.float32)
    cost[rng.random(cost.shape) < 0.3] = np.inf  # walls
    start = np.array([12, 15])
    cost[12, 15] = 1.0
    expected = shortest_paths(cost, start)
    found = path_distance(cost, start, np.inf, cost.size)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert 1 < np.isfinite(found).sum() < found.size


def test_path_distance_ends_at_the_longest_way_and_at_the_number_of_pixels():
    cost = np.ones((21, 21), np.float32)
    start = np.array([10, 10])
    whole = path_distance(cost, start, np.inf, cost.size)
    near = path_distance(cost, start, 5.0, cost.size)
    np.testing.assert_array_equal(np.isfinite(near), whole <= 5.0)
    few = path_distance(cost, start, np.inf, 30)
    assert np.isfinite(few).sum() == 30
    assert few[np.isfinite(few)].max() <= np.sort(whole.ravel())[29]
