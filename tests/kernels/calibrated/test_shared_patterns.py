"""Patterns that go up and down in many pixels are found; events are not patterns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.calibrated.shared_patterns import (
    Patterns,
    courses_of_frames,
    find_patterns,
)

SHAPE = (48, 72, 72)
NOISE = np.ones(SHAPE[1:], np.float32)
EVERY = np.ones(SHAPE[0], np.bool_)


def noise_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def smooth_pattern(seed: int) -> np.ndarray:
    """A pattern over the whole field that goes up and down, of mean square 1."""
    rng = np.random.default_rng(seed)
    pattern = ndimage.gaussian_filter(rng.normal(size=SHAPE[1:]), 2)
    return pattern / pattern.std()


def event(first: int, last: int, row: int, column: int, height: float) -> np.ndarray:
    out = np.zeros(SHAPE, np.float32)
    out[first:last, row : row + 10, column : column + 10] = height
    return out


def taken_out(values: np.ndarray) -> tuple[np.ndarray, Patterns]:
    found = find_patterns(values, NOISE, EVERY)
    rest = values.copy()
    found.add_to(rest, -1)
    return rest, found


def test_a_drift_of_the_focus_is_taken_out_and_an_event_stays() -> None:
    drift = np.linspace(-1, 1, SHAPE[0])[:, None, None] * 3 * smooth_pattern(4)
    # the event is where the drift rises too
    place = event(30, 34, 20, 28, 8)
    values = (drift + place + noise_of(0)).astype(np.float32)
    rest, found = taken_out(values)
    assert len(found) == 1
    assert np.corrcoef(found.courses[0], np.arange(SHAPE[0]))[0, 1] ** 2 > 0.98
    left = (rest - place)[:, place.any(axis=0)]
    assert abs(left[30:34].mean() - left[:30].mean()) < 0.5
    assert (rest - place - noise_of(0)).std(axis=0).mean() < 0.35


def test_a_vessel_that_only_brightens_and_darkens_along_a_line_is_found() -> None:
    rng = np.random.default_rng(1)
    course = ndimage.gaussian_filter1d(rng.normal(size=SHAPE[0]), 1.0)
    course /= course.std()
    wall = np.exp(-((np.arange(SHAPE[2]) - 30) ** 2) / 18)
    vessel = 4 * course[:, None, None] * wall * np.ones((SHAPE[1], 1))
    rest, found = taken_out((vessel + noise_of(1)).astype(np.float32))
    assert len(found) == 1
    assert rest[:, :, 28:33].mean(axis=(1, 2)).std() < 0.25


@pytest.mark.parametrize("height", [2.0, 8.0, 30.0])
def test_events_are_no_pattern(height: float) -> None:
    places = [(4, 8, 5, 5), (10, 16, 40, 8), (14, 20, 10, 40), (22, 26, 50, 50)]
    places += [(28, 34, 30, 30), (36, 40, 5, 60), (40, 46, 60, 20), (2, 20, 58, 58)]
    events = sum(event(*place, height) for place in places)
    values = (events + noise_of(2)).astype(np.float32)
    assert len(find_patterns(values, NOISE, EVERY)) == 0


@pytest.mark.parametrize("height", [1.0, 4.0])
def test_a_place_that_is_active_again_and_again_is_no_pattern(height: float) -> None:
    rng = np.random.default_rng(0)
    course, start = np.zeros(SHAPE[0]), 1
    while start < SHAPE[0] - 4:
        shape = np.array([1, 0.7, 0.3])
        course[start : start + 3] = height * rng.uniform(0.6, 1) * shape
        start += 3 + int(rng.integers(1, 4))
    soma = np.zeros(SHAPE[1:])
    soma[30:42, 30:42] = 1
    values = (course[:, None, None] * soma + noise_of(9)).astype(np.float32)
    assert len(find_patterns(values, NOISE, EVERY)) == 0


def test_noise_has_no_pattern() -> None:
    assert all(len(find_patterns(noise_of(s), NOISE, EVERY)) == 0 for s in range(5))


def test_steps_in_which_the_field_is_active_do_not_count() -> None:
    pattern = smooth_pattern(7)
    burst = np.zeros(SHAPE[0])
    burst[20:26] = 6
    values = (burst[:, None, None] * pattern + noise_of(3)).astype(np.float32)
    counted = burst == 0
    assert len(find_patterns(values, NOISE, counted)) == 0


def test_the_result_does_not_depend_on_threads_and_leaves_the_input() -> None:
    values = (
        np.linspace(-1, 1, SHAPE[0])[:, None, None] * 3 * smooth_pattern(5)
        + noise_of(4)
    ).astype(np.float32)
    kept = values.copy()
    alone = find_patterns(values, NOISE, EVERY)
    with ThreadPoolExecutor(3) as pool:
        shared = find_patterns(values, NOISE, EVERY, pool)
    np.testing.assert_array_equal(alone.maps, shared.maps)
    np.testing.assert_array_equal(alone.courses, shared.courses)
    np.testing.assert_array_equal(values, kept)


def test_courses_of_frames_have_the_means_of_the_steps() -> None:
    edges = np.append(np.arange(0, 80, 8), 91)
    truth = np.sin(np.arange(91) / 7)
    means = np.add.reduceat(truth, edges[:-1]) / np.diff(edges)
    found = courses_of_frames(means[None].astype(np.float32), edges)[0]
    again = np.add.reduceat(found, edges[:-1]) / np.diff(edges)
    np.testing.assert_allclose(again, means, atol=1e-5)
    straight = np.interp(np.arange(91), (edges[:-1] + edges[1:] - 1) / 2, means)
    # the ends of the spline are the worst of it
    assert (found - truth).std() < 0.5 * (straight - truth).std()
