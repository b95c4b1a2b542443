"""The commands of single stages, one after the other, give what a whole run gives."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrocast.cli.app import main
from astrocast.io import open_recording
from astrocast.io.stores.event_table import read_events
from astrocast.simulation import SimulationSettings, write_simulation

SETTINGS = SimulationSettings(
    seed=3,
    frames=120,
    rows=64,
    columns=64,
    events=4,
    snr=6.0,
    motion=2.0,
    frame_rate=5.0,
    border=8.0,
)


@pytest.fixture(autouse=True)
def _no_handler_stays() -> Any:
    yield
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stages") / "movie.h5"
    write_simulation(SETTINGS, path, truth=False)
    return path


def call(*words: object) -> int:
    return main(["-q", *map(str, words)])


def test_stages_in_turn_give_what_a_run_gives(tmp_path: Path, recording: Path) -> None:
    out = tmp_path / "work.h5"
    assert (
        call(
            "convert",
            recording,
            "-o",
            out,
            "--loc",
            "data/ch0",
            "-s",
            "chunk_strategy=XY",
        )
        == 0
    )
    assert (
        call("motion", out, "-o", out, "--loc", "data/ch0", "-s", "max_shifts=6") == 0
    )
    assert call("delta", out, "-o", out, "--loc", "mc/ch0", "-s", "window=40") == 0
    assert (
        call(
            "detect",
            out,
            "--loc",
            "mc/ch0",
            "--signal-loc",
            "df/ch0",
            "-o",
            tmp_path / "events.roi",
        )
        == 0
    )
    run = ["-s", "motion.max_shifts=6", "-s", "delta.window=40", "--loc", "data/ch0"]
    assert call("run", recording, "-o", tmp_path / "run", *run) == 0
    whole = tmp_path / "run" / "recording.h5"
    for dataset in ("data/ch0", "mc/ch0", "df/ch0"):
        with (
            open_recording(out, dataset) as ours,
            open_recording(whole, dataset) as theirs,
        ):
            np.testing.assert_array_equal(ours.to_array(), theirs.to_array())
            assert ours.metadata.frame_rate == 5.0
    ours, theirs = (
        read_events(store, ["z0", "v_area", "v_max_height"])
        for store in (tmp_path / "events.roi", next((tmp_path / "run").glob("*.roi")))
    )
    assert len(ours) == len(theirs) >= 3
    assert ours.equals(theirs)


def test_a_stage_takes_its_section_of_a_configuration(
    tmp_path: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text(
        "delta:\n  window: 33\n  baseline: minimum\nframe_rate: 2.5\n"
    )
    call(
        "delta",
        recording,
        "-o",
        tmp_path / "a.h5",
        "--loc",
        "data/ch0",
        "-c",
        tmp_path / "run.yaml",
    )
    assert "window: 33 frames, background: minimum" in capsys.readouterr().out
    call(
        "convert",
        recording,
        "-o",
        tmp_path / "b.zarr",
        "--loc",
        "data/ch0",
        "-c",
        tmp_path / "run.yaml",
    )
    with open_recording(tmp_path / "b.zarr") as converted:
        assert converted.metadata.frame_rate == 2.5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["convert", "MOVIE", "-o", "x.docx"], "x.docx"),
        (["convert", "MOVIE"], "--output"),
        (["motion", "MOVIE", "-o", "x.h5", "--loc", "nothing"], "data/ch0"),
        (["motion", "MOVIE", "-o", "MOVIE", "--loc-out", "data/ch0"], "already has"),
        (["motion", "MOVIE", "-o", "x.h5", "--dtype", "complex64"], "complex64"),
        (["delta", "MOVIE", "-o", "x.h5", "-s", "windw=3"], "windw"),
        (["delta", "MOVIE", "-o", "x.h5", "-s", "method=dG"], "dFF"),
        (["detect", "MOVIE", "-s", "threshold=-"], "threshold"),
    ],
)
def test_a_wrong_call_is_one_message_and_writes_nothing(
    tmp_path: Path,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = recording.read_bytes()
    assert call(*(recording if w == "MOVIE" else w for w in words)) == 2
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []
    assert recording.read_bytes() == before


def test_simulate_prints_parameters_that_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--parameters"]) == 0
    text = capsys.readouterr().out
    assert "snr" in text
    config = tmp_path / "small.yaml"
    config.write_text(text)
    small = ["frames=12", "rows=32", "columns=32", "events=0"]
    asked = [word for value in small for word in ("--set", value)]
    out = tmp_path / "x.h5"
    assert main(["simulate", str(out), "--config", str(config), *asked]) == 0
    assert open_recording(out, "data/ch0").shape == (12, 32, 32)
