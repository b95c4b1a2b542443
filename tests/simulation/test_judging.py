"""The fate of each event (split, merged, missed) as a person would judge it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.simulation.judging import f1_of, judge_events, reliability

lists = st.lists(
    st.lists(st.integers(0, 20), min_size=1, max_size=8).map(lambda v: np.unique(v)),
    max_size=4,
)


@pytest.mark.parametrize(
    ("truth", "found", "fate", "nature"),
    [
        # the same, one to one
        ([range(10)], [range(1, 10)], ["found"], ["right"]),
        # in two halves, none of which is enough
        ([range(20)], [range(9), range(10, 19)], ["split"], ["other", "other"]),
        # two in one
        (
            [range(10), range(10, 20)],
            [range(22)],
            ["merged", "merged"],
            ["other"],
        ),
        # nothing of it, and something elsewhere
        ([range(10)], [range(50, 60)], ["missed"], ["false"]),
        # a part of it, once: neither split nor missed
        ([range(20)], [range(8)], ["poor"], ["other"]),
        # much too large
        ([range(10)], [range(35)], ["poor"], ["other"]),
        # a piece that reaches half counts, the other piece is left over
        ([range(20)], [range(12), range(12, 20)], ["found"], ["right", "other"]),
        ([], [range(3)], [], ["false"]),
        ([range(3)], [], ["missed"], []),
        ([], [], [], []),
    ],
)
def test_each_fate(truth, found, fate, nature):
    judged = judge_events([list(t) for t in truth], [list(f) for f in found])
    assert list(judged.fate) == fate
    assert list(judged.nature) == nature


@given(lists)
def test_the_truth_finds_itself(truth):
    judged = judge_events(truth, truth)
    assert set(judged.fate) <= {"found"}
    assert set(judged.nature) <= {"right"}
    assert f1_of([judged])["f1"] == 1


@given(lists, lists)
def test_matches_are_counted_the_same_on_both_sides(truth, found):
    judged = judge_events(truth, found)
    assert judged.count("found") == judged.count("right") == len(judged.ious)
    assert (len(judged.fate), len(judged.nature)) == (len(truth), len(found))


def test_f1_is_over_all_recordings_together():
    good = judge_events([[1, 2]], [[1, 2]])
    bad = judge_events([[1, 2], [5, 6]], [[9]])
    assert f1_of([good, bad]) == pytest.approx(
        {"f1": 2 / 5, "precision": 1 / 2, "recall": 1 / 3}
    )
    assert f1_of([])["f1"] == 1


def test_kinds_are_counted():
    judged = judge_events([[1, 2], [5, 6], [8]], [[1, 2]], ["wave", "wave", "soma"])
    assert judged.found_by_kind == {"wave": (1, 2), "soma": (0, 1)}


def test_reliability_is_the_share_of_true_events_at_a_confidence():
    found = [[1, 2], [50], [51], [5, 6]]
    judged = judge_events(
        [[1, 2], [5, 6]], found, None, np.array([0.99, 0.3, np.nan, 0.4])
    )
    rows = reliability([judged], (0.0, 0.5, 1.0))
    assert rows == [(0.0, 0.5, 2, 0.5), (0.5, 1.0, 1, 1.0)]
