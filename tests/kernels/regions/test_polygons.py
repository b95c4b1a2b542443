"""Polygons against matplotlib, brushes against distances, outlines to masks and
back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Outline

from astrocast.errors import InvalidValueError
from astrocast.kernels.masks.packed_masks import pack_masks
from astrocast.kernels.masks.pixel_outlines import outline_frames
from astrocast.kernels.regions.outline_rings import trace_rings
from astrocast.kernels.regions.polygons import brush_mask, polygon_mask

SHAPE = (12, 15)


@given(st.integers(0, 10_000))
def test_a_simple_polygon_is_matplotlib_s(seed: int) -> None:
    draw = np.random.default_rng(seed)
    angles = np.sort(draw.uniform(0, 2 * np.pi, draw.integers(3, 9)))
    radius = draw.uniform(1.0, 9.0, len(angles))
    points = np.stack([6 + radius * np.sin(angles), 7 + radius * np.cos(angles)], 1)
    rows, columns = np.mgrid[0:12, 0:15] + 0.5
    centres = np.stack([rows.ravel(), columns.ravel()], 1)
    expected = Outline(points, closed=False).contains_points(centres).reshape(SHAPE)
    assert (polygon_mask([points], SHAPE) == expected).mean() == 1.0


@given(arrays(bool, SHAPE))
def test_the_rings_of_a_mask_give_the_mask_again(mask: Any) -> None:
    masks = pack_masks([mask[None]])
    found = outline_frames(masks, np.zeros((1, 3), np.int64), None)
    rings = trace_rings(found.points)
    assert (polygon_mask(rings, SHAPE) == mask).all()


@given(arrays(bool, (3, 5, 6)))
def test_an_outline_is_as_long_as_the_border(mask: Any) -> None:
    for frame in (0, 1, 2, None):
        masks = pack_masks([mask])
        origin = np.array([[4, 2, 3]])
        at = None if frame is None else frame + 4
        found = outline_frames(masks, origin, at).points
        plane = np.pad(mask.any(axis=0) if frame is None else mask[frame], 1)
        edges = (plane[1:] != plane[:-1]).sum() + (plane[:, 1:] != plane[:, :-1]).sum()
        assert np.abs(found[:, 2:] - found[:, :2]).sum() == edges
        if len(found):
            assert found.min() >= 2


def test_an_event_that_is_not_active_has_no_outline() -> None:
    one = pack_masks([np.ones((2, 2, 2), bool)])
    for frame in (3, 6):
        assert not len(outline_frames(one, np.array([[4, 0, 0]]), frame).points)


@given(arrays(float, (3, 2), elements=st.floats(0, 12)), st.floats(0.3, 4))
def test_a_brush_paints_what_is_near(path: Any, radius: float) -> None:
    found = brush_mask(path, radius, SHAPE)
    share = np.linspace(0, 1, 400)[:, None]
    line = np.concatenate([a + share * (b - a) for a, b in pairwise(path)])
    rows, columns = np.mgrid[0:12, 0:15] + 0.5
    centres = np.stack([rows.ravel(), columns.ravel()], 1)
    nearest = np.sqrt(((centres[:, None] - line) ** 2).sum(axis=2)).min(axis=1)
    sure = np.abs(nearest - radius) > 0.05
    assert (found.ravel() == (nearest <= radius))[sure].all()


@pytest.mark.parametrize("points", [[[0, 0], [1, 1]], [[0, 0], [1, np.nan], [2, 2]]])
def test_what_is_no_polygon_is_refused(points: Any) -> None:
    with pytest.raises(InvalidValueError):
        polygon_mask([np.array(points, float)], SHAPE)
