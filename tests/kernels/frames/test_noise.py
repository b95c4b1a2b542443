from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.frames.invalid import fill_invalid, frame_means
from astrocast.kernels.frames.noise import estimate_noise_map


def test_equals_its_definition():
    frames = np.random.default_rng(0).normal(0, 4, (51, 3, 5)).astype(np.float32)
    expected = np.sqrt(
        np.median(np.diff(frames.astype(float), axis=0) ** 2, axis=0) / 0.9133
    )
    np.testing.assert_allclose(estimate_noise_map(frames), expected)


def test_slow_signals_and_missing_values_do_not_count():
    rng = np.random.default_rng(1)
    frames = rng.normal(0, 2, (4000, 1, 2)).astype(np.float32)
    frames[:, 0, 1] += 100 * np.sin(np.arange(4000) / 200)
    frames[::10, 0, 0] = np.nan
    assert estimate_noise_map(frames) == pytest.approx(2, rel=0.06)
    assert np.isnan(estimate_noise_map(frames[:1])).all()


def test_missing_values_become_the_mean_of_their_frame():
    frames = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    frames[0, 0] = np.nan
    frames[1] = np.inf
    before = frames.copy()
    values, invalid = fill_invalid(frames)
    assert values.dtype == np.float32
    assert (values[0, 0] == 7.5).all()
    assert (values[1] == 0).all()
    np.testing.assert_array_equal(invalid, ~np.isfinite(frames))
    np.testing.assert_array_equal(frames, before)
    np.testing.assert_array_equal(frame_means(frames), [7.5, 0])
    assert fill_invalid(np.array([[[1e300]]]))[1].all()  # beyond float32
    counts = np.full((1, 1, 2), 65535, np.uint16)
    assert fill_invalid(counts)[0].max() == 65535
    assert fill_invalid(counts)[1] is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (3, 20, 11), (4, 59, 68)])
def test_one_invalid_voxel_among_many_is_found(
    value: float, place: tuple[int, int, int]
) -> None:
    frames = np.random.default_rng(0).normal(size=(5, 60, 69)).astype(np.float32)
    assert fill_invalid(frames)[1] is None
    frames[place] = value
    values, invalid = fill_invalid(frames)
    assert invalid is not None
    assert np.argwhere(invalid).tolist() == [list(place)]
    assert np.isfinite(values).all()
