"""Motion of one channel for another, and the offset between odd and even lines."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from astrocast.errors import InvalidValueError
from astrocast.io import open_recording
from astrocast.kernels.registration.bidirectional import (
    find_line_offset,
    move_odd_lines,
)
from astrocast.preparation import MotionCorrection
from astrocast.preparation.line_offset import LineAlignedRecording
from astrocast.settings.motion import MotionSettings
from astrocast.simulation import SimulationSettings, Simulator


def simulated(offset: float) -> np.ndarray:
    plan = Simulator(
        SimulationSettings(
            frames=40,
            rows=96,
            columns=96,
            events=3,
            motion=0,
            bidirectional=offset,
            seed=5,
        )
    )
    return plan.movie(0, 40)


def test_lines_are_put_back_and_the_summary_says_so() -> None:
    movie = simulated(1.2)
    mc, known = MotionCorrection(), MotionCorrection()
    mc.run(movie, max_shifts=(8, 8))
    assert abs(mc.line_offset - 1.2) < 0.06
    assert f"odd lines moved back by {mc.line_offset:.2f} px" in mc.summary()
    assert mc.registration.summary["line_offset_px"] == mc.line_offset
    known.run(movie, max_shifts=(8, 8), bidi=mc.line_offset)
    np.testing.assert_array_equal(known.shifts, mc.shifts)
    still = MotionCorrection()
    still.run(movie, max_shifts=(8, 8), bidi="off")
    assert still.line_offset == 0
    # the tissue does not move up or down: lines stay lines
    assert abs(find_line_offset(mc.save()).pixels) < 0.05
    assert abs(find_line_offset(still.save()).pixels - 1.2) < 0.06


def test_without_an_offset_nothing_changes() -> None:
    movie = simulated(0.0)
    auto, off = MotionCorrection(), MotionCorrection()
    auto.run(movie, max_shifts=(8, 8))
    off.run(movie, max_shifts=(8, 8), bidi="off")
    assert auto.line_offset == 0
    np.testing.assert_array_equal(auto.save(), off.save())


@pytest.mark.parametrize(
    ("given", "bidi"), [("auto", "auto"), ("off", "off"), ("-0.5", -0.5)]
)
def test_the_offset_is_set_as_other_parameters_are(given, bidi) -> None:
    # YAML reads off as false
    settings = MotionSettings.checked(bidi=yaml.safe_load(given))
    assert settings.bidi == bidi
    with pytest.raises(InvalidValueError, match="bidi"):
        MotionSettings.checked(bidi="sideways")


def test_blocks_of_aligned_lines_are_those_of_the_whole() -> None:
    movie = np.random.default_rng(0).poisson(30, (4, 20, 24)).astype(np.uint16)
    aligned = LineAlignedRecording(open_recording(movie), 0.6)
    whole = aligned.to_array()
    np.testing.assert_array_equal(whole, np.maximum(move_odd_lines(movie, 0.6), 0))
    for rows in (slice(1, 7), slice(4, 20)):
        block = aligned.read(1, 3, rows, slice(3, 9))
        np.testing.assert_array_equal(block, whole[1:3, rows, 3:9])


def test_a_channel_moves_by_the_reference(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    scene = rng.random((84, 84)) < 0.04
    steps = rng.integers(-4, 5, (30, 2))
    dye = [300 * scene[10 - r : 74 - r, 10 - c : 74 - c] + 20 for r, c in steps]
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        # the first channel shows nothing but noise
        file["data/ch0"] = rng.poisson(20, (30, 64, 64)).astype(np.uint16)
        file["data/ch1"] = rng.poisson(np.array(dye)).astype(np.uint16)
        file["data/short"] = np.zeros((3, 64, 64), np.uint16)
    mc, dye_alone = MotionCorrection(), MotionCorrection()
    mc.run(path, loc="data/ch0", max_shifts=(9, 9), reference_channel="data/ch1")
    dye_alone.run(path, loc="data/ch1", max_shifts=(9, 9))
    np.testing.assert_array_equal(mc.shifts, dye_alone.shifts)
    difference = mc.shifts - steps
    assert abs(difference - np.median(difference, axis=0)).max() < 0.1
    # what is saved is the channel of run, not the reference
    assert abs(mc.save().mean() - 20) < 1
    # the same from a motion that is known already, without another estimate
    taken = dye_alone.for_channel("data/ch0", "data/ch1")
    np.testing.assert_array_equal(taken.save(), mc.save())
    assert taken.settings == mc.settings
    assert taken.frame_quality.equals(mc.frame_quality)
    assert dye_alone.settings.reference_channel is None
    with pytest.raises(InvalidValueError, match="same shape"):
        dye_alone.for_channel("data/short", "data/ch1")
    with pytest.raises(InvalidValueError, match="reference channel data/short"):
        mc.run(path, loc="data/ch0", reference_channel="data/short")


def errors_of_lines(mc: MotionCorrection, plan: Simulator) -> np.ndarray:
    """Distance from the true shift of each line, per axis, (frame, row, 2)."""
    truth = plan.motion.line_shifts
    assert truth is not None
    frames, rows, columns = plan.shape
    found = np.stack([mc.field_at(t)[:, :, columns // 2].T for t in range(frames)])
    wanted = np.empty_like(found)
    for t in range(frames):
        # the truth is given at the line of the frame, the field at that of the template
        place = np.clip(np.arange(rows) + found[t, :, 0], 0, rows - 1)
        for axis in (0, 1):
            wanted[t, :, axis] = np.interp(place, np.arange(rows), truth[t, :, axis])
    apart = (found - wanted)[:, 8:-8]
    return np.abs(apart - np.median(apart, axis=0))


def test_bands_of_lines_follow_motion_within_a_frame() -> None:
    plan = Simulator(
        SimulationSettings(
            frames=60,
            rows=128,
            columns=192,
            photons=20.0,
            motion=3.0,
            motion_step=0.4,
            events=4,
            line_motion=2.0,
            line_motion_time=30.0,
            seed=2,
        )
    )
    movie = plan.movie(0, 60)
    whole, bands = MotionCorrection(), MotionCorrection()
    whole.run(movie)
    bands.run(movie, line_bands=8)
    assert whole.fields is None
    assert bands.fields is not None
    assert bands.fields.shape[3] == 1
    off, before = errors_of_lines(bands, plan), errors_of_lines(whole, plan)
    assert np.median(off) < 0.55 * np.median(before)
    assert np.percentile(off, 95) < 0.5 * np.percentile(before, 95)
    assert not bands.bad_frames.any()
    assert bands.save().shape == movie.shape


def test_bands_that_cannot_be_are_refused() -> None:
    movie = simulated(0.0)
    with pytest.raises(InvalidValueError, match="set only one"):
        MotionCorrection().run(movie, pw_rigid=True, line_bands=4)
    with pytest.raises(InvalidValueError, match="at most 12 bands"):
        MotionCorrection().run(movie, line_bands=13)
