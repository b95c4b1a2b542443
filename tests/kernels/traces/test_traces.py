"""Means over regions, extension and list_rings against plain indexing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import binary_dilation

from astrocast.kernels.masks.packed_masks import pack_masks
from astrocast.kernels.ragged.ragged import split
from astrocast.kernels.traces.extension import (
    extend_windows,
    place_traces,
    split_windows,
)
from astrocast.kernels.traces.traces import (
    Pixels,
    Windows,
    add_means,
    list_pixels,
    list_rings,
)

SHAPE = (12, 9, 11)


def some_events(rng, n=5):
    origins = np.stack(
        [rng.integers(0, 8, n), rng.integers(0, 5, n), rng.integers(0, 7, n)], axis=1
    )
    masks = [rng.random(rng.integers(1, 5, 3)) < 0.6 for _ in range(n)]
    return origins, [m | (np.arange(m.size).reshape(m.shape) == 0) for m in masks]


def place(mask, origin):
    plane = np.zeros(SHAPE[1:], bool)
    plane[
        origin[1] : origin[1] + mask.shape[0], origin[2] : origin[2] + mask.shape[1]
    ] = mask
    return plane


@pytest.mark.parametrize(
    ("which", "of"),
    [
        ("footprint", lambda m: m.any(0)),
        ("first", lambda m: m[0]),
        ("last", lambda m: m[-1]),
    ],
)
def test_pixels_are_those_of_the_mask(which, of):
    origins, masks = some_events(np.random.default_rng(3))
    pixels = list_pixels(pack_masks(masks), origins, SHAPE[1:], which)
    for found, mask, origin in zip(split(*pixels), masks, origins, strict=True):
        assert_array_equal(found, np.flatnonzero(place(of(mask), origin)))


@pytest.mark.parametrize(("gap", "width"), [(0, 1), (1, 2), (2, 3)])
def test_surroundings_are_a_dilation_less_a_dilation(gap, width):
    origins, masks = some_events(np.random.default_rng(4))
    pixels = list_pixels(pack_masks(masks), origins, SHAPE[1:])
    square = np.ones((3, 3))
    for found, mask, origin in zip(
        split(*list_rings(pixels, SHAPE[1:], gap, width)), masks, origins, strict=True
    ):
        footprint = place(mask.any(0), origin)
        near = binary_dilation(footprint, square, iterations=gap) if gap else footprint
        assert_array_equal(
            np.sort(found),
            np.flatnonzero(
                binary_dilation(footprint, square, iterations=gap + width) & ~near
            ),
        )


@given(
    st.integers(0, 1000),
    st.sampled_from([1, 5, 12]),
    st.sampled_from([np.float32, np.uint16]),
    st.booleans(),
)
def test_means_over_regions_do_not_depend_on_blocks(seed, block, dtype, with_labels):
    rng = np.random.default_rng(seed)
    movie = rng.integers(0, 900, SHAPE).astype(dtype)
    labels = (rng.random(SHAPE) < 0.3).astype(np.int32) if with_labels else None
    origins, masks = some_events(rng)
    pixels = list_pixels(pack_masks(masks), origins, SHAPE[1:])
    windows = extend_windows(origins[:, 0], origins[:, 0] + 1, 2, None, (0, SHAPE[0]))
    out = np.empty(int(windows.offsets[-1]), np.float32)
    for start in range(0, SHAPE[0], block):
        part = slice(start, start + block)
        add_means(
            movie[part],
            start,
            pixels,
            windows,
            out,
            None if labels is None else labels[part],
        )
    for trace, begin, mask, origin in zip(
        split(out, windows.offsets), windows.starts, masks, origins, strict=True
    ):
        assert begin == max(0, origin[0] - 2)
        for k, value in enumerate(trace):
            chosen = place(mask.any(0), origin) & (
                True if labels is None else labels[begin + k] == 0
            )
            expected = (
                movie[begin + k][chosen].mean(dtype=np.float64)
                if chosen.any()
                else np.nan
            )
            assert_allclose(value, expected, rtol=1e-5)


def test_sides_and_event_fill_the_window():
    z0, z1 = np.array([2, 5]), np.array([4, 9])
    windows = extend_windows(z0, z1, 3, 2, (0, 10))
    assert_array_equal(windows.starts, [0, 2])
    assert_array_equal(np.diff(windows.offsets), [6, 8])
    out = np.zeros(int(windows.offsets[-1]), np.float32)
    before, after = split_windows(windows, z0, z1)
    own = Windows(z0, np.array([0, 2, 6]))
    for number, part in enumerate([before, own, after], start=1):
        place_traces(
            np.full(int(part.offsets[-1]), number, np.float32), part, windows, out
        )
    assert_array_equal(out, [1, 1, 2, 2, 3, 3, 1, 1, 1, 2, 2, 2, 2, 3])


def test_recordings_of_the_other_byte_order_are_averaged():
    movie = np.arange(24).reshape(2, 3, 4)
    pixels = Pixels(np.array([0, 5]), np.array([0, 2]))
    windows = Windows(np.array([0]), np.array([0, 2]))
    out = np.zeros(2, np.float32)
    add_means(movie.astype(">u2"), 0, pixels, windows, out)
    np.testing.assert_array_equal(out, movie.reshape(2, -1)[:, [0, 5]].mean(1))
