"""Frames that are blurred or from another plane, and fields that are full of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.preparation import MotionCorrection
from astrocast.simulation import SimulationSettings, Simulator

Array = NDArray[Any]


def simulated(**changes: Any) -> tuple[Simulator, Array]:
    settings: dict[str, Any] = {
        "frames": 100,
        "rows": 128,
        "columns": 128,
        "photons": 20.0,
        "motion": 3.0,
        "motion_step": 0.3,
        "amplitude": (1.0, 3.0),
        "overlap": True,
        "seed": 3,
    }
    plan = Simulator(SimulationSettings(**(settings | changes)))
    return plan, plan.movie(0, plan.shape[0])


def corrected(movie: Array) -> MotionCorrection:
    mc = MotionCorrection(logging_level=40)
    mc.run(movie, max_shifts=(15, 15), bidi="off")
    return mc


def blurred_frames(mc: MotionCorrection) -> list[int]:
    table = mc.frame_quality
    return table["frame"][table["kind"] == "out_of_focus"].tolist()


@pytest.mark.parametrize("photons", [200.0, 20.0])
def test_single_frames_that_are_blurred(photons: float) -> None:
    plan, movie = simulated(events=20, photons=photons, out_of_focus_frames=4)
    mc = corrected(movie)
    truth = plan.sensor.frames_of("out_of_focus").tolist()
    assert blurred_frames(mc) == truth
    assert np.flatnonzero(mc.bad_frames).tolist() == truth


def test_most_blurred_frames_are_found_in_dim_recordings() -> None:
    plan, movie = simulated(events=20, photons=3.0, out_of_focus_frames=4)
    truth = plan.sensor.frames_of("out_of_focus").tolist()
    found = blurred_frames(corrected(movie))
    assert set(found) <= set(truth)
    assert len(found) >= 3


@pytest.mark.parametrize(
    "changes",
    [
        {"events": 0},
        {"events": 40, "kinds": ("growing",)},
        {"events": 20, "photons": 3.0},
        {"events": 0, "z_drift": 0.09},
    ],
    ids=["calm", "full of events", "3 photons", "slow drift of the focus"],
)
def test_no_frame_is_out_of_focus(changes: dict[str, Any]) -> None:
    assert blurred_frames(corrected(simulated(**changes)[1])) == []


def test_a_stretch_of_frames_from_another_plane() -> None:
    """Twelve frames show 40 % of the cells, and others; the frames around are good."""
    rng = np.random.default_rng(0)

    def cells(number: int) -> Array:
        points = np.zeros((96, 96))
        points[tuple(rng.integers(0, 96, (2, number)))] = rng.uniform(0.5, 2, number)
        return np.asarray(ndimage.gaussian_filter(points, 1.5))

    own, other = cells(250), cells(250)
    planes = np.repeat(own[None], 80, axis=0)
    planes[40:52] = 0.4 * own + 0.6 * other
    light = 100 + 2000 * planes
    mc = corrected(rng.poisson(light).astype(np.uint16))
    assert blurred_frames(mc) == list(range(40, 52))
    assert mc.bad_frames.sum() == 12


@pytest.mark.parametrize("seed", [1, 2])
def test_a_small_field_that_is_full_of_events(seed: int) -> None:
    """The search finds bright events for many frames on end: up to 14 pixels away."""
    plan, movie = simulated(events=60, kinds=("growing",), seed=seed)
    mc = corrected(movie)
    off = mc.shifts - plan.motion.shifts
    off = np.abs(off - np.median(off, axis=0)).max(axis=1)
    named = np.isin(np.arange(len(off)), mc.frame_quality["frame"])
    assert (off > 1).sum() <= 4
    assert off.max() < 1.5
    assert np.all(named | (off < 0.5))  # nothing in silence
