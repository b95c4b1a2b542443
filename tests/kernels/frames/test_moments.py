"""Sums of frames are those of NumPy, to the last bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from astrocast.kernels.frames.moments import sum_finite


@pytest.mark.parametrize(
    "dtype", ["u1", "<u2", ">u2", "i4", "i8", "f2", "<f4", ">f4", "f8", "?"]
)
def test_sums_are_those_of_numpy_for_any_dtype_and_threads(dtype: str) -> None:
    rng = np.random.default_rng(0)
    frames = (100 * rng.random((20, 9, 7))).astype(dtype)
    if frames.dtype.kind == "f":
        frames[3, 2], frames[5, 1, 4], frames[:, 0, 0] = np.nan, np.inf, -np.inf
    values = frames.astype(np.float64)
    finite = np.isfinite(values)
    with ThreadPoolExecutor(2) as pool:
        for threads in (None, pool):
            total, count = sum_finite(frames[:, ::-1, ::-1], threads)
            np.testing.assert_array_equal(
                total[::-1, ::-1], np.where(finite, values, 0.0).sum(axis=0)
            )
            np.testing.assert_array_equal(count[::-1, ::-1], finite.sum(axis=0))
