"""Sharpness of frames: blur lowers it; noise, gain and events do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.kernels.registration.preprocess import plan_view, view_frames
from astrocast.kernels.registration.robust import fit_frames
from astrocast.kernels.registration.robust_model import RobustModel, prepare_level
from astrocast.kernels.registration.sharpness import (
    find_changed_pattern,
    judge_sharpness,
    measure_sharpness,
    relative_sharpness,
)

Array = NDArray[Any]


def scene(size: int = 64) -> Array:
    points = np.random.default_rng(1).normal(size=(size, size))
    return np.asarray(400 + 200 * ndimage.gaussian_filter(points, 1.0) / 0.28)


def measured(frames: Array, shifts: Array | None = None) -> Array:
    view = plan_view(frames.shape[1:])
    seen = view_frames(np.asarray(frames, np.float32), view)
    template = view_frames(scene()[None].astype(np.float32), view)[0]
    level = prepare_level(template, np.full(template.shape, 400.0, np.float32), 5.0)
    model = RobustModel(view, level, None, 5.0)
    shifts = np.zeros((len(frames), 2)) if shifts is None else shifts
    fit = fit_frames(frames, seen, shifts, model)
    return measure_sharpness(seen, shifts, fit, model)


@pytest.mark.parametrize("gain", [0.7, 1.0, 3.0])
def test_noise_and_gain_change_nothing(gain: float) -> None:
    rng = np.random.default_rng(0)
    frames = gain * scene() + rng.normal(0, 20, (40, 64, 64))
    relative = relative_sharpness(measured(frames), np.zeros(40, bool))
    assert abs(relative[:, 0].mean() - 1) < 0.04
    if gain == 1:  # the error by noise is the spread over frames
        assert 0.6 < relative[:, 0].std() / np.median(relative[:, 1]) < 1.5


def test_a_smooth_event_changes_nothing() -> None:
    y, x = np.mgrid[:64, :64]
    spot = np.exp(-((y - 30) ** 2 + (x - 30) ** 2) / (2 * 8.0**2))
    frames = np.stack([scene(), scene() + 800 * spot, scene() * (1 + 2 * spot)])
    relative = relative_sharpness(measured(frames), np.zeros(3, bool))
    assert relative[1, 0] == pytest.approx(1, abs=0.1)
    assert relative[2, 0] > 0.9


def test_blur_takes_fine_structure() -> None:
    blurs = [0.0, 0.5, 1.0, 2.0, 3.0]
    frames = np.stack([ndimage.gaussian_filter(scene(), b) for b in blurs])
    values = measured(frames)[:, 0]
    assert np.all(np.diff(values) < 0)
    assert values[0] == pytest.approx(1, abs=0.01)
    assert values[-1] < 0.2


def test_the_shift_is_taken_into_account() -> None:
    moved = ndimage.shift(scene(), (2.5, -1.25), order=5, mode="nearest")
    shifts = np.array([[2.5, -1.25]])
    assert measured(moved[None], shifts)[0, 0] == pytest.approx(1, abs=0.05)
    assert measured(moved[None])[0, 0] < 0.5


def test_a_shift_out_of_the_field_has_no_sharpness() -> None:
    assert np.isnan(measured(scene()[None], np.array([[70.0, 0.0]]))[0, 0])


def test_severity_is_by_the_share_and_by_the_uncertainty() -> None:
    values = np.tile([1.0, 0.02, 1.0], (50, 1))
    values[:, 0] += np.random.default_rng(0).normal(0, 0.02, 50)
    values[[5, 6, 7, 8], 0] = 0.1, 0.6, 0.9, 0.1
    values[8, 1] = 0.5  # so uncertain that it says nothing
    left_out = np.zeros(50, bool)
    severity, share = judge_sharpness(values, np.ones(50), left_out)
    assert np.median(share) == pytest.approx(1, abs=0.02)
    assert share[5] == pytest.approx(0.1, abs=0.01)
    assert severity[[5, 6, 7, 8]].tolist() == [1.0, 0.3, 0.0, 0.0]
    assert severity.sum() == pytest.approx(1.3)
    left_out[5] = True
    assert judge_sharpness(values, np.ones(50), left_out)[0][5] == 0


def test_nothing_is_said_where_noise_decides() -> None:
    values = np.tile([1.0, 0.4, 1.0], (50, 1))
    values[5, 0] = -1.0
    assert not judge_sharpness(values, np.ones(50), np.zeros(50, bool))[0].any()


def test_the_gain_of_a_frame_without_one_is_that_of_its_neighbours() -> None:
    values = np.tile([2.0, 0.02, 2.0], (20, 1))
    values[7, 2] = np.nan
    assert relative_sharpness(values, np.zeros(20, bool))[:, 0].tolist() == [1.0] * 20


def drifting(lowest: float, seed: int = 0) -> tuple[Array, Array]:
    """Return sharpness and agreement; both fall over the last half of 200 frames."""
    course = np.r_[np.ones(100), np.linspace(1, lowest, 100)]
    values = np.tile([1.0, 0.05, 1.0], (200, 1))
    values[:, 0] = course + np.random.default_rng(seed).normal(0, 0.05, 200)
    return values, 0.9 * course


def test_a_slow_drift_of_the_focus_is_found_when_half_is_gone() -> None:
    values, agreement = drifting(0.2)
    severity, share = judge_sharpness(values, agreement, np.zeros(200, bool))
    gone = np.flatnonzero(severity == 1)
    assert abs(gone[0] - 162) < 6  # half is left in frame 162
    assert (severity[170:] == 1).all()
    assert (severity[:125] == 0).all()
    assert share[170:].max() < 0.7


def test_a_slight_drift_is_named_and_not_left_out() -> None:
    values, agreement = drifting(0.6)
    severity, _ = judge_sharpness(values, agreement, np.zeros(200, bool))
    assert severity.max() == pytest.approx(0.3)
    assert (severity[:150] == 0).all()
    values, agreement = drifting(0.8)
    assert not judge_sharpness(values, agreement, np.zeros(200, bool))[0].any()


def test_events_on_the_tissue_do_not_make_calm_frames_blurred() -> None:
    values, agreement = drifting(0.45)
    severity, _ = judge_sharpness(values, 1 - agreement, np.zeros(200, bool))
    slow = np.flatnonzero(severity > 0)
    assert len(slow) < 30
    assert not find_changed_pattern(
        1 - agreement, np.full(200, 1.6), np.zeros(200, bool)
    ).any()


@pytest.mark.parametrize(("lowest", "first"), [(0.5, 139), (0.9, None)])
def test_a_pattern_that_changes_slowly_is_named(
    lowest: float, first: int | None
) -> None:
    _, agreement = drifting(lowest)
    agreement += np.random.default_rng(1).normal(0, 0.01, 200)
    changed = find_changed_pattern(agreement, np.ones(200), np.zeros(200, bool))
    if first is None:
        assert not changed.any()
    else:
        assert abs(np.flatnonzero(changed)[0] - first) < 5
        assert changed[150:].all()
