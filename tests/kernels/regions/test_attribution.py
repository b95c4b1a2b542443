"""Events in regions against plain counting; places along an axis against geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocast.errors import InvalidValueError
from astrocast.kernels.ragged.ragged import offsets_of
from astrocast.kernels.regions.attribution import (
    along_axis,
    attribute_events,
    turn_to_axis,
)
from astrocast.kernels.traces.traces import Pixels

pixels = st.lists(st.sets(st.integers(0, 29), min_size=1), min_size=1, max_size=5)


@given(pixels, arrays(bool, (3, 5, 6)))
def test_an_event_belongs_where_most_of_it_is(events: Any, regions: Any) -> None:
    flat = np.concatenate([sorted(e) for e in events]).astype(np.int64)
    found = attribute_events(
        Pixels(flat, offsets_of([len(e) for e in events])), regions
    )
    for i, event in enumerate(events):
        shares = [r.ravel()[sorted(event)].mean() for r in regions]
        assert found.share[i] == pytest.approx(max(shares))
        expected = int(np.argmax(shares)) if max(shares) > 0 else -1
        assert found.region[i] == expected


coordinate = st.floats(-50, 50)
ends = st.tuples(coordinate, coordinate, coordinate, coordinate).filter(
    lambda e: np.hypot(e[0] - e[2], e[1] - e[3]) > 0.1
)


@given(ends, arrays(float, (4, 2), elements=coordinate))
def test_a_point_is_found_again_from_its_place(axis: Any, points: Any) -> None:
    begin, end, size = axis[:2], axis[2:], (0.5, 0.25)
    along, right = along_axis(points, begin, end, size)
    step = (np.array(end) - begin) * size
    unit = step / np.hypot(*step)
    across = np.array([unit[1], -unit[0]])
    back = np.array(begin) * size + along[:, None] * unit + right[:, None] * across
    np.testing.assert_allclose(back, points * size, atol=1e-6)


def test_to_the_right_of_a_walker_to_the_right_is_down() -> None:
    _, right = along_axis(np.array([[1.0, 0.0]]), (0, 0), (0, 5), (1, 1))
    assert right[0] == 1


@given(ends, st.floats(-180, 180))
def test_turned_directions_are_the_angle_between(axis: Any, direction: float) -> None:
    found = turn_to_axis(np.array([direction]), axis[:2], axis[2:], (1.0, 1.0))[0]
    assert -180 < found <= 180 + 1e-9
    down, right = axis[2] - axis[0], axis[3] - axis[1]
    own = np.deg2rad(direction)
    dot = (np.cos(own) * right + np.sin(own) * down) / np.hypot(down, right)
    assert np.cos(np.deg2rad(found)) == pytest.approx(dot, abs=1e-6)


def test_an_axis_needs_two_ends() -> None:
    with pytest.raises(InvalidValueError, match="two different ends"):
        along_axis(np.zeros((1, 2)), (1, 1), (1, 1), (1, 1))
