"""Regions of scattered voxels, compared with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, generate_binary_structure, label

from astrocast.kernels.masks.scattered import flood_outside, largest_region

SHAPE = (7, 9, 11)


@pytest.mark.parametrize("share", [0.02, 0.15, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_largest_region_and_its_holes_are_those_of_scipy(
    seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.random(SHAPE) < share
    volume[seed % 7, 4, 5] = True
    regions, count = label(volume, generate_binary_structure(3, 3))
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    largest = regions == 1 + sizes.argmax()
    box, low = largest_region(np.flatnonzero(volume), *SHAPE[1:])
    inside = tuple(
        slice(a, a + n - 2) for a, n in zip(low.tolist(), box.shape, strict=True)
    )
    np.testing.assert_array_equal(box[1:-1, 1:-1, 1:-1] == 1, largest[inside])
    assert not box[[0, -1]].any()
    filled = binary_fill_holes(largest)
    flood_outside(box)
    np.testing.assert_array_equal(box[1:-1, 1:-1, 1:-1] != 2, filled[inside])


def test_a_shell_keeps_its_inside_and_a_line_has_none() -> None:
    shell = np.ones((4, 5, 6), bool)
    shell[1:-1, 1:-1, 1:-1] = False
    for volume in (shell, np.ones((1, 1, 5), bool)):
        box, _ = largest_region(np.flatnonzero(volume), *volume.shape[1:])
        flood_outside(box)
        assert (box[1:-1, 1:-1, 1:-1] != 2).all()
