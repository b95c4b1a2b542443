"""Batch sizes that follow from the memory of a device."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocast.kernels.jax_device import device_bytes, fit_to_memory

GIB = 1 << 30


@given(st.integers(1, 80), st.integers(1, 1 << 34))
def test_what_fits_is_a_power_of_two_within_the_limits(gib: int, each: int) -> None:
    found = fit_to_memory(gib * GIB, each, 32, (8, 256))
    assert found.bit_count() == 1
    assert 8 <= found <= 256
    assert found == 8 or found * each <= gib * GIB


def test_a_cpu_does_not_say_its_memory() -> None:
    jax = pytest.importorskip("jax")
    if jax.default_backend() != "cpu":
        pytest.skip("there is a device")
    assert device_bytes() is None


def test_shifts_do_not_depend_on_the_frames_per_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("jax")
    from scipy import ndimage

    from astrocast.kernels.registration import jax_engine
    from astrocast.preparation import MotionCorrection

    rng = np.random.default_rng(2)
    scene = 100 * ndimage.gaussian_filter(rng.random((60, 60)), 1.5)
    moved = (0, 2, -3, 1, 4, 0, -2, 3, 1, 0)
    movie = np.stack([scene[6 + d : 54 + d, 6:54] for d in moved])
    shifts = []
    for memory in (None, 1 << 40):
        monkeypatch.setattr(jax_engine, "device_bytes", lambda memory=memory: memory)
        motion = MotionCorrection(logging_level=40)
        motion.run(movie, max_shifts=(6, 6), engine="jax")
        shifts.append(motion.shifts)
    np.testing.assert_allclose(shifts[1], shifts[0], atol=1e-3)
    rows = shifts[0][:, 0]
    np.testing.assert_allclose(rows - rows[0], -np.array(moved), atol=0.1)
