"""Grey values against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocast.errors import InvalidValueError
from astrocast.kernels.frames.contrast import map_contrast, map_contrast_small


@given(
    arrays(np.float32, (3, 4, 5), elements=st.floats(-1e4, 1e4, width=32)),
    st.floats(-1e3, 1e3),
    st.floats(1e-2, 1e3),
)
def test_grey_values_are_linear_and_cut(frames: Any, low: float, span: float) -> None:
    before = frames.copy()
    found = map_contrast(frames, low, low + span)
    level = (frames.astype(np.float64) - low) * (255.0 / (low + span - low))
    assert np.abs(found - np.clip(level, 0, 255)).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(frames, before)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float64])
def test_every_kind_of_movie(kind: Any) -> None:
    frames = np.arange(8, dtype=kind).reshape(2, 2, 2)
    assert map_contrast(frames, 0, 7).ravel()[[0, 7]].tolist() == [0, 255]


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, np.inf), (np.nan, 1)])
def test_contrast_that_cannot_be_is_refused(low: float, high: float) -> None:
    with pytest.raises(InvalidValueError, match="contrast"):
        map_contrast(np.zeros(3), low, high)


@given(
    arrays(np.float32, (2, 5, 7), elements=st.floats(-1e3, 1e3, width=32)),
    st.integers(1, 4),
)
def test_smaller_frames_are_the_means_of_their_pixels(frames: Any, step: int) -> None:
    found = map_contrast_small(frames, -900, 1100, step)
    for t, image in enumerate(frames.astype(np.float64)):
        for i in range(0, 5, step):
            for j in range(0, 7, step):
                mean = image[i : i + step, j : j + step].mean()
                level = np.clip((mean + 900) * 255 / 2000, 0, 255)
                assert abs(found[t, i // step, j // step] - level) <= 0.5 + 1e-4
    assert found.shape == (2, -(-5 // step), -(-7 // step))
    with pytest.raises(InvalidValueError, match="step of 0"):
        map_contrast_small(frames, 0, 1, 0)
    with pytest.raises(InvalidValueError, match="contrast"):
        map_contrast_small(frames, 1, 1, 2)
