"""Territories are those of the simulator's cells."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.errors import InvalidValueError
from astrocast.kernels.regions.territories import join_by_activity, segment_territories
from astrocast.kernels.traces.traces import Pixels
from astrocast.simulation import SimulationSettings, Simulator
from astrocast.simulation.footprints import Tissue


@pytest.mark.parametrize("seed", [1, 4])
def test_each_soma_has_a_territory_of_its_cell(seed: int) -> None:
    options = {"seed": seed, "rows": 192, "columns": 192, "frames": 20, "motion": 0.0}
    settings = SimulationSettings.preset("branches", **options)
    plan = Simulator(settings)
    scene, margin = plan.scene, plan.scene.margin
    mean = plan.movie(0, 20).mean(axis=0)
    labels = segment_territories(mean, settings.cell_spacing)
    nearest = Tissue(scene, settings).nearest_cell[scene.inside]
    somata = np.array([np.round(c.centre) - margin for c in scene.cells]).astype(int)
    somata = somata[((somata > 5) & (somata < 186)).all(axis=1)]
    found = labels[tuple(somata.T)].tolist()
    assert len(found) >= 8
    assert 0 not in found
    assert len(set(found)) == len(found)
    for label in found:
        counts = np.bincount(nearest[labels == label])
        assert counts.max() / counts.sum() > 0.8


def test_nothing_is_segmented_in_a_constant_image() -> None:
    assert not segment_territories(np.full((40, 50), 7.0), 20).any()
    assert not segment_territories(np.full((40, 50), np.nan), 20).any()
    for image, diameter in ((np.zeros((3, 4, 5)), 20), (np.zeros((9, 9)), np.nan)):
        with pytest.raises(
            InvalidValueError, match=r"found the shape|at least 3 are needed"
        ):
            segment_territories(image, diameter)


@pytest.mark.parametrize(("shared", "cells"), [(4, 2), (2, 3)])
def test_territories_active_together_are_one_cell(shared: int, cells: int) -> None:
    labels = np.repeat(np.array([[1, 1, 2, 2, 0, 3, 3]], np.int32), 2, axis=0)
    both, third = [0, 1, 2, 3], [5, 6]
    footprints = [both] * shared + [third] * 5
    flat = np.array([p for f in footprints for p in f], np.int64)
    offsets = np.cumsum([0, *map(len, footprints)])
    joined = join_by_activity(labels, Pixels(flat, offsets))
    assert joined.max() == cells
    assert (joined[0, 0] == joined[0, 3]) == (cells == 2)
    # a gap of one pixel keeps cells apart
    assert joined[0, 6] not in (0, joined[0, 3])
