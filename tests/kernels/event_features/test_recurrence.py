"""Units: similarity equals dense images, places that recur are found again."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.kernels.event_features import recurrence
from astrocast.kernels.event_features.recurrence import (
    footprint_similarity,
    recurring_units,
)

SHAPE = (40, 40)


def disc(row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = np.hypot(rows - row, columns - column) <= radius
    return np.flatnonzero(inside.ravel())


def packed(footprints: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    offsets = np.cumsum([0, *map(len, footprints)])
    pixels = np.concatenate(footprints)
    return offsets, pixels, np.ones(len(pixels), np.float32)


def test_similarity_equals_that_of_whole_images():
    rng = np.random.default_rng(0)
    footprints = [disc(*rng.uniform(5, 35, 2), rng.uniform(2, 8)) for _ in range(15)]
    offsets, pixels, _ = packed(footprints)
    weights = rng.uniform(0.5, 3, len(pixels)).astype(np.float32)
    images = np.zeros((15, 1600))
    for i in range(15):
        part = slice(offsets[i], offsets[i + 1])
        images[i, pixels[part]] = weights[part]
    unit = images / np.linalg.norm(images, axis=1, keepdims=True)
    expected = unit @ unit.T
    found = footprint_similarity(offsets, pixels, weights, 1600, 0.0).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("dense", [4000, 3])
def test_places_that_recur_are_units(monkeypatch: pytest.MonkeyPatch, dense: int):
    monkeypatch.setattr(recurrence, "_DENSE", dense)
    rng = np.random.default_rng(1)
    places = [(10, 10), (10, 28), (28, 20)]
    truth = rng.integers(0, 3, 30)
    footprints = [
        disc(*(np.array(places[k]) + rng.normal(0, 0.5, 2)), 5 + rng.uniform(-0.5, 0.5))
        for k in truth
    ]
    similarity = footprint_similarity(*packed(footprints), 1600, 0.05)
    found = recurring_units(similarity, 0.5)
    assert len(set(zip(found.tolist(), truth.tolist(), strict=True))) == 3
    assert found[0] == 0


def test_a_chain_of_overlaps_is_not_one_unit():
    # neighbours overlap, the ends share nothing: average linkage does not chain
    footprints = [disc(20, 5 + 3 * i, 4) for i in range(9)]
    similarity = footprint_similarity(*packed(footprints), 1600, 0.0)
    found = recurring_units(similarity, 0.5)
    assert found[0] != found[-1]
    assert len(set(found.tolist())) >= 3
