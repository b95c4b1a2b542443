"""Recordings that are hard to register, recordings that are wrong, and what each
parameter does.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.io import open_recording
from astrocast.kernels.registration.engine import estimate
from astrocast.kernels.registration.quality import crispness
from astrocast.kernels.registration.warp import warp_frames
from astrocast.preparation import MotionCorrection
from astrocast.preparation import motion_correction as save_stage
from astrocast.preparation import motion_estimate as stage
from astrocast.preparation import motion_moving as move_stage
from astrocast.simulation import SimulationSettings, Simulator

Array = NDArray[Any]


def simulated(**parameters: Any) -> tuple[Array, Array]:
    """(movie, true rigid shifts) of a recording with moderate motion."""
    settings = {
        "frames": 80,
        "rows": 128,
        "columns": 128,
        "photons": 30.0,
        "motion": 5.0,
        "motion_step": 0.6,
    }
    settings["events"] = 4 if parameters.get("frames", 80) >= 80 else 0
    plan = Simulator(SimulationSettings(**(settings | parameters)))
    return plan.movie(0, plan.shape[0]), plan.motion.shifts


def corrected(movie: Any, **parameters: Any) -> MotionCorrection:
    mc = MotionCorrection()
    mc.run(movie, **parameters)
    return mc


def errors(found: Array, truth: Array) -> Array:
    difference = found - truth
    return np.abs(difference - np.median(difference, axis=0))


def test_large_jumps_are_followed() -> None:
    movie, truth = simulated(motion=20.0, jumps=6, seed=3)
    assert np.abs(np.diff(truth, axis=0)).max() > 10
    assert errors(corrected(movie).shifts, truth).max() < 0.3


@pytest.mark.parametrize(
    ("rows", "columns"), [(11, -12), (-11, 12)], ids=["found at once", "alias"]
)
def test_a_jump_in_a_small_field_of_periodic_tissue(rows: int, columns: int) -> None:
    """12 of 64 pixels: the period of the tissue does not decide."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:96, :96]
    tissue = 400 * (1 + 0.25 * np.sin(x / 5) * np.cos(y / 7))
    tissue += rng.normal(0, 15, tissue.shape)
    moved = tissue[16 - rows : 80 - rows, 16 - columns : 80 - columns]
    movie = np.stack([tissue[16:80, 16:80]] * 50 + [moved] * 30)
    movie += rng.normal(0, 12, movie.shape)
    truth = np.zeros((80, 2))
    truth[50:] = rows, columns
    assert errors(corrected(movie).shifts, truth).max() < 0.1


def test_a_wave_over_still_tissue_moves_nothing() -> None:
    """A front of three times the light crosses a third of the field in 23 frames."""
    movie, _ = simulated(seed=6, motion=0.0, motion_step=0.0, events=0)
    bright = movie.astype(np.float32)
    y = np.arange(128)[:, None]
    for k, t in enumerate(range(30, 53)):
        front = 1 / (1 + np.exp((y - 2 * k) / 2.0)) * (y < 43)
        bright[t] += 2 * (bright[t] - 100) * front
    mc = corrected(bright)
    assert np.abs(mc.shifts - np.median(mc.shifts, axis=0)).max() < 0.3
    assert not mc.bad_frames.any()
    after, before = (mc.quality[f"correlation_{k}"] for k in ("after", "before"))
    assert np.all(after > before - 0.01)


@pytest.mark.parametrize("width", [8.0, 3.0])
@pytest.mark.parametrize("kind", ["the light times three", "a veil of twice the mean"])
def test_an_event_that_fills_half_the_field(kind: str, width: float) -> None:
    """Three of eight frames have it; their shifts are as good as without it."""
    movie, truth = simulated(seed=4, photons=200.0)
    bright = movie.astype(np.float32)
    y, x = np.mgrid[:128, :128]
    own = bright[30:60] - 100
    light = own if kind == "the light times three" else own.mean((1, 2), keepdims=True)
    bright[30:60] += 2.0 * light / (1 + np.exp(-(x + 0.3 * y - 84) / width))
    mc, plain = corrected(bright), corrected(movie)
    off, before = errors(mc.shifts, truth)[30:60], errors(plain.shifts, truth)
    assert np.median(off) < 0.1
    assert off.max() < 0.2
    assert before.max() < 0.2
    assert not mc.bad_frames.any()


@pytest.mark.parametrize(
    ("seed", "photons"), [(4, 200.0), (5, 200.0), (5, 30.0), (21, 200.0)]
)
@pytest.mark.parametrize("kind", ["the light times three", "a veil of twice the mean"])
def test_frames_without_a_veil_do_not_suffer_from_it(
    kind: str, seed: int, photons: float
) -> None:
    """A veil over half of the field in 30 of 80 frames is not part of the template."""
    movie, truth = simulated(seed=seed, photons=photons)
    bright = movie.astype(np.float32)
    y, x = np.mgrid[:128, :128]
    own = bright[30:60] - 100
    light = own if kind == "the light times three" else own.mean((1, 2), keepdims=True)
    bright[30:60] += 2.0 * light / (1 + np.exp(-(x + 0.3 * y - 84) / 8.0))
    off = errors(corrected(bright).shifts, truth)
    plain = errors(corrected(movie).shifts, truth)
    calm, before = np.delete(off, np.s_[30:60], 0), np.delete(plain, np.s_[30:60], 0)
    # fewer frames make the template: 1.6 times at most in these
    assert np.median(calm) < 1.7 * np.median(before)
    assert calm.max() < 0.2
    assert off[30:60].max() < 0.35


@pytest.mark.parametrize(
    "frames", [slice(20, 60), slice(0, 80)], ids=["half of the time", "always"]
)
def test_a_travelling_event(frames: slice) -> None:
    """A spot three times as bright crosses the field, on the tissue; frames with it at
    one place look alike.
    """
    movie, truth = simulated(seed=4)
    bright = movie.astype(np.float32)
    y, x = np.mgrid[:128, :128]
    for t in range(80)[frames]:
        dy, dx = truth[t]
        spot = np.exp(
            -((y - 64 - dy) ** 2 + (x - (20 + 1.5 * t) % 128 - dx) ** 2) / (2 * 10.0**2)
        )
        bright[t] += 2 * (bright[t] - 100) * spot
    mc = corrected(bright)
    assert errors(mc.shifts, truth).max() < 0.6
    assert np.median(errors(mc.shifts, truth)) < 0.12
    assert not mc.bad_frames.any()


def test_a_small_event_does_not_pull_its_patches(
    bending: tuple[Array, Simulator],
) -> None:
    movie, plan = bending
    y, x = np.mgrid[:192, :192]
    spot = np.exp(-((y - 80) ** 2 + (x - 110) ** 2) / (2 * 15.0**2))
    bright = movie.astype(np.float32)
    bright[40:60] += 2 * (bright[40:60] - 100) * spot
    mc, without = corrected(bright, pw_rigid=True), corrected(movie, pw_rigid=True)
    off, before = field_errors(mc, plan)[40:60], field_errors(without, plan)[40:60]
    assert np.median(off) < 1.2 * np.median(before)
    assert np.percentile(off, 95) < 1.2 * np.percentile(before, 95)


def test_heavy_tailed_noise_is_not_low_agreement() -> None:
    """Dim tissue at rest under a detector whose noise has rare, high values."""
    rng = np.random.default_rng(3)
    cells = ndimage.gaussian_filter(rng.random((128, 128)) < 0.01, 2.0, output=float)
    scene = 20 + 200 * cells / cells.max()
    pulses = rng.gamma(0.3, 1 / 0.3, (90, 128, 128))
    mc = corrected((scene * pulses).astype(np.float32))
    assert not mc.bad_frames.any()
    after = mc.quality["correlation_after"]
    # one measure for all frames, repaired ones as well
    assert after.min() > 0.5 * np.median(after)


@pytest.mark.skipif(
    not (Path(os.environ.get("ASTROCAST_SHARED", "none")) / "data").is_dir(),
    reason="the shared real recordings are not here",
)
def test_a_real_recording_has_few_bad_frames() -> None:
    path = Path(os.environ["ASTROCAST_SHARED"]) / "data" / "single_astrocyte.tif"
    with open_recording(path) as recording:
        mc = corrected(recording.read(0, 100))
    assert mc.bad_frames.sum() <= 2
    assert mc.crispness[1] > mc.crispness[0]
    assert "less crisp" not in mc.summary()


def test_periodic_texture() -> None:
    movie, truth = simulated(seed=5)
    y, x = np.mgrid[:128, :128]
    grid = np.stack(
        [
            np.sin(2 * np.pi * (y - dy) / 12) * np.sin(2 * np.pi * (x - dx) / 12)
            for dy, dx in truth
        ]
    )
    mc = corrected(movie + (20 * grid).astype(np.float32))
    assert errors(mc.shifts, truth).max() < 0.3


def test_a_dark_border_does_not_hold_the_shifts_back() -> None:
    movie, truth = simulated(seed=6)
    movie[:, :9], movie[:, :, :14], movie[:, -6:] = 100, 100, 100
    # noise is 0.27 without the border
    assert errors(corrected(movie).shifts, truth).max() < 0.4


def test_frames_that_cannot_be_trusted_are_flagged_and_bridged() -> None:
    movie, truth = simulated(seed=7)
    movie[10] = 0
    movie[20] = 65535
    movie[30, 40:] = 65535  # saturated from some row on
    movie[40] = np.random.default_rng(0).poisson(130, movie[40].shape)
    movie[50, :90] = 0  # a frame that arrived in part
    mc = corrected(movie)
    np.testing.assert_array_equal(np.flatnonzero(mc.bad_frames), [10, 20, 30, 40, 50])
    assert errors(mc.shifts, truth)[~mc.bad_frames].max() < 0.3
    np.testing.assert_allclose(mc.shifts[10], (mc.shifts[9] + mc.shifts[11]) / 2)


def test_one_photon_per_pixel_gives_no_gross_error() -> None:
    movie, truth = simulated(photons=1.0, rows=256, columns=256, seed=8, frames=100)
    off = errors(corrected(movie).shifts, truth)
    assert off.max() < 1.5
    assert np.median(off) < 0.3


@pytest.fixture(scope="module")
def bending() -> tuple[Array, Simulator]:
    """100 frames of 192 x 192 pixels, smooth field of up to 3 pixels, 30 photons."""
    plan = Simulator(
        SimulationSettings(
            frames=100,
            rows=192,
            columns=192,
            photons=30.0,
            motion=4.0,
            motion_step=0.5,
            deformation=3.0,
            deformation_scale=128.0,
            deformation_time=8.0,
            events=0,
            bleach_fraction=0.0,
            seed=2,
        )
    )
    return plan.movie(0, 100), plan


def field_errors(mc: MotionCorrection, plan: Simulator) -> Array:
    """Distance per axis of the field at the patches, (frame, 2, patch), free of the
    template's geometry.
    """
    grid, fields = mc._computed_motion().model.grid, mc.fields  # type: ignore[union-attr]
    assert fields is not None
    rows, columns = (
        2 * (s + (grid.window[0] - 1) / 2) + 0.5 for s in (grid.rows, grid.columns)
    )
    y, x = (m.ravel() for m in np.meshgrid(rows, columns, indexing="ij"))
    found = fields.reshape(len(fields), 2, -1)
    truth = np.empty_like(found)
    for t, shift in enumerate(found):
        # the truth is given at the pixel of the frame, ours at that of the template
        iy, ix = (
            np.clip(np.rint(p + s), 0, 191).astype(int)
            for p, s in zip((y, x), shift, strict=True)
        )
        truth[t] = plan.motion.displacement(t, t + 1)[0][:, iy, ix]
    difference = found - truth
    return np.abs(difference - np.median(difference, axis=0))


def test_a_smooth_field_is_found(bending: tuple[Array, Simulator]) -> None:
    movie, plan = bending
    rigid, piecewise = corrected(movie), corrected(movie, pw_rigid=True)
    off = field_errors(piecewise, plan)
    assert np.median(off) < 0.2
    assert (off > 1).mean() < 0.02
    assert piecewise.crispness[1] > rigid.crispness[1] > rigid.crispness[0]
    after = piecewise.quality["correlation_after"]
    assert np.median(after) > np.median(rigid.quality["correlation_after"])


def test_the_mean_image_keeps_its_geometry() -> None:
    """The mean of a movie that bends evenly to either side is the scene itself."""
    plan = Simulator(
        SimulationSettings(
            frames=60,
            rows=192,
            columns=192,
            photons=200.0,
            motion=0.0,
            deformation=3.0,
            deformation_scale=96.0,
            deformation_time=6.0,
            events=0,
            bleach_fraction=0.0,
            drift=0.0,
            seed=9,
        )
    )
    there = plan.motion.displacement(0, 60)
    rng = np.random.default_rng(0)
    shift = np.concatenate([there, -there]) + rng.uniform(-1, 1, (120, 2, 1, 1)).astype(
        np.float32
    )
    field, grid = np.zeros_like(shift), np.mgrid[:192, :192]
    for t, found in enumerate(field):
        # the frame shows the scene at q + field(q), so that p + shift(p) leads back to
        # p
        for _ in range(5):
            found[:] = [
                -ndimage.map_coordinates(s, grid + found, order=1, mode="nearest")
                for s in shift[t]
            ]
    nodes = np.arange(192.0)
    # so that interpolating it to make the movie does not blur it
    scene = ndimage.gaussian_filter(plan.f0, 1.2)
    clean = np.repeat(scene[None], 120, axis=0)
    movie = rng.poisson(
        np.clip(warp_frames(clean, field, nodes, nodes), 0, None)
    ).astype(np.uint16)
    mc = corrected(movie, pw_rigid=True)
    mean = mc.save().mean(0)[12:-12, 12:-12]  # type: ignore[union-attr]
    assert np.corrcoef(mean.ravel(), scene[12:-12, 12:-12].ravel())[0, 1] >= 0.999


def test_two_channels_move_as_one(tmp_path: Path) -> None:
    plan = Simulator(
        SimulationSettings(
            frames=60, photons=6.0, motion=5.0, second_channel=True, seed=10
        )
    )
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"], file["data/ch1"] = plan.movie(0, 60), plan.second(0, 60)
    truth = plan.motion.shifts
    one, both = MotionCorrection(), MotionCorrection()
    one.run(path, loc="data/ch0")
    both.run(path, loc="data/ch0", also=["data/ch1"])
    assert np.median(errors(both.shifts, truth)) < np.median(errors(one.shifts, truth))
    both.save(path, loc="mc/ch0")
    both.save(path, loc="mc/ch1", source_loc="data/ch1", dtype="uint16")
    with h5py.File(path) as file:
        assert file["mc/ch0"].dtype == np.float32
        assert file["mc/ch1"].dtype == np.uint16
        raw, still = file["data/ch1"][:].astype(float), file["mc/ch1"][:].astype(float)
    # the second channel stands still now: its mean is sharper, once noise is averaged
    # out
    sharp = [
        crispness(ndimage.gaussian_filter(m.mean(0), 1)[12:-12, 12:-12])
        for m in (raw, still)
    ]
    assert sharp[1] > 1.02 * sharp[0]


def test_a_channel_of_another_shape_is_refused() -> None:
    movie, _ = simulated(frames=20)
    with pytest.raises(InvalidValueError, match="same shape"):
        corrected(movie, also=[movie[:-1]])
    with pytest.raises(InvalidValueError, match="same shape"):
        corrected(movie).save(source=movie[:, 1:])


@pytest.mark.parametrize("pw_rigid", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda m: m[:1],
        lambda m: np.full((5, 40, 40), 7, np.uint8),
        lambda m: m[:12, :16, :16],
        lambda m: m[:12, :61, :97],
        lambda m: m[:12].astype(np.int64),
        lambda m: m[:12].astype(">f4"),
        lambda m: m[:12].astype(np.float16),
        lambda m: m[:12] > 120,
        lambda m: da.from_array(m[:12], chunks=(5, 64, 64)),
        lambda m: np.where(
            np.random.default_rng(0).random(m[:12].shape) < 0.01, np.nan, m[:12]
        ),
        lambda m: np.full((4, 30, 30), np.nan),
    ],
    ids=[
        "one frame",
        "constant",
        "16 x 16",
        "odd",
        "int64",
        "big endian",
        "half",
        "bool",
        "dask",
        "some NaN",
        "all NaN",
    ],
)
def test_any_recording_is_worked_through(
    make: Callable[[Array], Any], pw_rigid: bool
) -> None:
    movie = make(simulated(frames=14)[0])
    mc = corrected(movie, pw_rigid=pw_rigid)
    assert mc.shifts.shape == (movie.shape[0], 2)
    assert np.isfinite(mc.shifts).all()
    out = mc.save()
    assert out is not None
    assert out.shape == movie.shape


def test_frames_without_any_structure_are_not_moved() -> None:
    mc = corrected(np.full((5, 40, 40), 7, np.uint8))
    np.testing.assert_array_equal(mc.shifts, 0)
    assert mc.bad_frames.all()
    np.testing.assert_array_equal(mc.save(), 7)


def test_frames_that_are_too_small_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="5 x 40"):
        corrected(np.zeros((3, 5, 40)))


def test_max_shifts_is_a_limit_and_may_exceed_the_frame() -> None:
    movie, truth = simulated(seed=3)
    limited = np.abs(corrected(movie, max_shifts=(2, 3)).shifts).max(axis=0)
    assert limited[0] <= 2
    assert limited[1] <= 3
    assert errors(corrected(movie, max_shifts=(500, 500)).shifts, truth).max() < 0.3


def test_strides_larger_than_the_frame_make_one_patch() -> None:
    movie, truth = simulated(seed=3)
    mc = corrected(movie, pw_rigid=True, strides=(400, 400))
    assert mc.fields is not None
    assert mc.fields.shape == (80, 2, 1, 1)
    assert errors(mc.fields[:, :, 0, 0], truth).max() < 0.5


def test_strides_overlaps_and_deviation(bending: tuple[Array, Simulator]) -> None:
    movie = bending[0][:40]
    wide, narrow = (
        corrected(movie, pw_rigid=True),
        corrected(movie, pw_rigid=True, strides=(32, 32)),
    )
    assert wide.fields is not None
    assert narrow.fields is not None
    assert narrow.fields.shape[2] > wide.fields.shape[2]
    assert (
        corrected(movie, pw_rigid=True, overlaps=(60, 60)).fields.shape[2]
        < wide.fields.shape[2]
    )  # type: ignore[union-attr]
    tight = corrected(movie, pw_rigid=True, max_deviation_rigid=1)
    assert tight.fields is not None
    apart = np.abs(tight.fields - tight.shifts[:, :, None, None])[~tight.bad_frames]
    assert apart.max() <= 1 + 1e-5
    assert np.abs(wide.fields - wide.shifts[:, :, None, None]).max() > 1.5


def test_upsampling_makes_the_field_smooth(bending: tuple[Array, Simulator]) -> None:
    movie = bending[0][:40]
    one, four = (
        corrected(movie, pw_rigid=True, upsample_factor_grid=f) for f in (1, 4)
    )
    nodes = [len(mc._computed_motion().model.grid.row_nodes) for mc in (one, four)]  # type: ignore[union-attr]
    assert nodes[1] == 4 * (nodes[0] - 1) + 1
    assert not np.array_equal(one.save(), four.save())


def test_the_high_pass_ignores_light_that_wanders() -> None:
    """A broad, bright spot that moves on its own pulls the shifts, unless it is
    filtered out.
    """
    movie, truth = simulated(seed=11)
    y, x = np.mgrid[:128, :128]
    spots = [
        30 * np.exp(-((y - 30 - 0.8 * t) ** 2 + (x - 64) ** 2) / (2 * 30**2))
        for t in range(80)
    ]
    lit = movie + np.array(spots, np.float32)
    with_filter, without = (
        corrected(lit, gSig_filt=(6, 6)),
        corrected(lit, gSig_filt=None),
    )
    assert np.median(errors(with_filter.shifts, truth)) < 0.5 * np.median(
        errors(without.shifts, truth)
    )


def test_rounds_sharpen_the_template() -> None:
    ones, threes = [], []
    for seed in (12, 13, 14, 23):
        movie, truth = simulated(seed=seed, photons=3.0)
        one, three = (
            errors(corrected(movie, niter_rig=n).shifts, truth) for n in (1, 3)
        )
        if seed == 12:
            assert np.median(three) <= np.median(one)
        ones.append(one)
        threes.append(three)
    assert np.median(threes) < 0.98 * np.median(ones)


@pytest.mark.filterwarnings("ignore:splits_rig does not change the result")
def test_splits_choose_blocks_and_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    movie, _ = simulated()
    recording = stage.SummedChannels.__mro__[1]  # Recording, for its type only
    assert recording is not None
    opened = open_recording(movie)
    assert stage.block_frames(opened, 2) == 40
    assert stage.block_frames(opened, 4) == 20
    picked = stage.sample_frames(opened, 4, 2)
    assert set(picked) == set(range(20)) | set(range(60, 80))
    one, five = corrected(movie, splits_rig=1), corrected(movie, splits_rig=5)
    whole = one.shifts
    np.testing.assert_allclose(five.shifts, whole, atol=1e-6)
    np.testing.assert_allclose(five.crispness, one.crispness, rtol=1e-5)
    assert not np.array_equal(
        corrected(movie, num_splits_to_process_rig=1).shifts, whole
    )
    fields = corrected(movie, pw_rigid=True, splits_els=1).fields
    np.testing.assert_allclose(
        corrected(movie, pw_rigid=True, splits_els=5).fields, fields, atol=1e-5
    )
    assert not np.array_equal(
        corrected(movie, pw_rigid=True, num_splits_to_process_els=1).fields, fields
    )


def test_nonneg_movie_lifts_and_clips() -> None:
    movie = simulated(frames=30)[0].astype(np.float32) - 110
    lifted, as_it_is = corrected(movie), corrected(movie, nonneg_movie=False)
    up, down = lifted.save(), as_it_is.save()
    assert up is not None
    assert down is not None
    assert up.min() >= 0
    assert down.min() < 0
    assert lifted.registration.summary["offset"] == pytest.approx(-float(movie.min()))
    np.testing.assert_allclose(np.median(up - down), -movie.min(), rtol=1e-5)


def test_an_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie, _ = simulated()
    whole = corrected(movie).shifts
    lowest, calls = stage.lowest_value, []

    def fails(frames: Array) -> float:
        calls.append(len(frames))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return lowest(frames)

    folder = tmp_path / "work"
    folder.mkdir()
    mc = MotionCorrection(working_directory=folder)
    monkeypatch.setattr(stage, "lowest_value", fails)
    with pytest.raises(KeyboardInterrupt):
        mc.run(movie)
    mc.run(movie)
    # no block was worked on twice, but for the one that failed
    assert sum(calls) == 80 + calls[2]
    np.testing.assert_allclose(mc.shifts, whole, atol=1e-9)
    assert any(folder.iterdir())
    mc.save(remove_intermediate=False)
    assert any(folder.iterdir())
    mc.save()
    assert folder.exists()
    assert not any(folder.iterdir())


@pytest.mark.parametrize("name", ["out.h5", "out.zarr"])
def test_an_interrupted_save_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    recording, _ = simulated(frames=60)
    mc = MotionCorrection(working_directory=tmp_path)
    mc.run(recording)
    expected, moved, move = mc.save(remove_intermediate=False), [], move_stage.correct

    def fails(frames: Array, *rest: Any) -> Array:
        moved.append(len(frames))
        if len(moved) == 3:
            raise KeyboardInterrupt
        return move(frames, *rest)

    monkeypatch.setattr(move_stage, "correct", fails)
    monkeypatch.setattr(save_stage, "frames_moved", lambda *_: 12)
    with pytest.raises(KeyboardInterrupt):
        mc.save(tmp_path / name, chunks=(6, 64, 64))
    again = MotionCorrection(working_directory=tmp_path)  # as a new process does
    again.run(recording)
    again.save(tmp_path / name, chunks=(6, 64, 64))
    assert moved[3:] == [12, 12, 12]  # of five blocks the first two were there
    with open_recording(tmp_path / name, "mc/ch0") as stored:
        np.testing.assert_array_equal(stored.to_array(), expected)
    assert {p.name for p in tmp_path.iterdir()} == {
        name,
        f"{Path(name).stem}.ch0.motion.npz",
        f"{Path(name).stem}.ch0.frames.csv",
    }


def test_jax_is_an_engine() -> None:
    pytest.importorskip("jax", reason="the extra 'gpu' is not installed")
    movie, _ = simulated(frames=20)
    np.testing.assert_allclose(
        corrected(movie, engine="jax").shifts, corrected(movie).shifts, atol=1e-3
    )


def test_no_image_is_kept_of_a_block() -> None:
    """Each block leaves only a few numbers per frame, so that memory does not grow
    with the recording.
    """
    movie, _ = simulated(frames=40)
    found = estimate(movie, corrected(movie)._computed_motion().model)
    sums = stage.ImageSums()
    parts = [sums.take_from(found, 0.0)[0] for _ in range(2)]
    assert (
        sum(getattr(parts[0], f.name).nbytes for f in dataclasses.fields(parts[0]))
        < 40 * 100
    )
    np.testing.assert_allclose(sums.before, 2 * found.sum_before, rtol=1e-6)
    np.testing.assert_allclose(sums.after, 2 * found.sum_after, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:bigtiff has no effect")
def test_bigtiff_and_logging_level_are_accepted() -> None:
    movie, _ = simulated(frames=8)
    mc, plain = MotionCorrection(logging_level=50), MotionCorrection()
    mc.run(movie, bigtiff=False)
    plain.run(movie)
    np.testing.assert_array_equal(mc.save(), plain.save())


@pytest.mark.parametrize("size", [64, 128, 192])
def test_without_noise_frames_that_rest_stay_where_they_are(size: int) -> None:
    scene = ndimage.gaussian_filter(np.random.default_rng(0).random((208, 208)), 1.5)
    steps = (0, 0, 0, 3, 0)
    movie = np.stack([scene[8 + d : 8 + d + size, 8 : 8 + size] for d in steps])
    mc = corrected(1000 * movie.astype(np.float32), max_shifts=(6, 6))
    expected = [[-d, 0] for d in steps]
    np.testing.assert_allclose(mc.shifts, expected, atol=0.02)
