"""Masks over time against scikit-image, fronts against the motion that made them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from skimage.measure import centroid, perimeter

from astrocast.kernels.event_features.propagation import direction_of, fronts
from astrocast.kernels.masks import packed_masks as propagation_masks
from astrocast.kernels.masks.packed_masks import pack_masks, unpack_mask

some_masks = st.lists(
    hnp.arrays(
        bool, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 7))
    ),
    min_size=1,
    max_size=4,
)


@given(some_masks)
def test_packing_and_unpacking_are_inverse(masks):
    packed = pack_masks(masks)
    for i, mask in enumerate(masks):
        assert_array_equal(unpack_mask(packed, i), mask)


@given(some_masks)
def test_shapes_over_time_are_those_of_scikit_image(masks):
    found = propagation_masks.shapes_over_time(pack_masks(masks))
    frames = [frame for mask in masks for frame in mask]
    assert_array_equal(found.area, [f.sum() for f in frames])
    assert_allclose(found.perimeter, [perimeter(f, 4) for f in frames], rtol=1e-12)
    for row, column, frame in zip(found.row, found.column, frames, strict=True):
        if frame.any():
            assert_allclose([row, column], centroid(frame))
        else:
            assert np.isnan(row)


@given(some_masks)
def test_footprint_is_any_over_frames(masks):
    values, offsets = propagation_masks.footprints(pack_masks(masks))
    for i, mask in enumerate(masks):
        assert_array_equal(
            values[offsets[i] : offsets[i + 1]].reshape(mask.shape[1:]),
            mask.any(axis=0),
        )


def test_a_disc_is_nearly_circular():
    x, y = np.mgrid[:61, :61]
    disc = (np.hypot(x - 30, y - 30) < 25)[None]
    assert_allclose(
        propagation_masks.shapes_over_time(pack_masks([disc])).circularity, 1, atol=0.08
    )


@given(some_masks, st.data())
def test_painting_block_by_block_is_painting_at_once(masks, data):
    origins = np.array(
        [[data.draw(st.integers(-1, 4)) for _ in range(3)] for _ in masks]
    )
    labels = np.arange(1, len(masks) + 1)
    whole = np.zeros((6, 8, 9), np.int32)
    propagation_masks.paint(pack_masks(masks), origins, labels, whole)
    expected = np.zeros_like(whole)
    for mask, origin, label in zip(masks, origins, labels, strict=True):
        for voxel in np.argwhere(mask) + origin:
            if (voxel >= 0).all() and (voxel < whole.shape).all():
                expected[tuple(voxel)] = label
    assert_array_equal(whole, expected)
    blocks = np.zeros_like(whole)
    for start in (0, 2, 4):
        propagation_masks.paint(
            pack_masks(masks), origins, labels, blocks[start : start + 2], start
        )
    assert_array_equal(blocks, whole)


@pytest.mark.parametrize("angle", [0, 30, 90, 135, -60, 180])
@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_a_plane_wave_moves_at_its_speed_in_its_direction(angle, speed):
    x, y = np.mgrid[:40, :40]
    along = y * np.cos(np.radians(angle)) + x * np.sin(np.radians(angle))
    arrival = (along - along.min()) / speed
    t = np.arange(int(arrival.max()) + 12)[:, None, None]
    onset, offset = fronts(pack_masks([(t >= arrival) & (t < arrival + 10)]))
    for front in (onset, offset):
        assert_allclose(front.speed, speed, rtol=0.04)
        assert abs((front.direction[0] - angle + 180) % 360 - 180) < 2
        assert front.r2[0] > 0.99


def test_pixel_size_scales_each_axis():
    x, _ = np.mgrid[:20, :5]
    wave = np.arange(20)[:, None, None] >= x
    onset, _ = fronts(pack_masks([wave]), (0.5, 3.0))
    assert_allclose(
        [onset.velocity_row[0], onset.velocity_column[0]], [0.5, 0], atol=1e-9
    )


def test_even_growth_one_line_and_one_frame_have_no_direction():
    x, y = np.mgrid[:21, :21]
    growing = np.arange(11)[:, None, None] >= np.maximum(abs(x - 10), abs(y - 10))
    line = np.tril(np.ones((5, 5), bool))[:, None, :]
    onset, _ = fronts(
        pack_masks([growing, line, np.ones((1, 4, 4), bool), np.ones((3, 1, 1), bool)])
    )
    assert np.isnan(onset.speed).all()


def test_directions_are_as_an_image_is_shown():
    rows, columns = np.array([0.0, -1, 0, 1]), np.array([1.0, 0, -1, 0])
    assert_array_equal(direction_of(rows, columns), [0, -90, 180, 90])
