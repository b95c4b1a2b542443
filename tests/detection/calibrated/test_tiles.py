"""Wide frames are searched in tiles; events that cross the border of tiles are whole.

The tiles of these tests are small, so that small recordings are cut. Events stand on
borders, on a corner where four tiles meet, and in the middle of a tile.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.detection.calibrated import tiles
from astrocast.detection.calibrated.segment import calibrated_events
from astrocast.io.memory import ArrayRecording
from astrocast.kernels.masks.runs import find_runs
from astrocast.kernels.masks.tile_runs import cut_frames, join_tile_runs
from astrocast.simulation.scoring import score

SHAPE = (150, 128, 144)
#: frame of the peak, row, column: tiles meet at row 64 and column 72
EVENTS = (
    (30, 64, 72), (60, 64, 30), (60, 30, 72), (95, 100, 110), (110, 20, 20),
    (120, 66, 70), (125, 90, 71),
)  # fmt: skip


@pytest.fixture(scope="module")
def movie() -> NDArray[np.uint16]:
    rng = np.random.default_rng(12)
    still = 40 * np.clip(
        1 + ndimage.gaussian_filter(rng.normal(size=SHAPE[1:]), 2) * 3, 0.4, 3
    )
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    light = np.ones(SHAPE)
    for t, row, column in EVENTS:
        light += 0.8 * np.exp(
            -((z - t) ** 2) / 26 - ((y - row) ** 2 + (x - column) ** 2) / 30
        )
    return (90 + 2 * rng.poisson(still * light)).astype(np.uint16)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "UNCUT", 100)
    monkeypatch.setattr(tiles, "SIDE", 66)


def flat(events: list[NDArray[np.int64]]) -> list[list[int]]:
    return [event.tolist() for event in events]


def test_events_on_borders_are_those_of_whole_frames(
    movie: NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch, small_tiles: None
) -> None:
    assert len(tiles.plan_tiles(SHAPE[1:])) == 4
    found = calibrated_events(ArrayRecording(movie))
    monkeypatch.setattr(tiles, "UNCUT", 1536)
    whole = calibrated_events(ArrayRecording(movie))
    assert len(found) == len(whole) == len(EVENTS)
    judged = score(whole, found)
    assert judged.f1 == 1.0
    for t, row, column in EVENTS:  # one event holds the peak and what is around it
        near = [
            np.ravel_multi_index((t, row + i, column + j), SHAPE)
            for i in (-2, 2)
            for j in (-2, 2)
        ]
        assert sum(np.isin(near, event).all() for event in found) == 1


def test_neither_blocks_nor_threads_change_what_tiles_give(
    movie: NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch, small_tiles: None
) -> None:
    found = calibrated_events(ArrayRecording(movie))
    monkeypatch.setattr(tiles, "_TILE_VOXELS", 40 * 70 * 80)
    monkeypatch.setattr(tiles, "_THIN", 7)
    with ThreadPoolExecutor(3) as pool:
        cut = calibrated_events(ArrayRecording(movie), pool=pool)
    assert flat(cut) == flat(found)


def test_neither_border_nor_missing_values_are_lost_between_tiles() -> None:
    size = (3000, 1000)
    planned = tiles.plan_tiles(size)
    assert len(planned) == 3
    inside = np.zeros(size, int)
    for tile in planned:
        top, bottom, left, right = tile.border((1100, 7, 5, 0), size)
        shown = inside[tile.around_rows, tile.around_columns]
        rows, columns = shown.shape
        shown[top : rows - bottom, left : columns - right] += 1
        inside[tile.rows, tile.columns] += 10
        own = np.zeros(shown.shape, int)
        own[tile.own] = 1
        assert own.sum() == (tile.rows.stop - tile.rows.start) * size[1]
    wanted = np.full(size, 10)
    wanted[1100:-7, 5:] = 11
    np.testing.assert_array_equal(inside, wanted)


@pytest.mark.parametrize("seed", [0, 1])
def test_runs_of_tiles_are_those_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((4, 13, 17)) < 0.5
    values = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
    rows, columns = [0, 5, 13], [0, 6, 7, 17]
    parts, kept = [], []
    for a, b in pairwise(rows):
        for c, d in pairwise(columns):
            part = np.ascontiguousarray(mask[:, a:b, c:d])
            parts.append((find_runs(part), a, c))
            kept.append(values[:, a:b, c:d][part])
    runs, voxels = join_tile_runs(parts, mask.shape)
    whole = find_runs(mask)
    for name in ("start", "stop", "first"):
        np.testing.assert_array_equal(getattr(runs, name), getattr(whole, name))
    np.testing.assert_array_equal(np.concatenate(kept)[voxels], values[mask])
    some, which = cut_frames(whole, 1, 3)
    expected = find_runs(mask[1:3])
    np.testing.assert_array_equal(some.first, expected.first)
    np.testing.assert_array_equal(some.start, expected.start)
    assert which.stop - which.start == len(expected)


def test_a_frame_without_candidates_has_no_runs() -> None:
    nothing = find_runs(np.zeros((2, 3, 4), bool))
    runs, voxels = join_tile_runs([(nothing, 0, 0), (nothing, 0, 4)], (2, 3, 8))
    assert len(runs) == len(voxels) == 0
    assert runs.first.tolist() == [0] * 7
