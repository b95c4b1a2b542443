"""Events are attributed to cells, and counted per cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis.cells import (
    attribute_to_cells,
    describe_cells,
    regions_of_labels,
    segment_cells,
)
from astrocast.errors import InvalidValueError
from astrocast.simulation.cohort import CohortSettings, simulate_cohort


def test_events_are_attributed_to_the_cells_that_they_are_in() -> None:
    """Cells are the discs around the units of each simulated region."""
    made = simulate_cohort(CohortSettings(seed=3, animals=1, recordings=1, regions=4))
    name = made.recordings["recording"].iloc[0]
    events = made.events[made.events["recording"] == name]
    table = events.assign(mask=made.masks(name))
    units = made.units[made.units["recording"] == name]
    shape = (3000, 256, 256)
    row, column = np.indices(shape[1:])
    places = units[["row", "column"]].to_numpy()
    distance = np.stack([np.hypot(row - r, column - c) for r, c in places])
    nearest = units["region"].to_numpy()[distance.argmin(axis=0)] + 1
    labels = np.where(distance.min(axis=0) < 30, nearest, 0)
    cells = regions_of_labels(labels)
    assert all(
        (c.mask(shape[1:]) == (labels == i)).all() for i, c in enumerate(cells, 1)
    )
    found = attribute_to_cells(table, cells, shape[1:])
    true = [f"cell {r + 1}" for r in table["region"]]
    assert np.mean(found["cell"].to_numpy() == np.array(true)) > 0.95
    listed = describe_cells(table, found, cells, shape, frame_rate=5, pixel_size=0.5)
    counts = table.groupby("region").size()
    assert np.abs(listed["events"].to_numpy() - counts.to_numpy()).max() <= 3
    minutes = 3000 / 5 / 60
    assert listed["rate_per_min"].tolist() == pytest.approx(
        (listed["events"] / minutes).tolist()
    )
    assert listed["area_um2"].tolist() == (listed["area_px"] / 4).tolist()
    first = table[found["cell"].to_numpy() == "cell 1"]
    assert listed["mean_peak_dff"][0] == pytest.approx(first["peak_dff"].mean())
    alone = describe_cells(table[:0], found[:0], cells, shape)
    assert alone["events"].tolist() == [0] * 4
    assert alone["mean_peak_dff"].isna().all()


def test_cells_are_segmented_from_image_and_events() -> None:
    row, column = np.indices((40, 80))
    mean = sum(np.exp(-((row - 20) ** 2 + (column - c) ** 2) / 60.0) for c in (20, 58))
    cells = segment_cells(mean, 24)
    assert [c.name for c in cells] == ["cell 1", "cell 2"]
    assert cells[0].mask((40, 80))[20, 20]
    # a third one is dark, and seen by its events
    box = {"z0": [0, 5, 9], "x0": 2, "y0": 36, "z1": [2, 7, 11]}
    events = pd.DataFrame(box).assign(mask=pd.Series([np.ones((2, 6, 6), bool)] * 3))
    shown = segment_cells(mean, 24, events)
    assert any(c.mask((40, 80))[5, 38] for c in shown)
    with pytest.raises(InvalidValueError, match="no region of kind 'cell'"):
        attribute_to_cells(events, [], (40, 80))
