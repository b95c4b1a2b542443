from __future__ import annotations

import numpy as np
import pytest

from astrocast.errors import InvalidValueError
from astrocast.plotting import average_trace, gallery, traces
from astrocast.plotting.event_traces import aligned_mean


def ragged(count: int, seed: int = 0) -> list[np.ndarray]:
    """Traces of 3 to 30 frames."""
    rng = np.random.default_rng(seed)
    return [rng.random(size).astype(np.float32) for size in rng.integers(3, 31, count)]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_traces_lie_at_their_place_in_time() -> None:
    ax = traces(
        [[0, 1, 0], [0, 2]], starts=[10, 20], names=["first", "second"], frame_rate=2.0
    )
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [5.0, 5.5, 6.0])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [10.0, 10.5])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["first", "second"]
    # one scale for all: the second is twice as tall as the first
    assert np.ptp(ax.lines[1].get_ydata()) == pytest.approx(
        2 * np.ptp(ax.lines[0].get_ydata())
    )


def test_of_many_traces_a_sample_is_shown_and_said() -> None:
    ax = traces([np.zeros(3)] * 100_000, limit=25)
    assert len(ax.lines) == 25
    assert texts(ax) == ["25 of 100,000 traces are shown"]


@pytest.mark.parametrize("draw", [traces, gallery, average_trace])
def test_no_traces_say_so(draw) -> None:
    assert "no events" in texts(draw([]))


@pytest.mark.parametrize("draw", [traces, gallery, average_trace])
@pytest.mark.parametrize("one", [[1.0], [np.nan, np.nan], [0.0, np.nan, 2.0]])
def test_one_trace_of_any_kind_is_drawn(draw, one: list[float]) -> None:
    ax = draw([one])
    ax.figure.canvas.draw()
    assert ax.get_xlabel()


def test_the_gallery_shows_the_first_on_one_scale() -> None:
    ax = gallery(ragged(50), names=list(range(50)), limit=7, columns=3)
    assert len(ax.child_axes) == 7
    assert len({small.get_ylim() for small in ax.child_axes}) == 1
    assert [small.get_title(loc="left") for small in ax.child_axes] == list("0123456")
    assert texts(ax) == ["7 of 50 traces are shown"]
    assert ax.get_xlabel() == "time since onset (frames)"


@pytest.mark.parametrize("align", ["onset", "peak"])
def test_the_mean_of_ragged_traces_is_that_of_a_plain_loop(align: str) -> None:
    values = ragged(40)
    by_lag: dict[int, list[float]] = {}
    for trace in values:
        origin = int(trace.argmax()) if align == "peak" else 0
        for frame, value in enumerate(trace):
            by_lag.setdefault(frame - origin, []).append(float(value))
    lags, mean, error, count = aligned_mean(values, align)
    assert lags.tolist() == sorted(by_lag)
    for i, lag in enumerate(lags):
        found = by_lag[int(lag)]
        assert count[i] == len(found)
        assert mean[i] == pytest.approx(np.mean(found))
        if len(found) > 1:
            assert error[i] == pytest.approx(
                np.std(found, ddof=1) / np.sqrt(len(found))
            )


def test_averages_have_a_line_and_a_band_per_group() -> None:
    ax = average_trace(
        [[0, 1, 0], [0, 3, 0], [5, 5, 5]],
        groups=["a", "a", "b"],
        align="onset",
        frame_rate=1.0,
    )
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0, 2, 0])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [5, 5, 5])
    assert len(ax.collections) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "a (n = 2)",
        "b (n = 1)",
    ]
    assert ax.get_xlabel() == "time from onset (s)"


def test_an_average_stops_where_few_traces_reach() -> None:
    ax = average_trace([np.ones(5)] * 9 + [np.ones(50)])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), range(5))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), np.ones(5))


def test_one_name_per_trace_is_needed() -> None:
    with pytest.raises(InvalidValueError, match="2 traces, but 1 names"):
        gallery([[0, 1], [0, 1]], names=["a"])
    with pytest.raises(InvalidValueError, match="'onset' or 'peak'"):
        average_trace([[0, 1]], align="middle")
