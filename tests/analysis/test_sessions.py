"""Regions and functional units of one day are found again on another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from astrocast.analysis.sessions import (
    align_sessions,
    carry_regions,
    describe_sessions,
    track_units,
)
from astrocast.analysis.units import find_units
from astrocast.errors import InvalidValueError
from astrocast.io.stores.regions import Region
from astrocast.kernels.registration.sessions import SessionMatch
from astrocast.plotting.sessions import session_overlays

SHAPE = (50, 80, 90)
#: day 2 shows everything 10 rows further down
MOVED = SessionMatch(np.array([[1.0, 0, 10], [0, 1, 0]]), 0.9, 0.1, 0.05, 0.1, 0.9)
SAME = SessionMatch(np.eye(2, 3), 1.0, 0.0, 0.0, 0.0, 1.0)


def events(places: list[tuple[int, int]]) -> pd.DataFrame:
    """Three events of 4 frames and 6 x 6 pixels at each place."""
    rows = [(5 * i, *place) for place in places for i in range(3)]
    table = pd.DataFrame(rows, columns=["z0", "x0", "y0"])
    return table.assign(mask=[np.ones((4, 6, 6), bool)] * len(table))


def test_sessions_are_aligned_and_described():
    rng = np.random.default_rng(1)
    wide = np.repeat(np.repeat(rng.random((30, 30)), 4, 0), 4, 1)
    means = {
        "a": wide[10:90, 10:100],
        "b": wide[5:85, 13:103],
        "c": wide[10:90, 10:100],
    }
    found = align_sessions(means, "a", model="shift")
    listed = describe_sessions(found, (80, 90)).set_index("session")
    assert listed.loc["b", "shift_rows"] == pytest.approx(5, abs=0.1)
    assert listed.loc["b", "shift_columns"] == pytest.approx(-3, abs=0.1)
    assert listed["angle_deg"].abs().max() < 1e-9
    assert listed["reliable"].all()
    assert listed.loc["a", "correlation"] == 1
    with pytest.raises(InvalidValueError, match="at least two are needed"):
        align_sessions({"a": wide})
    with pytest.raises(
        InvalidValueError, match="'d' does not exist; choose from a, b, c"
    ):
        align_sessions(means, "d")
    figure = session_overlays(means["a"], {"b": means["b"]}, {"b": "day b"}, 0.5)
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_title() == "day b"


def test_the_angle_and_the_scales_are_those_of_the_matrix():
    c, s = np.cos(0.1), np.sin(0.1)
    matrix = np.array([[1.1 * c, -0.9 * s, 0], [1.1 * s, 0.9 * c, 0]])
    match = SessionMatch(matrix, 0.9, 0.1, 0.05, 0.1, 0.9)
    row = describe_sessions({"b": match}, (10, 10)).iloc[0]
    assert row["angle_deg"] == pytest.approx(np.degrees(0.1))
    assert (row["scale_rows"], row["scale_columns"]) == pytest.approx((1.1, 0.9))


def test_regions_move_with_the_field():
    square = ((20.0, 30.0), (20.0, 40.0), (28.0, 40.0), (28.0, 30.0))
    low = ((70.0, 0.0), (70.0, 10.0), (80.0, 10.0), (80.0, 0.0))
    drawn = [
        Region("soma 1", "soma", (square,)),
        Region("low", "cell", (low,)),
        Region("front", "axis", points=((5.0, 5.0), (15.0, 5.0))),
    ]
    carried, left_out = carry_regions(drawn, MOVED, SHAPE[1:])
    assert left_out == ["low"]
    assert [r.kind for r in carried] == ["soma", "axis"]
    before, after = drawn[0].mask(SHAPE[1:]), carried[0].mask(SHAPE[1:])
    assert (after == np.roll(before, 10, axis=0)).all()
    assert carried[1].points == ((15.0, 5.0), (25.0, 5.0))


def test_units_are_found_again():
    """Two places on day 1, one of them on day 2, where a third one is new."""
    first = find_units(events([(10, 10), (60, 70)]), SHAPE)
    second = find_units(events([(20, 10), (40, 40)]), SHAPE)
    matches = {"day 1": SAME, "day 2": MOVED}
    found = track_units({"day 1": first, "day 2": second}, matches)
    table = found.set_index(["unit", "session"])
    assert len(table) == 6
    assert table.loc[(0, "day 1"), "unit_of_session"] == 0
    assert table.loc[(0, "day 2"), "unit_of_session"] == 0
    assert table.loc[(0, "day 2"), "similarity"] == pytest.approx(1.0)
    # unit 1 lies in the field of day 2 and has no events there
    assert table.loc[(1, "day 2"), "unit_of_session"] == -1
    assert table.loc[(1, "day 2"), "events"] == 0
    assert table.loc[(2, "day 2"), "events"] == 3
    assert table.loc[(2, "day 1"), "events"] == 0
    assert table.loc[(2, "day 2"), "row"] == pytest.approx(32.5)
    outside = {"day 1": SAME, "day 2": MOVED._replace(matrix=np.eye(2, 3) + 60)}
    lost = track_units({"day 1": first, "day 2": second}, outside)
    lost = lost.set_index(["unit", "session"])
    assert np.isnan(lost.loc[(1, "day 2"), "events"])
    with pytest.raises(InvalidValueError, match="overlap is 2"):
        track_units({"day 1": first}, matches, overlap=2)


def test_sessions_without_events_have_no_units():
    none = find_units(events([]), SHAPE)
    assert track_units({"a": none, "b": none}, {"a": SAME, "b": SAME}).empty
