"""Moving frames back, compared with a plain loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from astrocast.kernels.registration.warp import shift_frames, stored_as, warp_frames


def keys(x: NDArray[Any]) -> NDArray[Any]:
    x = np.abs(x)
    return np.where(
        x < 1,
        1.5 * x**3 - 2.5 * x**2 + 1,
        np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0),
    )


def slow(frame: NDArray[Any], sy: NDArray[Any], sx: NDArray[Any]) -> NDArray[Any]:
    """Catmull-Rom interpolation at p + shift(p), the edge repeated; tap by tap."""
    rows, columns = frame.shape
    py, px = np.arange(rows)[:, None] + sy, np.arange(columns)[None] + sx
    iy, ix = np.floor(py).astype(int), np.floor(px).astype(int)
    total = np.zeros(frame.shape)
    for i in range(-1, 3):
        for j in range(-1, 3):
            value = frame[np.clip(iy + i, 0, rows - 1), np.clip(ix + j, 0, columns - 1)]
            total += keys(py - iy - i) * keys(px - ix - j) * value
    return total


@given(
    st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
    st.sampled_from(["u1", "i2", "u2", "i8", "f4", "f8"]),
)
def test_shift_equals_the_plain_loop(shift: tuple[float, float], dtype: str) -> None:
    frame = np.random.default_rng(1).integers(0, 120, (1, 13, 17)).astype(dtype)
    before = frame.copy()
    expected = slow(
        frame[0].astype(float), np.full((13, 17), shift[0]), np.full((13, 17), shift[1])
    )
    np.testing.assert_allclose(
        shift_frames(frame, np.array([shift]))[0], expected, atol=2e-3
    )
    np.testing.assert_array_equal(frame, before)


def test_whole_pixels_are_exact() -> None:
    frame = np.random.default_rng(0).integers(0, 60000, (2, 20, 24)).astype(np.uint16)
    moved = shift_frames(frame, np.array([[0.0, 0.0], [3.0, -2.0]]))
    np.testing.assert_array_equal(moved[0], frame[0])
    np.testing.assert_array_equal(moved[1, :17, 2:], frame[1, 3:, :22])


@pytest.mark.parametrize("size", [0.4, 9.0, 70.0])
def test_field_equals_the_plain_loop(size: float) -> None:
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 1000, (2, 33, 29)).astype(np.uint16)
    rows, columns = np.array([4.0, 15.0, 28.5]), np.array([3.0, 20.0])
    nodes = rng.uniform(-size, size, (2, 2, 3, 2)).astype(np.float32)
    moved = warp_frames(frames, nodes, rows, columns)
    for b in range(2):
        across = [
            [np.interp(np.arange(29), columns, line) for line in nodes[b, a]]
            for a in (0, 1)
        ]
        sy, sx = (
            np.array([np.interp(np.arange(33), rows, c) for c in np.array(a).T]).T
            for a in across
        )
        np.testing.assert_allclose(
            moved[b], slow(frames[b].astype(float), sy, sx), atol=0.05
        )


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_a_constant_field_is_a_shift(dy: float, dx: float) -> None:
    frames = np.random.default_rng(3).random((1, 24, 31)).astype(np.float32)
    nodes = np.empty((1, 2, 2, 4), np.float32)
    nodes[:, 0], nodes[:, 1] = dy, dx
    moved = warp_frames(
        frames, nodes, np.array([5.0, 20.0]), np.array([2.0, 9.0, 15.0, 28.0])
    )
    np.testing.assert_allclose(
        moved, shift_frames(frames, np.array([[dy, dx]])), atol=1e-4
    )


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_integers_are_rounded_and_clipped(dtype: str) -> None:
    # a pixel a frame
    values = np.array([-1e30, -3.6, 0.4, 1.6, 100.5, 1e30, np.nan], np.float32)[
        :, None, None
    ]
    out = np.empty(values.shape, dtype)
    shift_frames(values, np.zeros((7, 2)), stored_as(dtype), out)
    limits = np.iinfo(dtype)
    assert out[3, 0, 0] == 2
    assert out[1, 0, 0] == (-4 if limits.min < 0 else 0)
    assert out[0, 0, 0] == limits.min
    assert limits.max * (1 - 1e-6) <= float(out[5, 0, 0]) <= limits.max
    assert out[6, 0, 0] == 0


def test_offset_and_floor() -> None:
    out = np.empty((1, 1, 3), np.float32)
    values = np.array([[[-2.5, -1.0, 4.0]]], np.float32)
    shift_frames(values, np.zeros((1, 2)), stored_as(np.float32, 2.0, True), out)
    np.testing.assert_array_equal(out[0, 0], [0, 1, 6])
    moved = np.random.default_rng(0).normal(size=(1, 9, 8))
    nodes = np.full((1, 2, 2, 2), 0.3, np.float32)
    plain = warp_frames(moved, nodes, np.array([1.0, 7.0]), np.array([1.0, 6.0]))
    whole = np.empty((1, 9, 8), np.uint8)
    warp_frames(
        moved,
        nodes,
        np.array([1.0, 7.0]),
        np.array([1.0, 6.0]),
        stored_as(np.uint8, 2.0),
        whole,
    )
    np.testing.assert_array_equal(
        whole, np.clip(np.rint(plain + np.float32(2)), 0, 255)
    )
