"""Scores agree with a search through all matchings, and keep their invariants."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocast.errors import InvalidValueError
from astrocast.simulation import score

volumes = arrays(np.int32, (2, 3, 5), elements=st.integers(0, 4))
lists = st.lists(
    st.lists(st.integers(0, 15), min_size=1, max_size=8).map(lambda v: np.unique(v)),
    max_size=4,
)
thresholds = st.sampled_from([0.1, 0.3, 0.5, 0.9])


def voxel_lists(labels):
    return [np.flatnonzero(labels == k) for k in np.unique(labels) if k]


def search_all(truth, found, iou):
    """Number of matches and sum of overlaps of the best of all matchings."""
    table = np.array(
        [
            [len(np.intersect1d(t, f)) / len(np.union1d(t, f)) for f in found]
            for t in truth
        ]
    )
    if not truth or not found:
        return 0, 0.0
    if len(truth) > len(found):
        table = table.T
    table = np.where(table >= iou, table, 0)
    rows = np.arange(len(table))
    tried = (
        table[rows, list(order)]
        for order in permutations(range(table.shape[1]), len(rows))
    )
    return max(((values > 0).sum(), round(values.sum(), 9)) for values in tried)


@given(volumes, volumes, thresholds)
def test_volumes_are_matched_as_well_as_possible(truth, found, iou):
    result = score(truth, found, iou)
    n, total = search_all(voxel_lists(truth), voxel_lists(found), iou)
    assert len(result.pairs) == n
    assert result.ious.sum() == pytest.approx(total)
    for (t, f), value in zip(result.pairs, result.ious, strict=True):
        a, b = truth == t, found == f
        assert value == pytest.approx((a & b).sum() / (a | b).sum())


@given(lists, lists, thresholds)
def test_overlapping_events_are_matched_as_well_as_possible(truth, found, iou):
    result = score(truth, found, iou)
    n, total = search_all(truth, found, iou)
    assert (len(result.pairs), result.n_truth, result.n_found) == (
        n,
        len(truth),
        len(found),
    )
    assert result.ious.sum() == pytest.approx(total)


@given(volumes, volumes)
def test_a_volume_and_its_voxel_lists_score_alike(truth, found):
    whole = score(truth, found)
    for mixed in (score(voxel_lists(truth), found), score(truth, voxel_lists(found))):
        assert (mixed.precision, mixed.recall, mixed.f1) == (
            whole.precision,
            whole.recall,
            whole.f1,
        )
        assert np.allclose(mixed.ious.sum(), whole.ious.sum())


@given(volumes)
def test_the_truth_scores_one(truth):
    result = score(truth, truth)
    assert (result.precision, result.recall, result.f1) == (1, 1, 1)
    assert np.all(result.ious == 1)
    assert np.all(result.pairs[:, 0] == result.pairs[:, 1])


@given(volumes, volumes, st.permutations([3, 900, 17, 40]))
def test_numbering_does_not_matter(truth, found, numbers):
    renamed = np.array([0, *numbers])[found]
    one, two = score(truth, found, 0.3), score(truth, renamed, 0.3)
    assert (one.precision, one.recall, one.f1) == (two.precision, two.recall, two.f1)
    assert one.ious.sum() == pytest.approx(two.ious.sum())


@given(volumes, volumes)
def test_exchanging_both_exchanges_precision_and_recall(truth, found):
    one, two = score(truth, found), score(found, truth)
    assert (one.precision, one.recall, one.f1) == (two.recall, two.precision, two.f1)


def test_slices_of_a_large_volume_are_put_together(monkeypatch):
    rng = np.random.default_rng(0)
    truth, found = (rng.integers(0, 5, (7, 8, 9)) for _ in range(2))
    whole = score(truth, found, 0.05)
    monkeypatch.setattr("astrocast.simulation.scoring.SLICE_VOXELS", 50)
    cut = score(truth, found, 0.05)
    assert np.array_equal(whole.pairs, cut.pairs)
    assert np.array_equal(whole.ious, cut.ious)


def test_nothing_to_find():
    nothing, something = np.zeros((2, 3, 4), np.int32), np.ones((2, 3, 4), np.int32)
    assert score(nothing, nothing).f1 == 1
    assert score([], []).f1 == 1
    for result in (
        score(nothing, something),
        score(something, nothing),
        score(something, []),
    ):
        assert (result.precision, result.recall, result.f1) == (0, 0, 0)
        assert np.isnan(result.mean_iou)
        assert result.pairs.shape == (0, 2)


@pytest.mark.parametrize(
    ("truth", "found", "iou", "message"),
    [
        (
            np.zeros((2, 2, 2), int),
            np.zeros((2, 2, 3), int),
            0.5,
            r"\(2, 2, 2\).*\(2, 2, 3\)",
        ),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2), int), 0.5, "float64"),
        (np.full((2, 2, 2), -1), np.zeros((2, 2, 2), int), 0.5, "-1"),
        (np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int), 0.0, "above 0"),
    ],
)
def test_what_cannot_be_compared_is_said(truth, found, iou, message):
    with pytest.raises(InvalidValueError, match=message):
        score(truth, found, iou)
