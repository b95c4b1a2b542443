"""A known transform between two days is found through other light and other events."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.kernels.registration.sessions import (
    carry_map,
    carry_points,
    invert_transform,
    match_sessions,
    warp_image,
)

SHAPE = (130, 150)
CORNERS = np.array([[0, 0], [0, 149], [129, 0], [129, 149.0]])


def tissue(seed: int) -> np.ndarray:
    """Bright processes on a dark ground, larger than the field of view."""
    rng = np.random.default_rng(seed)
    fine = ndimage.gaussian_filter(rng.normal(size=(280, 300)), 2) * 6
    wide = ndimage.gaussian_filter(rng.normal(size=(280, 300)), 6) * 20
    return np.exp(fine + wide)


def two_days(seed: int, degrees: float, stretch: np.ndarray, shift: tuple):
    """Mean images of two days and the matrix between them.

    On the second day the light falls off to one side, the whole is three times as
    bright, and five events of four times the mean brightness are in the image.
    """
    rng = np.random.default_rng(seed)
    whole = tissue(seed)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    linear = np.array([[c, -s], [s, c]]) @ stretch
    middle = (np.array(SHAPE) - 1) / 2
    matrix = np.column_stack([linear, middle + shift - linear @ middle])
    back = invert_transform(matrix)
    start = np.array([75, 75])
    first = whole[75 : 75 + SHAPE[0], 75 : 75 + SHAPE[1]]
    second = ndimage.affine_transform(
        whole, back[:, :2], back[:, 2] + start, output_shape=SHAPE, order=3
    )
    row, column = np.indices(SHAPE)
    second = 3 * second * (0.4 + 1.2 * column / SHAPE[1]) + 10
    for y, x in rng.uniform(0, 1, (5, 2)) * SHAPE:
        away = (row - y) ** 2 + (column - x) ** 2
        second = second + 4 * second.mean() * np.exp(-away / 72)
    noise = rng.normal(size=(2, *SHAPE))
    return (
        first + 0.3 * first.std() * noise[0],
        second + 0.2 * second.std() * noise[1],
        matrix,
    )


def error(found, matrix: np.ndarray) -> float:
    moved = carry_points(CORNERS, found.matrix) - carry_points(CORNERS, matrix)
    return float(np.hypot(*moved.T).max())


@pytest.mark.parametrize(
    ("model", "degrees", "stretch", "shift"),
    [
        ("shift", 0.0, np.eye(2), (12.3, -7.6)),
        ("rigid", -6.3, np.eye(2), (-14.4, 9.2)),
        ("affine", 3.1, np.array([[1.03, 0.02], [-0.01, 0.97]]), (8.0, -11.0)),
    ],
)
def test_a_known_transform_is_found(model, degrees, stretch, shift):
    first, second, matrix = two_days(4, degrees, stretch, shift)
    before = first.copy(), second.copy()
    found = match_sessions(first, second, model)
    assert error(found, matrix) < 0.6
    assert found.reliable
    assert found.residual < 0.5
    assert (first == before[0]).all()
    assert (second == before[1]).all()
    # back is forward, turned round
    back = match_sessions(second, first, model)
    assert error(back, invert_transform(matrix)) < 0.6
    seen = warp_image(second, found.matrix, SHAPE)
    assert np.isfinite(seen).mean() == pytest.approx(found.overlap)


def test_another_field_is_not_taken_for_the_same():
    first, _, _ = two_days(5, 0.0, np.eye(2), (0, 0))
    second, _, _ = two_days(6, 0.0, np.eye(2), (0, 0))
    assert not match_sessions(first, second).reliable
    assert not match_sessions(first, second, "affine").reliable


def test_pixels_without_value_and_gain_do_not_matter():
    first, second, matrix = two_days(7, 2.0, np.eye(2), (4.0, 3.0))
    whole = match_sessions(first, second)
    scaled = match_sessions(first, 1e5 * second - 400)
    assert scaled.matrix == pytest.approx(whole.matrix, abs=1e-6)
    cut = second.copy()
    cut[:10] = np.nan
    assert error(match_sessions(first, cut), matrix) < 0.8
    with pytest.raises(InvalidValueError, match="constant or all NaN"):
        match_sessions(first, np.ones(SHAPE))
    with pytest.raises(InvalidValueError, match="at least 16 x 16 pixels"):
        match_sessions(first, np.ones((4, 4)))
    with pytest.raises(InvalidValueError, match="choose one of shift, rigid, affine"):
        match_sessions(first, second, "similarity")


def test_a_map_is_carried_to_where_its_pixels_are_seen():
    rng = np.random.default_rng(0)
    _, _, matrix = two_days(8, 5.0, np.eye(2), (6.0, -9.0))
    image = np.zeros(SHAPE)
    image[50:58, 60:70] = rng.random((8, 10))
    pixels = np.flatnonzero(image)
    found, weights = carry_map(pixels, image.flat[pixels], SHAPE, matrix, SHAPE)
    seen = np.nan_to_num(warp_image(image, matrix, SHAPE))
    assert found.tolist() == np.flatnonzero(seen > 0).tolist()
    assert weights == pytest.approx(seen.flat[found])
    away = np.array([[1.0, 0, 500], [0, 1, 0]])
    assert len(carry_map(pixels, image.flat[pixels], SHAPE, away, SHAPE)[0]) == 0
