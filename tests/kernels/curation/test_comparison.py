"""Agreement against scikit-learn, changes against plain sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.errors import InvalidValueError
from astrocast.kernels.curation.agreement import measure_agreement
from astrocast.kernels.curation.compare_events import compare_events

labels = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=40
)


@given(labels)
def test_kappa_is_scikit_learn_s(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the oracle")
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = measure_agreement(first, second)
    assert found.agreement == pytest.approx(np.mean([a == b for a, b in pairs]))
    if len({*first, *second}) > 1:
        expected = metrics.cohen_kappa_score(first, second)
        assert found.kappa == pytest.approx(expected)


def test_nothing_to_compare_is_no_number() -> None:
    assert np.isnan(measure_agreement([], []).kappa)
    with pytest.raises(InvalidValueError, match="2 and 1 labels"):
        measure_agreement(["a", "b"], ["a"])


events = st.lists(st.sets(st.integers(0, 40), min_size=1, max_size=12), max_size=6)


@given(events, events)
def test_changes_are_those_of_sets(before: Any, after: Any) -> None:
    found = compare_events(
        [np.array(sorted(s)) for s in before], [np.array(sorted(s)) for s in after], 0.5
    )
    for kind, own in zip(found.after, after, strict=True):
        best = max((len(own & b) / len(own | b) for b in before), default=0.0)
        assert (kind == "new") == (best == 0)
        assert kind != "kept" or best >= 0.5
    for kind, own in zip(found.before, before, strict=True):
        assert (kind == "lost") == (not any(own & a for a in after))
    assert found.before.count("kept") == found.after.count("kept")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_the_same_events_are_all_kept(sizes: list[int]) -> None:
    ends = np.cumsum(sizes)
    same = [np.arange(b - n, b) for b, n in zip(ends, sizes, strict=True)]
    found = compare_events(same, same)
    assert set(found.before) == set(found.after) == {"kept"}
    assert found.partner.tolist() == list(range(len(sizes)))
