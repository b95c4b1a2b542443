"""Time courses whose truth is known in closed form."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.kernels.event_features.physiology import noise_level, time_courses
from astrocast.kernels.ragged.ragged import flatten


def test_gaussian_and_exponential_recover_their_closed_forms():
    t = np.arange(400.0)
    sigma, tau = 30.0, 40.0
    gaussian = np.exp(-0.5 * ((t - 200) / sigma) ** 2)
    decay = np.where(t < 10, 0, np.exp(-(t - 10) / tau))
    course = time_courses(*flatten([gaussian, decay]))
    assert_array_equal(course.peak, [200, 10])
    assert_allclose(course.half_width[0], 2 * sigma * np.sqrt(2 * np.log(2)), rtol=1e-3)
    t10, t90 = (sigma * np.sqrt(-2 * np.log(level)) for level in (0.1, 0.9))
    assert_allclose(course.rise[0], t10 - t90, rtol=1e-3)
    assert_allclose(
        [course.onset[0], course.offset[0]], [200 - t10, 200 + t10], rtol=1e-3
    )
    assert_allclose(course.decay[1], tau * np.log(9), rtol=1e-3)
    assert_allclose(course.area[0], sigma * np.sqrt(2 * np.pi), rtol=1e-3)
    assert_allclose(course.height, 1, rtol=1e-3)


def test_a_level_that_the_trace_does_not_reach_is_nan_not_its_edge():
    course = time_courses(*flatten([[5.0, 10.0, 0.0]]))
    assert np.isnan(course.onset[0])
    assert np.isnan(course.rise[0])
    assert_allclose(course.offset[0], 1.9)


def test_a_given_baseline_moves_the_levels():
    values, offsets = flatten([[2.0, 2.0, 10.0, 2.0]])
    course = time_courses(values, offsets, np.array([0.0]))
    assert course.height[0] == 10
    assert np.isnan(course.onset[0])
    assert time_courses(values, offsets).height[0] == 8


def test_flat_empty_and_missing_traces_have_no_course():
    course = time_courses(*flatten([[3.0, 3.0], [], [np.nan, np.nan]]))
    assert np.isnan(course.onset).all()
    assert_array_equal(course.height, [0, np.nan, np.nan])


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=30),
    st.floats(0.1, 10),
    st.floats(-100, 100),
)
def test_times_do_not_depend_on_scale_and_level(trace, scale, level):
    trace = np.round(trace, 1)
    one, other = (
        time_courses(*flatten([trace])),
        time_courses(*flatten([trace * scale + level])),
    )
    if one.height[0] > 0:
        assert_allclose(other.height, one.height * scale, rtol=1e-6, atol=1e-9)
        assert_allclose(other.half_width, one.half_width, rtol=1e-4, atol=1e-4)
    reverse = time_courses(*flatten([trace[::-1].copy()]))
    if np.sum(trace == trace.max()) == 1:
        assert_allclose(reverse.rise, one.decay)
        assert_allclose(reverse.onset, len(trace) - 1 - one.offset)


def test_noise_level_is_that_of_white_noise_on_a_slow_signal():
    rng = np.random.default_rng(1)
    slow = np.abs(np.arange(4000) % 60 - 30.0)  # rises and falls within 60 frames
    found = noise_level(*flatten([slow + rng.normal(0, 1.5, 4000), [1.0]]))
    assert_allclose(found[0], 1.5, rtol=0.05)
    assert np.isnan(found[1])
