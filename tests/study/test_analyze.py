"""``astrocast analyze`` writes tables and figures, and says what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from astrocast.analysis import MultiEvents
from astrocast.analysis.tsfresh_features import tsfresh_features
from astrocast.cli.app import app, main
from astrocast.errors import MissingExtraError
from astrocast.study.cohort import Cohort


def cohort_file(path: Path, effect: float) -> Path:
    """A table of events: four animals a group, two recordings each."""
    rng = np.random.default_rng(0)
    rows = []
    for a in range(8):
        group, level = ("control", "drug")[a // 4], rng.normal(5, 0.5)
        for r in range(2):
            values = rng.normal(level + effect * (a // 4), 1, 15)
            label = (f"{a}{r}", group, f"m{a}")
            # duration goes with the amplitude
            rows += [(*label, v, 5 + v / 2 + rng.normal(0, 0.3)) for v in values]
    columns = ["recording", "group", "subject", "peak_dff", "duration_s"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def analyze(*words: str) -> str:
    done = CliRunner().invoke(app, ["analyze", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_groups_are_compared_by_animals(tmp_path: Path):
    events = cohort_file(tmp_path / "events.csv", effect=3.0)
    out = tmp_path / "out"
    said = analyze("groups", str(events), "--value", "peak_dff", "-o", str(out))
    assert "4 animals" in said
    table = pd.read_csv(out / "groups.csv")
    assert table["difference"].tolist() == pytest.approx([3.0], abs=0.8)
    assert table["q"].max() < 0.01
    assert (out / "groups_peak_dff.png").stat().st_size > 5000
    said = analyze("power", str(events), "--value", "peak_dff", "--difference", "1")
    assert "animals per group" in said
    one = events.read_text().replace("m5", "m4").replace("m6", "m4").replace("m7", "m4")
    events.write_text(one)
    assert main(["analyze", "groups", str(events), "--value", "peak_dff"]) == 2


def test_kinds_of_events(tmp_path: Path):
    events = cohort_file(tmp_path / "events.csv", effect=40.0)
    words = ["--feature", "peak_dff", "--feature", "duration_s", "-o", str(tmp_path)]
    said = analyze("clusters", str(events), *words, "--number", "2")
    assert said.startswith("2 clusters of 120, 120")
    table = pd.read_csv(tmp_path / "clusters.csv")
    assert table.groupby("group")["cluster"].nunique().tolist() == [1, 1]


# tsfresh and what it imports warn of their own future
@pytest.mark.filterwarnings("ignore")
def test_traces_give_features_by_tsfresh(study: Path, tmp_path: Path):
    pytest.importorskip("tsfresh", reason="the extra tsfresh is not installed")
    words = ["--tsfresh", "minimal", "--number", "2", "-o", str(tmp_path)]
    analyze("clusters", str(study), "--feature", "v_area", *words)
    table = pd.read_csv(tmp_path / "clusters.csv")
    traces = [t for one in MultiEvents.one_by_one(study) for t in one.events["trace"]]
    # the order of the study's table
    assert table["trace maximum"].tolist() == pytest.approx([t.max() for t in traces])
    assert table["v_area"].tolist() == Cohort(study).read(["v_area"])["v_area"].tolist()
    analyze("clusters", str(study / "one.astrocast"), *words)
    assert "v_area" not in pd.read_csv(tmp_path / "clusters.csv")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--tsfresh", "minimal"], "holds no traces"),
        ([], "give --feature COLUMN, or --tsfresh minimal"),
    ],
)
def test_features_that_cannot_be_had_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str
):
    events = cohort_file(tmp_path / "events.csv", effect=1.0)
    assert main(["analyze", "clusters", str(events), *words]) == 2
    assert part in capsys.readouterr().err


def test_the_extra_of_tsfresh_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tsfresh", None)
    with pytest.raises(MissingExtraError, match=r"astrocast\[tsfresh\]"):
        tsfresh_features(pd.Series([np.arange(5.0)]))


def test_units_networks_and_stimuli_of_a_run(study: Path, tmp_path: Path):
    run, out = str(study / "two.astrocast"), ["-o", str(tmp_path)]
    said = analyze("units", run, *out)
    units = pd.read_csv(tmp_path / "units.csv")
    events = pd.read_csv(tmp_path / "unit_of_event.csv")
    assert said.startswith(f"{len(units)} units")
    assert units["events"].sum() == len(events)
    assert "synchrony" in analyze("network", run, "--surrogates", "29", *out)
    triggers = tmp_path / "triggers.csv"
    triggers.write_text("20\n40\n")
    words = ["--triggers", str(triggers), "--unit", "frames", "--after", "8"]
    assert "of 2 trials" in analyze("stimuli", run, *words, *out)
    for name in ("units", "unit_graph", "synchrony", "propagation", "peri_stimulus"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert main(["analyze", "units", str(tmp_path)]) == 2


def test_groups_are_told_apart_in_animals_that_were_not_trained_on(tmp_path: Path):
    events = cohort_file(tmp_path / "events.csv", effect=40.0)
    words = ["--feature", "peak_dff", "--feature", "duration_s"]
    words += ["--permutations", "19", "-o", str(tmp_path)]
    said = analyze("classify", str(events), *words)
    assert "balanced accuracy 1.00" in said
    assert "240 events of 8 animals" in said
    table = pd.read_csv(tmp_path / "classifier.csv")
    assert table["feature"].tolist() == ["peak_dff", "duration_s"]
    assert (tmp_path / "classifier.png").stat().st_size > 5000


def test_responses_and_propagation_are_told_by_cell(study: Path, tmp_path: Path):
    run = str(study / "one.astrocast")
    out = ["-o", str(tmp_path)]
    ring = [[0, 0], [48, 0], [48, 48], [0, 48], [0, 0]]
    whole = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": "A", "kind": "cell"},
    }
    drawn = tmp_path / "drawn.geojson"
    drawn.write_text(json.dumps({"type": "FeatureCollection", "features": [whole]}))
    cells = ["--regions", str(drawn), *out]
    (tmp_path / "t.csv").write_text("2\n6\n")
    words = ["--triggers", str(tmp_path / "t.csv"), "--after", "3"]
    said = analyze("stimuli", run, *words, *cells)
    assert "of 1 cells respond" in said
    table = pd.read_csv(tmp_path / "responses.csv")
    assert table["cell"].tolist() == ["A"]
    # one cell holds all events: it answers as the whole recording does
    assert f"{table['probability'][0]:.0%} of 2 trials" in said
    said = analyze("network", run, "--surrogates", "19", "--reach", "99", *cells)
    pairs = pd.read_csv(tmp_path / "propagation.csv")
    assert pairs["within"].all()
    assert f"{len(pairs)} of {len(pairs)} pairs lie within one cell" in said


def test_the_same_field_on_two_days(study: Path, tmp_path: Path):
    """A run against itself is found in place; another field is not carried over."""
    one, two = study / "one.astrocast", study / "two.astrocast"
    ring = [[10, 10], [40, 10], [40, 40], [10, 40], [10, 10]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": "cell A", "kind": "soma"},
    }
    drawn = tmp_path / "drawn.geojson"
    drawn.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    words = ["--regions", str(drawn), "-o", str(tmp_path)]
    said = analyze("sessions", str(one), str(one), str(two), *words)
    assert "2_one: shifted by 0.0, 0.0 px" in said or "2_one: shifted by -0.0" in said
    assert "not transferred to 3_two" in said
    listed = pd.read_csv(tmp_path / "sessions.csv").set_index("session")
    assert listed["reliable"].to_dict() == {
        "1_one": True,
        "2_one": True,
        "3_two": False,
    }
    assert not (tmp_path / "3_two.regions.geojson").exists()
    carried = json.loads((tmp_path / "2_one.regions.geojson").read_text())
    (again,) = carried["features"]
    assert again["properties"]["kind"] == "soma"
    assert again["geometry"]["coordinates"][0] == pytest.approx(
        np.array(ring), abs=0.01
    )
    cells = pd.read_csv(tmp_path / "cells_over_sessions.csv")
    assert cells["session"].tolist() == ["1_one", "2_one"]
    assert cells["events"].nunique() == 1
    units = pd.read_csv(tmp_path / "units_over_sessions.csv")
    assert (units.groupby("unit")["events"].nunique() == 1).all()
    assert units["similarity"].tolist() == pytest.approx([1.0] * len(units), abs=0.01)
    assert (tmp_path / "sessions.png").stat().st_size > 5000
