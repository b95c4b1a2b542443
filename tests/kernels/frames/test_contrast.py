"""Grey values against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocast.errors import InvalidValueError
from astrocast.kernels.frames.contrast import map_contrast


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
