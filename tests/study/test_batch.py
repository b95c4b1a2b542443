"""A batch goes on past failures and resumes; its tables equal those of its runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import psutil
import pytest
from typer.testing import CliRunner

from astrocast.analysis import MultiEvents
from astrocast.cli.app import app, main
from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    NotRunError,
    OutputError,
)
from astrocast.io.writing.lock import OutputLock
from astrocast.pipeline.complete import find_complete_run
from astrocast.pipeline.directory import LOCK_FILE
from astrocast.pipeline.run import run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.study import batch as batch_module
from astrocast.study.batch import count_workers, run_study
from astrocast.study.clusters import slurm_options
from astrocast.study.cohort import Cohort
from astrocast.study.directory import read_study
from astrocast.study.report import find_outliers


def test_it_goes_on_past_a_recording_that_fails(study: Path):
    table = pd.read_csv(study / "recordings.csv").set_index("name")
    assert table["status"].to_dict() == {"one": "ok", "two": "ok", "broken": "failed"}
    assert "cannot be read as TIFF" in table.loc["broken", "message"]
    assert table.loc["one", "virus"] == "AAV5"
    assert table.loc["two", "minutes"] == pytest.approx(60 / 5 / 60)
    page = (study / "report.html").read_text("utf-8")
    assert "cannot be read as TIFF" in page
    assert "Rate" in page


def test_the_cohort_holds_the_events_of_all_runs(study: Path):
    cohort = Cohort(study)
    frames = []
    for name in ("one", "two"):
        (store,) = (study / f"{name}.astrocast").glob("*.roi")
        frames.append(pd.read_csv(store / "events.csv").assign(recording=name))
    expected = pd.concat(frames)
    events = cohort.read(["recording", "group", "z0", "v_area"])
    assert len(cohort) == len(expected) > 3
    assert events["v_area"].tolist() == expected["v_area"].tolist()
    assert set(events["group"]) == {"control"}
    counted = cohort.aggregate(["recording"], {"v_area": "mean"}).set_index("recording")
    by_hand = expected.groupby("recording")["v_area"]
    assert counted["events"].to_dict() == by_hand.count().to_dict()
    assert counted["v_area_mean"].to_dict() == pytest.approx(by_hand.mean().to_dict())
    few = cohort.read(["z0"], where={"z0": (None, 20), "recording": ["one"]})
    assert len(few) == ((expected["z0"] <= 20) & (expected["recording"] == "one")).sum()
    assert len(pd.read_csv(study / "events.csv")) == len(expected)
    with pytest.raises(
        DatasetNotFoundError, match="the cohort has no column 'nothing'; it has"
    ):
        cohort.read(["nothing"])


def test_a_second_batch_reuses_what_is_complete(study: Path, recordings: Path):
    before = {p: p.stat().st_mtime_ns for p in study.glob("*.astrocast/recording.h5")}
    events = (study / "events.parquet").read_bytes()
    arguments = ["batch", str(study / "study.json"), "-o", str(study)]
    done = CliRunner().invoke(app, arguments)
    assert done.output.count("(complete before, reused)") == 2, done.output
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (study / "events.parquet").read_bytes() == events
    other = ["batch", str(recordings / "study.csv"), "-o", str(study)]
    assert main([*other, "--set", "motion.enabled=true"]) == 2


def test_complete_recordings_start_no_process(
    study: Path, monkeypatch: pytest.MonkeyPatch
):
    """Complete ones are found here; the broken one fails for want of a process."""
    before = (study / "study.json").read_text()
    state = (study / "one.astrocast" / "run.json").read_bytes()
    monkeypatch.setattr(batch_module.sys, "executable", "/bin/false")
    outcomes = run_study(read_study(study), workers=1)
    (study / "study.json").write_text(before)  # other tests read it
    assert {n: o["status"] for n, o in outcomes.items()} == {
        "one": "ok",
        "two": "ok",
        "broken": "failed",
    }
    assert outcomes["one"]["computed"] == []
    stored = json.loads(before)["outcomes"]
    assert outcomes["one"]["events"] == stored["one"]["events"]
    # nothing was locked or written
    assert (study / "one.astrocast" / "run.json").read_bytes() == state


@pytest.mark.parametrize(
    "change", ["nothing", "input", "parameter", "product", "interrupted"]
)
def test_a_run_that_differs_is_not_complete(
    study: Path, recordings: Path, tmp_path: Path, change: str
):
    run = tmp_path / "run"
    shutil.copytree(study / "one.astrocast", run)
    state = json.loads((run / "run.json").read_text())
    settings = RunSettings.checked(
        motion={"enabled": False}, conversion={"loc_in": "data/ch0"}, frame_rate=4
    )
    pixel = int(change == "input")
    if change == "parameter":
        settings = settings.model_copy(update={"seed": settings.seed + 1})
    elif change == "product":
        next(run.glob("*.roi/time_map.npy")).unlink()
    elif change == "interrupted":
        state["stages"]["detection"]["status"] = "running"
        (run / "run.json").write_text(json.dumps(state))
    with h5py.File(recordings / "one.h5", "r+") as file:
        file["data/ch0"][3, 4, 5] += pixel
    try:
        found = find_complete_run(recordings / "one.h5", run, settings)
    finally:
        with h5py.File(recordings / "one.h5", "r+") as file:
            file["data/ch0"][3, 4, 5] -= pixel
    assert (found is not None) == (change == "nothing")


def test_results_are_those_of_a_single_run(
    study: Path, recordings: Path, tmp_path: Path
):
    settings = RunSettings.checked(
        motion={"enabled": False}, conversion={"loc_in": "data/ch0"}, frame_rate=4
    )
    run_recording(recordings / "one.h5", tmp_path / "one.astrocast", settings)
    compared = 0
    for path in (tmp_path / "one.astrocast").rglob("*"):
        if path.is_file() and path.name in (
            "events.csv",
            "time_map.npy",
            "events.parquet",
        ):
            twin = (
                study / "one.astrocast" / path.relative_to(tmp_path / "one.astrocast")
            )
            assert path.read_bytes() == twin.read_bytes(), path
            compared += 1
    assert compared == 3


def test_a_second_batch_in_a_study_is_refused(study: Path):
    """It would store the refusals of its recordings as their outcomes."""
    before = (study / "study.json").read_bytes()
    held = OutputLock(study / LOCK_FILE, study)
    try:
        with pytest.raises(OutputError, match=r"another process .* is writing to"):
            run_study(read_study(study), workers=0)
    finally:
        held.release()
    assert (study / "study.json").read_bytes() == before


@pytest.mark.filterwarnings("default")
def test_recordings_are_jobs_of_slurm(
    study: Path, recordings: Path, tmp_path: Path, slurm: Path
):
    """A job of two cores computes one recording after the other, on both cores."""
    words = ["batch", str(recordings / "with_broken.csv"), "-o", str(tmp_path / "out")]
    words += ["--set", "motion.enabled=false"]
    done = CliRunner().invoke(app, [*words, "--slurm", "jobs=1,cores=2,memory=4GB"])
    assert done.exit_code == 1, done.output
    assert "2 of 3 recordings are complete; failed: broken" in done.output
    for name in ("events.parquet", "events.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (study / name).read_bytes()
    script = (slurm / "job.sh").read_text(encoding="utf-8")
    assert "#SBATCH --cpus-per-task=2" in script.splitlines()
    assert "--nthreads 1" in script


def test_a_process_that_is_killed_is_one_failure(
    study: Path, monkeypatch: pytest.MonkeyPatch
):
    killed = batch_module._describe_exit(-9, "")
    assert "signal 9" in killed
    assert "memory" in killed
    monkeypatch.setattr(batch_module.sys, "executable", "/bin/false")
    made = read_study(study)
    before = (study / "study.json").read_text()
    monkeypatch.setattr(batch_module, "find_complete", lambda job: None)
    outcomes = run_study(made, workers=2)
    assert {o["status"] for o in outcomes.values()} == {"failed"}
    assert json.loads((study / "study.json").read_text())["outcomes"] == outcomes
    (study / "study.json").write_text(before)  # other tests read it


def test_a_batch_that_is_killed_goes_on_where_it_was(
    study: Path, recordings: Path, tmp_path: Path
):
    """Only the batch is killed; the process of its recording then ends by itself."""
    output = tmp_path / "study"
    words = ["batch", str(recordings / "with_broken.csv"), "-o", str(output)]
    words += ["--set", "motion.enabled=false", "--workers", "1"]
    batch = subprocess.Popen([sys.executable, "-m", "astrocast", *words])
    deadline = time.monotonic() + 300
    while len(complete_names(output)) < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(batch.pid).children()
    batch.kill()
    batch.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert complete_names(output) == ["one"]
    assert not (output / "events.parquet").exists()
    # its recording may have ended in the moment before it noticed
    states = [json.loads(p.read_text()) for p in output.glob("*/run.json")]
    reports = [state["stages"].get("report", {}) for state in states]
    kept = [r for r in reports if r.get("status") == "complete"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1, done.output
    assert done.output.count("(complete before, reused)") == len(kept)
    assert complete_names(output) == ["one", "two"]
    same = (output / "events.parquet").read_bytes()
    assert same == (study / "events.parquet").read_bytes()


def test_a_run_whose_batch_ended_before_it_began_ends():
    """Its parent is another process by then, which lives on."""
    job = {"recording": "r", "output": "o", "parent": 2**22 + 1}
    code = "from astrocast.study import one_recording as m\n"
    code += "m.compute = lambda job: m.time.sleep(300)\nm.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(job),
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1


def complete_names(study: Path) -> list[str]:
    file = study / "study.json"
    if not file.is_file():
        return []
    outcomes = json.loads(file.read_text(encoding="utf-8"))["outcomes"]
    return sorted(name for name, o in outcomes.items() if o["status"] == "ok")


def test_workers_are_limited_by_recordings():
    assert count_workers(8, 3) == 3
    assert count_workers(None, 1) == 1


def test_options_of_slurm():
    assert slurm_options("jobs=8,cores=4")["cores"] == "4"
    with pytest.raises(ValueError, match="expected NAME=VALUE, with a name of"):
        slurm_options("nodes=3")


def test_outliers_need_a_study_to_differ_from():
    table = pd.DataFrame({"name": list("abcdef"), "events_per_minute": [5.0] * 6})
    assert find_outliers(table) == []
    table["events_per_minute"] = [5.0, 6.0, 5.5, 6.5, 5.2, 60.0]
    ((name, _, value, median),) = find_outliers(table)
    assert (name, value) == ("f", 60.0)
    assert median == np.median(table["events_per_minute"])


def test_a_study_is_read_as_events_with_groups_and_subjects(study: Path) -> None:
    both = MultiEvents(study, columns=["v_area"])
    table = both.events
    assert len(both.names) == 2
    by_name = table.groupby("file_name", observed=True)[["group", "subject_id"]].first()
    assert by_name.to_numpy().tolist() == [["control", "a"], ["control", "b"]]
    # arrays stay on disk
    assert "v_area" in table
    assert not {"trace", "mask"} & set(table)
    whole = MultiEvents(study).events
    assert table["v_area"].tolist() == whole["v_area"].tolist()
    assert len(whole.columns) > 2 * len(table.columns)
    alone = [one.events for one in MultiEvents.one_by_one(study, columns=["v_area"])]
    assert [len(t) for t in alone] == table.groupby("file_name").size().tolist()
    assert [t["subject_id"].iloc[0] for t in alone] == ["a", "b"]
    with pytest.raises(DatasetNotFoundError, match="nonsense"):
        MultiEvents(study, columns=["nonsense"])


def test_a_study_that_is_damaged_or_not_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(FormatError, match=r"study\.json cannot be read"):
        MultiEvents(tmp_path)
    (tmp_path / "study.json").write_text('{"recordings": [], "outcomes": {}}')
    with pytest.raises(NotRunError, match="is complete; run"):
        MultiEvents(tmp_path)
