"""Neighbours of events against a loop over all pairs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import distance_transform_edt

from astrocast.kernels.event_features.neighbours import (
    nearest_of_region,
    same_place,
    simultaneous,
)
from astrocast.kernels.ragged.ragged import offsets_of
from astrocast.kernels.traces.traces import Pixels

regions = st.lists(
    st.sets(st.integers(0, 19), min_size=1, max_size=8), min_size=1, max_size=8
)


@given(regions, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.3, 0.5, 1.0]))
def test_same_place_is_that_of_every_pair(sets, share, ratio):
    pixels = Pixels(
        np.concatenate([np.array(sorted(s)) for s in sets]),
        offsets_of([len(s) for s in sets]),
    )
    place, size = same_place(pixels, 20, share, ratio)
    for i, a in enumerate(sets):
        met = [
            b
            for j, b in enumerate(sets)
            if j != i and a & b and len(a & b) >= share * min(len(a), len(b))
        ]
        assert place[i] == len(met)
        assert size[i] == sum(
            min(len(a), len(b)) >= ratio * max(len(a), len(b)) for b in met
        )


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=12)
)
def test_simultaneous_events_share_a_frame(events):
    z0 = np.array([a for a, _ in events])
    z1 = z0 + np.array([d for _, d in events])
    expected = [
        sum(j != i and z0[j] < z1[i] and z0[i] < z1[j] for j in range(len(z0)))
        for i in range(len(z0))
    ]
    assert_array_equal(simultaneous(z0, z1), expected)


def test_distance_to_a_region_is_that_of_the_distance_transform():
    rng = np.random.default_rng(0)
    region = rng.random((30, 40)) < 0.01
    size = (0.5, 2.0)
    rows, columns = (v.ravel().astype(float) for v in np.mgrid[:30, :40])
    away = np.hypot(*nearest_of_region(region, rows, columns, size))
    assert_allclose(
        away.reshape(30, 40), distance_transform_edt(~region, size), atol=1e-9
    )
    assert np.isnan(
        nearest_of_region(region, np.array([np.nan]), np.array([1.0]), size)[0][0]
    )
    x, y = np.argwhere(region)[:1].T
    assert nearest_of_region(region, x + 0.4, y * 1.0, size)[0][0] == 0
