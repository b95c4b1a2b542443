from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label, regionprops
from skimage.morphology import convex_hull_image

from astrocast.kernels.event_features.event_shapes import EventRuns, event_shapes
from astrocast.kernels.event_features.features import Boxes
from astrocast.kernels.event_features.shape import (
    FOOTPRINT_PROPERTIES,
    MASK_PROPERTIES,
    footprint_shape,
    mask_shape,
)
from astrocast.kernels.masks.runs import label_runs_of_volume
from astrocast.kernels.segmentation.labelling import label as number


def largest_region(seed: int, shape: tuple[int, ...], share: float) -> np.ndarray:
    """One connected region that fills its bounding box."""
    noise = np.random.default_rng(seed).random(shape) < share
    labels = label(noise, connectivity=1)
    if not labels.any():
        return np.ones((1,) * len(shape), bool)
    mask = labels == np.argmax(np.bincount(labels[labels > 0]))
    return mask[tuple(slice(i.min(), i.max() + 1) for i in np.nonzero(mask))]


def expected(mask: np.ndarray, name: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image on hulls that are flat
        region = regionprops(mask.astype(np.uint8))[0]
        if "-" in name:
            axis = int(name[-1])
            return region.centroid_local[axis] / mask.shape[axis]
        return getattr(region, name)


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    share=st.sampled_from([0.2, 0.5, 0.7, 0.95]),
)
def test_footprints_equal_regionprops(seed, shape, share):
    mask = largest_region(seed, shape, share)
    found = footprint_shape(mask)
    for name in FOOTPRINT_PROPERTIES:
        truth = expected(mask, name)
        if name == "orientation":  # an axis has no direction
            assert np.cos(2 * (found[name] - truth)) == pytest.approx(1, abs=1e-9)
        else:
            assert found[name] == pytest.approx(truth, rel=1e-9, abs=1e-9), name


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(2, 9), st.integers(1, 9), st.integers(1, 9)),
    share=st.sampled_from([0.3, 0.6, 0.9]),
)
def test_masks_equal_regionprops(seed, shape, share):
    mask = largest_region(seed, shape, share)
    if len(mask) < 2:
        return
    found = mask_shape(mask)
    for name in MASK_PROPERTIES:
        truth = expected(mask, name)
        if np.isfinite(truth):  # scikit-image has no hull of flat masks
            assert found[name] == pytest.approx(truth, rel=1e-9, abs=1e-6), name


def test_flat_masks_have_a_hull_too():
    line = np.zeros((3, 1, 4), bool)
    line[0, 0, :2] = line[1, 0, 1:3] = line[2, 0, 2:] = True
    assert 0 < mask_shape(line)["solidity"] <= 1
    assert mask_shape(np.ones((5, 1, 1), bool))["solidity"] == 1


def test_a_ball_is_as_round_as_it_is():
    z, y, x = np.mgrid[-6:7, -6:7, -6:7]
    ball = z**2 + y**2 + x**2 <= 36
    shape = mask_shape(ball)
    assert shape["equivalent_diameter_area"] == pytest.approx(12, rel=0.05)
    assert shape["axis_major_length"] == pytest.approx(shape["axis_minor_length"])
    assert shape["solidity"] == ball.sum() / convex_hull_image(ball).sum()


def test_many_events_at_once_are_each_as_alone():
    labels, n = number(np.random.default_rng(4).random((8, 20, 20)) < 0.3)
    runs, of = label_runs_of_volume(labels)
    boxes = Boxes.empty(n)
    boxes.add(runs, of, 0)
    order = np.argsort(of, kind="stable")
    columns = [
        np.asarray(c, np.int64)[order]
        for c in (runs.frame(), runs.row(), runs.start, runs.stop)
    ]
    shapes = event_shapes(
        EventRuns(*columns, np.searchsorted(of[order], np.arange(1, n + 2))),
        boxes.low,
        boxes.high,
    )
    for e in range(n):
        box = tuple(
            slice(a, b) for a, b in zip(boxes.low[e], boxes.high[e], strict=True)
        )
        mask = labels[box] == e + 1
        bits = shapes.mask_bits[shapes.mask_offsets[e] : shapes.mask_offsets[e + 1]]
        np.testing.assert_array_equal(
            np.unpackbits(bits, count=mask.size, bitorder="little"), mask.ravel()
        )
        assert dict(
            zip(FOOTPRINT_PROPERTIES, shapes.footprint[e], strict=True)
        ) == footprint_shape(mask.any(axis=0))
        if len(mask) > 1:
            assert dict(
                zip(MASK_PROPERTIES, shapes.mask[e], strict=True)
            ) == mask_shape(mask)
        else:
            assert np.isnan(shapes.mask[e]).all()
