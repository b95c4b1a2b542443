"""Events follow the tissue, and the table states what they do."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.settings.simulation_kinds import TISSUE_KINDS
from astrocast.settings.simulation_presets import PRESETS
from astrocast.simulation import SimulationSettings, Simulator

FRAMES = 160
STILL = {
    "frames": FRAMES,
    "rows": 112,
    "columns": 112,
    "motion": 0.0,
    "bleach_fraction": 0.0,
    "drift": 0.0,
    "snr": 4.0,
}


@cache
def plan_of(kind: str, number: int, seed: int = 1) -> Simulator:
    return Simulator(SimulationSettings(seed=seed, counts={kind: number}, **STILL))


@cache
def clean_of(kind: str, number: int, seed: int = 1) -> np.ndarray:
    return plan_of(kind, number, seed).clean(0, FRAMES)


NUMBER = {"cell_wave": 1, "whole_field": 1, "repeats": 5, "domain": 8}


@pytest.mark.parametrize("kind", TISSUE_KINDS)
def test_the_table_says_what_the_clean_movie_shows(kind):
    n = NUMBER.get(kind, 2)
    plan, clean = plan_of(kind, n), clean_of(kind, n)
    assert list(plan.events["kind"]) == [kind] * n
    flat = clean.reshape(FRAMES, -1)
    for row, voxels in zip(plan.events.itertuples(), plan.voxels, strict=True):
        frames, pixels = np.divmod(voxels, flat.shape[1])
        footprint = np.unique(pixels)
        assert row.area == len(footprint)
        assert row.volume == len(voxels)
        assert (row.onset, row.offset) == (frames.min(), frames.max())
        assert flat.ravel()[voxels].max() == pytest.approx(row.amplitude, rel=1e-3)
        assert flat.ravel()[voxels].min() >= 0.25 * row.amplitude * (1 - 1e-5)
        # other events of the recording may leave a little light in these pixels
        course = flat[row.z0 : row.z1][:, footprint].mean(1)
        assert course.max() == pytest.approx(row.peak_df, rel=0.02)
        f0 = plan.f0.ravel()[footprint].mean()
        assert row.peak_dff == pytest.approx(row.peak_df / f0, rel=1e-4)
        assert row.onset_time < row.peak_time < row.offset_time
        half = np.flatnonzero(course >= 0.5 * course.max())
        assert row.half_width <= np.ptp(half) + 3


def test_the_snr_is_the_peak_over_the_noise_of_the_movie():
    plan = Simulator(
        SimulationSettings(seed=2, counts={"soma": 3}, gain_noise=0.6, **STILL)
    )
    residual = plan.movie(0, FRAMES) - plan.expected(0, FRAMES)
    sd = residual.std(axis=0)
    for row in plan.events.itertuples():
        place = plan.clean(row.peak, row.peak + 1)[0]
        noise = sd[place > 0.5 * row.amplitude].mean()
        assert row.amplitude / noise == pytest.approx(row.snr, rel=0.1)


def test_a_wave_runs_along_the_branches_at_its_speed():
    plan, clean = plan_of("wave", 2), clean_of("wave", 2)
    for row in plan.events.itertuples():
        footprint = plan._tissue_drafts[row.event - 1].footprint
        own = footprint.weight > 0.5
        y, x = footprint.row[own], footprint.column[own]
        signal = clean[:, y, x]
        # the half-rise of each pixel, later by its distance over the speed
        half = (signal >= 0.5 * signal.max(0)).argmax(0)
        slope, _ = np.polyfit(footprint.delay[own], half, 1)
        assert slope == pytest.approx(1, abs=0.1)
        # straight lines are shorter than the path, never longer (but for the grid)
        origin = footprint.delay[own].argmin()
        straight = np.hypot(y - y[origin], x - x[origin])
        along = footprint.delay[own] * footprint.speed
        assert (straight < along * 1.05 + 2).all()
        assert row.path >= 20
        assert row.speed == footprint.speed


def test_a_wave_across_cells_covers_more_than_one_cell():
    plan = plan_of("cell_wave", 1)
    covered = plan.labels(0, FRAMES).max(0) > 0
    centres = np.array([c.centre for c in plan.scene.cells]) - plan.scene.margin
    at = np.argwhere(covered)
    nearest = np.hypot(*(at[:, None] - centres).transpose(2, 0, 1)).argmin(1)
    assert (np.bincount(nearest) > 0.1 * len(at)).sum() >= 2


def test_a_whole_field_event_is_everywhere():
    plan = plan_of("whole_field", 1)
    assert plan.events["area"].iloc[0] > 0.95 * 112 * 112


def test_endfeet_lie_at_the_wall_of_the_vessel():
    plan = plan_of("endfoot", 2)
    wall = plan.scene.vessel.wall[plan.scene.inside]
    footprint = plan.labels(0, FRAMES).max(0) > 0
    assert wall[footprint].min() > -2
    assert wall[footprint].max() < 7
    assert plan.f0[wall < -2].mean() < 0.6 * plan.f0[wall > 0].mean()


def test_domains_have_the_stated_area():
    plan = plan_of("domain", 8)
    for draft in plan._tissue_drafts:
        weight = draft.footprint.weight
        assert 3 <= (weight > 0.4).sum() <= 60


def test_patches_have_the_stated_area():
    for seed in range(3):
        for draft in plan_of("branch", 2, seed)._tissue_drafts:
            assert 40 <= (draft.footprint.weight > 0.3).sum() <= 200


def test_several_peaks_are_one_event_that_dips():
    plan, clean = plan_of("several_peaks", 2), clean_of("several_peaks", 2)
    for row, voxels in zip(plan.events.itertuples(), plan.voxels, strict=True):
        mask = np.zeros(clean.size, bool)
        mask[voxels] = True
        _, parts = ndimage.label(mask.reshape(clean.shape))
        assert parts == 1
        footprint = np.unique(voxels % (112 * 112))
        course = clean.reshape(FRAMES, -1)[:, footprint].mean(1)
        tops = np.flatnonzero(
            (course[1:-1] > course[:-2])
            & (course[1:-1] >= course[2:])
            & (course[1:-1] > 0.3 * course.max())
        )
        assert len(tops) >= 2
        assert row.peaks >= len(tops)


def test_repeats_share_a_place_and_fade_in_between():
    plan, clean = plan_of("repeats", 5), clean_of("repeats", 5)
    table = plan.events
    for number, group in table.groupby("group"):
        assert number > 0
        first = plan.voxels[group.index[0]] % (112 * 112)
        course = clean.reshape(FRAMES, -1)[:, np.unique(first)].mean(1)
        for a, b in zip(group.itertuples(), list(group.itertuples())[1:], strict=False):
            assert course[a.offset : b.onset].min() < 0.15 * min(a.peak_df, b.peak_df)
            assert a.area == pytest.approx(b.area, rel=0.1)
    assert not table["touches"].any()


def test_heights_vary_within_a_footprint_and_edges_are_soft():
    def inside(**changes):
        settings = SimulationSettings(seed=4, counts={"soma": 1}, **STILL, **changes)
        plan = Simulator(settings)
        image = plan.clean(0, FRAMES).max(0)
        return image / image.max()

    flat, uneven = inside(hot_spot=0.0, texture=0.0), inside()
    core = flat > 0.95
    assert core.sum() > 15
    assert uneven[core].std() > 0.08
    assert ((flat > 0.2) & (flat < 0.8)).sum() > 10


def test_light_of_other_events_and_disturbances_changes_no_event():
    names = ("mixed", "mixed_all", "mixed_line_motion", "mixed_bad_frames")
    small = {"frames": 120, "rows": 96, "columns": 96, "seed": 5}
    counts = {"domain": 3, "wave": 1, "whole_field": 1}
    plans = [
        Simulator(SimulationSettings.preset(n, 2.0, counts=counts, **small))
        for n in names
    ]
    labels = [plan.labels(0, 120) for plan in plans]
    assert labels[0].max() == 5
    for plan, one in zip(plans[1:], labels[1:], strict=True):
        # where bleaching changes the height of two events their order may change
        assert (one > 0).sum() == pytest.approx((labels[0] > 0).sum(), rel=0.02)
        assert np.array_equal(plan.f0, plans[0].f0)
        for a, b in zip(plan._tissue_drafts, plans[0]._tissue_drafts, strict=True):
            assert a.start == b.start
            assert np.array_equal(a.footprint.weight, b.footprint.weight)
            assert np.array_equal(a.course.values, b.course.values)


def test_blocks_of_frames_are_the_whole():
    settings = SimulationSettings.preset(
        "nuisances",
        frames=50,
        rows=64,
        columns=64,
        counts={"domain": 2, "static": 1},
        radius=(3.0, 4.0),
        average_frames=3,
        repeated_frames=3,
        dropped_frames=2,
        line_motion=0.5,
    )
    plan = Simulator(settings)
    whole = plan.movie(0, 50), plan.labels(0, 50), plan.clean(0, 50)
    for step in (7, 16):
        for name, expected in zip(("movie", "labels", "clean"), whole, strict=True):
            render = getattr(plan, name)
            blocks = [render(a, min(a + step, 50)) for a in range(0, 50, step)]
            assert np.array_equal(np.concatenate(blocks), expected), name


def test_formula_and_tissue_events_can_be_mixed():
    plan = Simulator(
        SimulationSettings(
            seed=3, counts={"static": 2, "domain": 3}, radius=(3.0, 4.0), **STILL
        )
    )
    assert sorted(plan.events["kind"]) == ["domain"] * 3 + ["static"] * 2
    labels = plan.labels(0, FRAMES)
    assert set(np.unique(labels)) == set(range(6))
    _, parts = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    assert parts == 5


def test_every_preset_can_be_planned():
    for name in PRESETS:
        settings = SimulationSettings.preset(name, snr=1.0, seed=2)
        assert settings.shape == (250, 144, 144)
    for name in ("mixed", "cell_waves", "repeats", "domains"):
        plan = Simulator(SimulationSettings.preset(name, seed=2))
        assert len(plan.events) == plan.settings.event_count
        # each event has voxels, and its peak lies in the recording
        assert len(plan.voxels) == len(plan.events)
        assert min(map(len, plan.voxels)) > 0
        assert plan.events["peak"].between(0, plan.settings.frames - 1).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tissue": "cells", "kinds": ("wave",)}, "astrocytes"),
        ({"kinds": ("endfoot",), "vessel_radius": 0}, "vessel_radius"),
        ({"bits": 8, "dtype": "float32"}, "integer"),
        ({"peaks": (0, 3)}, "peaks"),
        ({"counts": {"wave": -1}}, "counts"),
    ],
)
def test_what_does_not_fit_together_is_said(wrong, message):
    with pytest.raises(InvalidValueError, match=message):
        SimulationSettings.checked(**wrong)


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(InvalidValueError, match=r"wavess.*cell_waves"):
        SimulationSettings.preset("wavess")


def test_events_that_find_no_room_are_placed_anew():
    """Of seed 3100, the other kinds leave no room for six somata at first."""
    settings = SimulationSettings.preset("mixed", seed=3100)
    plan = Simulator(settings)
    counts = plan.events["kind"].value_counts().to_dict()
    assert counts == {k: n for k, n in settings.kind_counts.items() if n}
    again = Simulator(settings).events
    assert again.equals(plan.events)


def test_too_many_events_are_refused_with_the_number_that_fits():
    settings = SimulationSettings(
        seed=3, frames=60, rows=64, columns=64, counts={"soma": 40}
    )
    with pytest.raises(InvalidValueError, match=r"only \d+ of 40 .* 'soma' fit"):
        Simulator(settings)
