"""Previews and runs from the page: checked, the same as elsewhere, stoppable."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import ndimage

from astrocast.errors import OutputExistsError
from astrocast.explorer.server.preview import Crop, preview
from astrocast.explorer.server.whole_run import WholeRun, perform, unfinished_runs
from astrocast.explorer.server.workspace import Workspace
from astrocast.pipeline.settings import RunSettings

BASE = "/api/projects/0"
CROP = {"rows": [0, 64], "columns": [0, 64], "frames": [0, 120]}


def wait_for(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    end = time.monotonic() + 120
    while job["status"] in ("waiting", "running") and time.monotonic() < end:
        time.sleep(0.05)
        job = client.get(f"/api/jobs/{job['name']}").json()
    return job


@pytest.fixture(scope="module")
def tuner(first_run: Path, module_serve: Any) -> Any:
    return module_serve(Workspace(first_run / "run"))


def in_force(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{BASE}/parameters").json()
    return found


def test_parameters_come_from_the_settings(tuner: Any) -> None:
    found = in_force(tuner)
    sections = {s["path"]: s["schema"]["properties"] for s in found["sections"]}
    extent = sections["detection.calibration"]["extent"]
    fields = RunSettings().detection.calibration.__class__.model_fields
    assert extent["description"] == fields["extent"].description
    assert (extent["exclusiveMinimum"], extent["exclusiveMaximum"]) == (0, 1)
    assert found["settings"]["conversion"]["loc_in"] == "data/ch0"


def test_a_preview_with_the_parameters_in_force_finds_the_same(tuner: Any) -> None:
    body = {"settings": in_force(tuner)["settings"], **CROP}
    job = wait_for(tuner, tuner.post(f"{BASE}/previews", json=body).json())
    assert job["status"] == "done", job["message"]
    events = len(tuner.get(f"{BASE}/events").json()["events"])
    expected = {"kept": events, "changed": 0, "new": 0, "lost": 0}
    assert job["result"]["counts"] == expected
    assert {e["overlap"] for e in job["result"]["events"]} == {1.0}


def test_a_higher_limit_finds_fewer(tuner: Any) -> None:
    settings = in_force(tuner)["settings"]
    settings["detection"]["calibration"]["min_size"] = 100_000
    body = {"settings": settings, **CROP}
    job = wait_for(tuner, tuner.post(f"{BASE}/previews", json=body).json())
    assert job["result"]["found"] == 0
    assert job["result"]["counts"]["lost"] > 0
    assert job["facts"]["changed"] == {
        "detection": {"calibration": {"min_size": 100_000}}
    }


@pytest.mark.parametrize("stage", ["delta", "motion"])
def test_other_stages_show_what_they_change(tuner: Any, stage: str) -> None:
    body = {"settings": in_force(tuner)["settings"], "stage": stage, **CROP}
    job = wait_for(tuner, tuner.post(f"{BASE}/previews", json=body).json())
    assert job["status"] == "done", job["message"]
    lines = job["result"]["lines"]
    assert all(len(values) == 120 for values in lines.values())
    assert any("now" in name for name in lines)


@pytest.mark.parametrize("first", [20, 21])
def test_lines_of_a_crop_move_as_those_of_the_recording(
    first: int, tmp_path: Path
) -> None:
    """A crop that starts at an odd row has the displaced lines at its even rows."""
    rng = np.random.default_rng(4)
    scene = ndimage.gaussian_filter(rng.random((96, 104)), (1.5, 1.5)) * 4000
    movie = np.repeat(scene[None, :, 4:100], 20, axis=0)
    movie[:, 1::2] = scene[1::2, 1:97]  # odd lines 3 pixels to the right
    path = tmp_path / "recording.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"] = rng.poisson(movie).astype(np.uint16)
    found = {}
    for bidi in (3, -3):
        settings = RunSettings.checked(motion={"bidi": bidi, "max_shifts": 8})
        crop = Crop(
            "motion",
            settings,
            path,
            "data/ch0",
            None,
            (first, first + 64),
            (10, 90),
            (0, 20),
            None,
        )
        numbers = preview(crop)["numbers"]
        found[bidi] = numbers["crispness before"]
    # where lines are not aligned, the blur of the mean image mixes two places
    assert found[3] > 1.15 * found[-3]


def test_a_wrong_parameter_is_a_message(tuner: Any) -> None:
    settings = in_force(tuner)["settings"]
    settings["detection"]["calibration"]["extent"] = 7
    answer = tuner.post(f"{BASE}/previews", json={"settings": settings, **CROP})
    assert answer.status_code == 422
    assert "extent: input should be less than 1" in answer.json()["message"]


def test_a_crop_that_is_too_small_is_a_message(tuner: Any) -> None:
    body = {"settings": {}, **CROP, "rows": [10, 12]}
    answer = tuner.post(f"{BASE}/previews", json=body)
    assert "at least" in answer.json()["message"]


def test_settings_as_text_give_the_settings_again(tuner: Any, tmp_path: Path) -> None:
    from astrocast.pipeline.settings import read_configuration

    settings = in_force(tuner)["settings"]
    settings["detection"]["calibration"]["extent"] = 0.5
    settings["motion"]["max_shifts"] = [7, 9]
    text = tuner.post(f"{BASE}/parameters/text", json={"settings": settings}).json()
    expected = RunSettings.checked(**settings)
    (tmp_path / "run.yaml").write_text(text["yaml"])
    assert read_configuration(tmp_path / "run.yaml", []) == expected
    import shlex

    words = shlex.split(text["set"].replace("\\\n", " "))
    given = [w for before, w in pairwise(words) if before == "--set"]
    assert read_configuration(None, given) == expected
    assert "RunSettings.checked(" in text["python"]


def test_a_run_from_the_page_is_the_run_of_the_command_line(
    run: Path, serve: Any
) -> None:
    client = serve(Workspace(run))
    settings = in_force(client)["settings"]
    body = {"settings": settings, "name": "again"}
    started = client.post(f"{BASE}/runs", json=body).json()
    found = client.get(f"{BASE}/runs").json()
    assert found["running"] == {"again": started["name"]}
    assert found["unfinished"] == []
    assert found["name"] not in ("run", "again")
    twice = client.post(f"{BASE}/runs", json=body)
    assert "already in progress" in twice.json()["message"]
    job = wait_for(client, started)
    assert job["status"] == "done", job["message"]
    mine, other = (p / "recording.ch0.roi" for p in (run.parent / "again", run))
    for name in ("events.parquet", "events.csv", "time_map.npy", "event_map.tiff"):
        assert (mine / name).read_bytes() == (other / name).read_bytes(), name
    assert json.loads((run.parent / "again" / "run.json").read_text())["stages"]
    opened = job["result"]["project"]
    assert client.get(f"/api/projects/{opened}").json()["title"] == "again"
    assert client.get(f"{BASE}/runs").json()["unfinished"] == []


def test_changed_parameters_give_what_the_command_line_gives(
    run: Path, serve: Any
) -> None:
    from astrocast.cli.app import main

    client = serve(Workspace(run))
    settings = in_force(client)["settings"]
    settings["detection"]["calibration"]["min_size"] = 60
    settings["delta"]["window"] = 40
    body = {"settings": settings, "name": "page"}
    job = wait_for(client, client.post(f"{BASE}/runs", json=body).json())
    assert job["status"] == "done", job["message"]
    words = ["-q", "run", str(run.parent / "movie.h5"), "-o", str(run.parent / "line")]
    words += ["--loc", "data/ch0", "--set", "delta.window=40"]
    assert main([*words, "--set", "detection.calibration.min_size=60"]) == 0
    mine, other = (run.parent / n / "recording.ch0.roi" for n in ("page", "line"))
    for name in ("events.parquet", "events.csv", "time_map.npy", "event_map.tiff"):
        assert (mine / name).read_bytes() == (other / name).read_bytes(), name
    before = (run / "recording.ch0.roi" / "events.csv").read_bytes()
    assert (mine / "events.csv").read_bytes() != before


def test_an_existing_name_is_refused(run: Path, serve: Any) -> None:
    client = serve(Workspace(run))
    body = {"settings": {}, "name": "../x"}
    answer = client.post(f"{BASE}/runs", json=body)
    assert "cannot be the name" in answer.json()["message"]
    wanted = WholeRun(run.parent / "movie.h5", run, RunSettings(), run)
    with pytest.raises(OutputExistsError, match="exists; choose another"):
        perform(wanted)


def test_a_stopped_run_goes_on(first_run: Path, tmp_path: Path) -> None:
    wanted = WholeRun(
        first_run / "movie.h5",
        tmp_path / "stopped",
        RunSettings.checked(conversion={"loc_in": "data/ch0"}),
        first_run / "run",
    )
    from astrocast.explorer.server.whole_run import _prepare

    _prepare(wanted)  # the server died here
    [found], damaged = unfinished_runs(tmp_path)
    assert damaged == {}
    assert found.output == wanted.output
    assert found.settings == wanted.settings
    assert perform(found)["events"] > 0
    assert unfinished_runs(tmp_path) == ([], {})


@pytest.mark.parametrize(
    "text",
    [
        '{"source": "/data/mov',
        "[]",
        '{"source": "a", "settings": {"detection": {"method": "none"}}}',
    ],
)
def test_a_damaged_note_of_a_stopped_run_is_a_message(
    run: Path, serve: Any, text: str
) -> None:
    (run.parent / "broken.unfinished.json").write_text(text)
    client = serve(Workspace(run))
    found = client.get(f"{BASE}/runs")
    assert found.status_code == 200
    assert found.json()["unfinished"] == []
    [(name, why)] = found.json()["damaged"].items()
    assert name == "broken"
    assert "broken.unfinished.json is damaged" in why
    body = {"settings": {}, "name": "broken"}
    answer = client.post(f"{BASE}/runs", json=body)
    assert (answer.status_code, answer.json()["message"]) == (422, why)


def test_a_preview_can_be_stopped(tuner: Any) -> None:
    body = {"settings": in_force(tuner)["settings"], **CROP}
    job = tuner.post(f"{BASE}/previews", json=body).json()
    tuner.delete(f"/api/jobs/{job['name']}")
    assert wait_for(tuner, job)["status"] in ("cancelled", "done")
    again = wait_for(tuner, tuner.post(f"{BASE}/previews", json=body).json())
    assert again["status"] == "done", again["message"]


def test_what_a_file_does_not_say_is_asked_and_kept(bare: Path, serve: Any) -> None:
    client = serve(Workspace(bare))
    answer = client.post(f"{BASE}/answers", json={"frame_rate": 4, "pixel_size": 0.3})
    assert answer.status_code == 200
    again = serve(Workspace(bare)).get(BASE).json()
    assert (again["frame_rate"], again["pixel_size"]) == (4.0, 0.3)
    assert again["offset"] is None
    pixel = {"layer": "dff/ch0", "row": 3, "column": 4}
    before, after = [], []
    for found, offset in ((before, 0), (after, 90)):
        client.post(f"{BASE}/answers", json={"offset": offset})
        found += client.get(f"{BASE}/pixel", params=pixel).json()["values"]
    own = np.load(bare)[:, 3, 4].astype(float)
    below = np.percentile(own, 20)
    np.testing.assert_allclose(before, (own - below) / below, rtol=1e-3, atol=1e-5)
    lit = (own - below) / (below - 90)
    np.testing.assert_allclose(after, lit, rtol=1e-3, atol=1e-5)
    auto = client.post(f"{BASE}/answers", json={"offset": "auto"})
    assert "give a number" in auto.json()["message"]
    wrong = client.post(f"{BASE}/answers", json={"frame_rate": -1})
    assert "frame_rate" in wrong.json()["message"]
