"""Recordings and runs that open, and the messages for those that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from astrocast.cli.app import main
from astrocast.errors import InvalidValueError, RecordingNotFoundError
from astrocast.explorer.server.project import Project, find_parts
from astrocast.explorer.server.workspace import Workspace


def test_each_channel_is_a_layer_of_its_own(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 99, (10, 2, 8, 9)).astype(np.uint16)
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TCYX"})
    project = Project(path)
    raw = [layer for layer in project.layers.values() if layer.kind == "data"]
    assert [layer.key for layer in raw] == ["data/ch0", "data/ch1"]
    for channel, layer in enumerate(raw):
        np.testing.assert_array_equal(layer.recording.to_array(), movie[:, channel])
    project.close()


def test_an_event_store_opens_with_its_recording(first_run: Path) -> None:
    found = find_parts(first_run / "run" / "recording.ch0.roi")
    assert found.recording == first_run / "run" / "recording.h5"
    assert found.store == first_run / "run" / "recording.ch0.roi"


def test_a_simulated_recording_opens_without_its_truth(first_run: Path) -> None:
    with h5py.File(first_run / "movie.h5") as file:
        assert "truth" in file
    project = Project(first_run / "movie.h5")
    kinds = [layer.kind for layer in project.layers.values()]
    assert kinds[:3] == ["data", "df", "dff"]
    # what has the shape of the movie is shown, tables are not
    assert set(kinds[3:]) == {"other"}
    assert "truth/knots" not in project.layers
    project.close()


def test_tables_alone_are_no_recording(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "tables.h5", "w") as file:
        file["truth/knots"] = np.zeros((4, 2, 3, 3))
    with pytest.raises(InvalidValueError, match="4 dimensions"):
        Project(tmp_path / "tables.h5")


def test_without_a_recording_the_demo_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """It is computed at the first time only."""
    made, opened = [], []
    run = tmp_path / "demo" / "run"

    def demonstrate(folder: Path) -> None:
        made.append(folder)
        run.mkdir(parents=True)
        (run / "report.html").touch()

    monkeypatch.setattr("astrocast.cli.commands.demo.RUNS", tmp_path)
    monkeypatch.setattr("astrocast.pipeline.demo.demonstrate", demonstrate)
    serve = "astrocast.explorer.server.serve.explore"
    monkeypatch.setattr(serve, lambda path, **options: opened.append(path))
    for _ in range(2):
        assert main(["explore", "--no-browser"]) == 0
    assert made == [tmp_path / "demo"]
    assert opened == [run, run]
    assert "simulated demo" in capsys.readouterr().out


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFoundError, match="does not exist"):
        find_parts(tmp_path / "missing.tif")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.tif", "--no-browser"], "does not exist"),
        (["{bare}", "--no-browser", "--host", "0.0.0.0"], "--token"),
        (["{bare}", "--no-browser", "--curator", "a/b"], "curator"),
    ],
)
def test_the_command_says_what_is_wrong(
    bare: Path, capsys: Any, arguments: list[str], part: str
) -> None:
    import logging

    code = main(["explore", *(a.format(bare=bare) for a in arguments)])
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])
    assert code == 2
    assert part in capsys.readouterr().err


def test_a_recording_that_goes_on_has_a_page(
    bare: Path, tmp_path: Path, serve: Any
) -> None:
    live = tmp_path / "out" / "live"
    live.mkdir(parents=True)
    state = {"status": "watching", "frames": 40, "done": 32, "events": 30}
    (live / "state.json").write_text(json.dumps(state), encoding="utf-8")
    rows = [f"{n},local,{n},9,1,2,30,4.5,0.99" for n in range(1, 31)]
    text = "\n".join(
        ["event_id,kind,z0,z1,x0,y0,v_area,snr,confidence", *rows, "31,lo"]
    )
    (live / "events.csv").write_text(text, encoding="utf-8")
    client = serve(Workspace(tmp_path / "out"))
    assert client.get("/api/start").json()["live"]
    assert "astrocast live" in client.get("/live").text
    found = client.get("/api/live").json()
    assert found["state"] == state
    # the last line is not complete yet
    assert [e["event_id"] for e in found["events"][:2]] == ["30", "29"]
    assert len(found["events"]) == 20
    assert found["agreement"] is None
    answer = serve(Workspace(bare)).get("/api/live")
    assert answer.status_code == 404
    assert "astrocast watch" in answer.json()["message"]
