"""Each disturbance has its stated effect and size, and no other effect."""

import numpy as np
import pytest
from scipy import ndimage, stats

from astrocast.simulation import SimulationSettings, Simulator

BASE = {
    "seed": 3,
    "frames": 120,
    "rows": 64,
    "columns": 64,
    "events": 0,
    "tissue": "astrocytes",
    "motion": 0.0,
    "bleach_fraction": 0.0,
    "drift": 0.0,
    "photons": 40.0,
}


def plan_with(**changes):
    return Simulator(SimulationSettings(**BASE | changes))


def noise_free(**changes):
    plan = plan_with(**changes)
    return plan, plan.expected(0, 120) - plan.settings.offset


def test_gain_noise_raises_the_variance_of_photons():
    plan = plan_with(gain_noise=0.7, read_noise=2.0, gain=3.0, frames=400)
    movie = plan.movie(0, 400).astype(float)
    expected = plan.noise_variance(0, 1)[0]
    ratio = movie.var(axis=0, ddof=1) / expected
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    # in bright and dark pixels alike: the variance is linear in the mean
    bright = plan.f0 > np.median(plan.f0)
    assert ratio[bright].mean() == pytest.approx(ratio[~bright].mean(), abs=0.02)
    assert movie.mean() == pytest.approx(plan.expected(0, 400).mean(), rel=0.002)


@pytest.mark.parametrize("shape", [0.4, 1.0, 7.5])
def test_amplified_photons_have_a_gamma_distribution(shape):
    from astrocast.kernels.rendering.random_numbers import draw_gamma

    state = np.array([5], np.uint64)
    values = [draw_gamma(state, shape) for _ in range(4000)]
    assert stats.kstest(values, stats.gamma(shape).cdf).pvalue > 1e-3


def test_flicker_is_one_factor_for_each_frame():
    plan, light = noise_free(flicker=0.05)
    factor = light.mean(axis=(1, 2)) / plan.f0.mean()
    assert factor == pytest.approx(plan.sensor.flicker, rel=1e-4)
    assert factor.std() == pytest.approx(0.05, rel=0.2)
    assert np.allclose(light / plan.f0, factor[:, None, None], rtol=1e-4)
    # the F0 of a perfect preparation has none of it
    assert np.allclose(plan.f0_movie(0, 120), plan.f0, rtol=1e-5)


def test_the_focus_drifts_slowly_and_changes_the_pattern():
    plan, light = noise_free(z_drift=0.09)
    change = light[-1] / light[0] - 1
    assert change.std() == pytest.approx(0.09, rel=0.1)
    assert abs(change.mean()) < 0.02
    assert np.abs(np.diff(light, axis=0)).max() < 0.05 * plan.f0.max()


def test_diffuse_light_has_the_stated_size_scale_and_time():
    _, light = noise_free(background=0.05, rows=128, columns=128)
    change = light - light.mean(axis=0)
    assert change.std() / light.mean() == pytest.approx(0.05, rel=0.3)
    # half a patch away it is nearly the same
    assert np.corrcoef(change[:, :-5].ravel(), change[:, 5:].ravel())[0, 1] > 0.9
    assert np.corrcoef(change[:-2].ravel(), change[2:].ravel())[0, 1] > 0.9
    assert np.corrcoef(change[:-40].ravel(), change[40:].ravel())[0, 1] < 0.5


def test_a_pulsating_vessel_changes_its_width():
    plan, light = noise_free(vessel_pulsation=1.0, rows=96, columns=96)
    assert plan.modes.radius.std() == pytest.approx(1.0, rel=0.4)
    wall = plan.scene.vessel.wall[plan.scene.inside]
    dark = (light < 0.65 * np.median(plan.f0)) & (np.abs(wall) < 8)
    width = dark.sum(axis=(1, 2))
    assert np.corrcoef(width, plan.modes.radius)[0, 1] > 0.9
    far = wall > 30
    assert light[:, far].std(axis=0).max() < 0.1 * light[:, np.abs(wall) < 2].std()


def test_lines_move_within_a_frame_and_odd_rows_by_the_phase():
    plan, light = noise_free(line_motion=1.5, bidirectional=0.8)
    lines = plan.motion.line_shifts
    assert lines.shape == (120, 64, 2)
    assert np.abs(lines[:, ::2]).max() == pytest.approx(1.5, rel=0.1)
    step = lines[:, 1::2, 1] - lines[:, ::2, 1]
    assert step.mean() == pytest.approx(0.8, abs=0.1)
    t, margin = 50, plan.scene.margin
    rows, columns = np.mgrid[:64, :64] + margin
    moved = plan.motion.displacement(t, t + 1)[0]
    assert np.allclose(moved.transpose(1, 2, 0)[:, 5], lines[t])
    scene = ndimage.map_coordinates(
        plan.wide_baseline(t).astype(float),
        np.stack([rows - moved[0], columns - moved[1]]),
        order=3,
        mode="mirror",
    )
    assert np.allclose(light[t], scene, rtol=2e-3)


def test_events_of_the_tissue_move_with_it():
    changes = {"counts": {"branch": 1}, "motion": 3.0, "motion_step": 0.8, "seed": 3}
    plan, light = noise_free(**changes)
    still = plan.clean(0, 120)
    t = int(plan.events["peak"].iloc[0])
    moved = ndimage.shift(
        (still[t] + plan.f0).astype(float), plan.motion.shifts[t], order=3
    )
    inner = np.s_[8:-8, 8:-8]
    assert np.hypot(*plan.motion.shifts[t]) > 0.5
    assert np.allclose(light[t][inner], moved[inner], rtol=0.01)


def test_hot_and_dead_pixels_stay_where_they_are():
    plan = plan_with(hot_pixels=6, dead_pixels=4, read_noise=0.0, motion=3.0)
    movie = plan.movie(0, 120).astype(float) - 100
    hot, dead = plan.sensor.pixels[:6], plan.sensor.pixels[6:]
    assert (movie[:, dead[:, 0], dead[:, 1]] == 0).all()
    excess = movie - ndimage.median_filter(movie, (1, 3, 3))
    at = excess[:, hot[:, 0], hot[:, 1]]
    extra = plan.sensor.extra[:, :6]
    for k in range(6):
        assert at[:, k].mean() == pytest.approx(extra[:, k].mean(), rel=0.35, abs=4)
    blinks = (np.diff(extra, axis=0) != 0).any(axis=0)
    assert blinks[1::2].sum() >= 2
    assert not blinks[::2].any()


def test_bad_frames_are_bad_in_their_way_and_listed():
    kinds = {
        "dropped": "dropped_frames",
        "repeated": "repeated_frames",
        "flash": "flash_frames",
        "laser_off": "laser_off_frames",
        "lost_lines": "lost_line_frames",
        "out_of_focus": "out_of_focus_frames",
    }
    plan = plan_with(**dict.fromkeys(kinds.values(), 2))
    plain = plan_with()
    movie, good = plan.movie(0, 120), plain.movie(0, 120)
    table = plan.bad_frames
    assert table["kind"].value_counts().to_dict() == dict.fromkeys(kinds, 2)
    rest = np.setdiff1d(np.arange(120), table["frame"])
    assert np.array_equal(movie[rest], good[rest])
    at = {kind: table["frame"][table["kind"] == kind].to_numpy() for kind in kinds}
    assert (movie[at["dropped"]] == 0).all()
    assert all(np.array_equal(movie[f], movie[f - 1]) for f in at["repeated"])
    assert movie[at["flash"]].mean() - good.mean() == pytest.approx(40, rel=0.05)
    assert movie[at["laser_off"]].mean() == pytest.approx(100, abs=0.5)
    for frame in at["lost_lines"]:
        lost = (movie[frame] == 0).all(axis=1)
        assert 6 <= lost.sum() <= 32
        assert np.array_equal(movie[frame][~lost], good[frame][~lost])
    sharp = np.abs(np.diff(plain.expected(0, 1)[0], axis=0)).mean()
    for frame in at["out_of_focus"]:
        blurred = np.abs(np.diff(plan.expected(frame, frame + 1)[0], axis=0)).mean()
        assert blurred < 0.5 * sharp


def test_a_running_mean_lowers_the_noise_and_correlates_frames():
    plan = plan_with(average_frames=2, frames=300)
    noise = plan.movie(0, 300) - plan.expected(0, 300)
    ratio = noise.var() / plan.noise_variance(0, 300).mean()
    assert ratio == pytest.approx(1, abs=0.02)
    neighbours = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    apart = np.corrcoef(noise[2:].ravel(), noise[:-2].ravel())[0, 1]
    assert neighbours == pytest.approx(0.5, abs=0.02)
    assert apart == pytest.approx(0, abs=0.02)
    # the first frame is a mean of two as well
    assert noise[0].var() == pytest.approx(noise[5].var(), rel=0.15)
    space = plan_with(average_pixels=3)
    noise = space.movie(0, 120) - space.expected(0, 120)
    across = np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]
    assert across == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 8), ("uint16", 12)])
def test_counts_saturate_at_the_bits_of_the_camera(dtype, bits):
    plan = plan_with(dtype=dtype, bits=bits, gain=0.4 * 2**bits / 40)
    movie = plan.movie(0, 120)
    assert movie.dtype == dtype
    assert movie.max() == 2**bits - 1
    assert (movie == movie.max()).mean() < 0.2


def test_each_disturbance_has_a_stream_of_its_own():
    """Switching one on leaves the random numbers of all others as they are."""
    each = {
        "z_drift": 0.1,
        "background": 0.05,
        "vessel_pulsation": 0.5,
        "flicker": 0.02,
        "motion": 3.0,
        "line_motion": 0.5,
        "hot_pixels": 3,
        "dead_pixels": 3,
        "flash_frames": 1,
    }
    whole = plan_with(**each)
    for name in each:
        less = plan_with(**{k: v for k, v in each.items() if k != name})
        assert np.array_equal(less.f0, whole.f0)
        if name != "motion":
            assert np.array_equal(less.motion.shifts, whole.motion.shifts)
        if name != "line_motion":
            assert np.array_equal(less.motion.lines, whole.motion.lines)
        if name != "flicker":
            assert np.array_equal(less.sensor.flicker, whole.sensor.flicker)
        if name not in ("hot_pixels", "dead_pixels"):
            assert np.array_equal(less.sensor.extra, whole.sensor.extra)
        for k in range(less.modes.courses.shape[1]):
            course = less.modes.courses[:, k]
            assert any(np.allclose(course, other) for other in whole.modes.courses.T)


def test_turning_all_off_leaves_photon_and_read_noise():
    plan = plan_with()
    noise = (plan.movie(0, 120) - plan.expected(0, 120)) / np.sqrt(
        plan.noise_variance(0, 120)
    )
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.std() == pytest.approx(1, abs=0.005)
