"""Units that recur in known places, and follow each other with a known delay."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis.units import find_units, unit_groups
from astrocast.errors import DatasetNotFoundError, InvalidValueError

SHAPE = (1200, 60, 60)
#: row, column of the corner of each unit
PLACES = ((5, 5), (5, 35), (35, 20))


def make_events(seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Unit 1 follows unit 0 by 6 frames; unit 2 is on its own. True unit per event."""
    rng = np.random.default_rng(seed)
    first = np.sort(rng.choice(SHAPE[0] - 40, 30, replace=False))
    trains = [first, first + 6, np.sort(rng.choice(SHAPE[0] - 40, 30, replace=False))]
    rows, truth = [], []
    for unit, onsets in enumerate(trains):
        for onset in onsets:
            row, column = np.array(PLACES[unit]) + rng.integers(-1, 2, 2)
            mask = np.zeros((5, 14, 14), bool)
            rr, cc = np.mgrid[:14, :14]
            for t in range(5):
                mask[t] = np.hypot(rr - 7, cc - 7) <= 4 + (t == 2)
            rows.append(
                {
                    "z0": onset,
                    "z1": onset + 5,
                    "x0": row,
                    "y0": column,
                    "mask": mask,
                    "footprint": mask.any(axis=0),
                }
            )
            truth.append(unit)
    table = pd.DataFrame(rows).sample(frac=1, random_state=seed)
    order = table.index.to_numpy()
    return table, np.array(truth)[order]


@pytest.mark.parametrize("weighted", [True, False])
def test_places_are_found_again(weighted: bool):
    table, truth = make_events(0)
    units = find_units(table, SHAPE, weighted=weighted)
    pairs = set(zip(units.labels.tolist(), truth.tolist(), strict=True))
    assert len(pairs) == 3
    assert units.table["events"].tolist() == [30, 30, 30]
    assert units.table["rate_per_frame"].tolist() == pytest.approx([30 / 1200] * 3)
    for found, true in pairs:
        row, column = np.array(PLACES[true]) + 7
        assert units.table.loc[found, "row"] == pytest.approx(row, abs=0.5)
        assert units.table.loc[found, "column"] == pytest.approx(column, abs=0.5)
        assert units.map(found).max() == 1.0
    assert len(units) == 3


def test_the_unit_that_follows_is_found_with_its_delay():
    table, truth = make_events(1)
    units = find_units(table, SHAPE)
    name = dict(zip(truth.tolist(), units.labels.tolist(), strict=True))
    pairs = units.dependence(lag=(1, 10))
    best = pairs.iloc[0]
    assert (best["first"], best["then"]) == (name[0], name[1])
    assert best["delay"] == 6
    assert best["q"] < 0.01
    assert (pairs["q"] < 0.05).sum() == 1
    group, delay = unit_groups(pairs, len(units))
    assert group[name[0]] == group[name[1]] >= 0
    assert group[name[2]] == -1
    assert delay[name[1]] - delay[name[0]] == pytest.approx(6.0)


def test_wrong_questions_are_refused():
    table, _ = make_events(2)
    with pytest.raises(InvalidValueError, match="overlap is 2"):
        find_units(table, SHAPE, overlap=2)
    with pytest.raises(DatasetNotFoundError, match="no column 'mask'"):
        find_units(table.drop(columns="mask"), SHAPE)
    assert len(find_units(table.iloc[:0], SHAPE)) == 0
