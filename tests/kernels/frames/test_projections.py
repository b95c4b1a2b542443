from __future__ import annotations

import warnings
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.errors import InvalidValueError
from astrocast.kernels.frames.projections import (
    Projections,
    first_label,
    frame_means,
    onset_map,
    project,
)


def movie(seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    """A movie with a large offset against its noise, as counts of a camera have it;
    more pixels than one stripe.
    """
    values = 5000 + 20 * np.random.default_rng(seed).standard_normal((23, 51, 47))
    return values.astype(dtype)


def with_gaps(values: np.ndarray) -> np.ndarray:
    """Some voxels missing, one pixel never measured, one frame empty."""
    out = values.astype(np.float32)
    out[np.random.default_rng(1).random(out.shape) < 0.1] = np.nan
    out[:, 4, 5] = np.nan
    out[7] = np.nan
    out[3, 10, 10] = np.inf
    return out


def assert_same(found: Projections, truth: np.ndarray) -> None:
    finite = np.where(np.isfinite(truth), truth, np.nan).astype(np.float64)
    with warnings.catch_warnings():
        # numpy warns of all-NaN slices, where the truth is NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_allclose(found.mean, np.nanmean(finite, axis=0), rtol=1e-12)
        np.testing.assert_allclose(
            found.std, np.nanstd(finite, axis=0), rtol=1e-7, atol=1e-9
        )
        np.testing.assert_array_equal(found.maximum, np.nanmax(finite, axis=0))
        np.testing.assert_allclose(
            found.frame_mean, np.nanmean(finite, axis=(1, 2)), rtol=1e-12
        )
    np.testing.assert_array_equal(found.count, np.isfinite(truth).sum(axis=0))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_a_block_is_reduced_as_numpy_does(dtype: type) -> None:
    values = movie(dtype=dtype)
    before = values.copy()
    assert_same(project(values), values)
    np.testing.assert_array_equal(values, before)


def test_values_that_are_not_finite_are_left_out() -> None:
    values = with_gaps(movie())
    found = project(values)
    assert_same(found, values)
    assert np.isnan(found.mean[4, 5])
    assert np.isnan(found.std[4, 5])
    assert np.isnan(found.frame_mean[7])


def test_frame_means_leave_out_what_is_not_finite() -> None:
    for values in (movie(dtype=np.uint16), with_gaps(movie())):
        expected = project(values).frame_mean
        np.testing.assert_allclose(frame_means(values), expected, rtol=1e-12)


@settings(max_examples=12)
@given(st.lists(st.integers(1, 22), max_size=6, unique=True), st.booleans())
def test_any_division_into_blocks_gives_the_same(cuts: list[int], gaps: bool) -> None:
    values = with_gaps(movie(2)) if gaps else movie(2)
    parts = np.split(values, sorted(cuts))
    assert_same(reduce(Projections.merge, [project(part) for part in parts]), values)


def test_a_movie_that_is_not_contiguous() -> None:
    values = movie()[:, ::2, ::-1]
    assert_same(project(values), values)


@pytest.mark.parametrize("shape", [(4, 5), (0, 4, 5), (2, 0, 5)])
def test_what_is_no_block_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValueError, match="frame, row, column"):
        project(np.zeros(shape))


def test_blocks_of_different_frames_do_not_merge() -> None:
    with pytest.raises(InvalidValueError, match="cannot merge"):
        project(np.zeros((2, 3, 4))).merge(project(np.zeros((2, 3, 5))))


def test_the_first_label_of_each_pixel() -> None:
    labels = np.random.default_rng(3).integers(0, 4, (6, 9, 8)) * np.random.default_rng(
        4
    ).integers(0, 2, (6, 9, 8))
    expected = np.zeros((9, 8), int)
    for frame in labels[::-1]:
        expected = np.where(frame > 0, frame, expected)
    np.testing.assert_array_equal(first_label(labels.astype(np.int32)), expected)


def test_labels_that_are_no_integers_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="integer dtype"):
        first_label(np.zeros((2, 3, 4)))


def test_the_onset_of_the_first_event_at_each_pixel() -> None:
    first = np.array([[0, 2, 9], [5, 2, 0]])
    found = onset_map(first, np.array([2, 5]), np.array([10, 3]))
    np.testing.assert_array_equal(found, [[np.nan, 10, np.nan], [3, 10, np.nan]])


def test_no_events_have_no_onset() -> None:
    none = np.zeros(0, np.int64)
    assert np.isnan(onset_map(np.zeros((3, 4), np.int64), none, none)).all()
