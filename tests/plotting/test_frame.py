from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from astrocast import plotting
from astrocast.errors import InvalidValueError
from astrocast.plotting.frame import nice_length, pixel_sides, spread_sample, times
from astrocast.plotting.palette import CATEGORIES, time_map


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in to_rgb(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@given(st.floats(1e-3, 1e6))
def test_a_scale_bar_is_a_round_length_of_a_fair_size(extent: float) -> None:
    length = nice_length(extent)
    assert 0.1 * extent <= length * (1 + 1e-9)
    assert length <= 0.25 * extent * (1 + 1e-6)
    assert round(length / 10.0 ** np.floor(np.log10(length * (1 + 1e-9))), 6) in (
        1,
        2,
        5,
    )


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_a_sample_is_sorted_and_has_no_repeats(count: int, limit: int) -> None:
    chosen = spread_sample(count, limit)
    assert len(chosen) == min(count, limit)
    assert (np.diff(chosen) > 0).all()
    if count > limit > 1:
        assert (chosen[0], chosen[-1]) == (0, count - 1)


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_a_frame_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InvalidValueError, match="frame_rate"):
        times([1], rate)


def test_a_pixel_size_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="pixel_size"):
        pixel_sides((1.0, 0.0))


def test_categories_differ_in_lightness_too() -> None:
    levels = sorted(luminance(colour) for colour in CATEGORIES)
    assert len(set(CATEGORIES)) == 8
    assert levels[-1] - levels[0] > 0.6


def test_later_is_lighter() -> None:
    shades = time_map()(np.linspace(0, 1, 20))
    levels = [luminance(tuple(shade[:3])) for shade in shades]
    assert (np.diff(levels) > 0).all()


def test_figures_are_drawn_into_the_axes_given() -> None:
    import pandas as pd

    events = pd.DataFrame(
        {"z0": [1, 5], "z1": [4, 9], "cx": [1.0, 2.0], "cy": [1.0, 2.0]}
    )
    calls = {
        "average_trace": ([[0, 1], [0, 2]],),
        "bleaching": ([3.0, 2.0],),
        "density": (events, (9, 9)),
        "distribution": ([1.0, 2.0],),
        "event_rate": (events,),
        "footprints": (np.eye(9),),
        "gallery": ([[0, 1]],),
        "mean_trace": ([0.0, 1.0],),
        "projection": (np.eye(9),),
        "raster": (events,),
        "registration": ({"after": [1.0]},),
        "shifts": (np.zeros((4, 2)),),
        "traces": ([[0, 1]],),
    }
    assert set(calls) <= set(plotting.__all__)
    for name, arguments in calls.items():
        ax = Figure().add_subplot()
        extra = {"label": "x"} if name == "distribution" else {}
        assert getattr(plotting, name)(*arguments, ax, **extra) is ax, name


def test_pyplot_is_left_alone() -> None:
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    plotting.projection(np.eye(5))
    plotting.raster(__import__("pandas").DataFrame({"z0": [1], "z1": [2]}))
    assert plt.get_fignums() == before
