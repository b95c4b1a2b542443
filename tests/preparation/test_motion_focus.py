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
        {"events": 10, "bleach_fraction": 0.6, "bleach_time": 30.0},
        {"events": 20, "kinds": ("travelling",), "seed": 2},
        {"events": 60, "kinds": ("growing",), "seed": 1},
    ],
    ids=[
        "calm",
        "events",
        "3 photons",
        "slight drift of the focus",
        "bleaching",
        "travelling events",
        "full of events",
    ],
)
def test_no_frame_is_out_of_focus(changes: dict[str, Any]) -> None:
    assert blurred_frames(corrected(simulated(**changes)[1])) == []


def cells(number: int, rng: np.random.Generator) -> Array:
    points = np.zeros((96, 96))
    points[tuple(rng.integers(0, 96, (2, number)))] = rng.uniform(0.5, 2, number)
    return np.asarray(ndimage.gaussian_filter(points, 1.5))


def two_planes(other: Array, photons: float = 1.0) -> Array:
    """Return a movie in which the share ``other`` (frame,) of the light is of cells
    that lie in another plane.
    """
    rng = np.random.default_rng(0)
    first, second = cells(250, rng), cells(250, rng)
    share = other[:, None, None]
    light = 100 + 2000 * ((1 - share) * first + share * second)
    return rng.poisson(photons * light).astype(np.uint16)


def test_a_stretch_of_frames_from_another_plane() -> None:
    """Twelve frames show 40 % of the cells, and others; the frames around are good."""
    other = np.zeros(80)
    other[40:52] = 0.6
    mc = corrected(two_planes(other))
    assert blurred_frames(mc) == list(range(40, 52))
    assert mc.bad_frames.sum() == 12


TIMES = np.arange(100)
COURSES = {
    "away and back": np.clip(1 - np.abs(TIMES - 60) / 20, 0, 1),
    "away for good": np.clip((TIMES - 50) / 30, 0, 1),
}


@pytest.mark.parametrize("photons", [1.0, 0.05])
@pytest.mark.parametrize("name", COURSES)
def test_tissue_that_moves_slowly_to_another_plane(name: str, photons: float) -> None:
    """Frames that show mostly the other plane are left out, all others are used."""
    other = COURSES[name]
    mc = corrected(two_planes(other, photons))
    assert mc.bad_frames[other > 0.65].all()
    assert not mc.bad_frames[other < 0.35].any()


@pytest.mark.parametrize("photons", [1.0, 0.05])
def test_a_slow_drift_of_the_focus(photons: float) -> None:
    """The blur grows over the last half of the recording, to 3 pixels."""
    blur = np.clip((TIMES - 50) / 30, 0, 1) * 3.0
    rng = np.random.default_rng(0)
    scene = cells(250, rng)
    light = np.stack([ndimage.gaussian_filter(scene, b) for b in blur])
    mc = corrected(rng.poisson(photons * (100 + 2000 * light)).astype(np.uint16))
    assert mc.bad_frames[blur >= 2.7].mean() > 0.9
    assert not mc.bad_frames[blur <= 1.0].any()
    named = set(mc.frame_quality["frame"])
    assert set(np.flatnonzero(blur >= 2.0)) <= named


def test_a_drift_over_the_whole_recording_is_named() -> None:
    """The pattern changes by half of its sd; the fine structure stays for long."""
    mc = corrected(simulated(events=10, z_drift=0.5)[1])
    assert set(range(25)) <= set(blurred_frames(mc)) | set(
        np.flatnonzero(mc.bad_frames)
    )
    assert not mc.bad_frames[30:].any()


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
