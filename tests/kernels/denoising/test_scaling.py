import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from astrocast.errors import InvalidValueError
from astrocast.kernels.denoising.scaling import Scaling, running_moments
from astrocast.kernels.frames.convert import saturate


@given(
    hnp.arrays(np.uint16, st.integers(2, 60)),
    st.integers(1, 20),
    st.sampled_from([0, 1e6]),
)
def test_moments_of_blocks_are_those_of_the_whole(values, cut, offset) -> None:
    shifted = values + offset
    mean, std = running_moments(
        shifted[i : i + cut] for i in range(0, len(values), cut)
    )
    assert mean == pytest.approx(shifted.mean(), rel=1e-12)
    assert std == pytest.approx(values.astype(float).std() or 1.0, rel=1e-7)


def test_nothing_and_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="empty"):
        running_moments([])
    with pytest.raises(InvalidValueError, match="finite"):
        running_moments([np.array([1.0, np.nan])])


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32"]
)
def test_a_result_out_of_range_becomes_the_nearest_value(dtype: str) -> None:
    limits = np.iinfo(dtype)
    found, _ = saturate(np.array([-1e12, 0.4, 2.5, 3.5, 1e12], np.float32), dtype)
    assert found.dtype == dtype
    assert found[0] == limits.min
    assert found[1:4].tolist() == [0, 2, 4]
    assert found[4] == pytest.approx(limits.max, rel=1e-6)


def test_scaling_by_frames_is_undone_exactly_enough() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60000, (4, 5, 6)).astype(np.uint16)
    scaling = Scaling(rng.uniform(100, 200, (5, 6)).astype(np.float32), 37.0)
    before = frames.copy()
    np.testing.assert_array_equal(
        saturate(scaling.undo(scaling.apply(frames)), np.uint16)[0], frames
    )
    np.testing.assert_array_equal(frames, before)
