"""A simulated study has the effects, the spread and the structure that it states."""

import numpy as np
import pandas as pd
import pytest

from astrocast.errors import InvalidValueError, OutputExistsError
from astrocast.io import open_recording
from astrocast.settings.simulation_cohort import CohortSettings
from astrocast.simulation import SimulationSettings, read_truth
from astrocast.simulation.cohort import simulate_cohort, write_cohort


def test_the_same_seed_gives_the_same_study():
    one, two, other = (simulate_cohort(CohortSettings(seed=s)) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one.events, two.events)
    pd.testing.assert_frame_equal(one.units, two.units)
    assert not one.events["onset_s"].equals(other.events["onset_s"])


def test_recordings_lie_in_animals_and_animals_in_groups():
    made = simulate_cohort(CohortSettings(animals=3, recordings=2, groups=("a", "b")))
    assert len(made.recordings) == 12
    assert made.recordings.groupby("subject")["group"].nunique().eq(1).all()
    assert set(made.events["recording"]) == set(made.recordings["recording"])
    counted = made.events["recording"].value_counts()
    stated = made.recordings.set_index("recording")["events"]
    assert (counted - stated).abs().sum() == 0


@pytest.mark.parametrize("value", ["peak_dff", "duration_s", "area_um2"])
def test_effects_are_factors_on_the_mean(value):
    made = simulate_cohort(
        CohortSettings(seed=3, animals=15, animal_sd=0.05, effects={value: 1.5})
    )
    means = made.events.groupby("group")[["peak_dff", "duration_s", "area_um2"]].mean()
    ratio = means.loc["treated"] / means.loc["control"]
    assert ratio.pop(value) == pytest.approx(1.5, rel=0.08)
    assert ratio.to_numpy() == pytest.approx(1, rel=0.08)


def test_rates_are_what_the_table_states():
    made = simulate_cohort(
        CohortSettings(
            seed=4, animals=8, animal_sd=0.05, followers=0.0, effects={"rate": 2.0}
        )
    )
    table = made.recordings
    expected = table["rate_per_min"] * made.settings.minutes
    deviation = (table["events"] - expected) / np.sqrt(expected)
    assert abs(deviation.mean()) < 0.5
    assert 0.6 < deviation.std() < 1.4
    rate = table.groupby("group")["rate_per_min"].mean()
    assert rate["treated"] / rate["control"] == pytest.approx(2, rel=0.1)


def test_events_of_an_animal_are_alike():
    """Without an effect, animals explain what recordings and events do not."""
    made = simulate_cohort(CohortSettings(seed=5, animals=20, animal_sd=0.5))
    means = np.log(made.events.groupby(["subject", "recording"])["peak_dff"].mean())
    between = means.groupby("subject").mean().std()
    within = means.groupby("subject").std().mean()
    assert between == pytest.approx(0.5, rel=0.35)
    assert within < 0.3 * between


def test_followers_come_after_their_leader():
    made = simulate_cohort(
        CohortSettings(seed=6, animals=1, groups=("a",), followers=0.4, rate=1.0)
    )
    led = made.events[made.events["follows"] >= 0]
    assert len(led) > 50
    units = made.units.set_index(["recording", "unit"])
    for row in led.itertuples():
        unit = units.loc[(row.recording, row.unit)]
        assert unit["leader"] == row.follows
        leaders = made.events[
            (made.events["recording"] == row.recording)
            & (made.events["unit"] == row.follows)
        ]
        delays = (row.onset_s - leaders["onset_s"]) * made.settings.frame_rate
        assert (delays - unit["delay"]).abs().min() < 1e-6


def test_stimuli_are_answered_after_the_latency():
    settings = CohortSettings(
        seed=7, stimulus_interval=30.0, response_probability=0.6, followers=0.0
    )
    made = simulate_cohort(settings)
    answers = made.events[made.events["stimulus"] >= 0]
    latency = answers["onset_s"] - made.triggers[answers["stimulus"]]
    assert latency.mean() == pytest.approx(1.5, abs=0.05)
    assert latency.std() == pytest.approx(0.3, abs=0.05)
    responders = made.units[made.units["responds"]]
    regions = len(responders.groupby(["recording", "region"]))
    share = len(answers) / (regions * len(made.triggers))
    assert share == pytest.approx(0.6, abs=0.03)
    assert simulate_cohort(CohortSettings()).triggers.size == 0


def test_classes_differ_and_belong_to_units():
    made = simulate_cohort(CohortSettings(seed=8, classes=3, event_sd=0.2))
    assert (
        made.events.groupby(["recording", "unit"])["event_class"].nunique().eq(1).all()
    )
    logs = np.log(made.events[["peak_dff", "duration_s", "area_um2"]])
    centres = logs.groupby(made.events["event_class"]).mean().to_numpy()
    spread = logs.groupby(made.events["event_class"]).std().to_numpy().mean()
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    assert apart[np.triu_indices(3, 1)].min() > 2 * spread


def test_boxes_and_masks_fit_the_recording():
    made = simulate_cohort(CohortSettings(seed=9, animals=1, recordings=1))
    table, s = made.events, made.settings
    for axis, size in (("z", s.frames), ("x", s.rows), ("y", s.columns)):
        assert (table[f"{axis}0"] >= 0).all()
        assert (table[f"{axis}1"] <= size).all()
        assert (table[f"d{axis}"] == table[f"{axis}1"] - table[f"{axis}0"]).all()
        assert (table[f"d{axis}"] > 0).all()
    name = made.recordings["recording"].iloc[0]
    masks = made.masks(name)
    rows = table.loc[masks.index]
    assert [m.shape for m in masks] == list(
        zip(rows["dz"], rows["dx"], rows["dy"], strict=True)
    )
    volume = np.array([m.sum() for m in masks])
    large = rows["v_area"] / rows["dz"] > 30
    assert (volume / rows["v_area"])[large].mean() == pytest.approx(1, abs=0.1)


def test_movies_of_a_study_have_its_effects(tmp_path):
    settings = CohortSettings(
        seed=2,
        animals=1,
        recordings=1,
        frames=120,
        rows=80,
        columns=80,
        animal_sd=0.0,
        recording_sd=0.0,
        effects={"peak_dff": 1.6},
    )
    base = SimulationSettings.preset("domains", 4.0, counts={"domain": 6})
    table = write_cohort(settings, tmp_path / "study", base)
    study = pd.read_csv(table)
    assert list(study["group"]) == ["control", "treated"]
    means = []
    for name in study["recording"]:
        path = table.parent / name
        with open_recording(path) as movie:
            assert movie.shape == (120, 80, 80)
        means.append(read_truth(path).events["dff"].mean())
    assert means[1] / means[0] == pytest.approx(1.6, rel=0.35)
    with pytest.raises(OutputExistsError, match=r"study\.csv"):
        write_cohort(settings, tmp_path / "study", base)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"effects": {"rate": 0.0}}, "above 0"),
        ({"effects": {"speed": 2.0}}, "rate"),
        ({"groups": ("a", "a")}, "differ"),
    ],
)
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(InvalidValueError, match=message):
        CohortSettings.checked(**wrong)
