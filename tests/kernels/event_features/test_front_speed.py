"""Speed and direction of fronts that are known."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from astrocast.kernels.event_features.front_speed import front_speed
from astrocast.kernels.masks.packed_masks import pack_masks


def moving_front(onset: np.ndarray, last: int) -> np.ndarray:
    """Mask of an event whose pixels begin at ``onset`` and stay active; -1: outside."""
    frames = np.arange(last + 1)[:, None, None]
    return (onset >= 0) & (onset <= frames)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, -135.0])
def test_finds_speed_and_direction_of_a_plane_front(angle: float) -> None:
    y, x = np.mgrid[:41, :41]
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    onset = np.floor((along - along.min()) / 1.5).astype(int)
    found = front_speed(pack_masks([moving_front(onset, onset.max())]))
    assert found.direction[0] == pytest.approx(angle, abs=2)
    # from a corner the way within the footprint is longer than the way of the plane
    assert found.speed[0] == pytest.approx(1.5, rel=0.03 if angle % 90 == 0 else 0.3)
    assert found.direction_error[0] < 5


def test_measures_the_way_along_a_bent_process_not_across_it() -> None:
    """A process in the shape of a U, 3 pixels wide, travelled at 0.8 pixels a frame."""
    shape = np.zeros((40, 30), bool)
    shape[2:38, 2:5] = shape[2:38, 25:28] = shape[35:38, 2:28] = True
    start = np.zeros_like(shape)
    start[2:4, 2:5] = True
    onset = np.where(shape, np.ceil(ways(shape, start) / 0.8), -1).astype(int)
    found = front_speed(pack_masks([moving_front(onset, onset.max())]))
    assert found.speed[0] == pytest.approx(0.8, rel=0.05)
    assert found.speed_error[0] < 0.05


def ways(shape: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Way within ``shape`` from ``start`` by Dijkstra over the eight neighbours."""
    pixels = np.argwhere(shape)
    number = np.full(shape.shape, -1)
    number[tuple(pixels.T)] = np.arange(len(pixels))
    rows, columns, lengths = [], [], []
    for i, (y, x) in enumerate(pixels):
        for v in range(max(y - 1, 0), min(y + 2, shape.shape[0])):
            for u in range(max(x - 1, 0), min(x + 2, shape.shape[1])):
                if number[v, u] >= 0 and (v, u) != (y, x):
                    rows.append(i)
                    columns.append(number[v, u])
                    lengths.append(np.hypot(v - y, u - x))
    graph = coo_array((lengths, (rows, columns)), shape=(len(pixels), len(pixels)))
    found = dijkstra(graph.tocsr(), indices=number[start], min_only=True)
    out = np.full(shape.shape, np.inf)
    out[tuple(pixels.T)] = found
    return out


def test_an_event_that_lights_up_at_once_has_no_speed() -> None:
    found = front_speed(pack_masks([np.ones((6, 9, 9), bool)]))
    assert np.isnan(found.speed[0])


def test_random_onsets_have_no_speed_or_a_large_error() -> None:
    rng = np.random.default_rng(5)
    masks = [moving_front(rng.integers(0, 5, (12, 12)), 4) for _ in range(100)]
    found = front_speed(pack_masks(masks))
    assert np.isnan(found.speed).mean() > 0.9
