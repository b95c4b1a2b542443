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
from astrocast.io.stores.regions import Region
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
    with pytest.raises(InvalidValueError, match="no region is of kind 'cell'"):
        attribute_to_cells(events, [], (40, 80))


def test_parts_of_cells_hold_events_and_have_rows() -> None:
    def box(name: str, kind: str, columns: tuple[float, float]) -> Region:
        low, high = columns
        ring = ((0.0, low), (0.0, high), (20.0, high), (20.0, low))
        return Region(name, kind, (ring,))

    regions = [
        box("a", "cell", (0.0, 20.0)),
        box("b", "cell", (20.0, 40.0)),
        box("a soma", "soma", (0.0, 8.0)),
        box("foot", "endfoot", (30.0, 40.0)),
    ]
    place = {"z0": [0, 3, 6], "z1": [2, 5, 8], "x0": 4, "y0": [2, 12, 31]}
    table = pd.DataFrame(place).assign(mask=pd.Series([np.ones((2, 4, 4), bool)] * 3))
    found = attribute_to_cells(table, regions, (20, 40))
    assert found["cell"].tolist() == ["a", "a", "b"]
    assert found["part"].tolist() == ["a soma", "", "foot"]
    assert found["part_kind"].tolist() == ["soma", "", "endfoot"]
    listed = describe_cells(table, found, regions, (10, 20, 40)).set_index("region")
    assert listed["kind"].tolist() == ["cell", "cell", "soma", "endfoot"]
    assert listed["cell"].tolist() == ["a", "b", "a", "b"]
    assert listed["events"].tolist() == [2, 1, 1, 1]
    parts = attribute_to_cells(table, regions[2:], (20, 40))
    assert (parts["cell"].to_numpy() == "").all()
    alone = describe_cells(table, parts, regions[2:], (10, 20, 40))
    assert alone["cell"].tolist() == ["", ""]


def test_segmented_cells_have_parts_on_request() -> None:
    row, column = np.indices((60, 60))
    away = np.hypot(row - 30, column - 30)
    mean = np.exp(-(away**2) / 30) + 0.3 * (away < 22)
    regions = segment_cells(mean, 44, parts=True)
    kinds = [r.kind for r in regions]
    assert kinds[0] == "cell"
    assert {"soma", "process"} <= set(kinds)
    masks = {r.name: r.mask((60, 60)) for r in regions}
    assert masks["cell 1 soma"][30, 30]
    union = np.logical_or.reduce([m for n, m in masks.items() if n != "cell 1"])
    assert (union == masks["cell 1"]).all()
