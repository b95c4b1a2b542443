from __future__ import annotations

import numpy as np
from skimage.measure import find_contours

from astrocast.kernels.masks.contours import mask_contours


def test_outlines_are_those_of_each_padded_frame_in_the_recording():
    mask = np.zeros((2, 5, 6), bool)
    mask[0, 1:4, 1:5] = True
    mask[0, 2, 2] = False  # a hole has an outline of its own
    mask[1, 0, 0] = True
    outlines = mask_contours(mask, (10, 20, 30))
    assert [o[0, 0] for o in outlines] == [10, 10, 11]
    truth = find_contours(np.pad(mask[0], 1).astype(float), 0.9)
    for found, expected in zip(outlines, truth, strict=False):
        np.testing.assert_allclose(
            found[:, 1:], expected + np.array([19, 29]), rtol=1e-6
        )
        np.testing.assert_array_equal(found[0], found[-1])


def test_an_outline_lies_just_inside_the_pixels():
    [line] = mask_contours(np.ones((1, 3, 3), bool))
    assert np.isclose(line[:, 1:].min(), -0.1)
    assert np.isclose(line[:, 1:].max(), 2.1)
