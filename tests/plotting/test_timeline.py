from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection

from astrocast.errors import InvalidValueError
from astrocast.plotting import event_rate, mean_trace, raster
from astrocast.plotting.timeline import envelope


def table(count: int, frames: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Events of 1 to 40 frames anywhere in the recording."""
    rng = np.random.default_rng(seed)
    begin = rng.integers(0, frames - 40, count)
    return pd.DataFrame(
        {"z0": begin, "z1": begin + rng.integers(1, 40, count)},
        index=np.arange(1, count + 1),
    )


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_the_raster_has_a_bar_per_event_the_earliest_at_the_top() -> None:
    events = table(30)
    ax = raster(events, frames=1000, frame_rate=10.0)
    drawn = np.array([path.vertices for path in ax.collections[0].get_paths()])
    ordered = events.sort_values(["z0", "z1"])
    np.testing.assert_allclose(drawn[:, 0, 0], ordered["z0"] / 10)
    np.testing.assert_allclose(drawn[:, 2, 0], ordered["z1"] / 10)
    np.testing.assert_allclose(drawn[:, :4, 1].mean(axis=1), np.arange(1, 31))
    assert ax.yaxis_inverted()
    assert ax.get_xlim() == (0.0, 100.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "event, by onset")


def test_groups_have_a_colour_and_a_name() -> None:
    events = table(6).assign(group=list("abcabc"))
    ax = raster(events, group="group")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]
    assert len({tuple(colour) for colour in ax.collections[0].get_facecolor()}) == 3


def test_a_hundred_thousand_bars_become_pixels() -> None:
    bars = raster(table(100_000, 50_000)).collections[0]
    assert len(bars.get_paths()) == 100_000
    assert bars.get_rasterized()


@pytest.mark.parametrize("draw", [raster, event_rate])
def test_no_events_say_so(draw) -> None:
    assert "no events" in texts(draw(table(0), frames=100))


@pytest.mark.parametrize("draw", [raster, event_rate])
def test_one_event(draw) -> None:
    assert "no events" not in texts(draw(table(1)))


def test_missing_columns_are_named() -> None:
    with pytest.raises(InvalidValueError, match=r"\['z1'\].*'z0'"):
        raster(pd.DataFrame({"z0": [1]}))
    with pytest.raises(InvalidValueError, match="no column 'group'"):
        raster(table(3), group="group")


@settings(max_examples=15)
@given(st.integers(1, 60), st.integers(1, 997))
def test_the_rate_times_the_time_is_the_number_of_events(
    count: int, bin_frames: int
) -> None:
    ax = event_rate(table(count), frames=1000, frame_rate=5.0, bin_frames=bin_frames)
    steps = ax.patches[0].get_data()
    assert ax.get_ylabel() == "onsets per minute"
    assert np.sum(steps.values * np.diff(steps.edges) / 60) == pytest.approx(count)


def test_the_rate_says_how_wide_its_bins_are() -> None:
    assert texts(event_rate(table(5), frames=1000, frame_rate=4.0, bin_frames=10)) == [
        "bins of 2.5 s"
    ]
    assert texts(event_rate(table(5), frames=1000, bin_frames=1)) == ["bins of 1 frame"]


def test_the_mean_trace_marks_onsets_and_active_stretches() -> None:
    events = pd.DataFrame({"z0": [10, 12, 40], "z1": [20, 15, 45]})
    ax = mean_trace(np.zeros(100), events=events, frame_rate=10.0)
    (ticks,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    np.testing.assert_allclose(
        [segment[0, 0] for segment in ticks.get_segments()], [1.0, 1.2, 4.0]
    )
    shaded = [
        (patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches
    ]
    np.testing.assert_allclose(shaded, [(1.0, 2.0), (4.0, 4.5)])


def test_a_trace_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"expected \(frames,\)"):
        mean_trace(np.zeros((3, 4)))


@given(st.integers(1, 3000), st.integers(2, 200))
def test_the_envelope_keeps_the_extremes_and_stays_small(
    size: int, points: int
) -> None:
    values = np.random.default_rng(size).standard_normal(size)
    frames, heights = envelope(values, points)
    assert heights.min() == values.min()
    assert heights.max() == values.max()
    np.testing.assert_array_equal(values[frames], heights)
    assert (np.diff(frames) >= 0).all()
    assert len(frames) <= max(points + 2 * size // points + 2, 4)


def test_the_envelope_of_a_trace_with_gaps() -> None:
    values = np.full(1000, np.nan)
    values[300], values[301] = 1.0, 5.0
    frames, heights = envelope(values, 50)
    assert {300, 301} <= set(frames.tolist())
    assert np.nanmax(heights) == 5.0
