"""The filtered view of a frame that is registered."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.registration.preprocess import (
    cut_patches,
    displace_frames,
    halve,
    plan_view,
    view_frames,
)


@pytest.mark.parametrize(
    "shape", [(16, 16), (61, 64), (95, 200), (97, 131), (256, 256), (513, 480)]
)
def test_view_is_the_binned_middle(shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 4000, (2, *shape)).astype(np.uint16)
    view = plan_view(shape)
    seen = view_frames(frames, view)
    (h, w), f = view.shape, view.factor
    window = frames[
        :, view.top : view.top + h * f, view.left : view.left + w * f
    ].astype(float)
    binned = window.reshape(2, h, f, w, f).mean((2, 4))
    np.testing.assert_allclose(
        seen, binned - binned.mean((1, 2), keepdims=True), atol=2e-2
    )
    assert h * f > 0.9 * shape[0]
    assert w * f > 0.9 * shape[1]


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "i4", "u8", "f2", "f4", "f8", ">u2", ">f4"]
)
def test_every_dtype(dtype: str) -> None:
    frames = np.random.default_rng(0).integers(0, 2, (2, 24, 24)).astype(dtype)
    seen = view_frames(frames, plan_view((24, 24)))
    np.testing.assert_allclose(
        seen[0], frames[0].astype(float) - frames[0].astype(float).mean(), atol=1e-6
    )


def test_nan_is_replaced_by_the_mean() -> None:
    frames = np.random.default_rng(0).random((2, 32, 32))
    frames[0, 3:9, 4] = np.nan
    frames[0, 20, 20] = np.inf
    frames[1] = np.nan
    seen = view_frames(frames, plan_view((32, 32)))
    assert np.isfinite(seen).all()
    np.testing.assert_array_equal(seen[0, 3:9, 4], 0)
    np.testing.assert_array_equal(seen[1], 0)


def test_halve_and_displaced_and_patches() -> None:
    seen = np.random.default_rng(0).random((2, 30, 26)).astype(np.float32)
    np.testing.assert_allclose(
        halve(seen), seen.reshape(2, 15, 2, 13, 2).mean((2, 4)), rtol=1e-5
    )
    shifts = np.array([[3, -2], [-40, 50]])
    for frame, moved, (dy, dx) in zip(
        seen, displace_frames(seen, shifts), shifts, strict=True
    ):
        rows, columns = (
            np.clip(np.arange(30) + dy, 0, 29),
            np.clip(np.arange(26) + dx, 0, 25),
        )
        np.testing.assert_array_equal(moved, frame[np.ix_(rows, columns)])
    cut = cut_patches(
        seen,
        np.array([0, 14]),
        np.array([2, 8, 16]),
        (12, 10),
        np.array([[1, -1], [0, 0]]),
    )
    assert cut.shape == (2, 6, 12, 10)
    expected = seen[0, 15:27, 7:17]
    np.testing.assert_allclose(cut[0, 4], expected - expected.mean(), atol=1e-5)
