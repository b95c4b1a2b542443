"""Bad frames, and the border of the registered movie."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from astrocast.kernels.registration.quality import (
    agreement,
    crispness,
    dark_border,
    field_border,
    interpolate_bad_frames,
    measure_clipping,
    normal_range,
    valid_border,
)


def test_agreement_is_pearson_and_sees_a_small_displacement() -> None:
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(rng.standard_normal((40, 44)), 2.5)
    frames = np.stack(
        [
            3 * scene + 1,
            rng.standard_normal((40, 44)),
            np.ones((40, 44)),
            ndimage.shift(scene, (0.1, -0.2)),
        ]
    )
    window = np.zeros((40, 44), np.float32)
    window[5:-5, 5:-5] = 1
    inside = window > 0
    correlation, residual = agreement(
        frames.astype(np.float32), scene.astype(np.float32), window
    )
    expected = [np.corrcoef(f[inside], scene[inside])[0, 1] for f in frames[[0, 1, 3]]]
    np.testing.assert_allclose(correlation[[0, 1, 3]], expected, atol=1e-4)
    assert correlation[2] == 0
    np.testing.assert_allclose(residual[0], 0, atol=1e-4)
    np.testing.assert_allclose(residual[3], (0.1, -0.2), atol=0.02)


def test_bad_frames_take_the_shift_between_their_neighbours() -> None:
    shifts = np.array([[0.0, 1], [9, 9], [2, 3], [7, 7]])
    bad = np.array([False, True, False, True])
    np.testing.assert_allclose(
        interpolate_bad_frames(shifts, bad), [[0, 1], [1, 2], [2, 3], [2, 3]]
    )
    np.testing.assert_array_equal(interpolate_bad_frames(shifts, ~np.zeros(4, bool)), 0)
    assert shifts[1, 0] == 9


def test_border_is_what_moved_out_of_view() -> None:
    shifts = np.array([[0.0, 0.0], [2.3, -1.0], [-0.5, 4.0]])
    assert valid_border(shifts) == (1, 3, 1, 4)
    assert valid_border(np.empty((0, 2))) == (0, 0, 0, 0)
    nodes = np.repeat(np.repeat(shifts[:, :, None, None], 3, 2), 4, 3).astype(
        np.float32
    )
    assert field_border(nodes) == (1, 3, 1, 4)


def test_a_clipped_frame_is_told_from_a_normal_one() -> None:
    frames = np.random.default_rng(0).random((3, 20, 20)).astype(np.float32)
    frames[1, :10] = frames[1].max()
    frames[2] = 0
    np.testing.assert_allclose(measure_clipping(frames), [1 / 400, 0.5, 1.0], atol=0.01)


def test_normal_range_is_wide_where_the_recording_is_clean() -> None:
    normal = normal_range(np.array([0.99, 0.991, 0.989]), np.array([0.01, 0.01, 0.02]))
    assert normal.correlation < 0.5
    assert 0.2 < normal.clipped < 0.22


def test_crispness_falls_with_blur() -> None:
    image = np.random.default_rng(0).random((30, 30))
    assert crispness(ndimage.gaussian_filter(image, 1)) < 0.5 * crispness(image)
    y, x = np.mgrid[:9, :9]
    assert np.isclose(crispness(3.0 * y + 4.0 * x), 5)


def test_dark_border_is_measured() -> None:
    rng = np.random.default_rng(0)
    frames = rng.poisson(40, (8, 60, 70)) + 40 * ndimage.gaussian_filter(
        rng.standard_normal((60, 70)), 1.5
    )
    assert dark_border(frames) == (0, 0, 0, 0)
    frames[:, :5] = 2
    frames[:, :, -7:] = 2
    assert dark_border(frames) == (5, 0, 0, 7)
