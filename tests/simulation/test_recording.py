"""A simulated recording contains the truth that it states."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.simulation import (
    SimulatedRecording,
    SimulationSettings,
    Simulator,
    simulate,
    simulate_blocks,
)

STILL = {"motion": 0.0, "bleach_fraction": 0.0, "drift": 0.0}


def made(**values):
    return SimulationSettings(
        **(
            {"frames": 60, "rows": 48, "columns": 64, "events": 3, "radius": (3.0, 4.0)}
            | values
        )
    )


@pytest.fixture(scope="module")
def default():
    return simulate(
        SimulationSettings(seed=3, frames=200, rows=96, columns=96, events=12)
    )


def test_the_same_seed_gives_the_same_recording_and_another_seed_another():
    one, two, other = (simulate(made(seed=s)) for s in (1, 1, 2))
    assert np.array_equal(one.movie, two.movie)
    assert one.events.equals(two.events)
    assert not np.array_equal(one.movie, other.movie)
    assert not np.array_equal(one.labels, other.labels)


@settings(max_examples=8)
@given(st.integers(1, 25), st.sampled_from([0.0, 1.5]))
def test_blocks_are_the_whole(frames, deformation):
    parameters = made(seed=5, deformation=deformation)
    whole = simulate(parameters)
    blocks = list(simulate_blocks(parameters, frames))
    for name in ("movie", "clean", "labels"):
        assert np.array_equal(
            np.concatenate([getattr(b, name) for b in blocks]), getattr(whole, name)
        ), name


def test_read_as_a_recording_it_is_the_movie():
    whole = simulate(made(seed=5))
    recording = SimulatedRecording(made(seed=5))
    assert recording.shape == whole.movie.shape
    assert np.array_equal(
        recording.read(7, 19, slice(3, 20), slice(10, 40)),
        whole.movie[7:19, 3:20, 10:40],
    )
    assert recording.metadata.frame_rate == 5.0


@pytest.mark.parametrize("snr", [1.0, 4.0])
def test_each_event_has_the_stated_snr_at_its_peak(snr):
    # noise measured on the movie around the peak, signal from a noise-free rendering of
    # the same place
    parameters = made(
        seed=2,
        frames=400,
        snr=snr,
        amplitude=(0.5, 0.5),
        kinds=("static",),
        contrast=0.0,
        **STILL,
    )
    one = simulate(parameters)
    plan = Simulator(parameters)
    noise = (one.movie - plan.expected(0, 400))[:, one.clean.max(0) == 0].std()
    assert one.events["amplitude"].to_numpy() / noise == pytest.approx(snr, rel=0.03)
    assert one.events["snr"].to_numpy() == pytest.approx(snr, rel=0.02)


def test_photons_set_brightness_and_poisson_noise():
    parameters = made(
        photons=30.0,
        read_noise=0.0,
        offset=7.0,
        gain=2.0,
        events=0,
        frames=300,
        **STILL,
    )
    counts = simulate(parameters).movie.astype(float)
    assert counts.mean() == pytest.approx(7 + 2 * 30, rel=0.005)
    # variance is the gain times the mean, pixel by pixel
    slope = np.polyfit(counts.mean(0).ravel() - 7, counts.var(0, ddof=1).ravel(), 1)[0]
    assert slope == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("photons", [0.4, 3.0, 9.9, 10.1, 40.0, 900.0])
def test_photon_numbers_are_poisson_distributed(photons):
    from scipy import stats

    parameters = made(
        photons=photons,
        read_noise=0.0,
        offset=0.0,
        events=0,
        contrast=0.0,
        frames=40,
        **STILL,
    )
    counts = simulate(parameters).movie.ravel()
    values = np.arange(counts.max() + 1)
    expected = stats.poisson.pmf(values, photons) * counts.size
    common = expected > 20
    chi = (
        (np.bincount(counts, minlength=len(values)) - expected)[common] ** 2
        / expected[common]
    ).sum()
    assert stats.chi2.sf(chi, common.sum()) > 1e-4


def test_noise_is_independent_between_pixels_and_frames():
    counts = simulate(
        made(photons=20.0, events=0, contrast=0.0, frames=60, **STILL)
    ).movie.astype(float)
    counts -= counts.mean()
    for axis in range(3):
        a, b = (
            np.split(counts, [1], axis)[1],
            np.split(counts, [counts.shape[axis] - 1], axis)[0],
        )
        assert abs((a * b).mean() / counts.var()) < 5 / np.sqrt(counts.size)


def test_the_mean_follows_the_bleaching():
    parameters = made(
        frames=300,
        photons=200.0,
        events=0,
        motion=0.0,
        drift=0.0,
        bleach_fraction=0.3,
        bleach_time=150.0,
        bleach_fast_fraction=0.2,
        bleach_fast_time=15.0,
    )
    one = simulate(parameters)
    t = np.arange(300)
    truth = 0.5 + 0.3 * np.exp(-t / 150) + 0.2 * np.exp(-t / 15)
    course = one.movie.mean(axis=(1, 2)) - 100
    assert np.allclose(course / one.f0.mean(), truth, atol=0.004)
    assert np.allclose(one.bleaching, truth)


def test_frames_are_moved_by_the_stated_shifts():
    parameters = made(
        seed=4,
        events=0,
        photons=2000.0,
        motion=4.0,
        motion_step=0.8,
        jumps=2,
        drift=0.0,
        bleach_fraction=0,
    )
    plan = Simulator(parameters)
    one = simulate(parameters)
    assert np.abs(one.shifts).max() <= 4
    assert np.ptp(one.shifts, axis=0).min() > 2
    expected = plan.expected(0, 60)
    for t in (0, 20, 59):
        # scipy moves an image by a positive shift down and right, as stated; inside,
        # the borders are not known to it
        moved = (
            ndimage.shift(one.f0.astype(float), one.shifts[t], order=3, mode="mirror")
            + 100
        )
        assert np.allclose(expected[t, 8:-8, 8:-8], moved[8:-8, 8:-8], rtol=2e-3)


def test_cross_correlation_finds_the_shifts():
    from skimage.registration import phase_cross_correlation

    one = simulate(
        made(
            seed=4,
            rows=96,
            columns=96,
            events=0,
            photons=4000.0,
            motion=4.0,
            motion_step=0.8,
            drift=0.0,
        )
    )
    for t in (10, 30, 50):
        found = -phase_cross_correlation(
            one.f0[8:-8, 8:-8],
            one.movie[t, 8:-8, 8:-8],
            upsample_factor=20,
            normalization=None,
        )[0]
        assert np.allclose(found, one.shifts[t], atol=0.35)


def test_the_field_displaces_pixels_as_stated():
    parameters = made(
        seed=6,
        rows=96,
        columns=96,
        events=0,
        deformation=3.0,
        motion=1.0,
        deformation_time=20.0,
    )
    plan = Simulator(parameters)
    field = plan.motion.field(0, 60)
    assert 2.5 < np.abs(field).max() < 3.5
    motion = plan.motion
    assert np.allclose(
        field, motion.row_basis @ motion.knots @ motion.column_basis.T, atol=1e-5
    )
    assert np.allclose(field.mean(axis=(2, 3)), 0, atol=1e-4)
    t = 30
    moved = plan.motion.displacement(t, t + 1)[0]
    margin = plan.scene.margin
    rows, columns = np.mgrid[:96, :96] + margin
    where = np.stack([rows - moved[0], columns - moved[1]])
    scene = ndimage.map_coordinates(
        plan.wide_baseline(t).astype(float), where, order=3, mode="mirror"
    )
    assert np.allclose(plan.expected(t, t + 1)[0] - 100, scene, rtol=1e-3)


def test_events_move_with_the_tissue():
    parameters = made(
        seed=8,
        rows=96,
        columns=96,
        contrast=0.0,
        motion=3.0,
        motion_step=0.6,
        drift=0.0,
        bleach_fraction=0.0,
        border=8.0,
        kinds=("static",),
    )
    plan = Simulator(parameters)
    for event in plan.events.itertuples():
        # relative to the event at rest, its image is displaced by the shift of the
        # frame
        box = (
            slice(max(event.x0 - 8, 0), event.x1 + 8),
            slice(max(event.y0 - 8, 0), event.y1 + 8),
        )
        seen = (
            plan.expected(event.peak, event.peak + 1)[0]
            - plan.settings.offset
            - plan.f0
        )
        still = plan.clean(event.peak, event.peak + 1)[0]
        apart = np.subtract(
            ndimage.center_of_mass(seen[box]), ndimage.center_of_mass(still[box])
        )
        assert np.allclose(apart, plan.motion.shifts[event.peak], atol=0.1)


def test_voxels_are_those_above_a_quarter_of_the_peak(default):
    for i, voxels in enumerate(default.voxels):
        inside = default.clean.ravel()[voxels]
        peak = default.events["amplitude"][i]
        assert inside.max() == pytest.approx(peak, rel=1e-3)
        assert inside.min() >= 0.25 * peak * (1 - 1e-6)
        # the box around it has no other event, so all of it above the level is in the
        # list
        e = default.events.iloc[i]
        box = default.clean[e.z0 : e.z1, e.x0 : e.x1, e.y0 : e.y1]
        assert (box >= 0.25 * peak).sum() == pytest.approx(len(voxels), abs=2)


def test_labels_number_the_events_of_the_table(default):
    assert set(np.unique(default.labels)) == {0, *default.events["event"]}
    assert np.array_equal(
        np.bincount(default.labels.ravel())[1:], default.events["volume"]
    )
    for i, voxels in enumerate(default.voxels):
        assert (default.labels.ravel()[voxels] == i + 1).all()


def test_the_stronger_event_wins_an_overlap():
    parameters = made(
        seed=1, events=14, overlap=True, amplitude=(0.2, 1.0), radius=(5.0, 8.0)
    )
    one = simulate(parameters)
    flat = one.labels.ravel()
    claimed = np.bincount(np.concatenate(one.voxels), minlength=flat.size)
    assert (claimed > 1).any()
    assert np.array_equal(flat > 0, claimed > 0)
    for i, voxels in enumerate(one.voxels):
        assert np.isin(
            voxels[claimed[voxels] == 1], np.flatnonzero(flat == i + 1)
        ).all()


def test_separate_events_do_not_touch():
    one = simulate(
        SimulationSettings(seed=9, frames=150, rows=96, columns=96, events=12)
    )
    joined, n = ndimage.label(one.labels > 0, np.ones((3, 3, 3)))
    assert n == len(one.events)
    assert all(len(np.unique(one.labels[joined == k])) == 1 for k in range(1, n + 1))


def test_touching_events_touch():
    one = simulate(
        SimulationSettings(
            seed=9, frames=300, rows=96, columns=96, events=12, kinds=("touching",)
        )
    )
    _, n = ndimage.label(one.labels > 0, np.ones((3, 3, 3)))
    assert len(one.events) == 12
    assert n == 6


def test_all_touching_pairs_touch():
    touching = [
        Simulator(SimulationSettings.preset("touching", 2.0, seed=seed)).events[
            "touches"
        ]
        for seed in range(40, 48)
    ]
    assert sum(map(len, touching)) == 192
    assert sum(column.sum() for column in touching) == 192


@pytest.mark.parametrize("kind", ["static", "growing", "travelling", "long"])
def test_kinds_do_what_they_say(kind):
    parameters = made(
        seed=12,
        frames=150,
        rows=96,
        columns=96,
        events=2,
        kinds=(kind,),
        speed=(0.8, 0.8),
        path=(20, 20),
    )
    one = simulate(parameters)
    for event in one.events.itertuples():
        mine = one.labels == event.event
        frames = np.arange(event.onset, event.offset + 1)
        assert event.duration == len(frames) == mine.any(axis=(1, 2)).sum()
        area = mine.sum(axis=(1, 2))[frames]
        centre = np.array([ndimage.center_of_mass(mine[t]) for t in frames])
        step = np.polyfit(frames, centre, 1)[0]
        if kind == "travelling":
            angle = np.degrees(np.arctan2(*step))
            assert np.hypot(*step) == pytest.approx(0.8, rel=0.05)
            assert event.speed == pytest.approx(0.8)
            assert abs((angle - event.direction + 180) % 360 - 180) < 5
        else:
            assert np.hypot(*step) < 0.1
            assert event.speed == 0
        if kind == "growing":
            assert area.argmax() > event.growth * 0.6
            assert area[2] < 0.5 * area.max()
        if kind == "long":
            assert event.duration == pytest.approx(50, abs=3)


def test_a_recording_without_events_has_an_empty_table_with_all_columns(default):
    one = simulate(made(events=0))
    assert len(one.events) == 0
    assert list(one.events.columns) == list(default.events.columns)
    assert one.voxels == ()
    assert not one.labels.any()
    assert not one.clean.any()


def test_integers_saturate():
    one = simulate(made(dtype="uint8", photons=250.0, amplitude=(3.0, 3.0), **STILL))
    assert one.movie.max() == 255
    z, x, y = np.unravel_index(one.clean.argmax(), one.clean.shape)
    assert one.movie[z, x, y] == 255
    dark = simulate(made(photons=0.5, read_noise=30.0, offset=0.0, events=0))
    assert (dark.movie == 0).mean() > 0.4
    assert dark.movie.max() < 1000


def test_movie_is_baseline_plus_events_where_nothing_moves():
    plan = Simulator(made(seed=3, motion=0.0, drift=0.2, bleach_fraction=0.4))
    whole = plan.baseline(0, 60) + plan.clean(0, 60) + plan.settings.offset
    assert np.allclose(plan.expected(0, 60), whole, rtol=1e-4)


def test_motion_leaves_the_truth_as_it_is():
    still, moving = (
        simulate(made(seed=3, motion=0.0)),
        simulate(made(seed=3, motion=3.0)),
    )
    assert np.array_equal(still.labels, moving.labels)
    assert np.array_equal(still.shifts, np.zeros((60, 2)))


def test_the_second_channel_moves_alike_and_has_no_events():
    parameters = made(
        seed=4, second_channel=True, photons=3000.0, motion=4.0, motion_step=0.8
    )
    one = simulate(parameters)
    assert one.second.shape == one.movie.shape
    brightest = one.events.iloc[one.events["amplitude"].argmax()]
    box = np.s_[:, brightest.x0 : brightest.x1, brightest.y0 : brightest.y1]
    mean = one.second.mean(axis=(1, 2))
    assert (one.second[box].mean(axis=(1, 2)) / mean).std() < (
        one.movie[box].mean(axis=(1, 2)) / mean
    ).std()
    with pytest.raises(ValueError, match="second_channel"):
        Simulator(made()).second(0, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"snr": 2.0, "photons": 3.0}, "not both"),
        ({"rise": (3.0, 1.0)}, "lowest, highest"),
        ({"bleach_fraction": 0.7, "bleach_fast_fraction": 0.7}, "at most 1"),
        ({"sees": 3}, "sees"),
        ({"kinds": ("round",)}, "travelling"),
    ],
)
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(InvalidValueError, match=message):
        SimulationSettings.checked(**wrong)


def test_too_many_events_are_refused():
    with pytest.raises(InvalidValueError, match=r"of 500 events fit"):
        Simulator(made(events=500))


def test_density_counts_events_per_voxel():
    assert made(density=20.0).event_count == round(20 * 60 * 48 * 64 / 1e6)
