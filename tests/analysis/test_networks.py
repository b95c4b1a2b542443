"""Synchrony and propagation in tables with and without them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis.networks import (
    coactive_area,
    find_propagation,
    measure_synchrony,
)
from astrocast.errors import InvalidValueError

FRAMES = 1000


def events(seed: int, linked: bool) -> pd.DataFrame:
    """Eight units in a row; linked, each follows the one before by 2 frames."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.choice(FRAMES - 60, 12, replace=False))
    rows = []
    for unit in range(8):
        own = np.sort(rng.choice(FRAMES - 60, 12, replace=False))
        onsets = start + 2 * unit if linked else own
        rows += [(z, z + 6, unit, 10.0 * unit, 5.0, 120, unit // 4) for z in onsets]
    columns = ["z0", "z1", "unit", "cx", "cy", "v_area", "cell"]
    return pd.DataFrame(rows, columns=columns)


def test_linked_units_are_synchronous_and_others_are_not():
    assert measure_synchrony(events(0, True), FRAMES, surrogates=199).p < 0.01
    p = [
        measure_synchrony(events(i, False), FRAMES, surrogates=49, seed=i).p
        for i in range(30)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.2


def test_the_way_of_a_wave_is_found():
    found = find_propagation(
        events(1, True), FRAMES, reach=12, cell="cell", surrogates=99
    )
    assert len(found.pairs) >= 12 * 7
    assert found.test.p == 0.01
    assert found.test.ratio > 3
    assert found.pairs["lag"].median() == 2
    # of seven steps in a row of eight, one goes from cell to cell
    assert (~found.pairs["within"]).mean() == pytest.approx(1 / 7, abs=0.05)
    alone = find_propagation(events(2, False), FRAMES, reach=12, surrogates=99)
    assert alone.test.p > 0.02


def test_area_adds_up_to_the_voxels():
    table = events(3, True)
    area = coactive_area(table, FRAMES)
    assert area.sum() == pytest.approx(table["v_area"].sum())


def test_one_unit_is_no_network():
    table = events(0, True).query("unit == 0")
    with pytest.raises(InvalidValueError, match="fewer than two values"):
        measure_synchrony(table, FRAMES)
