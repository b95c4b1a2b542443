"""The border that registration filled is left out, and more of it after a jump."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from astrocast.detection.threshold.preliminary import BORDER_REACH, widen_border


@pytest.mark.parametrize("share", [0.01, 0.4])
def test_a_border_that_many_frames_need_is_widened(share: float):
    shifts = np.random.default_rng(0).normal(0, 0.2, (200, 2)).clip(-0.6, 0.6)
    shifts[: int(200 * share)] = (11.0, -11.9)
    registration = SimpleNamespace(shifts=shifts, border=(1, 11, 12, 1))
    more = BORDER_REACH if share > 0.05 else 0
    assert widen_border(registration) == (1, 11 + more, 12 + more, 1)
