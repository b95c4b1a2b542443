from __future__ import annotations

import numpy as np
import pytest

from astrocast.errors import InvalidValueError
from astrocast.plotting import bleaching, registration, shifts
from astrocast.plotting.recording_quality import remaining


def test_shifts_are_in_micrometres_where_the_pixel_size_is_known() -> None:
    moved = np.stack([np.arange(10.0), -np.arange(10.0)], axis=1)
    ax = shifts(moved, frame_rate=2.0, pixel_size=(0.5, 0.25), bad_frames=[3, 4])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), moved[:, 0] * 0.5)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), moved[:, 1] * 0.25)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "shift (µm)")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["row (down)", "column (right)", "2 bad frames"]


def test_shifts_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="row then column"):
        shifts(np.zeros((5, 3)))


def test_registration_gives_the_medians() -> None:
    ax = registration(
        {"before": [0.5, np.nan, 0.7], "after": [0.9, 0.9, 0.9]}, bad_frames=[1]
    )
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["before, median 0.600", "after, median 0.900", "1 bad frame"]


def test_a_registration_that_was_not_measured_says_so() -> None:
    assert [text.get_text() for text in registration({}).texts] == ["not measured"]


def test_bleaching_says_what_is_left() -> None:
    trace = 100 * np.exp(-np.arange(200) / 200)
    ax = bleaching(trace, baseline=trace - 5, frame_rate=4.0)
    assert len(ax.lines) == 2
    assert ax.get_xlim() == (0.0, 50.0)
    left = trace[-20:].mean() / trace[:20].mean()
    assert [text.get_text() for text in ax.texts] == [
        f"fluorescence at the end: {left:.0%} of the start"
    ]


@pytest.mark.parametrize("trace", [[1.0], [0.0, 0.0], [np.nan, np.nan], [-1.0, 1.0]])
def test_what_is_left_of_nothing_is_not_a_number(trace: list[float]) -> None:
    assert np.isnan(remaining(trace))
    assert not bleaching(trace).texts
