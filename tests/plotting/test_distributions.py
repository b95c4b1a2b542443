from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.plotting import distribution
from astrocast.plotting.distributions import bin_edges


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_every_value_is_in_a_bin(values: list[float]) -> None:
    edges, _ = bin_edges(np.array(values))
    assert (np.diff(edges) > 0).all()
    assert np.histogram(values, edges)[0].sum() == len(values)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=200))
def test_every_duration_is_in_a_bin_of_whole_frames(frames: list[int]) -> None:
    durations = np.array(frames) * 0.1
    edges, wide = bin_edges(durations, step=0.1)
    assert np.histogram(durations, edges)[0].sum() == len(frames)
    if not wide:
        np.testing.assert_allclose(
            np.diff(edges) / 0.1, round(float(edges[1] - edges[0]) / 0.1)
        )


def test_areas_over_decades_are_on_a_logarithmic_axis() -> None:
    areas = np.random.default_rng(0).lognormal(4, 2, 1000)
    ax = distribution(areas, label="area (µm²)")
    assert ax.get_xscale() == "log"
    assert ax.patches[0].get_data().values.sum() == 1000


def test_the_median_is_drawn_and_named() -> None:
    ax = distribution([1.0, 2.0, 9.0], label="amplitude (dF/F)")
    assert ax.lines[0].get_xdata()[0] == 2.0
    assert ax.get_legend().get_texts()[0].get_text() == "median 2"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("amplitude (dF/F)", "events")


@pytest.mark.parametrize(
    ("values", "note"), [([], "no events"), ([np.nan, np.inf], "no finite values")]
)
def test_nothing_to_count_says_so(values: list[float], note: str) -> None:
    assert texts(distribution(values, label="x")) == [note]


def test_values_left_out_are_counted() -> None:
    assert texts(distribution([1.0, 2.0, np.nan], label="x")) == [
        "1 left out (no value)"
    ]


def test_many_values() -> None:
    ax = distribution(np.random.default_rng(0).normal(size=100_000), label="x")
    bars = ax.patches[0].get_data().values
    assert len(bars) <= 40
    assert bars.sum() == 100_000
