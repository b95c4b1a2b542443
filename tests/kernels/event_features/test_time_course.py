"""Height and times of events whose course is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.kernels.event_features.time_course import event_courses
from astrocast.kernels.ragged.ragged import flatten

FRAMES, ONSET = 120, 40.0


def known_course(rise: float, plateau: float, decay: float) -> np.ndarray:
    """A linear rise from frame 40, a plateau, an exponential decay; height 1."""
    t = np.arange(FRAMES) - ONSET
    falling = np.exp(-(t - rise - plateau) / decay)
    return np.where(t < rise + plateau, np.clip(t / rise, 0, 1), falling)


def measured(trace: np.ndarray, clean: np.ndarray):
    active = np.flatnonzero(clean > 0.25)
    begin, end = np.array([active[0]]), np.array([active[-1] + 1])
    return event_courses(*flatten([trace]), begin, end)


def test_gives_back_the_times_of_a_course_without_noise() -> None:
    clean = known_course(10.0, 5.0, 12.0)
    found = measured(7 + 3 * clean, clean)
    assert found.height[0] == pytest.approx(3, rel=0.01)
    assert found.baseline[0] == pytest.approx(7, abs=0.02)
    assert found.onset[0] == pytest.approx(ONSET + 1, abs=0.1)
    assert found.rise[0] == pytest.approx(8, abs=0.1)
    assert found.decay[0] == pytest.approx(12 * np.log(9), rel=0.03)
    assert found.half_width[0] == pytest.approx(10 + 5 + 12 * np.log(2) - 5, rel=0.02)


def test_noise_does_not_make_the_height_larger_nor_the_width_smaller() -> None:
    """The highest frame of a plateau of 8 frames with 10% noise is 14% too high."""
    rng = np.random.default_rng(3)
    clean = known_course(3.0, 8.0, 6.0)
    found = [measured(clean + rng.normal(0, 0.1, FRAMES), clean) for _ in range(300)]
    assert np.mean([f.height[0] for f in found]) == pytest.approx(1, abs=0.05)
    width = 1.5 + 8 + 6 * np.log(2)
    assert np.mean([f.half_width[0] for f in found]) == pytest.approx(width, rel=0.04)
    assert np.mean([f.noise[0] for f in found]) == pytest.approx(0.1, rel=0.05)


def test_a_slope_of_the_baseline_does_not_change_the_height() -> None:
    clean = known_course(3.0, 3.0, 6.0)
    found = measured(clean + 0.01 * np.arange(FRAMES), clean)
    assert found.height[0] == pytest.approx(1, abs=0.02)


def test_what_the_trace_does_not_contain_is_not_a_number() -> None:
    clean = known_course(3.0, 3.0, 30.0)
    cut = clean[43:80]
    found = event_courses(*flatten([cut]), np.array([0]), np.array([37]))
    assert np.isnan(found.onset[0])
    assert np.isnan(found.rise[0])
    nothing = event_courses(
        *flatten([np.full(5, np.nan)]), np.array([1]), np.array([3])
    )
    assert np.isnan(nothing.height[0])


def test_frames_that_are_not_numbers_are_left_out() -> None:
    clean = known_course(5.0, 5.0, 8.0)
    holed = clean.copy()
    holed[[5, 30, 52, 90]] = np.nan
    whole, with_holes = measured(clean, clean), measured(holed, clean)
    assert with_holes.height[0] == pytest.approx(whole.height[0], rel=0.02)
    assert with_holes.half_width[0] == pytest.approx(whole.half_width[0], abs=0.5)


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.1, 1e4),
    shift=st.floats(-1e4, 1e4),
    seed=st.integers(0, 1000),
)
def test_units_of_the_trace_do_not_change_its_times(
    scale: float, shift: float, seed: int
) -> None:
    clean = known_course(4.0, 4.0, 8.0)
    trace = clean + np.random.default_rng(seed).normal(0, 0.03, FRAMES)
    one, other = measured(trace, clean), measured(shift + scale * trace, clean)
    assert other.height[0] == pytest.approx(scale * one.height[0], rel=1e-5)
    assert other.onset[0] == pytest.approx(one.onset[0], abs=1e-4)
    assert other.decay[0] == pytest.approx(one.decay[0], abs=1e-4)
